"""Word vectors counted from the corpus, with which a new masked language model begins.

A small model with random vectors spends most of a short run learning how often words are; only then does what stands
around a hidden word help. Counting which words stand near each other takes seconds and gives both the vectors and,
where they are tied, the projection to the vocabulary a shape from which the blocks learn at once.

Source: Levy and Goldberg 2014, "Neural word embedding as implicit matrix factorization", sections 4 and 5; the
smoothing of contexts is that of Levy, Goldberg and Dagan 2015, section 3.2.

Shapes: T tokens, V vocab_size, H width of the vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bothways.engine.processes import Processes
from bothways.pretraining.documents import Documents

COUNTED_TOKENS = 30_000_000
"""Enough for the neighbours of 16,000 words; more of a corpus is not read."""
CHUNK = 1_000_000
PIECE = 100_000
"""Tokens of a document that are read at once."""
WINDOW = 5
SMOOTHING = 0.75
MOST_PARTS = 256
"""Of the information that are kept; wider vectors hold these, turned at random, since more take minutes to find."""
LONGER = 1.5
"""Length of the vectors over that of the random ones, which the vectors of positions have too."""


def word_vectors(documents: Documents, vocab_size: int, width: int) -> NDArray[np.float32]:
    """Vectors of tokens by the company they keep: the largest parts of their positive mutual information.

    Returns:
        float32 (V, H), each row of length 1, or 0 for a token that has no neighbours in the text.
    """
    from scipy import sparse
    from sklearn.utils.extmath import randomized_svd

    counts = sparse.csr_matrix((vocab_size, vocab_size))
    for ids, owner in _chunks(documents):
        counts = counts + _neighbours(ids, owner, vocab_size)
    information = _positive_information((counts + counts.T).tocoo())
    vectors = np.zeros((vocab_size, width), dtype=np.float32)
    parts = min(width, MOST_PARTS, int((np.diff(information.indptr) > 0).sum()))
    if parts:
        left, sizes, _ = randomized_svd(information, parts, n_iter=2, random_state=0)
        turned, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((width, parts)))
        vectors[:] = (left * np.sqrt(sizes)) @ turned.T
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-3)


def begin_with_word_vectors(model: Any, documents: Documents, group: Processes) -> None:
    """Give a new model such vectors, longer than its random ones. Tokens that have no neighbours keep theirs."""
    embedding: Tensor = model.get_input_embeddings().weight
    vectors = group.first_does(lambda: word_vectors(documents, *embedding.shape))
    with torch.no_grad():
        own = torch.from_numpy(vectors).to(embedding)
        known = own.norm(dim=1) > 0
        length = LONGER * embedding.std() * embedding.shape[1] ** 0.5
        embedding[known] = own[known] * length


def _chunks(documents: Documents) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Token ids evenly over the corpus, and the number of the piece of a document that each is in."""
    begins = [np.arange(start, stop, PIECE) for start, stop in pairwise(documents.starts)]
    stops = [np.append(own[1:], stop) for own, stop in zip(begins, documents.starts[1:], strict=True) if len(own)]
    every = max(1, round(documents.n_tokens / COUNTED_TOKENS))
    spans = np.stack([np.concatenate(begins), np.concatenate(stops)], axis=1)[::every]
    chunk_of = np.cumsum(spans[:, 1] - spans[:, 0]) // CHUNK
    for number in np.unique(chunk_of):
        parts = [documents.read(start, stop) for start, stop in spans[chunk_of == number]]
        yield np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _neighbours(ids: NDArray[np.int64], owner: NDArray[np.int64], vocab_size: int) -> Any:
    """How near which tokens stand to which behind them, as a sparse matrix (V, V): the sum of 1 / distance."""
    from scipy import sparse

    first, second, weights = [], [], []
    for distance in range(1, WINDOW + 1):
        same = owner[distance:] == owner[:-distance]
        first.append(ids[:-distance][same])
        second.append(ids[distance:][same])
        weights.append(np.full(len(first[-1]), 1.0 / distance))
    pairs = (np.concatenate(first), np.concatenate(second))
    return sparse.coo_matrix((np.concatenate(weights), pairs), shape=(vocab_size, vocab_size)).tocsr()


def _positive_information(counts: Any) -> Any:
    """max(0, log p(a, b) / p(a) p(b)) as a sparse matrix (V, V), of counts of pairs."""
    from scipy import sparse

    of_word = np.bincount(counts.row, weights=counts.data, minlength=counts.shape[0])
    of_context = of_word**SMOOTHING
    of_context /= max(of_context.sum(), 1e-12)
    information = np.log(counts.data / of_word[counts.row] / of_context[counts.col])
    kept = information > 0
    values = information[kept].astype(np.float32)
    return sparse.csr_matrix((values, (counts.row[kept], counts.col[kept])), shape=counts.shape)
