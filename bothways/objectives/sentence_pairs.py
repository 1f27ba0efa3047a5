"""Pairs of passages from documents: does the second follow the first, and in which order do they stand?

A corpus is one long row of tokens; documents and sentences are where they start in it. Pairs are made for a whole epoch
at once and name places, not tokens. What depends on what came before is one loop over the documents that looks only at
lengths; everything else is done for all pairs together.

Shapes: D documents, S sentences, N pairs, M pairs whose B comes from another document.
"""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bothways.errors import InputError


@dataclass(frozen=True, kw_only=True)
class SentencePairs:
    """Pairs (A, B) of passages, as places in the corpus.

    Attributes:
        a_start, a_stop, b_start, b_stop: int64 (N,), in tokens; stops are exclusive, and no passage is empty.
        labels: int64 (N,). 0: B follows A (IsNext), or the order is right. 1: B is from another document (NotNext), or
            the order is swapped.
    """

    a_start: np.ndarray
    a_stop: np.ndarray
    b_start: np.ndarray
    b_stop: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def next_sentence_pairs(
    document_starts: np.ndarray,
    sentence_starts: np.ndarray,
    *,
    max_tokens: int,
    rng: np.random.Generator,
    short_share: float = 0.1,
    random_share: float = 0.5,
) -> SentencePairs:
    """Pairs for next-sentence prediction, for one epoch, in the order of the documents.

    As BERT's data was made: the sentences of a document are collected until they reach a target length, which is
    ``max_tokens`` or, for a share of the documents, a random shorter one. A is their beginning up to a random
    sentence. B is the rest; or it begins at a random sentence of a random other document, and the rest of the chunk
    goes into the next one. A chunk of one sentence has no rest. What is longer than ``max_tokens`` loses tokens of its
    longer passage, at random from its front or its back. So every sentence is exactly once in an A or in a B that
    follows.

    Unlike there, a B that does not follow never comes from A's own document, and a sentence longer than ``max_tokens``
    (a text without sentence ends) is divided, where most of it would have been lost.

    Args:
        document_starts: int64 (D + 1,), the last is the number of tokens. Empty documents are passed over.
        sentence_starts: int64 (S,), growing. Every document that is not empty starts with a sentence.
        max_tokens: of A and B together, without special tokens; at least 2.
        rng: of all draws.
        short_share: share of the documents with a shorter target.
        random_share: share of NotNext among chunks of several sentences; those of one are always NotNext.

    Raises:
        InputError: fewer than two documents, starts that do not fit each other, or shares that are none.

    Source: Devlin et al. 2019, appendix A.2, and ``create_pretraining_data.py`` of google-research/bert.
    """
    corpus = _corpus(document_starts, sentence_starts, max_tokens, short_share)
    if corpus.n_documents < 2:
        raise InputError(
            f"there are {corpus.n_documents} documents with text, but next-sentence prediction needs at least 2: a "
            "sentence that does not follow comes from another document. Separate documents with blank lines, or leave "
            "this objective out."
        )
    if not 0 <= random_share <= 1:
        raise InputError(f"random_share is {random_share:g}; it must be from 0 to 1.")
    targets = _targets(corpus.n_documents, max_tokens, short_share, rng)
    first, middle, last, document = _next_sentence_chunks(corpus, targets, random_share, rng)
    a_start, a_stop, b_start, b_stop = corpus.bounds[np.stack((first, middle, middle, last))]
    foreign = last == middle
    wanted = (targets[document] - (a_stop - a_start))[foreign]
    b_start[foreign], b_stop[foreign] = _foreign_passages(corpus, document[foreign], wanted, rng)
    a_start, a_stop, b_start, b_stop = _shortened(a_start, a_stop, b_start, b_stop, max_tokens, rng)
    return SentencePairs(
        a_start=a_start, a_stop=a_stop, b_start=b_start, b_stop=b_stop, labels=foreign.astype(np.int64)
    )


def sentence_order_pairs(
    document_starts: np.ndarray,
    sentence_starts: np.ndarray,
    *,
    max_tokens: int,
    rng: np.random.Generator,
    short_share: float = 0.1,
) -> SentencePairs:
    """Pairs for sentence-order prediction, for one epoch, in the order of the documents.

    Chunks are made, divided and shortened as for ``next_sentence_pairs``, and half of them have their passages swapped.
    A chunk has two sentences at least, if need be beyond its target; where only one is left at the end of a document it
    is divided in its middle, and left out if it is a single token.

    Args: those of ``next_sentence_pairs``. One document is enough.

    Raises:
        InputError: starts that do not fit each other, or shares that are none.

    Source: Lan et al. 2020, section 3.1.
    """
    corpus = _corpus(document_starts, sentence_starts, max_tokens, short_share)
    targets = _targets(corpus.n_documents, max_tokens, short_share, rng)
    first, middle, last = _sentence_order_chunks(corpus, targets, rng)
    a_start, a_stop, b_stop = corpus.bounds[np.stack((first, middle, last))]
    alone = last == middle  # one sentence, so far all of it in A
    a_stop[alone] = (a_start[alone] + a_stop[alone]) // 2
    kept = a_stop > a_start
    a_start, a_stop, b_stop = a_start[kept], a_stop[kept], b_stop[kept]
    swapped = rng.random(len(a_start)) < 0.5
    starts, stops = np.stack((a_start, a_stop)), np.stack((a_stop, b_stop))
    starts[:, swapped], stops[:, swapped] = starts[::-1, swapped], stops[::-1, swapped]
    a_start, a_stop, b_start, b_stop = _shortened(starts[0], stops[0], starts[1], stops[1], max_tokens, rng)
    return SentencePairs(
        a_start=a_start, a_stop=a_stop, b_start=b_start, b_stop=b_stop, labels=swapped.astype(np.int64)
    )


@dataclass(frozen=True, kw_only=True)
class _Corpus:
    """Documents that are not empty, and sentences no longer than the limit.

    Attributes:
        bounds: int64 (S + 1,), where sentences start, and the number of tokens.
        firsts: int64 (D + 1,), the number of each document's first sentence, and S.
    """

    bounds: np.ndarray
    firsts: np.ndarray

    @property
    def n_documents(self) -> int:
        return len(self.firsts) - 1


def _corpus(documents: np.ndarray, sentences: np.ndarray, max_tokens: int, short_share: float) -> _Corpus:
    if max_tokens < 2:
        raise InputError(f"max_tokens is {max_tokens}; it must be at least 2, one token for each passage.")
    if not 0 <= short_share <= 1:
        raise InputError(f"short_share is {short_share:g}; it must be from 0 to 1.")
    documents, sentences = np.asarray(documents, dtype=np.int64), np.asarray(sentences, dtype=np.int64)
    if len(documents) < 2 or (np.diff(documents) < 0).any():
        raise InputError("document_starts must have a number for each document and the number of tokens, growing.")
    documents = documents[np.append(np.diff(documents) > 0, True)]
    if len(documents) == 1:
        return _Corpus(bounds=documents, firsts=np.zeros(1, dtype=np.int64))
    bounds = np.append(sentences, documents[-1])
    if (np.diff(bounds) <= 0).any():
        raise InputError("sentence_starts must grow from each to the next and lie below the number of tokens.")
    if bounds[0] != documents[0] or not np.isin(documents, bounds, assume_unique=True).all():
        lacking = np.setdiff1d(documents, bounds)
        raise InputError(
            f"{len(lacking)} of {len(documents) - 1} documents do not start with a sentence, or text lies before the "
            f"first document. Expected sentence_starts to hold all of document_starts but the last."
        )
    bounds = _divided(bounds, max_tokens)
    return _Corpus(bounds=bounds, firsts=np.searchsorted(bounds, documents))


def _divided(bounds: np.ndarray, max_tokens: int) -> np.ndarray:
    """Sentences longer than the limit in equal pieces of at most half of it, so that two make a pair."""
    lengths = np.diff(bounds)
    if not len(lengths) or lengths.max() <= max_tokens:
        return bounds
    pieces = np.where(lengths > max_tokens, -(-lengths // (max_tokens // 2)), 1)
    owner = np.repeat(np.arange(len(lengths)), pieces)
    place = np.arange(len(owner)) - (pieces.cumsum() - pieces)[owner]
    return np.append(bounds[owner] + lengths[owner] * place // pieces[owner], bounds[-1])


def _targets(n_documents: int, max_tokens: int, short_share: float, rng: np.random.Generator) -> np.ndarray:
    """The length that the chunks of each document are to reach, int64 (D,)."""
    short = rng.random(n_documents) < short_share
    return np.where(short, rng.integers(2, max_tokens, n_documents, endpoint=True), max_tokens)


def _next_sentence_chunks(
    corpus: _Corpus, targets: np.ndarray, random_share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The first sentence of A, the one after it, the one after the rest of the chunk, and the document.

    There is no rest where B is to come from another document. int64 (N,) each.
    """
    bounds, firsts, lot = array("q", corpus.bounds.tobytes()), corpus.firsts.tolist(), _fast_lots(rng)
    made = array("q")
    for document, target in enumerate(targets.tolist()):
        start, end = firsts[document], firsts[document + 1]
        while start < end:
            stop = bisect_left(bounds, bounds[start] + target, start + 1, end)
            middle = start + 1 + int(lot() * (stop - start - 1))
            if stop == start + 1 or lot() < random_share:
                stop = middle
            made.extend((start, middle, stop, document))
            start = stop
    first, middle, last, owner = np.array(made, dtype=np.int64).reshape(-1, 4).T
    return first, middle, last, owner


def _sentence_order_chunks(
    corpus: _Corpus, targets: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first sentence of A, that of B, and the one after B; int64 (N,) each."""
    bounds, firsts, lot = array("q", corpus.bounds.tobytes()), corpus.firsts.tolist(), _fast_lots(rng)
    made = array("q")
    for document, target in enumerate(targets.tolist()):
        start, end = firsts[document], firsts[document + 1]
        while start < end:
            stop = bisect_left(bounds, bounds[start] + target, min(start + 2, end), end)
            made.extend((start, start + 1 + int(lot() * (stop - start - 1)), stop))
            start = stop
    first, middle, last = np.array(made, dtype=np.int64).reshape(-1, 3).T
    return first, middle, last


def _fast_lots(rng: np.random.Generator) -> Callable[[], float]:
    """Numbers from 0 to below 1, one by one: many times faster than one by one from NumPy's generator."""
    return random.Random(int(rng.integers(2**63))).random


def _foreign_passages(
    corpus: _Corpus, documents: np.ndarray, wanted: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Passages from random other documents that reach the wanted lengths, or the ends of their documents.

    Args:
        documents, wanted: int64 (M,), the document that a passage must not come from, and its length in tokens.

    Returns:
        Starts and stops in tokens, int64 (M,).
    """
    others = rng.integers(0, corpus.n_documents - 1, len(documents))
    others += others >= documents
    first, end = corpus.firsts[others], corpus.firsts[others + 1]
    start = rng.integers(first, end)
    reached = np.searchsorted(corpus.bounds, corpus.bounds[start] + wanted)
    return corpus.bounds[start], corpus.bounds[np.clip(reached, start + 1, end)]


def _shortened(
    a_start: np.ndarray,
    a_stop: np.ndarray,
    b_start: np.ndarray,
    b_stop: np.ndarray,
    max_tokens: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Take tokens from the longer passage, one by one from its front or back, until both fit.

    How many each loses is known without going step by step: first the longer one, down to the length of the other, then
    both in turn, beginning with B.
    """
    a, b = a_stop - a_start, b_stop - b_start
    excess = np.maximum(a + b - max_tokens, 0)
    alone = np.minimum(excess, np.abs(a - b))
    rest = excess - alone
    from_a = np.where(a > b, alone, 0) + rest // 2
    from_b = excess - from_a
    a_front, b_front = rng.binomial(from_a, 0.5), rng.binomial(from_b, 0.5)
    return a_start + a_front, a_stop - (from_a - a_front), b_start + b_front, b_stop - (from_b - b_front)


__all__ = ["SentencePairs", "next_sentence_pairs", "sentence_order_pairs"]
