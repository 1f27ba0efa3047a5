"""The neighbours inside of all words at once, as arrays; for learning the merges of BPE.

A place is the index of a letter in all words joined. A symbol stands at the place of its first letter and knows the
places of its neighbours in the word. Of each pair of neighbouring symbols it is known where it may stand: when a pair
becomes one symbol, only these places are looked at.

A new pair contains the symbol that was just made, so its count never grows again: what is too rare is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from bothways.tokenizers.train_seeds import Ints, Letters

Places = NDArray[np.int32]

_SHIFT = 32  # a pair is one number, which sorts like the two
_MASK = (1 << _SHIFT) - 1


class Pairs:
    """Words as symbols that become fewer.

    Args:
        words: counted words, none of them empty.
        symbols: for each letter of the joined words the number of its symbol.
        min_frequency: how often a pair must occur to be found.
    """

    def __init__(self, words: Mapping[str, int], symbols: NDArray[np.int32], min_frequency: int = 1) -> None:
        letters = Letters.of(list(words))
        places = np.arange(len(letters.codes), dtype=np.int32)
        is_first = np.zeros(len(places), dtype=bool)
        is_first[letters.begins] = True
        self._symbol = symbols.copy()
        self._next = np.where(letters.room > 1, places + 1, -1).astype(np.int32)
        self._last = np.where(is_first, -1, places - 1).astype(np.int32)
        times = np.fromiter(words.values(), dtype=np.int64, count=len(words))
        self._times = np.repeat(times, letters.lengths)
        self._least = max(1, min_frequency)
        self._counts: dict[int, int] = {}
        self._where: dict[int, list[Places]] = {}
        self._queue: list[tuple[int, int]] = []
        self._add(np.flatnonzero(self._next >= 0).astype(np.int32))
        heapify(self._queue)

    def most_frequent(self) -> tuple[int, int] | None:
        """Take the most frequent pair, of equals that with the smallest numbers; None if all are too rare."""
        while self._queue:
            negative, pair = heappop(self._queue)
            count = self._counts.get(pair, 0)
            if count == -negative:
                return pair >> _SHIFT, pair & _MASK
            if count >= self._least:
                heappush(self._queue, (-count, pair))
        return None

    def merge(self, left: int, right: int, new: int) -> None:
        """Make one symbol ``new`` of a pair wherever it stands; in a row of equal symbols from left to right."""
        pair = left << _SHIFT | right
        first = self._found(pair, left, right)
        del self._counts[pair]
        second = self._next[first]
        before, after = self._last[first], self._next[second]
        self._remove(np.unique(np.concatenate([before[before >= 0], second[after >= 0]])), pair)
        self._symbol[first], self._symbol[second] = new, -1
        self._next[first] = after
        self._last[after[after >= 0]] = first[after >= 0]
        before, after = self._last[first], self._next[first]
        self._add(np.unique(np.concatenate([before[before >= 0], first[after >= 0]])))

    def _found(self, pair: int, left: int, right: int) -> Places:
        """Where the pair stands now, without overlaps."""
        first = np.unique(np.concatenate(self._where.pop(pair)))
        second = self._next[first]
        there = (self._symbol[first] == left) & (second >= 0) & (self._symbol[second] == right)
        first, second = first[there], second[there]
        if left != right or len(first) < 2:
            return first
        begins = np.concatenate([[True], first[1:] != second[:-1]])  # of rows of overlapping pairs
        number = np.arange(len(first))
        inside = number - np.maximum.accumulate(np.where(begins, number, 0))
        return first[inside % 2 == 0]

    def _keys(self, places: Places) -> Ints:
        left = self._symbol[places].astype(np.int64)
        return left << _SHIFT | self._symbol[self._next[places]]

    def _remove(self, places: Places, merged: int) -> None:
        keys, inverse = np.unique(self._keys(places), return_inverse=True)
        for key, times in zip(keys.tolist(), _sums(inverse, self._times[places]), strict=True):
            if key != merged and key in self._counts:
                left = self._counts[key] - times
                if left >= self._least:
                    self._counts[key] = left
                else:
                    del self._counts[key], self._where[key]

    def _add(self, places: Places) -> None:
        if not len(places):
            return
        keys = self._keys(places)
        order = np.argsort(keys, kind="stable")
        keys, places = keys[order], places[order]
        begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        sums = np.add.reduceat(self._times[places], begins).tolist()
        limits = [*begins.tolist(), len(keys)]
        for key, times, begin, end in zip(keys[begins].tolist(), sums, limits[:-1], limits[1:], strict=True):
            total = self._counts.get(key, 0) + times
            if total >= self._least:
                self._counts[key] = total
                self._where.setdefault(key, []).append(places[begin:end].copy())
                heappush(self._queue, (-total, key))


def _sums(groups: Ints, times: Ints) -> list[int]:
    """The sum of each group; exact as long as there are fewer than 2**53 words."""
    return np.bincount(groups, weights=times).astype(np.int64).tolist()
