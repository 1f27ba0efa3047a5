"""A sample of texts that training does not see, for judging a tokeniser; the same one in any order of the texts."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Iterator

SHARE = 100  # one text of so many is held, as its hash decides
MAX_CHARS = 1_000_000


class HeldTexts:
    """Holds back one text of a hundred, up to a million characters: those with the smallest hashes.

    A text that occurs several times is held once, and its copies are trained on.
    """

    def __init__(self, *, share: int = SHARE, max_chars: int = MAX_CHARS) -> None:
        self._share, self._max_chars = share, max_chars
        self._heap: list[tuple[int, str]] = []  # (-hash, text): the largest hash comes first
        self._held: set[str] = set()
        self._chars = 0
        self._limit: tuple[int, str] | None = None  # of what had to go: nothing above it is held again

    @property
    def texts(self) -> list[str]:
        """What is held, in alphabetical order."""
        return sorted(self._held)

    def passing(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield all texts but those that are held at the end."""
        for text in texts:
            number = zlib.crc32(text.encode("utf-8", "surrogatepass"))
            entry = (-number, text)
            if number % self._share or text in self._held or (self._limit is not None and entry <= self._limit):
                yield text
                continue
            heapq.heappush(self._heap, entry)
            self._held.add(text)
            self._chars += len(text)
            while self._chars > self._max_chars:
                self._limit = heapq.heappop(self._heap)
                _, gone = self._limit
                self._held.discard(gone)
                self._chars -= len(gone)
                yield gone
