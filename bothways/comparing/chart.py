"""The Pareto front drawn: score upwards, texts a second to the right on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bothways.comparing.compare import ComparedModel

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
COLUMNS, LINES = 56, 11
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 400, 260, 56, 20, 24, 40


@dataclass(frozen=True, kw_only=True)
class Scales:
    """The ends of both axes; ``low_speed`` is above 0."""

    low_speed: float
    high_speed: float
    low_score: float
    high_score: float

    def across(self, speed: float) -> float:
        """From 0 to 1."""
        return math.log(speed / self.low_speed) / math.log(self.high_speed / self.low_speed)

    def up(self, score: float) -> float:
        """From 0 to 1."""
        return (score - self.low_score) / (self.high_score - self.low_score)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One model in the drawing: its letter and its place, in units of the drawing."""

    letter: str
    name: str
    x: float
    y: float
    low_y: float
    high_y: float
    on_front: bool
    is_baseline: bool


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What the page draws: marks, the corners of the front's steps, and ticks as (place, text)."""

    marks: tuple[Mark, ...]
    front: tuple[tuple[float, float], ...]
    ticks_x: tuple[tuple[float, str], ...]
    ticks_y: tuple[tuple[float, str], ...]
    title: str


def letter(number: int) -> str:
    """The sign of line ``number`` in both drawings; lines beyond the 52nd share one."""
    return LETTERS[number] if number < len(LETTERS) else "*"


def scales_of(rows: Sequence[ComparedModel]) -> Scales:
    """Axes that hold all values, the scores with their intervals, and some room."""
    speeds = [row.texts_per_second for row in rows]
    lows = [row.scores[0].interval.low for row in rows]
    highs = [row.scores[0].interval.high for row in rows]
    room = max((max(highs) - min(lows)) * 0.06, 1e-3)
    low, high = min(lows) - room, max(highs) + room
    if rows[0].scores[0].percent:
        low, high = max(low, 0.0), min(high, 1.0)
    return Scales(low_speed=min(speeds) / 1.3, high_speed=max(speeds) * 1.3, low_score=low, high_score=high)


def terminal_chart(rows: Sequence[ComparedModel]) -> list[str]:
    """Lines of plain text: a letter for each model, in capitals or not as in the table, ``·`` along the front."""
    scales = scales_of(rows)
    grid = [[" "] * COLUMNS for _ in range(LINES)]
    places = [
        (round(scales.across(row.texts_per_second) * (COLUMNS - 1)), _line(scales, row.scores[0].interval.estimate))
        for row in rows
    ]
    front = sorted(places[i] for i, row in enumerate(rows) if row.dominated_by is None)
    for (left, _), (right, line) in zip([(-1, 0), *front], front, strict=False):
        for column in range(left + 1, right):
            grid[line][column] = "·"
    for i, (column, line) in enumerate(places):
        grid[line][column] = letter(i) if grid[line][column] in " ·" else "+"
    percent = rows[0].scores[0].percent
    edge = {0: scales.high_score, LINES - 1: scales.low_score}
    shown = [(_value(edge[i], percent) if i in edge else "").rjust(8) + " │" + "".join(g) for i, g in enumerate(grid)]
    ends = f"{number(scales.low_speed)}", f"{number(scales.high_speed)} texts/s"
    axis = " " * 10 + ends[0] + ends[1].rjust(COLUMNS - len(ends[0]))
    return [*shown, " " * 8 + " └" + "─" * COLUMNS, axis]


def draw(rows: Sequence[ComparedModel]) -> Drawing:
    """The same as geometry for an SVG of 400 by 260 units."""
    scales = scales_of(rows)

    def x(speed: float) -> float:
        return round(LEFT + scales.across(speed) * (WIDTH - LEFT - RIGHT), 1)

    def y(score: float) -> float:
        return round(HEIGHT - BOTTOM - scales.up(score) * (HEIGHT - TOP - BOTTOM), 1)

    marks = tuple(
        Mark(
            letter=letter(i),
            name=row.name,
            x=x(row.texts_per_second),
            y=y(row.scores[0].interval.estimate),
            low_y=y(row.scores[0].interval.low),
            high_y=y(row.scores[0].interval.high),
            on_front=row.dominated_by is None,
            is_baseline=row.is_baseline,
        )
        for i, row in enumerate(rows)
    )
    percent = rows[0].scores[0].percent
    return Drawing(
        marks=marks,
        front=_steps([(mark.x, mark.y) for mark in marks if mark.on_front]),
        ticks_x=tuple((x(tick), number(tick)) for tick in _log_ticks(scales.low_speed, scales.high_speed)),
        ticks_y=tuple(
            (y(tick), f"{tick * 100:g} %" if percent else f"{tick:g}")
            for tick in _ticks(scales.low_score, scales.high_score)
        ),
        title=rows[0].scores[0].title,
    )


def number(value: float) -> str:
    """A speed with two or three digits."""
    return f"{value:,.0f}" if value >= 20 else f"{value:.2g}"


def _line(scales: Scales, score: float) -> int:
    return LINES - 1 - round(scales.up(score) * (LINES - 1))


def _steps(front: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The border between what is beaten and what is not: from the left edge along each point's height, then down."""
    corners: list[tuple[float, float]] = []
    left = float(LEFT)
    for x, y in sorted(front):
        corners += [(left, y), (x, y)]
        left = x
    return (*corners, (left, float(HEIGHT - BOTTOM)))


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, every other one left out where they are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5) if low <= factor * 10.0**power <= high]
    if len(ticks) > 6:
        ticks = [tick for tick in ticks if f"{tick:e}"[0] == "1"]
    return ticks


def _ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 4
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    digits = max(0, -math.floor(math.log10(step)))
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(i * step, digits) for i in range(first, last + 1)]


def _value(value: float, percent: bool) -> str:
    return f"{value * 100:.1f} %" if percent else f"{value:.3f}"


__all__ = ["Drawing", "draw", "letter", "terminal_chart"]
