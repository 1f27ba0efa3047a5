"""What a word is in a text that nobody divided into words: one rule for training and for prediction."""

from __future__ import annotations

import re
import unicodedata

Span = tuple[int, int]
"""Characters ``[start, end)`` of a text."""

CLITICS = frozenset({"s", "m", "d", "ll", "re", "ve"})
"""What follows an apostrophe without belonging to the word before it: ``Anna's``, ``Anna'll``."""

_JOINERS = {".": ".", "'": "'", "’": "'", "&": "&", "-": "-", "\u2010": "-", "\u2011": "-"}
_UNIT = re.compile(r"w[wx]*|[cp.'&-]x*")
# as BERT's tokeniser separates them (google-research/bert, tokenization.py: _is_chinese_char)
_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)


def word_spans(text: str, *, joined: bool = True) -> list[Span]:
    """Divide a text into words.

    A unit is a run of letters and digits with their marks, one CJK ideograph, or one other visible character. A word is
    a unit, or several that touch and are joined:

    - by ``.``, ``&``, ``-`` or an apostrophe with letters or digits on both sides, as in ``AT&T``, ``10-year``,
      ``O'Brien``; but not before a clitic (``Anna's`` is ``Anna ' s``);
    - the full stop after a single letter, if the word is an abbreviation with more of them (``U.S.``) or a capitalised
      word follows (``J. Smith``). Other final punctuation stays apart.

    White space and characters that show nothing are in no word, except inside one.

    Args:
        text: any text.
        joined: False leaves all units apart.

    Returns:
        Character spans, rising, without overlap. Every word is a whole number of units.

    Example: ``Anna's U.S.-made AT&T box.`` -> ``Anna ' s U.S.-made AT&T box .``
    """
    kinds = text.translate(_KINDS)
    words: list[Span] = []
    for match in _UNIT.finditer(kinds):
        start, end = match.span()
        if joined and words and words[-1][1] == start and _continues(text, kinds, words[-1], start, end):
            words[-1] = (words[-1][0], end)
        else:
            words.append((start, end))
    return words


def _continues(text: str, kinds: str, word: Span, start: int, end: int) -> bool:
    """Whether the unit ``[start, end)`` belongs to the word that ends where the unit begins."""
    kind = kinds[start]
    if kinds[word[0]] != "w" or kind in "cp":
        return False
    before = kinds[start - 1]
    if kind == "w":
        return before in ".'&-"  # a mark is in the word only if something may follow it
    if before not in "wx.":
        return False
    follower = _UNIT.match(kinds, end)
    if follower and kinds[end] == "w":
        return kind != "'" or text[slice(*follower.span())].casefold() not in CLITICS
    return kind == "." and _abbreviates(text, kinds, word, end)


def _abbreviates(text: str, kinds: str, word: Span, end: int) -> bool:
    """Whether the full stop at ``end - 1`` follows a single letter that it abbreviates."""
    letter = end - 2
    if not text[letter].isalpha() or (letter > word[0] and kinds[letter - 1] != "."):
        return False
    if letter > word[0]:
        return True
    rest = text[end : end + 8].lstrip()
    return text[letter].isupper() and text[end : end + 1].isspace() and rest[:1].isupper()


def _kind(character: str) -> str:
    """w letter or digit, x part of the sign before it, c ideograph, p other visible character, a joiner, or blank."""
    if character in _JOINERS:
        return _JOINERS[character]
    if character.isspace():
        return " "
    code = ord(character)
    if any(low <= code <= high for low, high in _IDEOGRAPHS):
        return "c"
    category = unicodedata.category(character)
    if category[0] in "LN":
        return "w"
    return "x" if category[0] == "M" or category in ("Cf", "Cc") else "p"


class _Kinds(dict[int, str]):
    """A table for ``str.translate`` that is filled as characters are met."""

    def __missing__(self, code: int) -> str:
        kind = self[code] = _kind(chr(code))
        return kind


_KINDS = _Kinds()
