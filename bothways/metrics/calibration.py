"""Whether probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bothways.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def expected_calibration_error(probabilities: ArrayLike, gold: Sequence[int], bins: int = 15) -> float:
    """Mean distance between confidence and accuracy, over equal bins of confidence, weighted by examples.

    The confidence is the largest probability of an example; it is right if that class (the first, in a tie) is gold.
    Bins are half open, (0, 1/bins], ...; empty bins count nothing. From 0.0 (honest) to 1.0.

    Args:
        probabilities: (N, classes), each row summing to 1 within 0.001.
        gold: N class indices.
        bins: number of bins.

    Raises:
        InputError: shapes, indices, probabilities or bins that are impossible.

    Source: Guo et al. 2017, section 2.
    """
    import numpy as np

    table, truth = _checked(probabilities, gold)
    if bins < 1:
        raise InputError(f"bins is {bins}; expected 1 or more.")
    confidence = table.max(axis=1)
    right = table.argmax(axis=1) == truth
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(truth))


def brier(probabilities: ArrayLike, gold: Sequence[int]) -> float:
    """Mean squared distance between the probabilities and the truth, summed over the classes: 0.0 to 2.0.

    Args and errors as ``expected_calibration_error``.

    Source: Brier 1950. The binary score that only looks at one class is half of it.
    """
    import numpy as np

    table, truth = _checked(probabilities, gold)
    table[np.arange(len(truth)), truth] -= 1.0
    return float(np.mean(np.sum(table * table, axis=1)))


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
