"""What models that write have to beat: the beginning of the text, the text itself, and counts of pairs of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bothways.metrics.generation import rouge
from bothways.tasks.sentences import split_sentences

MOST_SENTENCES = 3
_CHOSEN_ON = 200  # training texts
_SYMBOLS = 257  # the bytes, and the end of a text, which is also what stands before its first byte


@dataclass(frozen=True, kw_only=True)
class LeadBaseline:
    """The first sentences of a text as its summary.

    Source: Nallapati et al. 2017, "SummaRuNNer", section 4, where three sentences are hard to beat on news.
    """

    sentences: int

    @property
    def name(self) -> str:
        """For tables."""
        return "first sentence" if self.sentences == 1 else f"first {self.sentences} sentences"

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The first sentences of each text, a line each."""
        return ["\n".join(split_sentences(text).sentences[: self.sentences]) for text in texts]


def fit_lead(sources: Sequence[str], targets: Sequence[str]) -> LeadBaseline:
    """The number of sentences, 1 to 3, whose ROUGE-L with the right summaries is best on some training texts."""
    some, right = sources[:_CHOSEN_ON], targets[:_CHOSEN_ON]
    leads = [LeadBaseline(sentences=n) for n in range(1, MOST_SENTENCES + 1)]
    if not some:
        return leads[-1]
    scores = [rouge(lead.predict(some), right, types=["rougeL"])["rougeL"].score for lead in leads]
    return leads[int(np.argmax(scores))]


@dataclass(frozen=True, kw_only=True)
class ByteBigrams:
    """How likely each byte is after the one before it, from counts.

    Attributes:
        bits: float64 (257, 257), of each symbol (column) after each (row); 256 is the end of a text.
    """

    bits: NDArray[np.float64]

    name = "pairs of bytes, counted"

    def rates(self, texts: Sequence[str]) -> list[float]:
        """Bits per byte of each text, its end included."""
        return [float(self.bits[before, after].sum() / (len(after) - 1)) for before, after in map(_symbols, texts)]


def fit_bigrams(texts: Sequence[str]) -> ByteBigrams:
    """Count pairs; those never seen get a share of single counts, and those one of equal shares.

    The share of what was not seen is that of Witten and Bell 1991 (method C): kinds of followers against followers.
    """
    pairs = np.zeros((_SYMBOLS, _SYMBOLS))
    for text in texts:
        before, after = _symbols(text)
        pairs += np.bincount(before * _SYMBOLS + after, minlength=_SYMBOLS**2).reshape(_SYMBOLS, _SYMBOLS)
    uniform = np.full(_SYMBOLS, 1 / _SYMBOLS)
    single = _smoothed(pairs.sum(axis=0)[None], uniform[None])
    return ByteBigrams(bits=-np.log2(_smoothed(pairs, single)))


def _smoothed(counts: NDArray[np.float64], lower: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of counts as probabilities, mixed with ``lower``."""
    kinds = np.maximum((counts > 0).sum(axis=1, keepdims=True), 1)
    return (counts + kinds * lower) / (counts.sum(axis=1, keepdims=True) + kinds)


def _symbols(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What stands before each symbol of a text, and the symbols: its bytes and the end."""
    content = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int64)
    end = np.array([_SYMBOLS - 1])
    return np.concatenate([end, content]), np.concatenate([content, end])
