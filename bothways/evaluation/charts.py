"""Geometry of the charts about learning, sureness and slices; ``templates`` draw them.

Every chart is drawn in a box 400 units wide, so that its text stays legible on a phone without any script.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bothways.evaluation.learning_curve import LearningCurve
from bothways.evaluation.slices import Slices

if TYPE_CHECKING:
    from bothways.evaluation.calibrated import Reliability
    from bothways.evaluation.risk_coverage import RiskCoverage

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 400, 220, 44, 10, 12, 34
SLICES_SHOWN = 40
CURVE_POINTS = 60

Scale = Callable[[float], float]


def learning_chart(curve: LearningCurve) -> dict[str, Any] | None:
    """Points with whiskers over a logarithmic number of examples, the fitted line, and where it leads (dashed)."""
    if not curve.steps:
        return None
    sizes = [step.n for step in curve.steps]
    far = [f for f in curve.forecasts if f.n <= 4 * max(sizes)]
    ends = [*(s.score for s in curve.steps), *(f.score for f in far)]
    low_y, high_y = min(i.low for i in ends), max(i.high for i in ends)
    ticks_y = ticks(low_y, min(1.0, high_y), 4)
    y = scale(min(ticks_y[0], low_y), max(ticks_y[-1], high_y), HEIGHT - BOTTOM, TOP)
    low_x, high_x = math.log(min(sizes)), math.log(max([*sizes, *(f.n for f in far)]))
    x = scale(low_x, high_x if high_x > low_x else low_x + 1, LEFT + 10, WIDTH - RIGHT - 14)
    line = []
    if curve.floor is not None and curve.factor is not None and curve.exponent is not None:
        steps = [low_x + (math.log(max(sizes)) - low_x) * i / CURVE_POINTS for i in range(CURVE_POINTS + 1)]
        line = [(x(at), y(1 - curve.floor - curve.factor * math.exp(at) ** -curve.exponent)) for at in steps]
    now = max(curve.steps, key=lambda step: step.n)
    return {
        "points": [_whisker(x(math.log(s.n)), y, s.score) for s in curve.steps],
        "ahead": [_whisker(x(math.log(f.n)), y, f.score) for f in far],
        "line": line,
        "dashes": [(x(math.log(now.n)), y(now.score.estimate)), *((x(math.log(f.n)), y(f.score.estimate)) for f in far)]
        if far
        else [],
        "ticks_x": [(x(math.log(n)), short_count(n)) for n in sorted({*sizes, *(f.n for f in far)})],
        "ticks_y": [(y(tick), f"{tick * 100:g} %") for tick in ticks_y],
    }


def reliability_chart(measured: Reliability) -> dict[str, Any]:
    """Bars of how often answers of a confidence are right, against the diagonal where both agree."""
    x, y = scale(0, 1, LEFT, WIDTH - RIGHT - 10), scale(0, 1, HEIGHT - BOTTOM, TOP)
    filled = [b for b in measured.bins if b.count]
    return {
        "bars": [
            {
                "x": x(b.low) + 0.5,
                "y": y(b.accuracy),
                "width": max(x(b.high) - x(b.low) - 1, 0.5),
                "height": y(0) - y(b.accuracy),
            }
            for b in filled
        ],
        "marks": [(x(b.confidence), y(b.accuracy)) for b in filled],
        "diagonal": (x(0), y(0), x(1), y(1)),
        "ticks_x": [(x(t / 5), f"{t * 20} %") for t in range(6)],
        "ticks_y": [(y(t / 4), f"{t * 25} %") for t in range(5)],
    }


def risk_chart(measured: RiskCoverage) -> dict[str, Any]:
    """Mistakes among the answers given, against the share of texts that are answered, the surest first."""
    points = [(p.coverage, p.risk) for p in measured.points]
    ticks_y = ticks(0, max([risk for _, risk in points] + [0.01]), 4)
    x, y = scale(0, 1, LEFT, WIDTH - RIGHT - 10), scale(0, ticks_y[-1], HEIGHT - BOTTOM, TOP)
    return {
        "points": [(x(coverage), y(risk)) for coverage, risk in points],
        "ticks_x": [(x(t / 5), f"{t * 20} %") for t in range(6)],
        "ticks_y": [(y(tick), f"{tick * 100:g} %") for tick in ticks_y],
    }


def slice_rows(slices: Slices) -> list[dict[str, Any]]:
    """The worst slices with the place of their interval on the scale of their measure, in percent of the width."""
    shown = slices.slices[:SLICES_SHOWN]
    reach: dict[str, tuple[float, float]] = {}
    for own in shown:
        low, high = reach.get(own.measure, (own.score.low, own.score.high))
        reach[own.measure] = (min(low, own.score.low, own.rest), max(high, own.score.high, own.rest))
    rows = []
    for own in shown:
        low, high = reach[own.measure]
        at = scale(low, high, 0, 100)
        rows.append(
            {
                "slice": own,
                "left": at(own.score.low),
                "width": round(at(own.score.high) - at(own.score.low), 2),
                "dot": at(own.score.estimate),
                "rest": at(own.rest),
            }
        )
    return rows


def scale(low: float, high: float, start: float, stop: float) -> Scale:
    """From values to places, with two digits."""
    span = (high - low) or 1.0
    return lambda value: round(start + (value - low) / span * (stop - start), 2)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from at most ``low`` to at least ``high``, steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        low, high = low - (abs(low) * 0.1 or 0.5), high + (abs(high) * 0.1 or 0.5)
    raw = (high - low) / most
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(i * step, digits) for i in range(first, last + 1)]


def short_count(n: float) -> str:
    """``950``, ``1.2k``, ``24k``, ``1.5M``: three signs and a letter at most, for axes."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if n >= size * 0.9995:
            return f"{float(f'{n / size:.2g}'):g}{letter}"
    return f"{n:g}"


def _whisker(x: float, y: Scale, interval: Any) -> dict[str, float]:
    return {"x": x, "y": y(interval.estimate), "low": y(interval.low), "high": y(interval.high)}
