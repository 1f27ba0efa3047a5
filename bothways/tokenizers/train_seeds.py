"""Substrings of many texts at once, as arrays: which are frequent, and where given ones stand.

A place is the index of a letter in all texts joined. A substring of n letters is known by its prefix of n - 1 letters
and its last letter, so that one sort for each length numbers all substrings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_CODES = 0x110000  # characters there are


class Letters(NamedTuple):
    """Texts as arrays.

    Attributes:
        codes: (letters,) characters of all texts, joined.
        lengths: (texts,) begins: (texts,) places of the first letters.
        room: (letters,) letters from here to the end of the text, this one included.
    """

    codes: Ints
    lengths: Ints
    begins: Ints
    room: Ints

    @classmethod
    def of(cls, texts: Sequence[str]) -> Letters:
        data = "".join(texts).encode("utf-32-le", "surrogatepass")
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        ends = np.cumsum(lengths)
        codes = np.frombuffer(data, dtype="<u4").astype(np.int64)
        return cls(codes, lengths, ends - lengths, np.repeat(ends, lengths) - np.arange(len(codes)))


class Seeds(NamedTuple):
    """Pieces in alphabetical order, and their counts times their lengths."""

    pieces: list[str]
    weights: Floats


class _Level(NamedTuple):
    """Substrings of one length: where each stands first, how often it occurs, whether different letters follow."""

    first: Ints
    counts: Floats
    is_open: NDArray[np.bool_]


def find_seeds(texts: Mapping[str, int], longest: int, most: int) -> Seeds:
    """All letters, and the ``most`` substrings with the highest count times length.

    A substring that occurs once is left out, and one that the same letter always follows: the longer one says more.
    """
    joined = "".join(texts)
    first, lengths, weights = [], [], []
    for length, level in enumerate(_levels(texts, longest), 1):
        kept = (level.counts > 1) & level.is_open if length > 1 else np.ones(len(level.first), dtype=bool)
        first.append(level.first[kept])
        lengths.append(np.full(len(first[-1]), length))
        weights.append(level.counts[kept] * length)
    n_letters = len(first[0])
    place, length_of, weight = np.concatenate(first), np.concatenate(lengths), np.concatenate(weights)
    best = n_letters + np.argsort(-weight[n_letters:], kind="stable")[:most]
    chosen = np.concatenate([np.arange(n_letters), best])
    pieces = [joined[i : i + n] for i, n in zip(place[chosen].tolist(), length_of[chosen].tolist(), strict=True)]
    order = sorted(range(len(pieces)), key=pieces.__getitem__)
    return Seeds([pieces[i] for i in order], weight[chosen][order])


def occurrences(texts: Letters, pieces: Sequence[str]) -> Iterator[tuple[int, Ints, Ints]]:
    """For each length: the length, the places where pieces of that length begin, and the numbers of the pieces."""
    places = np.arange(len(texts.codes))
    prefix = np.zeros(len(places), dtype=np.int64)
    for length, (keys, piece_of) in enumerate(_prefixes(Letters.of(pieces)), 1):
        inside = texts.room[places] >= length
        places, prefix = places[inside], prefix[inside]
        wanted = prefix * _CODES + texts.codes[places + length - 1]
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        hit = keys[found] == wanted
        places, prefix = places[hit], found[hit]
        piece = piece_of[prefix]
        yield length, places[piece >= 0], piece[piece >= 0]


def _levels(texts: Mapping[str, int], longest: int) -> Iterator[_Level]:
    letters = Letters.of(list(texts))
    times = np.repeat(np.fromiter(texts.values(), dtype=np.float64, count=len(texts)), letters.lengths)
    places = np.arange(len(letters.codes))
    ids = np.zeros(len(places), dtype=np.int64)
    last: _Level | None = None
    for length in range(1, longest + 1):
        inside = letters.room[places] >= length
        places, parent = places[inside], ids[inside]
        if not len(places):
            break
        keys = parent * _CODES + letters.codes[places + length - 1]
        _, example, ids = np.unique(keys, return_index=True, return_inverse=True)
        counts: Floats = np.bincount(ids, weights=times[places]).astype(np.float64)
        if last is not None:
            most_alike = np.zeros(len(last.counts))
            np.maximum.at(most_alike, parent[example], counts)
            yield last._replace(is_open=most_alike < last.counts)
        last = _Level(places[example], counts, np.ones(len(counts), dtype=bool))
        often = counts[ids] > 1
        places, ids = places[often], ids[often]
    if last is not None:
        yield last


def _prefixes(pieces: Letters) -> Iterator[tuple[Ints, Ints]]:
    """For each length: the sorted keys of all prefixes of that length, and which piece each is (-1: none)."""
    rows = np.arange(len(pieces.lengths))
    ids = np.zeros(len(rows), dtype=np.int64)
    for length in range(1, int(pieces.lengths.max()) + 1):
        inside = pieces.lengths[rows] >= length
        rows, ids = rows[inside], ids[inside]
        keys, ids = np.unique(ids * _CODES + pieces.codes[pieces.begins[rows] + length - 1], return_inverse=True)
        piece_of = np.full(len(keys), -1)
        whole = pieces.lengths[rows] == length
        piece_of[ids[whole]] = rows[whole]
        yield keys, piece_of
