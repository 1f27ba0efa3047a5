"""Sets of labels that hold the right one as often as promised, measured.

Shapes: n texts, C labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bothways.errors import InputError
from bothways.evaluation.risk_coverage import spread
from bothways.tasks.calibration import STEPS, Kind


@dataclass(frozen=True, kw_only=True)
class SizeCoverage:
    """The texts whose set has ``size`` labels, and how many of these sets hold the right ones."""

    size: int
    count: int
    covered: int

    @property
    def coverage(self) -> float:
        return self.covered / self.count


@dataclass(frozen=True, kw_only=True)
class SetCoverage:
    """What sets (of numbers: intervals) do on texts that they were not made from.

    Attributes:
        promised: the coverage that was asked for. coverage: what was measured on ``count`` texts.
        mean_size: labels in a set; of an interval its width.
        by_size: by the number of labels; empty for intervals. The promise is for all sizes together.
    """

    promised: float
    coverage: float
    count: int
    mean_size: float
    by_size: tuple[SizeCoverage, ...] = ()


def nonconformity(scores: ArrayLike, gold: Any, kind: Kind) -> NDArray[np.float64]:
    """(n,): the doubt about the right answer to each text.

    Args:
        scores: (n, C) probabilities; numbers (n,) for ``"regression"``.
        gold: n class indices; marks (n, C) for ``"multi"``, where the least sure of the right labels counts and a text
            without labels has none (0); numbers (n,) for ``"regression"``, where it is the distance.

    Raises:
        InputError: shapes that do not fit.
    """
    table, truth = np.asarray(scores, dtype=np.float64), np.asarray(gold)
    if len(table) != len(truth) or (kind != "single" and table.shape != truth.shape):
        raise InputError(f"scores has shape {table.shape} and gold {truth.shape}; one row each is expected.")
    if kind == "regression":
        return np.abs(table - truth)
    if kind == "multi":
        return np.where(truth > 0, 1 - table, 0.0).max(axis=1)
    return 1 - table[np.arange(len(truth)), truth.astype(np.int64)]


def stored_quantiles(doubts: ArrayLike) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Ranks from 1 and the doubts there, never rounded down: what is stored promises no more than what was measured."""
    ordered = np.sort(np.asarray(doubts, dtype=np.float64))
    places = spread(len(ordered), STEPS)
    return tuple(i + 1 for i in places), tuple(rounded_up(float(ordered[i])) for i in places)


def rounded_up(value: float) -> float:
    """The least number of eight digits, as stored, that is not below ``value`` by more than rounding of doubles."""
    short = float(f"{value:.8g}")
    return short if short >= value else float(f"{value * (1 + 1.2e-7):.8g}")


def set_coverage(inside: NDArray[np.bool_], gold: Any, kind: Kind, promised: float) -> SetCoverage:
    """Coverage of sets of labels.

    Args:
        inside: (n, C), the labels in each set.
        gold: as for ``nonconformity``.
    """
    truth = np.asarray(gold)
    if kind == "multi":
        held = (inside | (truth == 0)).all(axis=1)
    else:
        held = inside[np.arange(len(truth)), truth.astype(np.int64)]
    sizes = inside.sum(axis=1)
    return SetCoverage(
        promised=promised,
        coverage=float(held.mean()),
        count=len(held),
        mean_size=float(sizes.mean()),
        by_size=tuple(
            SizeCoverage(size=int(size), count=int((sizes == size).sum()), covered=int(held[sizes == size].sum()))
            for size in np.unique(sizes)
        ),
    )


def interval_coverage(widths: ArrayLike, distances: ArrayLike, promised: float) -> SetCoverage:
    """Coverage of intervals around numbers: half widths (n,), and the distances of the true numbers (n,)."""
    half, away = np.asarray(widths, dtype=np.float64), np.asarray(distances, dtype=np.float64)
    return SetCoverage(
        promised=promised, coverage=float((away <= half).mean()), count=len(away), mean_size=float(2 * half.mean())
    )
