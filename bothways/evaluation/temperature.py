"""One number that makes a model's probabilities mean what they say, by maximum likelihood.

Dividing logits by a temperature T changes no answer. Networks that were trained until they made no mistake are too sure
(T above 1); T below 1 is one that is not sure enough.

Shapes: n texts, C labels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bothways.errors import InputError
from bothways.tasks.calibration import LEAST, logit

LOWEST, HIGHEST = 0.02, 50.0
"""Temperatures beyond are those of models that are always or never right."""
FEW = 20
"""Texts with and without a label from which the label gets a temperature of its own."""
STEPS = 60
BLOCK_ELEMENTS = 2_000_000  # 16 MB of float64 per temporary array


def fit_temperature(probabilities: ArrayLike, gold: ArrayLike) -> float | None:
    """The temperature under which the right labels are likeliest.

    The log likelihood is concave in 1 / T, so that Newton's steps between two bounds find its only maximum.

    Args:
        probabilities: (n, C), softmax of the logits; zeros are taken for the smallest number of float32.
        gold: n class indices.

    Returns:
        From ``LOWEST`` to ``HIGHEST``; None where no answer is wrong, so that being surer is always likelier.

    Raises:
        InputError: shapes that do not fit.

    Source: Guo et al. 2017, section 4.2.
    """
    table, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(gold, dtype=np.int64)
    if table.ndim != 2 or not len(table) or truth.shape != table.shape[:1]:
        raise InputError(f"probabilities has shape {table.shape} and gold {truth.shape}; expected (n, C) and (n,).")
    if (table[np.arange(len(truth)), truth] >= table.max(axis=1)).all():
        return None
    low, high = 1 / HIGHEST, 1 / LOWEST
    inverse = 1.0
    for _ in range(STEPS):
        slope, curve = _derivatives(table, truth, inverse)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        after = inverse - slope / curve if curve > 0 else -1.0
        after = after if low < after < high else (low + high) / 2
        if abs(after - inverse) <= 1e-10 * inverse:
            break
        inverse = after
    return float(min(max(1 / inverse, LOWEST), HIGHEST))


def fit_label_temperatures(probabilities: ArrayLike, marks: ArrayLike) -> tuple[float, ...]:
    """A temperature for each label of texts that may have several.

    Labels with fewer than ``FEW`` texts with them, or without them, have one temperature together, and so has a label
    that was never mistaken. There is no intercept (Platt 1999 has one): with it, which labels reach one half could
    change.

    Args:
        probabilities: (n, C), sigmoid of the logits.
        marks: (n, C), 1 where the text has the label.

    Returns:
        C numbers; none where no answer is wrong.

    Raises:
        InputError: shapes that do not fit.
    """
    table, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(marks, dtype=np.int64)
    if table.ndim != 2 or not len(table) or truth.shape != table.shape:
        raise InputError(f"probabilities has shape {table.shape} and marks {truth.shape}; expected (n, C) twice.")
    together = _binary(table.ravel(), truth.ravel())
    if together is None:
        return ()
    found = []
    for column, own in zip(table.T, truth.T, strict=True):
        enough = FEW <= own.sum() <= len(own) - FEW
        found.append((_binary(column, own) if enough else None) or together)
    return tuple(found)


def _binary(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float | None:
    logits = logit(probabilities)
    halves = np.stack([-logits / 2, logits / 2], axis=1)
    return fit_temperature(np.exp(halves - np.abs(halves[:, 1:])), truth)


def _derivatives(table: NDArray[np.float64], truth: NDArray[np.int64], inverse: float) -> tuple[float, float]:
    """First and second derivative of the negative log likelihood by 1 / T, summed over texts."""
    slope = curve = 0.0
    for rows in _blocks(table):
        logs = np.log(np.maximum(table[rows], LEAST))
        logs -= logs.max(axis=1, keepdims=True)
        weights = np.exp(logs * inverse)
        weights /= weights.sum(axis=1, keepdims=True)
        means = (weights * logs).sum(axis=1)
        slope += float((means - logs[np.arange(len(logs)), truth[rows]]).sum())
        curve += float(((weights * logs * logs).sum(axis=1) - means**2).sum())
    return slope, curve


def _blocks(table: NDArray[np.float64]) -> Iterator[slice]:
    size = max(1, BLOCK_ELEMENTS // table.shape[1])
    return (slice(i, i + size) for i in range(0, len(table), size))
