"""Which texts are equal, and which nearly: by MinHash on words, and by single misspelt words where texts are short.

Equal means up to case and white space (``data.examples.text_key``). Nearly equal are

- texts whose words are the same in the same order, up to punctuation and normal form;
- texts of twenty distinct words and more, where at least 80 % of the distinct words of both are common to both
  (Jaccard) and neither is more than a quarter longer;
- shorter texts of which one has one word more than the other's eight or more, and nothing else is different;
- shorter texts, of three words and more, that differ in one word of five letters and more by one inserted, deleted,
  replaced or exchanged letter after the first. Other words may turn a short text around, and no digit is misspelt.

Pairs that are likely to be so are found with MinHash, signatures of 256 numbers in 32 bands (``corpus.minhash``, which
compares documents by runs of five tokens: there one more word in a sentence of ten would leave little in common), and
with fewer than eight words by their words; then the words decide.

Of pairs of texts both halves must be nearly equal.

Sources: Broder 1997 (MinHash); Leskovec, Rajaraman, Ullman 2014, section 3.4 (bands); Damerau 1964 (one letter).

Shapes: D texts, P pairs of them, K = 256 numbers of a signature, B = 32 bands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bothways.corpus.minhash import BINS, EMPTY, band_keys
from bothways.data import TextExample
from bothways.data.examples import text_key
from bothways.evaluation.audit_parts import Entry
from bothways.evaluation.audit_words import WordTable, one_letter_apart, word_table

THRESHOLD = 0.8
"""Share of common words from which on two long texts are nearly equal."""
MANY_WORDS = 20
"""Distinct words from which on a text is long."""
FEW_WORDS = 8
"""Words below which a text with one word more is another text."""

_MIN_LETTERS, _MIN_WORDS = 5, 3  # of a word that may be misspelt, and of a text in which one may be
_LOOK_BACK = 8  # texts before each that it is compared with: bounded work where thousands follow one template
_ESTIMATE = 0.68  # four standard deviations below 7 / 9, what one misspelt word of eight leaves
_CHUNK = 32_768  # pairs of signatures compared at once: 32 MB
_ROWS = 4_096  # signatures whose bands are computed at once: 60 MB
_BETWEEN, _MISSPELT = -1, -2  # what stands between the halves of a short text, and (or less) for a word left out
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

_Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Near:
    """Two different texts that are nearly equal, by their numbers; ``earlier < later``."""

    earlier: int
    later: int
    similarity: float


def equal_groups(entries: Sequence[Entry]) -> list[list[int]]:
    """The numbers of entries with equal texts, rising: one group for each text, alone or not. Blank texts have none."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        if not entry.is_blank:
            groups[text_key(TextExample(entry.text, entry.pair))].append(number)
    return list(groups.values())


def near_pairs(entries: Sequence[Entry], n_train: int) -> list[Near]:
    """Nearly equal texts among entries whose texts all differ, sorted by ``later``.

    Of a hundred forms of one template not all pairs are named: each text is compared with the eight before it that
    share a band, and each text of evaluation also with the last eight of training.

    Args:
        entries: those of training first.
        n_train: how many of them are of training.
    """
    table = word_table(entries)
    found: dict[tuple[int, int], float] = {}
    for earlier, later in (_long_candidates(table, n_train), _short_candidates(table, n_train)):
        for i, j in zip(earlier.tolist(), later.tolist(), strict=True):
            similarity = _likeness(table, i, j)
            if similarity:
                found[i, j] = similarity
    return [Near(i, j, found[i, j]) for i, j in sorted(found, key=lambda pair: pair[::-1])]


def _likeness(table: WordTable, one: int, other: int) -> float:
    """The smaller likeness of the two halves; 0 if one of them is not nearly equal."""
    first = _half_likeness(table, one, other, 0)
    return first and min(first, _half_likeness(table, one, other, 1))


def _half_likeness(table: WordTable, one: int, other: int, half: int) -> float:
    a, b = table.half(one, half).tolist(), table.half(other, half).tolist()
    if a == b:
        return 1.0
    if min(len(a), len(b)) < THRESHOLD * max(len(a), len(b)):
        return 0.0
    own, others = set(a), set(b)
    if min(len(own), len(others)) < MANY_WORDS:
        return _one_word_likeness(table.names, *sorted((a, b), key=len))
    common = len(own & others)
    jaccard = common / (len(own) + len(others) - common)
    return jaccard if jaccard >= THRESHOLD else 0.0


def _one_word_likeness(names: Sequence[str], a: list[int], b: list[int]) -> float:
    """The share of words in common if ``b`` has one more than ``a``, of letters if one is misspelt; else 0."""
    if len(b) - len(a) > 1 or len(a) < _MIN_WORDS:
        return 0.0
    place = next((i for i, (word, other) in enumerate(zip(a, b, strict=False)) if word != other), len(a))
    if len(a) < len(b):
        return len(a) / len(b) if len(a) >= FEW_WORDS and a[place:] == b[place + 1 :] else 0.0
    if a[place + 1 :] != b[place + 1 :]:
        return 0.0
    one, other = names[a[place]], names[b[place]]
    if not (_may_be_misspelt(one) and _may_be_misspelt(other) and one[0] == other[0] and one_letter_apart(one, other)):
        return 0.0
    return 1.0 - 1.0 / sum(len(names[word]) for word in a)


def _may_be_misspelt(word: str) -> bool:
    return len(word) >= _MIN_LETTERS and word.isalpha()


def _long_candidates(table: WordTable, n_train: int) -> _Pairs:
    """Texts that share a band of their signatures, and most numbers of them: (P,), (P,)."""
    chosen = np.flatnonzero(table.n_distinct >= FEW_WORDS)
    seen = np.empty(0, np.int64)
    if len(chosen):
        signatures = _signatures(table, chosen)
        rows = range(0, len(chosen), _ROWS)
        keys = np.concatenate([band_keys(signatures[row : row + _ROWS]) for row in rows])
        n_before = int(np.searchsorted(chosen, n_train))
        for band in range(keys.shape[1]):
            pairs = _sharing(keys[:, band], np.arange(len(chosen)), n_before)
            seen = np.union1d(seen, _similar(signatures, np.setdiff1d(pairs, seen, assume_unique=True)))
    return chosen[seen // max(len(chosen), 1)], chosen[seen % max(len(chosen), 1)]


def _signatures(table: WordTable, chosen: NDArray[np.int64]) -> NDArray[np.uint16]:
    """MinHash of the distinct words: of each of 256 hash functions the low half of the smallest value, (D, K)."""
    lengths = table.n_distinct[chosen]
    ends = np.cumsum(lengths)
    places = np.arange(ends[-1]) + np.repeat(table.starts[chosen] - (ends - lengths), lengths)
    words = table.distinct[places].astype(np.int32)
    numbers = np.arange(2 * len(table.names), dtype=np.uint64)
    signatures = np.empty((len(chosen), BINS), np.uint16)
    for k in range(BINS):
        hashed = _hashed(numbers + np.uint64(k << 40))
        smallest = np.minimum.reduceat(hashed[words], ends - lengths)
        signatures[:, k] = np.minimum(smallest & np.uint32(0xFFFF), EMPTY - 1)  # no bin is empty
    return signatures


def _hashed(numbers: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """A hash of each number (the finaliser of splitmix64, Steele et al. 2014)."""
    mixed = numbers * _MULTIPLIER
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed >> np.uint64(32)).astype(np.uint32)


def _similar(signatures: NDArray[np.uint16], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those pairs (numbers ``earlier * D + later``) whose signatures have most numbers in common."""
    kept = [np.empty(0, np.int64)]
    for start in range(0, len(pairs), _CHUNK):
        some = pairs[start : start + _CHUNK]
        equal = signatures[some // len(signatures)] == signatures[some % len(signatures)]
        kept.append(some[equal.mean(axis=1) >= _ESTIMATE])
    return np.concatenate(kept)


def _short_candidates(table: WordTable, n_train: int) -> _Pairs:
    """Short texts with the same words, or with the same ones but for one that may be misspelt: (P,), (P,)."""
    count = len(table.starts) - 1
    keys: list[int] = []
    owners: list[int] = []
    for text in np.flatnonzero((table.n_distinct > 0) & (table.n_distinct < FEW_WORDS)).tolist():
        own = list(_short_keys(table, text))
        keys += own
        owners += [text] * len(own)
    pairs = _sharing(np.array(keys, np.int64), np.array(owners, np.int64), n_train, count)
    return pairs // max(count, 1), pairs % max(count, 1)


def _short_keys(table: WordTable, text: int) -> Iterator[int]:
    sequence = [*table.half(text, 0).tolist(), _BETWEEN, *table.half(text, 1).tolist()]
    yield hash(tuple(sequence))
    for place, word in enumerate(sequence):
        if word != _BETWEEN and _may_be_misspelt(table.names[word]):
            yield hash((*sequence[:place], _MISSPELT - ord(table.names[word][0]), *sequence[place + 1 :]))


def _sharing(
    keys: NDArray[np.integer], owners: NDArray[np.int64], n_train: int, count: int | None = None
) -> NDArray[np.int64]:
    """Pairs of owners with a common key, ``earlier * count + later``, rising and each once.

    Each owner is paired with those up to eight places before it among the owners of its key, and those after the first
    ``n_train`` also with the last eight of these.
    """
    count = len(owners) if count is None else count
    order = np.lexsort((owners, keys))
    keys, owners = keys[order], owners[order]
    here = np.arange(len(order))
    last = np.maximum.accumulate(np.where(owners < n_train, here, -1))
    found = [np.empty(0, np.int64)]
    for back in range(_LOOK_BACK):
        for other in (here - 1 - back, np.where(owners >= n_train, last - back, -1)):
            place = np.maximum(other, 0)
            same = np.flatnonzero((other >= 0) & (keys[place] == keys) & (owners[place] < owners))
            found.append(owners[other[same]] * count + owners[same])
    return np.unique(np.concatenate(found))
