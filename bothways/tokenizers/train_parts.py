"""What of the counted words a vocabulary is learned from: known letters, bounded lengths, bounded memory."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from bothways.errors import TokenizerError

MAX_WORD_CHARS = 256  # longer words are cut: no piece is nearly as long


def choose_alphabet(words: Mapping[str, int], limit: int | None, initial: Iterable[str] = ()) -> list[str]:
    """The most frequent characters of the words beside the initial ones, at most ``limit``, in alphabetical order."""
    counts: Counter[str] = Counter()
    for word, times in words.items():
        for char in word:
            counts[char] += times
    kept = set(initial)
    for char, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if limit is not None and len(kept) >= limit:
            break
        kept.add(char)
    return sorted(kept)


def too_small(vocab_size: int, needed: int, n_special: int, limit_alphabet: int | None) -> TokenizerError:
    """The error that says how many entries are needed."""
    limit = "none now" if limit_alphabet is None else f"{limit_alphabet:,} now"
    return TokenizerError(
        f"vocab_size is {vocab_size}, but {n_special} special tokens and the letters of the texts already take "
        f"{needed}. Raise vocab_size to {needed} or more, or lower limit_alphabet ({limit})."
    )


def parts_of(words: Mapping[str, int], alphabet: Iterable[str], *, divide: bool, max_letters: int) -> dict[str, int]:
    """The words in alphabetical order, without other letters than those of the alphabet.

    Args:
        divide: whether a letter that is left out divides its word; else what is around it becomes neighbours, as in the
            engine's trainer of BPE.
        max_letters: of all parts together. Where there are more, the rarest parts are left out, and of equally rare
            ones those with the highest hashes.
    """
    known = set(alphabet)
    gap = "\0" if divide else ""
    parts: dict[str, int] = {}
    for word, times in words.items():
        if known.issuperset(word) and len(word) <= MAX_WORD_CHARS:
            parts[word] = parts.get(word, 0) + times
            continue
        rest = "".join(char if char in known else gap for char in word)
        for part in rest.split(gap) if divide else [rest]:
            for start in range(0, len(part), MAX_WORD_CHARS):
                cut = part[start : start + MAX_WORD_CHARS]
                parts[cut] = parts.get(cut, 0) + times
    return dict(sorted(_most_frequent(parts, max_letters).items()))


def _most_frequent(parts: dict[str, int], max_letters: int) -> dict[str, int]:
    lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
    if lengths.sum() <= max_letters:
        return parts
    names = list(parts)
    times = np.fromiter(parts.values(), dtype=np.int64, count=len(parts))
    hashes = np.array([zlib.crc32(name.encode("utf-8", "surrogatepass")) for name in names])
    order = np.lexsort((hashes, -times))
    kept = order[np.cumsum(lengths[order]) <= max_letters]
    return {names[i]: parts[names[i]] for i in kept.tolist()}
