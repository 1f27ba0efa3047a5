"""Some documents of a corpus, side by side as if there were no others: those to train on, and those held out.

Shapes: D documents, S sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

HELD_OUT_SHARE = 0.01
HELD_OUT_TOKENS = 100_000
"""Enough for an accuracy at masks (15,000 of them) within half a per cent."""


@dataclass(frozen=True, kw_only=True)
class Documents:
    """Attributes:
    corpus: see ``bothways.corpus``.
    starts: int64 (D + 1,), where the documents begin when they stand side by side.
    sentence_starts: int64 (S,), the same for their sentences.
    shifts: int64 (D,), what leads from there to the places in the corpus.
    """

    corpus: Any
    starts: NDArray[np.int64]
    sentence_starts: NDArray[np.int64]
    shifts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def n_tokens(self) -> int:
        return int(self.starts[-1])

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        """The ids of tokens of one document."""
        shift = self.shifts[np.searchsorted(self.starts, start, side="right") - 1]
        return self.corpus.read(int(start + shift), int(stop + shift))


def documents_of(corpus: Any, chosen: NDArray[np.int64] | None = None) -> Documents:
    """The chosen documents, or all.

    Args:
        chosen: int64, rising numbers of documents.
    """
    starts = corpus.document_starts
    chosen = np.arange(len(starts) - 1) if chosen is None else chosen
    lengths = np.diff(starts)[chosen]
    compact = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    shifts = starts[chosen] - compact[:-1]
    shift_of = np.zeros(len(starts) - 1, dtype=np.int64)
    inside = np.zeros(len(starts) - 1, dtype=bool)
    shift_of[chosen], inside[chosen] = shifts, True
    owner = np.searchsorted(starts, corpus.sentence_starts, side="right") - 1
    kept = inside[owner]
    sentences = corpus.sentence_starts[kept] - shift_of[owner[kept]]
    return Documents(corpus=corpus, starts=compact, sentence_starts=sentences, shifts=shifts)


def held_out(corpus: Any, seed: int) -> tuple[Documents, Documents | None]:
    """Documents to train on, and some drawn by ``seed`` to judge by: one per cent, at most about 100,000 tokens.

    They are two at least, of which pairs can be made, and half of all at most; none are held out of a corpus of fewer
    than four. Long ones, of which one would be more than twice that, are held out last, the shortest first.
    """
    lengths = np.diff(corpus.document_starts)
    count = len(lengths)
    if count < 4:
        return documents_of(corpus), None
    order = np.random.default_rng([seed, count]).permutation(count)
    most = min(HELD_OUT_TOKENS, HELD_OUT_SHARE * lengths.sum())
    order = order[np.argsort(np.maximum(lengths[order], 2 * most), kind="stable")]
    sums = np.cumsum(lengths[order])
    taken = int(np.searchsorted(sums, most)) + 1
    if sums[taken - 1] > 2 * most:  # one document may be most of a small corpus
        taken -= 1
    taken = min(max(2, taken), count // 2)
    return documents_of(corpus, np.sort(order[taken:])), documents_of(corpus, np.sort(order[:taken]))
