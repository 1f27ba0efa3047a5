"""Texts that are longer than a model reads: overlapping windows, and the way back.

Shapes: L tokens of the whole encoded text, n tokens of a window.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bothways.errors import InputError

WINDOW_OVERLAP = 64
"""Tokens that consecutive windows share by default: enough context on both sides of a cut for a clause."""


def split(sequence_ids: Sequence[int | None], limit: int, overlap: int = WINDOW_OVERLAP) -> list[np.ndarray]:
    """Divide one encoded text, or pair of texts, into as few windows as fit, of nearly equal length.

    Every window keeps all special tokens (``[CLS] … [SEP]``). Of a pair the shorter text is repeated whole in every
    window if it takes at most half of the room, and the longer one is divided; else both are divided, each has half of
    the room, and the windows go through both side by side. Every token is in at least one window.

    Args:
        sequence_ids: of L tokens: 0 or 1 for the first or second text, None for a special token.
        limit: longest window in tokens, special ones included.
        overlap: tokens that consecutive windows of a text share at least; never more than half of its room.

    Returns:
        For each window the places of its tokens in the whole, int64 (n,), rising.

    Raises:
        InputError: the special tokens leave no room, or ``overlap`` is negative.

    Example: 9 tokens, ``[CLS]`` + 7 + ``[SEP]``, limit 6, overlap 1 -> [0 1 2 3 4 8], [0 4 5 6 7 8].
    """
    text = np.array([-1 if s is None else s for s in sequence_ids])
    if overlap < 0:
        raise InputError(f"window_overlap is {overlap}; it is a number of tokens, 0 or more.")
    if len(text) <= limit:
        return [np.arange(len(text))]
    special = np.flatnonzero(text < 0)
    parts = [part for number in (0, 1) if len(part := np.flatnonzero(text == number))]
    room = limit - len(special)
    if room < len(parts):
        raise InputError(
            f"max_length={limit} leaves no room: {len(special)} special tokens and one token of each of {len(parts)} "
            f"texts need {len(special) + len(parts)}. Raise max_length."
        )
    rooms = _shared_room(room, [len(part) for part in parts])
    spans = [_spans(len(part), own, overlap) for part, own in zip(parts, rooms, strict=True)]
    count = max(len(s) for s in spans)
    windows = []
    for number in range(count):
        chosen = [own[number * len(own) // count] for own in spans]
        kept = [part[start:end] for part, (start, end) in zip(parts, chosen, strict=True)]
        windows.append(np.sort(np.concatenate([special, *kept])))
    return windows


def best_windows(windows: Sequence[np.ndarray], length: int) -> tuple[np.ndarray, np.ndarray]:
    """For each token the window that shows most of its surroundings: the one whose nearest cut is farthest away.

    Args:
        windows: as ``split`` returns them.
        length: L.

    Returns:
        The number of the window and the place in it, int64 (L,) each.
    """
    window = np.zeros(length, dtype=np.int64)
    place = np.zeros(length, dtype=np.int64)
    seen = np.full(length, -1, dtype=np.int64)
    for number, places in enumerate(windows):
        context = _distance_to_cut(places, length)
        better = context > seen[places]
        tokens = places[better]
        window[tokens], place[tokens], seen[tokens] = number, np.flatnonzero(better), context[better]
    return window, place


def _shared_room(room: int, lengths: list[int]) -> list[int]:
    """Tokens of each text that a window holds."""
    if len(lengths) == 1:
        return [room]
    shorter = 0 if lengths[0] <= lengths[1] else 1
    own = min(lengths[shorter], room // 2)
    return [own, room - own] if shorter == 0 else [room - own, own]


def _spans(length: int, room: int, overlap: int) -> list[tuple[int, int]]:
    """Start and end of the windows over ``length`` tokens: the fewest that fit, evenly spread, equally long."""
    if length <= room:
        return [(0, length)]
    overlap = min(overlap, room // 2)
    count = -(-(length - overlap) // (room - overlap))
    size = -(-(length + (count - 1) * overlap) // count)
    starts = [number * (length - size) // (count - 1) for number in range(count)]
    return [(start, start + size) for start in starts]


def _distance_to_cut(places: np.ndarray, length: int) -> np.ndarray:
    """Tokens between each token of a window and the nearest place where the window leaves some out."""
    index = np.arange(len(places))
    distance = np.full(len(places), length, dtype=np.int64)
    for cut in np.flatnonzero(np.diff(places) > 1):
        distance = np.minimum(distance, np.where(index <= cut, cut - index, index - cut - 1))
    return distance
