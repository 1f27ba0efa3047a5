"""Counting the words of training texts: exactly as the engine would cut every text, and many times faster.

Most texts can be cut at spaces before the engine sees them, with the same words as a result; then every distinct part
is normalised and cut once, however often it occurs, and many parts of equal count in one call. Where that is so:

- BERT's pre-tokeniser: at every space.
- Byte-level BPE: before white space that follows something else, because its pattern never joins the two.
- SentencePiece's ``▁``: between the words of printable ASCII, which no normaliser joins or divides. All other texts go
  through the engine as they are.

Memory is bounded by the number of distinct words. Beyond ``MAX_WORDS`` the counts go to a temporary file in sorted runs
and are merged at the end; then the rarest words are left out, by their total counts, so that the result depends neither
on the order of the texts nor on when memory was full.
"""

from __future__ import annotations

import heapq
import itertools
import json
import re
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tokenizers import Tokenizer, pre_tokenizers

from bothways.errors import TokenizerError
from bothways.tokenizers.engine import guarded

MAX_PARTS = 500_000  # distinct parts of texts that wait for the engine: about 60 MB
MAX_WORDS = 5_000_000  # distinct words: about 600 MB
_JOINED = 300  # parts in one call of the engine, whose time for a part grows with the length of the text

_WHITE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # \s of the engine's patterns, not Python's
_BYTE_LEVEL_PARTS = re.compile(f"[{_WHITE}]*[^{_WHITE}]+|[{_WHITE}]+")


def count_words(engine: Tokenizer, texts: Iterable[Any]) -> dict[str, int]:
    """The words that the normaliser and the pre-tokeniser of ``engine`` make of the texts, with their counts.

    An engine that does not cut texts (SentencePiece BPE) has them cut before each ``▁`` all the same, as SentencePiece
    does: pieces do not reach beyond a word.

    Args:
        engine: supplies the normaliser and the pre-tokeniser.
        texts: texts, or lists of texts.

    Returns:
        Words in alphabetical order.

    Raises:
        TokenizerError: something that is no text, or no word at all.
    """
    counter = WordCounter(engine)
    if isinstance(texts, str):
        raise TokenizerError("training texts must be several, such as a list of texts, and came as one str.")
    for entry in texts:
        for text in entry if isinstance(entry, Iterable) and not isinstance(entry, str) else [entry]:
            if not isinstance(text, str):
                raise TokenizerError(f"training texts must be str or lists of str, not {type(text).__name__}.")
            counter.add(text)
    return counter.words()


class WordCounter:
    """Counts the words of texts that come one by one.

    Args:
        engine: supplies the normaliser and the pre-tokeniser.
        max_parts, max_words: how many distinct ones are held in memory.
    """

    def __init__(self, engine: Tokenizer, *, max_parts: int = MAX_PARTS, max_words: int = MAX_WORDS) -> None:
        self._normalizer, self._splitter = engine.normalizer, _splitter_of(engine)
        self._part = _way_to_part(engine)
        self._prefix = ""
        if self._part is _part_byte_level:  # parts are not beginnings of texts: the prefix is put before those here
            self._prefix = " " if self._splitter.add_prefix_space else ""
            self._splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self._plain = _plain_words(engine, self._part)
        self._max_parts, self._max_words = max_parts, max_words
        self._spaced: Counter[str] = Counter()  # parts that a space precedes: they can be joined
        self._alone: Counter[str] = Counter()
        self._words: Counter[str] = Counter()
        self._runs: list[Any] = []
        self.n_left_out = 0

    def add(self, text: str) -> None:
        """Count the words of one text."""
        self._part(self, text)
        if len(self._spaced) + len(self._alone) > self._max_parts:
            self._flush()

    def words(self) -> dict[str, int]:
        """All words in alphabetical order; the counter must not be used any more.

        Raises:
            TokenizerError: there was none.
        """
        self._flush()
        if self._runs:
            return self._merged()
        if not self._words:
            raise TokenizerError("there is no word in the training texts.")
        return dict(sorted(self._words.items()))

    def _cut(self, text: str) -> list[str]:
        with guarded("a training text cannot be read"):
            if self._normalizer is not None:
                text = self._normalizer.normalize_str(text)
            return [piece for piece, _ in self._splitter.pre_tokenize_str(text) if piece and not piece.isspace()]

    def _flush(self) -> None:
        by_count: defaultdict[int, list[str]] = defaultdict(list)
        for part, times in self._spaced.items():
            if self._plain is not None and part.isascii() and part.isalpha():
                self._words[self._plain(part)] += times
            else:
                by_count[times].append(part)
        for times, parts in by_count.items():
            for start in range(0, len(parts), _JOINED):
                self._count(self._cut(" " + " ".join(parts[start : start + _JOINED])), times)
        for part, times in self._alone.items():
            self._count(self._cut(part), times)
        self._spaced.clear()
        self._alone.clear()
        if len(self._words) > self._max_words:
            self._runs.append(_written(self._words))
            self._words.clear()

    def _count(self, words: list[str], times: int) -> None:
        if times == 1:
            self._words.update(words)
            return
        for word in words:
            self._words[word] += times

    def _merged(self) -> dict[str, int]:
        """The totals of all runs: the most frequent words, about as many as fit; of equal ones those of low hashes."""
        self._runs.append(_written(self._words))
        self._words.clear()
        sizes: Counter[int] = Counter(total for _, total in _totals(self._runs))
        least, room = 0, self._max_words  # less than there are
        for least in sorted(sizes, reverse=True):
            if sizes[least] > room:
                break
            room -= sizes[least]
        highest = 2**32 * room // sizes[least]
        kept = {
            word: total
            for word, total in _totals(self._runs)
            if total > least or (total == least and zlib.crc32(word.encode("utf-8", "surrogatepass")) < highest)
        }
        self.n_left_out = sum(sizes.values()) - len(kept)
        return kept


def _splitter_of(engine: Tokenizer) -> Any:
    if engine.pre_tokenizer is not None and not _is_unsplit(engine.pre_tokenizer):
        return engine.pre_tokenizer
    cut = pre_tokenizers.Split("▁", "merged_with_next")
    return cut if engine.pre_tokenizer is None else pre_tokenizers.Sequence([engine.pre_tokenizer, cut])


def _is_unsplit(splitter: Any) -> bool:
    return isinstance(splitter, pre_tokenizers.Metaspace) and not splitter.split


def _way_to_part(engine: Tokenizer) -> Callable[[WordCounter, str], None]:
    normalizer = _state(engine.normalizer)
    splitter = _state(engine.pre_tokenizer)
    if splitter.get("type") == "BertPreTokenizer" and normalizer.get("type", "BertNormalizer") == "BertNormalizer":
        return _part_at_spaces
    if splitter.get("type") == "ByteLevel" and splitter.get("use_regex", True) and not normalizer:
        return _part_byte_level
    if splitter.get("type", "Metaspace") == "Metaspace" and _is_local(normalizer):
        return _part_ascii
    return _part_nothing


def _plain_words(engine: Tokenizer, way: Callable[[WordCounter, str], None]) -> Callable[[str], str] | None:
    """What becomes of a part of ASCII letters alone, where that is known; it saves most calls of the engine."""
    if way is _part_byte_level:
        return "Ġ".__add__
    if way is _part_at_spaces:
        return str.lower if _state(engine.normalizer).get("lowercase") else str
    return None


def _state(step: Any) -> dict[str, Any]:
    return {} if step is None else json.loads(step.__getstate__())


def _is_local(normalizer: dict[str, Any]) -> bool:
    """Whether the words of printable ASCII, with one space between them, are normalised each for itself."""
    kind = normalizer.get("type")
    if kind == "Sequence":
        return all(_is_local(step) for step in normalizer["normalizers"])
    if kind == "Replace":
        pattern = normalizer["pattern"]
        known = pattern in ({"Regex": " {2,}"}, {"String": " "})
        return known or " " not in pattern.get("String", " ") + normalizer["content"]
    if kind == "Strip":
        return not normalizer["strip_left"]
    return kind in (None, "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "StripAccents", "Precompiled")


def _part_at_spaces(counter: WordCounter, text: str) -> None:
    counter._spaced.update(text.split(" "))


def _part_byte_level(counter: WordCounter, text: str) -> None:
    if text and text[0] != " ":
        text = counter._prefix + text
    if text.isprintable() and "  " not in text and text[-1:] != " ":  # then its only white space are single spaces
        first, *rest = text.split(" ")
        counter._spaced.update(rest)
        if first:
            counter._alone[first] += 1
        return
    for part in _BYTE_LEVEL_PARTS.findall(text):
        if part[0] == " " and len(part) > 1 and part[1] != " " and part.isprintable():
            counter._spaced[part[1:]] += 1
        else:
            counter._alone[part] += 1


def _part_ascii(counter: WordCounter, text: str) -> None:
    if text.isascii() and text.isprintable() and "  " not in text and text[:1] != " " != text[-1:]:
        first, *rest = text.split(" ")
        counter._spaced.update(rest)
        if first:
            counter._alone[first] += 1
    else:
        _part_nothing(counter, text)


def _part_nothing(counter: WordCounter, text: str) -> None:
    counter._count(counter._cut(text), 1)


def _written(words: Counter[str]) -> Any:
    """The counts as sorted lines of a temporary file that vanishes with its last user."""
    file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", prefix="bothways-words-")  # noqa: SIM115
    for word in sorted(words):
        file.write(f"{json.dumps(word)}\t{words[word]}\n")
    return file


def _totals(runs: list[Any]) -> Iterator[tuple[str, int]]:
    for run in runs:
        run.seek(0)
    rows = heapq.merge(*(map(_row, run) for run in runs))
    for word, same in itertools.groupby(rows, key=lambda row: row[0]):
        yield word, sum(times for _, times in same)


def _row(line: str) -> tuple[str, int]:
    word, times = line.rsplit("\t", 1)
    return json.loads(word), int(times)
