"""The geometry of the deletion curve, in a box 400 units wide; the template draws it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bothways.evaluation.deletion_curve import DeletionCurve

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 400, 220, 48, 12, 12, 36


def curve_chart(curve: DeletionCurve) -> dict[str, Any]:
    """Points of both curves and of the band of random orders, and ticks with their names."""
    values = (*curve.claimed, *curve.random_mean, *curve.random_low, *curve.random_high)
    ticks = _ticks(min(values), max(values))
    low, high = min(ticks[0], *values), max(ticks[-1], *values)

    def x(share: float) -> float:
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / ((high - low) or 1.0) * (HEIGHT - TOP - BOTTOM), 1)

    def line(heights: Sequence[float]) -> list[tuple[float, float]]:
        return [(x(share), y(value)) for share, value in zip(curve.shares, heights, strict=True)]

    return {
        "claimed": line(curve.claimed),
        "random": line(curve.random_mean),
        "band": line(curve.random_low) + line(curve.random_high)[::-1],
        "ticks_x": [(x(percent / 100), f"{percent} %") for percent in (0, 25, 50, 75, 100)],
        "ticks_y": [(y(tick), f"{tick:g}") for tick in ticks],
        "bottom": HEIGHT - BOTTOM,
        "left": LEFT,
        "right": WIDTH - RIGHT,
    }


def _ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers between two values, at least one."""
    width = (high - low) or 1.0
    size = 10 ** math.floor(math.log10(width / most))
    step = next(size * factor for factor in (1, 2, 5, 10) if width / (size * factor) <= most)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(i * step, 10) for i in range(first, last + 1)] or [round(low, 10)]
