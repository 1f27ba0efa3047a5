"""How far confidences are from the share of right answers, in bins and in numbers.

Shapes: n texts, C labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bothways.metrics.calibration import ReliabilityBin, confidence_brier, confidence_error, reliability_bins
from bothways.tasks.calibration import LEAST, Kind


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How far confidences are from the share of right answers.

    With one label a text, confidence is the best label's probability; with several, each label's of each text, and it
    is right where the text has the label.

    Attributes:
        bins: of equal width; adaptive_bins: of equal counts.
        error, adaptive_error: expected calibration error over these.
        brier: mean squared distance: summed over the classes (0 to 2) with one label a text, else from 0 to 1.
        log_loss: mean -log of the right label's probability; None where only confidences are known.
    """

    bins: tuple[ReliabilityBin, ...]
    adaptive_bins: tuple[ReliabilityBin, ...]
    error: float
    adaptive_error: float
    brier: float
    log_loss: float | None = None

    def summary(self) -> dict[str, float | None]:
        """The numbers without the bins."""
        return {name: getattr(self, name) for name in ("error", "adaptive_error", "brier", "log_loss")}


def reliability(kind: Kind, scores: ArrayLike, gold: Any) -> Reliability:
    """How far probabilities (n, C) are from the truth; ``gold`` as for ``fit_calibration``.

    Raises:
        InputError: shapes or values that cannot be.
    """
    table, truth = np.asarray(scores, dtype=np.float64), np.asarray(gold)
    if kind == "multi":
        right = np.where(truth > 0, table, 1 - table)
        return confidence_reliability(table.ravel(), truth.ravel() > 0, log_loss=_log_loss(right))
    rows = np.arange(len(truth))
    squares = (table**2).sum(axis=1) - 2 * table[rows, truth] + 1
    found = confidence_reliability(
        table.max(axis=1), table.argmax(axis=1) == truth, log_loss=_log_loss(table[rows, truth])
    )
    return Reliability(**{**vars(found), "brier": float(squares.mean())})


def confidence_reliability(confidence: ArrayLike, right: ArrayLike, log_loss: float | None = None) -> Reliability:
    """The same of answers of which only confidences (n,) are known, and whether each is right (n,).

    Raises:
        InputError: shapes or values that cannot be.
    """
    return Reliability(
        bins=reliability_bins(confidence, right),
        adaptive_bins=reliability_bins(confidence, right, adaptive=True),
        error=confidence_error(confidence, right),
        adaptive_error=confidence_error(confidence, right, adaptive=True),
        brier=confidence_brier(confidence, right),
        log_loss=log_loss,
    )


def _log_loss(probabilities: NDArray[np.float64]) -> float:
    return float(-np.log(np.maximum(probabilities, LEAST)).mean())
