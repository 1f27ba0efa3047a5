"""Scores of numbers predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bothways.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def regression_scores(gold: Sequence[float], predicted: Sequence[float]) -> dict[str, Any]:
    """Correlations and errors.

    A correlation with constant numbers (or of a single example) is not defined; it is 0.0 here, never NaN: a model
    that answers the same to everything has found no relation.

    Args:
        gold, predicted: one finite number for each example.

    Returns:
        ``examples``, ``pearson``, ``spearman`` (ties share the mean of their ranks), ``mse``, ``mae``.

    Raises:
        InputError: no examples, different lengths, a number that is not finite.
    """
    import numpy as np

    truth, guess = _numbers("gold", gold), _numbers("predicted", predicted)
    if len(truth) != len(guess):
        raise InputError(f"gold has {len(truth)} scores and predicted has {len(guess)}; expected as many.")
    if not len(truth):
        raise InputError("there are no examples to score; at least one is needed.")
    error = guess - truth
    return {
        "examples": len(truth),
        "pearson": _correlation(truth, guess),
        "spearman": _correlation(_ranks(truth), _ranks(guess)),
        "mse": float(np.mean(error * error)),
        "mae": float(np.mean(np.abs(error))),
    }


def _numbers(name: str, values: Sequence[float]) -> NDArray[Any]:
    import numpy as np

    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1:
        raise InputError(f"{name} has shape {numbers.shape}; expected one number for each example.")
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if len(wrong):
        raise InputError(
            f"{name}[{wrong[0]}] is {numbers[wrong[0]]}; all {len(numbers)} scores must be finite numbers."
        )
    return numbers


def _correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    import numpy as np

    if (a == a[0]).all() or (b == b[0]).all():
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    a, b = a / np.abs(a).max(), b / np.abs(b).max()  # squares of tiny or huge numbers stay in range
    return float(np.clip(np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b)), -1.0, 1.0))


def _ranks(values: NDArray[Any]) -> NDArray[Any]:
    """Ranks from 1; equal values share the mean of their ranks."""
    import numpy as np

    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]
