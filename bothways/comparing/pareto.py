"""Which models are worth a thought: those that no other one beats in score and in speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Point:
    """One model; higher is better in both. ``speed`` is above 0."""

    name: str
    score: float
    speed: float


def dominators(points: Sequence[Point]) -> list[int | None]:
    """For each point the number of one that is at least as good in both and better in one; None on the Pareto front.

    Of several the one with the best score is named, and of these the fastest: it is itself on the front.
    """
    order = sorted(range(len(points)), key=lambda i: (points[i].score, points[i].speed), reverse=True)
    return [next((j for j in order if _beats(points[j], point)), None) for point in points]


def _beats(one: Point, other: Point) -> bool:
    no_worse = one.score >= other.score and one.speed >= other.speed
    return no_worse and (one.score > other.score or one.speed > other.speed)


__all__ = ["Point", "dominators"]
