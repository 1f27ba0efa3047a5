"""Whether probabilities mean what they say.

Shapes: N answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bothways.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BINS = 15
"""As Guo et al. 2017 and most that came after."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """The answers whose confidence is above ``low`` and at most ``high``.

    Attributes:
        count: how many they are; 0 leaves the two means at 0.
        confidence: their mean confidence. accuracy: the share of them that is right.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def expected_calibration_error(
    probabilities: ArrayLike, gold: Sequence[int], bins: int = BINS, *, adaptive: bool = False
) -> float:
    """Mean distance between confidence and accuracy, over bins of confidence, weighted by examples.

    The confidence is the largest probability of an example; it is right if that class (the first, in a tie) is gold.
    Bins are half open, (0, 1/bins], ...; empty bins count nothing. From 0.0 (honest) to 1.0.

    Args:
        probabilities: (N, classes), each row summing to 1 within 0.001.
        gold: N class indices.
        bins: number of bins.
        adaptive: bins of as equal counts as ties allow, in place of equal widths.

    Raises:
        InputError: shapes, indices, probabilities or bins that are impossible.

    Source: Guo et al. 2017, section 2; adaptive bins: Nguyen and O'Connor 2015, section 3.2.
    """
    table, truth = _checked(probabilities, gold)
    return confidence_error(table.max(axis=1), table.argmax(axis=1) == truth, bins, adaptive=adaptive)


def confidence_error(confidence: ArrayLike, right: ArrayLike, bins: int = BINS, *, adaptive: bool = False) -> float:
    """``expected_calibration_error`` of answers of any kind: (N,) from 0 to 1, and (N,) whether each is right."""
    found = reliability_bins(confidence, right, bins, adaptive=adaptive)
    total = sum(b.count for b in found)
    return float(sum(b.count * abs(b.confidence - b.accuracy) for b in found) / total)


def reliability_bins(
    confidence: ArrayLike, right: ArrayLike, bins: int = BINS, *, adaptive: bool = False
) -> tuple[ReliabilityBin, ...]:
    """What a reliability diagram shows.

    Args:
        confidence: (N,), from 0 to 1.
        right: (N,), whether the answer is right.
        bins: number of bins.
        adaptive: bins of equal counts. Equal confidences are never divided, so that the order of the answers has no
            part in it; empty bins are left out, and each begins where the one before it ends.

    Raises:
        InputError: shapes, values or bins that are impossible.
    """
    import numpy as np

    sure, hit = _checked_answers(confidence, right)
    if bins < 1:
        raise InputError(f"bins is {bins}; expected 1 or more.")
    if adaptive:
        ordered = np.sort(sure)
        place = np.searchsorted(ordered, sure, side="left") * bins // len(sure)
    else:
        place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = np.bincount(place, weights=sure, minlength=bins)
    hits = np.bincount(place, weights=hit, minlength=bins)
    found, low = [], 0.0
    for i, count in enumerate(counts.tolist()):
        if adaptive and not count:
            continue
        high = float(sure[place == i].max()) if adaptive else (i + 1) / bins
        mean, accuracy = (float(sums[i] / count), float(hits[i] / count)) if count else (0.0, 0.0)
        found.append(ReliabilityBin(low=low, high=high, count=count, confidence=mean, accuracy=accuracy))
        low = high
    return tuple(found)


def brier(probabilities: ArrayLike, gold: Sequence[int]) -> float:
    """Mean squared distance between the probabilities and the truth, summed over the classes: 0.0 to 2.0.

    Args and errors as ``expected_calibration_error``.

    Source: Brier 1950. The binary score that only looks at one class is half of it.
    """
    import numpy as np

    table, truth = _checked(probabilities, gold)
    table[np.arange(len(truth)), truth] -= 1.0
    return float(np.mean(np.sum(table * table, axis=1)))


def confidence_brier(confidence: ArrayLike, right: ArrayLike) -> float:
    """Mean squared distance between confidence and outcome, 0.0 to 1.0; for answers without a table of probabilities.

    Args and errors as ``reliability_bins``.
    """
    import numpy as np

    sure, hit = _checked_answers(confidence, right)
    return float(np.mean((sure - hit) ** 2))


def _checked_answers(confidence: ArrayLike, right: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both as float64 (N,)."""
    import numpy as np

    sure, hit = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if sure.ndim != 1 or not sure.size or hit.shape != sure.shape:
        raise InputError(
            f"confidence has shape {sure.shape} and right {hit.shape}; expected one number each for 1 or more answers."
        )
    wrong = np.flatnonzero(~((sure >= 0) & (sure <= 1 + 1e-3)))
    if len(wrong):
        raise InputError(f"confidence {wrong[0]} is {sure[wrong[0]]:.4f}; expected numbers from 0 to 1.")
    if not np.isin(hit, (0.0, 1.0)).all():
        raise InputError("right must hold True and False, or 1 and 0.")
    return sure, hit


def _checked(probabilities: ArrayLike, gold: Sequence[int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """A copy of the probabilities as float64 (N, classes), and gold as int64 (N,)."""
    import numpy as np

    table = np.array(probabilities, dtype=np.float64)
    truth = np.asarray(gold)
    if table.ndim != 2 or not table.size:
        raise InputError(f"probabilities has shape {table.shape}; expected (examples, classes), none of them 0.")
    if truth.shape != table.shape[:1]:
        raise InputError(f"gold has shape {truth.shape}; expected ({len(table)},), one class index for each example.")
    if truth.dtype.kind not in "iu" or truth.min() < 0 or truth.max() >= table.shape[1]:
        raise InputError(f"gold must hold class indices from 0 to {table.shape[1] - 1}.")
    sums = table.sum(axis=1)
    wrong = np.flatnonzero(~(np.isfinite(sums) & (np.abs(sums - 1) <= 1e-3) & (table.min(axis=1) >= 0)))
    if len(wrong):
        raise InputError(
            f"row {wrong[0]} of probabilities sums to {sums[wrong[0]]:.4f}; expected numbers >= 0 summing to 1."
        )
    return table, truth.astype(np.int64)
