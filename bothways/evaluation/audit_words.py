"""The words of many texts as numbers, for comparing texts with each other."""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bothways.evaluation.audit_parts import Entry
from bothways.progress import progress_bar

# Chinese, Japanese, Thai, Lao, Burmese and Khmer are written without spaces: there a letter counts as a word.
_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# Vowel signs and accents are no letters to ``\w`` and yet part of words.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u0670\u0900-\u0963\u0966-\u0dff"
# Emoji and smileys, which often carry the label: "great :)" and "great :(" are two texts.
_SIGNS = "\u2600-\u27bf\U0001f000-\U0001faff"
_WORD = re.compile(rf"[{_ALONE}{_SIGNS}]|[:;=]['-]?[()DP|/](?!\w)|(?:(?![{_ALONE}])[\w{_MARKS}])+")
_PLAIN_WORD = re.compile(r"[:;=]['-]?[()dp|/](?!\w)|\w+")

_STEP = 1_000  # texts between two looks at the progress


@dataclass(frozen=True, kw_only=True)
class WordTable:
    """Words of D texts, each a text or a pair.

    Attributes:
        names: the words by their numbers.
        words: int32, all words in their order, text after text, of each text both halves.
        bounds: int64 (2 D + 1,): half h of text d is ``words[bounds[2 d + h] : bounds[2 d + h + 1]]``.
        distinct: int64, of each text its distinct words, ``2 * number + half``.
        starts: int64 (D + 1,): text d has ``distinct[starts[d] : starts[d + 1]]``.
    """

    names: list[str]
    words: NDArray[np.int32]
    bounds: NDArray[np.int64]
    distinct: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def n_distinct(self) -> NDArray[np.int64]:
        """Distinct words of each text, (D,)."""
        return np.diff(self.starts)

    def half(self, text: int, which: int) -> NDArray[np.int32]:
        """The words of one half of a text, in their order."""
        return self.words[self.bounds[2 * text + which] : self.bounds[2 * text + which + 1]]


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation.

    Compatibility forms are one (NFKC), so that "café" is one word whether its accent is a letter's or stands alone.
    """
    if text.isascii():
        return _PLAIN_WORD.findall(text.lower())
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def word_table(entries: Sequence[Entry]) -> WordTable:
    """Number the words of all texts."""
    numbers: dict[str, int] = {}
    words = array("i")
    distinct = array("i")
    bounds, ends = [0], [0]  # after each half
    with progress_bar("Comparing texts", len(entries)) as advance:
        for number, entry in enumerate(entries, 1):
            for text in (entry.text, entry.pair or ""):
                ids = [numbers.setdefault(word, len(numbers)) for word in words_of(text)]
                words.extend(ids)
                bounds.append(len(words))
                distinct.extend(set(ids))
                ends.append(len(distinct))
            if number % _STEP == 0:
                advance(_STEP)
    halves = np.repeat(np.arange(len(ends) - 1) % 2, np.diff(ends))
    return WordTable(
        names=list(numbers),
        words=np.array(words, np.int32),
        bounds=np.array(bounds, np.int64),
        distinct=2 * np.array(distinct, np.int64) + halves,
        starts=np.array(ends[::2], np.int64),
    )


def one_letter_apart(one: str, other: str) -> bool:
    """Whether a letter inserted, deleted or replaced, or two neighbours exchanged, make one word the other.

    False for equal words. Source: Damerau 1964.
    """
    if len(one) > len(other):
        one, other = other, one
    if len(other) - len(one) > 1 or one == other:
        return False
    first = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    if len(one) < len(other):
        return one[first:] == other[first + 1 :]
    exchanged = one[first : first + 2] == other[first : first + 2][::-1] and one[first + 2 :] == other[first + 2 :]
    return exchanged or one[first + 1 :] == other[first + 1 :]
