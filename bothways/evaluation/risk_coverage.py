"""What a model gains by answering only where it is sure.

Coverage is the share of texts that get an answer, the surest first; risk is the share of wrong ones among those.

Shapes: n answers, S points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bothways.errors import InputError

POINTS = 200


@dataclass(frozen=True, kw_only=True)
class RiskPoint:
    """All answers with at most that doubt (1 - confidence)."""

    doubt: float
    coverage: float
    risk: float


@dataclass(frozen=True, kw_only=True)
class RiskCoverage:
    """The curve of risk against coverage.

    Attributes:
        points: at most ``POINTS``, of rising coverage; the last is at coverage 1.
        area: under the whole curve: the mean risk over all coverages.
        best_area: the smallest area that a model with as many mistakes could have, by being surest where it is right.
    """

    points: tuple[RiskPoint, ...]
    area: float
    best_area: float

    @property
    def excess_area(self) -> float:
        """What better ordered confidences could still save; 0.0 for an order without fault."""
        return self.area - self.best_area


def risk_coverage(doubt: ArrayLike, right: ArrayLike) -> RiskCoverage:
    """The curve of answers with their doubts.

    Answers of equal doubt are one group: within it the curve goes the way it would on average over their orders.

    Args:
        doubt: (n,), 1 - confidence.
        right: (n,), whether the answer is right.

    Raises:
        InputError: shapes that do not fit, or no answers.

    Source: El-Yaniv and Wiener 2010; the areas: Geifman et al. 2019, section 3.
    """
    doubts, covered, wrong = risk_table(doubt, right)
    n = int(covered[-1])
    sizes, mistakes = np.diff(covered, prepend=0), np.diff(wrong, prepend=0)
    before, wrong_before = np.repeat(covered - sizes, sizes), np.repeat(wrong - mistakes, sizes)
    inside = np.arange(1, n + 1) - before
    risks = (wrong_before + inside * np.repeat(mistakes / sizes, sizes)) / np.arange(1, n + 1)
    right_first = np.maximum(np.arange(1, n + 1) - (n - int(wrong[-1])), 0) / np.arange(1, n + 1)
    chosen = spread(len(doubts), POINTS)
    return RiskCoverage(
        points=tuple(
            RiskPoint(doubt=float(doubts[i]), coverage=float(covered[i] / n), risk=float(wrong[i] / covered[i]))
            for i in chosen
        ),
        area=float(risks.mean()),
        best_area=float(right_first.mean()),
    )


def risk_table(doubt: ArrayLike, right: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The distinct doubts, rising, (S,), and for each how many answers have at most that, and how many of them err.

    Args and errors as ``risk_coverage``.
    """
    doubts, hit = np.asarray(doubt, dtype=np.float64), np.asarray(right, dtype=bool)
    if doubts.ndim != 1 or not len(doubts) or hit.shape != doubts.shape:
        raise InputError(f"doubt has shape {doubts.shape} and right {hit.shape}; expected one number each, 1 or more.")
    distinct, group, counts = np.unique(doubts, return_inverse=True, return_counts=True)
    mistakes = np.bincount(group, weights=~hit, minlength=len(distinct)).astype(np.int64)
    return distinct, np.cumsum(counts), np.cumsum(mistakes)


def spread(count: int, most: int) -> list[int]:
    """At most ``most`` of the numbers below ``count``, evenly, with the last one."""
    if count <= most:
        return list(range(count))
    return sorted({round((i + 1) * count / most) - 1 for i in range(most)})
