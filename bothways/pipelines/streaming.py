"""Any stream of inputs in bounded memory: chunks large enough for good batches, and no waiting for slow sources."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

CHUNK_ITEMS = 2048
CHUNK_CHARACTERS = 2**20
"""About 250,000 tokens: some hundred batches, so that sorting within a chunk is as good as sorting all."""

FIRST_CHUNK = 16
GROWTH = 4
PATIENCE_SECONDS = 0.1


def chunks(
    items: Iterable[Any],
    *,
    most: int = CHUNK_ITEMS,
    most_characters: int = CHUNK_CHARACTERS,
    eager: bool = False,
    size: Callable[[Any], int] | None = None,
) -> Iterator[list[Any]]:
    """Cut a stream into lists.

    A stream is read as its answers are taken: the first chunk has 16 items so that the first answer comes soon, each
    next one four times as many. A source that is slow (a queue, a socket) gets its answers after a tenth of a second.

    Args:
        items: anything that can be iterated; never read further than the end of the current chunk.
        most: most items of a chunk.
        most_characters: a chunk ends with the item that reaches this size.
        eager: full chunks from the start, for a source that is in memory anyway.
        size: characters of an item; by default those of a text or of the texts in a dictionary.
    """
    size = _characters if size is None else size
    target = most if eager else min(FIRST_CHUNK, most)
    chunk: list[Any] = []
    characters, began = 0, time.monotonic()
    for item in items:
        if not chunk:
            began = time.monotonic() if not eager else began
        chunk.append(item)
        characters += size(item)
        late = not eager and time.monotonic() - began > PATIENCE_SECONDS
        if len(chunk) >= target or characters >= most_characters or late:
            yield chunk
            chunk, characters, target = [], 0, min(target * GROWTH, most)
    if chunk:
        yield chunk


def _characters(item: Any) -> int:
    if isinstance(item, str):
        return len(item)
    if isinstance(item, dict):
        return sum(len(value) for value in item.values() if isinstance(value, str))
    return 0
