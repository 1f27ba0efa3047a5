"""How alike two documents are, from a few numbers of each: MinHash with one permutation.

A document is the set of its shingles, runs of five tokens. A hash puts each shingle into one of K bins; the signature
keeps of each bin the smallest hash. The share of bins with equal numbers estimates the Jaccard similarity of the sets.

Sources: Broder 1997, "On the resemblance and containment of documents" (shingles, MinHash); Li, Owen, Zhang 2012, "One
permutation hashing" (bins, section 3); Li, König 2010, "b-bit minwise hashing" (16 bits of each); Shrivastava, Li
2014, "Densifying one permutation hashing via rotation" (empty bins in bands); Leskovec, Rajaraman, Ullman 2014,
"Mining of massive datasets", section 3.4 (bands).

Shapes: D documents, K = 256 bins, B = 32 bands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHINGLE = 5  # tokens
BINS, BANDS = 256, 32
ROWS = BINS // BANDS
EMPTY = 0xFFFF
"""What stands in a bin without a shingle."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, as in splitmix64
_MIX = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))  # splitmix64 (Steele et al. 2014)
_BIN_BITS = 8
_EDGES = (np.arange(BINS, dtype=np.uint64) << np.uint64(64 - _BIN_BITS)).astype(np.uint64)
_ROTATION = 40_503  # added to a borrowed number for each bin of its way; odd, so that all differ modulo 2**16


def signature(tokens: NDArray[np.integer]) -> NDArray[np.uint16]:
    """The signature of one document, uint16 (K,). One with fewer than five tokens is a single shingle."""
    hashes = np.sort(_shingles(tokens.astype(np.uint64)))
    first = np.searchsorted(hashes, _EDGES)
    stop = np.append(first[1:], len(hashes))
    low = (hashes & np.uint64(0xFFFF)).astype(np.uint16)
    values = np.minimum(low, np.uint16(EMPTY - 1))[np.minimum(first, len(hashes) - 1)]
    return np.where(first < stop, values, np.uint16(EMPTY))


def band_keys(signatures: NDArray[np.uint16]) -> NDArray[np.uint32]:
    """Keys of the bands, uint32 (D, B), of signatures (D, K): documents that are alike share one of them.

    With similarity s two documents share a key with probability 1 - (1 - s**8)**32: 0.12 at 0.5, 0.997 at 0.8.
    """
    rows = np.ascontiguousarray(_densified(signatures)).view(np.uint64)  # (D, B * 2): eight numbers are two words
    keys = _mixed(_mixed(rows[:, 0::2]) + rows[:, 1::2] * _MULTIPLIER)
    return (keys >> np.uint64(32)).astype(np.uint32)


def similarity(one: NDArray[np.uint16], others: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Estimated Jaccard similarity of one signature (K,) and others (D, K): float64 (D,).

    Bins that are empty in both say nothing (Li et al. 2012, equation 9). The standard deviation is at most 0.032.
    """
    nothing = (one == EMPTY) & (others == EMPTY)
    equal = ((one == others) & ~nothing).sum(axis=1)
    return equal / (BINS - nothing.sum(axis=1))


def _shingles(tokens: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes of all runs of five tokens; of the whole where there are fewer."""
    width = min(SHINGLE, len(tokens))
    hashes = np.full(len(tokens) - width + 1, len(tokens) if width < SHINGLE else SHINGLE, dtype=np.uint64)
    for place in range(width):
        hashes = hashes * _MULTIPLIER + tokens[place : place + len(hashes)] + np.uint64(1)
    return _mixed(hashes)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for shift, factor in _MIX:
        values = (values ^ (values >> np.uint64(shift))) * factor
    return values ^ (values >> np.uint64(31))


def _densified(signatures: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Empty bins borrow from the next one that is not, with a mark of the way (Shrivastava and Li 2014, section 4)."""
    twice = np.concatenate([signatures, signatures], axis=1)
    places = np.where(twice != EMPTY, np.arange(2 * BINS), 2 * BINS)
    nearest = np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1][:, :BINS]
    way = nearest - np.arange(BINS)
    borrowed = np.take_along_axis(signatures, nearest % BINS, axis=1)
    return (borrowed.astype(np.int64) + way * _ROTATION).astype(np.uint16)
