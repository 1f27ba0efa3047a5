"""Scores of written texts as functions of counts, so that the bootstrap can resample them: sums of counts of texts.

Shapes: n texts, K counts of a text, B resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.evaluation.intervals import Statistic
from bothways.metrics.generation import TextScore, bits_per_byte, bleu, chrf, rouge

WRITTEN: dict[str, tuple[str, ...]] = {"translations": ("chrf", "bleu"), "summaries": ("rougeL", "rouge1", "rouge2")}
"""Kinds of written texts, and the names of their scores; the first decides."""

LANGUAGE = "language"
"""The kind whose answers are bits per byte of each text, and whose right answers are the bytes of each text."""

BITS_OF_A_BYTE = 8.0


def written_scores(kind: str, gold: Sequence[str], predicted: Sequence[str]) -> dict[str, TextScore]:
    """The scores of a kind of written texts, by name.

    Raises:
        UsageError: the library that computes them is not installed. InputError: unequal numbers of texts, or none.
    """
    if kind == "summaries":
        return rouge(predicted, gold, types=WRITTEN[kind])
    return {"chrf": chrf(predicted, gold), "bleu": bleu(predicted, gold)}


def language_score(n_bytes: Sequence[float], rates: Sequence[float]) -> TextScore:
    """Bits per byte of all texts together.

    Args:
        n_bytes: of each text.
        rates: bits per byte of each text alone.
    """
    return bits_per_byte(np.asarray(rates) * np.asarray(n_bytes) * np.log(2), n_bytes)


def written_counts(kind: str, gold: Sequence[Any], predictions: Sequence[Sequence[Any]]) -> list[NDArray[np.float64]]:
    """For each sequence of predictions the counts of all scores of the kind side by side, (n, K)."""
    return [np.concatenate([s.counts for s in written_scores(kind, gold, p).values()], axis=1) for p in predictions]


def written_statistic(kind: str, name: str) -> Callable[[NDArray[np.float64]], Statistic]:
    """From counts as ``written_counts`` gives them to the score ``name`` of resamples, from 0 to 1."""
    sample = written_scores(kind, ["a"], ["a"])
    ends = np.cumsum([0, *(score.counts.shape[1] for score in sample.values())])
    own = list(sample).index(name)
    columns = slice(int(ends[own]), int(ends[own + 1]))

    def statistic_of(counts: NDArray[np.float64]) -> Statistic:
        of_sums = sample[name].of_sums
        return lambda weights: np.array([of_sums(sums) / 100 for sums in weights @ counts[:, columns]])

    return statistic_of


def bits_statistic(n_bytes: NDArray[np.float64], rates: NDArray[np.float64]) -> Statistic:
    """Bits per byte of resamples of texts."""
    bits = n_bytes * rates
    return lambda weights: (weights @ bits) / (weights @ n_bytes)


def compression_statistic(n_bytes: NDArray[np.float64], rates: NDArray[np.float64]) -> Statistic:
    """The share of a text's bits that a model saves who knows what usually comes next; below 0 if it costs more."""
    bits = bits_statistic(n_bytes, rates)
    return lambda weights: 1 - bits(weights) / BITS_OF_A_BYTE
