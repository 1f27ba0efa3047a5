"""How well similarities agree with labels, with intervals: rank correlation for scores, area under the curve for yes
and no. All resamples are weights over the same pairs, so that several ways of pooling are compared on equal terms.

Shapes: n pairs, K ways, R resamples, B resamples of one block, G different values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1_000
BLOCK_ELEMENTS = 1_000_000
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number, and the interval that covers the true one in ``confidence`` of all samples."""

    estimate: float
    low: float
    high: float
    confidence: float = CONFIDENCE


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """The scores of K ways.

    Attributes:
        estimates: (K,).
        draws: (R, K); a row is one resample for all ways.
    """

    estimates: NDArray[np.float64]
    draws: NDArray[np.float64]

    def score(self, way: int) -> Estimate:
        """A way's score with its percentile interval."""
        return _interval(self.estimates[way], self.draws[:, way], CONFIDENCE)

    def difference(self, way: int, other: int, *, confidence: float = CONFIDENCE) -> Estimate:
        """Of two ways, on the same pairs."""
        return _interval(
            self.estimates[way] - self.estimates[other], self.draws[:, way] - self.draws[:, other], confidence
        )


def measure_agreement(
    gold: Sequence[float], similarities: Sequence[NDArray], *, binary: bool, n_resamples: int = RESAMPLES, seed: int = 0
) -> Agreement:
    """Spearman's rank correlation, or the area under the ROC curve, of each way's similarities with the labels.

    Args:
        gold: (n,) scores, or 0 and 1.
        similarities: K arrays (n,).
        binary: which of the two.
        n_resamples, seed: of the bootstrap; the same seed gives the same interval.

    Where a resample has all labels alike nothing can be told: the correlation is 0 there, the area 0.5.
    """
    truth = np.asarray(gold, dtype=np.float64)
    n = len(truth)
    measure = _auc if binary else _spearman
    ways = [np.asarray(similarity, dtype=np.float64) for similarity in similarities]

    def all_ways(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([measure(weights, truth, similarity) for similarity in ways], axis=1)

    generator = np.random.default_rng(seed)
    block = max(1, BLOCK_ELEMENTS // n)
    draws = [
        all_ways(generator.multinomial(n, np.full(n, 1 / n), size=min(block, n_resamples - start)).astype(np.float64))
        for start in range(0, n_resamples, block)
    ]
    return Agreement(estimates=all_ways(np.ones((1, n)))[0], draws=np.concatenate(draws))


def _interval(estimate: float, draws: NDArray[np.float64], confidence: float) -> Estimate:
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(estimate=float(estimate), low=float(low), high=float(high), confidence=confidence)


def _spearman(
    weights: NDArray[np.float64], gold: NDArray[np.float64], found: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Pearson's correlation of weighted mid-ranks: (B, n), (n,), (n,) to (B,)."""
    total = weights.sum(axis=1, keepdims=True)
    a, b = _ranks(weights, gold), _ranks(weights, found)
    a -= (weights * a).sum(axis=1, keepdims=True) / total
    b -= (weights * b).sum(axis=1, keepdims=True) / total
    spread = np.sqrt((weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1))
    return np.divide((weights * a * b).sum(axis=1), spread, out=np.zeros(len(weights)), where=spread > 1e-9)


def _auc(weights: NDArray[np.float64], gold: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that a pair with label 1 is more similar than one with 0, ties half. Mann and Whitney 1947."""
    positive = weights * (gold > 0)
    yes = positive.sum(axis=1)
    no = weights.sum(axis=1) - yes
    ranks = _ranks(weights, found)
    above = (positive * ranks).sum(axis=1) - yes * (yes + 1) / 2
    return np.divide(above, yes * no, out=np.full(len(weights), 0.5), where=yes * no > 0)


def _ranks(weights: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1 of (n,) values that occur as often as the weights (B, n) say; equal ones share their mean rank."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) > 0])
    heavy = np.add.reduceat(weights[:, order], starts, axis=1)  # (B, G)
    return (np.cumsum(heavy, axis=1) - (heavy - 1) / 2)[:, group]
