"""How far a score can be trusted: intervals and tests for numbers measured on a finite number of texts.

The bootstrap never copies examples. A resample of n examples is a vector of counts over the *distinct* outcomes (for
a classifier: the cells of its confusion matrix), so 2,000 resamples of 100,000 examples cost a few megabytes.

Shapes: C distinct outcomes, R resamples, B resamples of one block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bothways.errors import InputError

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Weights (B, C), each row summing to the number of examples, to values (B,)."""

RESAMPLES = 2_000
BLOCK_ELEMENTS = 2_000_000  # 16 MB of float64 per temporary array; a statistic holds about six of them


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value and the interval that covers the true one in ``confidence`` of all samples."""

    estimate: float
    low: float
    high: float
    confidence: float = 0.95


@dataclass(frozen=True, kw_only=True)
class Difference(Interval):
    """First minus second, measured on the same examples; ``p_value`` is two-sided, for "there is no difference"."""

    p_value: float


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The score interval of a proportion. Unlike the bootstrap it stays honest at 0 % and 100 %.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    _check_confidence(confidence)
    if n < 1 or not 0 <= successes <= n:
        raise InputError(f"{successes} successes of {n}: expected at least 1 trial and 0 to n successes.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    # At the ends rounding would put the bound a hair inside the estimate.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(estimate=share, low=low, high=high, confidence=confidence)


def bootstrap_interval(
    values: ArrayLike, *, n_resamples: int = RESAMPLES, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """The percentile interval of the mean of per-example values, for instance correct (1) or wrong (0)."""
    distinct, counts = np.unique(_column("values", values), return_counts=True)
    return statistic_interval(counts, _mean_of(distinct), n_resamples=n_resamples, seed=seed, confidence=confidence)


def statistic_interval(
    counts: ArrayLike,
    statistic: Statistic,
    *,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """The percentile interval of any statistic of counted outcomes.

    Args:
        counts: (C,), how many examples have each distinct outcome.
        statistic: see `Statistic`.
        n_resamples: how many resamples to draw.
        seed: the same seed gives the same interval.
        confidence: between 0 and 1.
    """
    _check_confidence(confidence)
    counts = np.asarray(counts)
    draws = resample_statistic(counts, statistic, n_resamples=n_resamples, seed=seed)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    estimate = float(statistic(counts[None].astype(np.float64))[0])
    return Interval(estimate=estimate, low=float(low), high=float(high), confidence=confidence)


def statistic_difference(
    counts: ArrayLike,
    statistic: Statistic,
    *,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Difference:
    """As `statistic_interval` for a statistic that is a difference; the p-value counts resamples beyond zero."""
    _check_confidence(confidence)
    counts = np.asarray(counts)
    draws = resample_statistic(counts, statistic, n_resamples=n_resamples, seed=seed)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    # One is added on both sides because the observed sample is itself a resample (Davison & Hinkley 1997, 4.2).
    tail = (1 + min(int((draws <= 0).sum()), int((draws >= 0).sum()))) / (len(draws) + 1)
    return Difference(
        estimate=float(statistic(counts[None].astype(np.float64))[0]),
        low=float(low),
        high=float(high),
        confidence=confidence,
        p_value=min(1.0, 2 * tail),
    )


def paired_bootstrap(
    first: ArrayLike, second: ArrayLike, *, n_resamples: int = RESAMPLES, seed: int = 0, confidence: float = 0.95
) -> Difference:
    """Mean of ``first`` minus mean of ``second``, two models judged on the same examples.

    The p-value is McNemar's (mid-p) when both hold only 0 and 1, else it counts resamples beyond zero.

    Raises:
        InputError: different lengths, or nothing to compare.
    """
    a, b = _column("first", first), _column("second", second)
    if len(a) != len(b):
        raise InputError(f"first has {len(a):,} examples and second {len(b):,}; a paired test needs the same examples.")
    distinct, counts = np.unique(a - b, return_counts=True)
    result = statistic_difference(counts, _mean_of(distinct), n_resamples=n_resamples, seed=seed, confidence=confidence)
    if not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
        return result
    p_value = mcnemar(int((a > b).sum()), int((b > a).sum()))
    return Difference(
        estimate=result.estimate, low=result.low, high=result.high, confidence=confidence, p_value=p_value
    )


def mcnemar(only_first: int, only_second: int, *, mid_p: bool = True) -> float:
    """The two-sided p-value of McNemar's exact test.

    Args:
        only_first: examples that only the first model has right.
        only_second: examples that only the second model has right.
        mid_p: count the observed outcome by half; the exact test is needlessly conservative.

    Source: Fagerland, Lydersen & Laake 2013, "The McNemar test for binary matched-pairs data".
    """
    if only_first < 0 or only_second < 0:
        raise InputError(f"counts are not negative; got {only_first} and {only_second}.")
    n = only_first + only_second
    if n == 0:
        return 1.0
    from scipy.stats import binom

    less = min(only_first, only_second)
    p_value = 2 * float(binom.cdf(less, n, 0.5))
    if mid_p:
        p_value -= float(binom.pmf(less, n, 0.5))
    return min(1.0, p_value)


def resample_statistic(
    counts: ArrayLike, statistic: Statistic, *, n_resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """The statistic of each of ``n_resamples`` resamples, (R,), computed in blocks of bounded memory."""
    counts = np.asarray(counts)
    n = int(counts.sum())
    if counts.ndim != 1 or n < 1 or (counts < 0).any():
        raise InputError(f"counts have shape {counts.shape} and sum {n}: expected one row with at least one example.")
    if n_resamples < 1:
        raise InputError(f"n_resamples is {n_resamples}; at least 1 is needed.")
    generator = np.random.default_rng(seed)
    block = max(1, min(n_resamples, BLOCK_ELEMENTS // len(counts)))
    draws = np.empty(n_resamples)
    for start in range(0, n_resamples, block):
        stop = min(start + block, n_resamples)
        draws[start:stop] = statistic(_draw(generator, counts, n, stop - start))
    return draws


def _draw(generator: np.random.Generator, counts: NDArray, n: int, block: int) -> NDArray[np.float64]:
    """Counts of ``block`` resamples, (B, C): multinomial, or example by example where outcomes are many (faster)."""
    if 8 * len(counts) < n:
        return generator.multinomial(n, counts / n, size=block).astype(np.float64)
    cell_of_example = np.repeat(np.arange(len(counts)), counts)
    weights = np.empty((block, len(counts)))
    for row in weights:
        row[:] = np.bincount(cell_of_example[generator.integers(n, size=n)], minlength=len(counts))
    return weights


def _mean_of(values: NDArray[np.float64]) -> Statistic:
    return lambda weights: weights @ values / weights.sum(axis=1)


def _column(name: str, values: ArrayLike | Sequence[float]) -> NDArray[np.float64]:
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1 or not len(column):
        raise InputError(f"{name} has shape {column.shape}; expected one number for each of at least one example.")
    if not np.isfinite(column).all():
        raise InputError(f"{name} has {int((~np.isfinite(column)).sum()):,} values that are not finite numbers.")
    return column


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; expected a number between 0 and 1, usually 0.95.")
