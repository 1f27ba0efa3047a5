"""Which documents say again what an earlier one says: the first is kept.

Documents are looked at in their order, so the answer does not depend on how the work was shared out. A document is
compared with those that were kept, not with dropped ones: what is dropped always has a likeness that stays.

Shapes: D documents, B bands, K bins; see ``minhash``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bothways.corpus.minhash import BANDS, similarity

THRESHOLD = 0.8
"""Estimated Jaccard similarity from which on two documents are near duplicates."""
MOST_COMPARED = 64
"""Kept documents of one key that later ones are compared with: where thousands of forms are half alike, work stays
bounded."""


def exact_duplicates(digests: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which documents are equal to an earlier one: bool (D,), from hashes (D, 16). Takes 48 bytes a document."""
    words = np.ascontiguousarray(digests).view(np.uint64)  # (D, 2)
    order = np.lexsort((words[:, 1], words[:, 0]))  # stable: the first of equal ones comes first
    again = np.zeros(len(digests), dtype=bool)
    again[order[1:]] = (words[order[1:]] == words[order[:-1]]).all(axis=1)
    return again


def near_duplicates(
    keys: NDArray[np.uint32],
    distinct: NDArray[np.bool_],
    signatures_of: Callable[[NDArray[np.int64]], NDArray[np.uint16]],
) -> NDArray[np.bool_]:
    """Which documents are nearly equal to an earlier one that is kept: bool (D,).

    Args:
        keys: keys of the bands, (D, B).
        distinct: documents that are not exact duplicates; only these are looked at.
        signatures_of: signatures (C, K) of C documents, given by rising numbers; asked once, for those that share a
            key with another one.
    """
    again = np.zeros(len(keys), dtype=bool)
    documents, groups = _shared_keys(keys, np.flatnonzero(distinct))
    if not len(documents):
        return again
    candidates, starts = np.unique(documents, return_index=True)
    stops = [*starts[1:].tolist(), len(documents)]
    signatures = signatures_of(candidates)
    kept: dict[int, list[int]] = {}
    for row, (start, stop) in enumerate(zip(starts.tolist(), stops, strict=True)):
        own = groups[start:stop].tolist()
        others = sorted({other for group in own for other in kept.get(group, ())})
        if others and similarity(signatures[row], signatures[others]).max() >= THRESHOLD:
            again[candidates[row]] = True
            continue
        for group in own:
            members = kept.setdefault(group, [])
            if len(members) < MOST_COMPARED:
                members.append(row)
    return again


def _shared_keys(keys: NDArray[np.uint32], among: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of a document and a key that it shares with another: (P,) rising documents, (P,) numbers of the keys."""
    documents, groups = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    n_groups = 0
    for band in range(BANDS if len(among) > 1 else 0):
        own = keys[among, band]
        order = np.argsort(own, kind="stable")
        changes = np.diff(own[order]) != 0
        group = np.concatenate([[0], np.cumsum(changes)])
        alone = np.append(changes, True) & np.insert(changes, 0, True)
        documents.append(among[order[~alone]])
        groups.append(group[~alone] + n_groups)
        n_groups += int(group[-1]) + 1
    found = np.concatenate(documents)
    order = np.argsort(found, kind="stable")
    return found[order], np.concatenate(groups)[order]
