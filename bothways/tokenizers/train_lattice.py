"""Lattices of all segmentations of many texts at once, as arrays; for learning a Unigram vocabulary.

A text of n letters has the nodes 0 to n; a piece that stands at its letters i to j is an edge from node i to node j.
Nodes are numbered by their place first (the first nodes of all texts, then all second ones, ...), so that one step of
the forward algorithm is one operation on arrays, and edges that are sorted by their ends are sorted by steps too.

Shapes: E edges, V pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bothways.tokenizers.train_seeds import Floats, Ints, Letters, occurrences

Bools = NDArray[np.bool_]


class _Step(NamedTuple):
    """The edges that end at one place of their texts: which, where those of the next node begin, and these nodes."""

    edges: slice
    groups: Ints
    nodes: Ints


class Lattice:
    """All ways to write texts with pieces.

    Args:
        texts: none of them empty.
        pieces: without duplicates.
        without_whole: leaves out the edge that is a whole text.
    """

    def __init__(self, texts: Sequence[str], pieces: Sequence[str], *, without_whole: bool = False) -> None:
        letters = Letters.of(texts)
        by_length = np.argsort(-letters.lengths, kind="stable")
        rank = np.empty_like(by_length)
        rank[by_length] = np.arange(len(texts))
        n_reaching = np.searchsorted(-letters.lengths[by_length], -np.arange(letters.lengths.max() + 1), side="right")
        self._base = np.concatenate([[0], np.cumsum(n_reaching)])  # the first node of each place, and their number
        self._text_of_rank = by_length
        self._final = self._base[letters.lengths] + rank
        text = np.repeat(np.arange(len(texts)), letters.lengths)
        place = np.arange(len(letters.codes)) - letters.begins[text]
        columns: list[tuple[Ints, Ints, Ints]] = []
        for length, at, piece in occurrences(letters, pieces):
            if without_whole:
                part = letters.lengths[text[at]] > length
                at, piece = at[part], piece[part]
            ranks, begin = rank[text[at]], place[at]
            columns.append((self._base[begin] + ranks, self._base[begin + length] + ranks, piece))
        starts, ends, numbers = (np.concatenate(column).astype(np.int32) for column in zip(*columns, strict=True))
        order = np.argsort(ends, kind="stable")
        self._start, self._end, self._piece = starts[order], ends[order], numbers[order]

    def keep(self, pieces: Bools) -> None:
        """Forget the pieces that a mask says False of; the others are numbered anew, in order."""
        edges = pieces[self._piece]
        number = (np.cumsum(pieces) - 1).astype(np.int32)
        self._start, self._end, self._piece = self._start[edges], self._end[edges], number[self._piece[edges]]

    def expected(self, scores: Floats, counts: Floats) -> Floats:
        """How often each piece is expected when every text is written in all ways, each as often as it is likely.

        Args:
            scores: (V,) log probabilities of the pieces.
            counts: how often each text occurs.

        Returns:
            (V,).

        Source: the forward-backward algorithm, with the probability of each edge given the node where it ends.
        """
        forward = self._nodes(-np.inf)
        share = np.empty(len(self._start))
        for edges, groups, nodes in self._steps():
            ways = forward[self._start[edges]] + scores[self._piece[edges]]
            forward[nodes] = np.logaddexp.reduceat(ways, groups)
            share[edges] = np.exp(ways - forward[self._end[edges]])
        mass = self._nodes(0.0)
        mass[self._final] = counts
        for edges, _, _ in reversed(list(self._steps())):
            share[edges] *= mass[self._end[edges]]
            np.add.at(mass, self._start[edges], share[edges])
        return np.bincount(self._piece, weights=share, minlength=len(scores)).astype(np.float64)

    def best(self, scores: Floats, counts: Floats) -> tuple[Ints, Floats]:
        """The likeliest way to write each text.

        Args:
            scores: (V,) log probabilities of the pieces.
            counts: (V,) how often each piece occurs; that of piece i is meant for text i too.

        Returns:
            How many pieces it takes (0: there is no way), and the sum of the logarithms of the counts of these pieces
            when each has got the count of the text on top.
        """
        forward, chosen = self._nodes(-np.inf), np.zeros(int(self._base[-1]), dtype=np.int64)
        for edges, groups, nodes in self._steps():
            ways = forward[self._start[edges]] + scores[self._piece[edges]]
            forward[nodes] = np.maximum.reduceat(ways, groups)
            is_best = ways == forward[self._end[edges]]
            numbers = np.where(is_best, np.arange(edges.start, edges.stop), edges.stop)
            chosen[nodes] = np.minimum.reduceat(numbers, groups)  # of equal ways the one whose last piece is shortest
        size, logs = np.zeros(len(self._final), dtype=np.int64), np.zeros(len(self._final))
        texts = np.flatnonzero(forward[self._final] > -np.inf)
        node = self._final[texts]
        while len(texts):
            edge = chosen[node]
            size[texts] += 1
            logs[texts] += np.log(counts[self._piece[edge]] + counts[texts])
            node = self._start[edge].astype(np.int64)
            inside = node >= self._base[1]
            texts, node = texts[inside], node[inside]
        return size, logs

    def _nodes(self, value: float) -> Floats:
        """A number for each node: 0 for the first nodes, ``value`` for all others."""
        nodes = np.full(int(self._base[-1]), value)
        nodes[: self._base[1]] = 0.0
        return nodes

    def _steps(self) -> Iterator[_Step]:
        limits = np.searchsorted(self._end, self._base[1:])
        for first, last in zip(limits[:-1].tolist(), limits[1:].tolist(), strict=True):
            if first < last:
                ends = self._end[first:last]
                groups = np.concatenate([[0], np.flatnonzero(ends[1:] != ends[:-1]) + 1])
                yield _Step(slice(first, last), groups, ends[groups])
