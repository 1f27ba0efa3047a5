"""What a reader sees as one character, so that no mark begins inside a letter with accents, an emoji or a flag.

Source: Unicode Standard Annex 29, section 3.1.1, extended grapheme clusters. Where a rule needs a property that Python
does not know (which symbols are pictographs, which vowels are prefixed), more is held together here, never less.
"""

from __future__ import annotations

import unicodedata

_JOINER, _NON_JOINER = "\u200d", "\u200c"
_PREPENDED = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e") | frozenset(
    map(
        chr, (0x110BD, 0x110CD, 0x111C2, 0x111C3, 0x1193F, 0x11941, 0x11A3A, *range(0x11A84, 0x11A8A), 0x11D46, 0x11F02)
    )
)
_EXTENDING = frozenset("\u0e33\u0eb3\uff9e\uff9f") | frozenset(
    map(chr, (*range(0x1F3FB, 0x1F400), *range(0xE0020, 0xE0080)))
)
_FARTHEST = 128
"""Characters looked at on either side: thirty marks on a letter are the most that a stream-safe text has (UAX 15)."""
_VIRAMA = 9  # canonical combining class of the sign that joins two consonants


def widened(text: str, start: int, end: int) -> tuple[int, int]:
    """The smallest run of whole clusters with the characters ``[start, end)``.

    Example: in ``"e\\u0301a"`` the span (1, 2), which is the accent alone, gives (0, 2).
    """
    first, last = max(0, start - _FARTHEST), min(len(text), end + _FARTHEST)
    while start > first and not is_boundary(text, start):
        start -= 1
    while end < last and not is_boundary(text, end):
        end += 1
    return start, end


def is_boundary(text: str, place: int) -> bool:
    """Whether a cluster may end before the character at ``place``; both ends of the text are boundaries."""
    if place <= 0 or place >= len(text):
        return True
    before, after = text[place - 1], text[place]
    if before < "\x7f" and after < "\x7f":
        return not (before == "\r" and after == "\n")
    if _is_control(before) or _is_control(after):
        return True
    if _extends(after) or before in _PREPENDED or _is_hangul_pair(before, after):
        return False
    if _is_flag(before) and _is_flag(after):
        return _flags_before(text, place) % 2 == 0
    if before == _JOINER and unicodedata.category(after)[0] == "S":
        return False
    return not (unicodedata.category(after) == "Lo" and _after_virama(text, place))


def _is_control(character: str) -> bool:
    category = unicodedata.category(character)
    if category in ("Cc", "Zl", "Zp"):
        return True
    return category == "Cf" and not (_extends(character) or character in _PREPENDED)


def _extends(character: str) -> bool:
    if character in (_JOINER, _NON_JOINER) or character in _EXTENDING:
        return True
    return unicodedata.category(character)[0] == "M"


def _is_hangul_pair(before: str, after: str) -> bool:
    first, second = ord(before), ord(after)
    vowel_or_end = 0x1160 <= second <= 0x11FF or 0xD7B0 <= second <= 0xD7FF
    lead = 0x1100 <= first <= 0x115F or 0xA960 <= first <= 0xA97F
    syllable = 0xAC00 <= first <= 0xD7FF or 0x1100 <= first <= 0x11FF or 0xA960 <= first <= 0xA97F
    follows_lead = 0xAC00 <= second <= 0xD7FF or 0x1100 <= second <= 0x11FF or 0xA960 <= second <= 0xA97F
    return (lead and follows_lead) or (syllable and vowel_or_end)


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flags_before(text: str, place: int) -> int:
    """How many letters of flags stand directly before ``place``; two make one flag."""
    first, least = place, max(0, place - _FARTHEST)
    while first > least and _is_flag(text[first - 1]):
        first -= 1
    endless = first > 0 and _is_flag(text[first - 1])
    return place if endless else place - first  # of an endless run any pairs will do, as long as they stay the same


def _after_virama(text: str, place: int) -> bool:
    """Whether the marks directly before ``place`` have a sign that joins consonants."""
    least = max(0, place - _FARTHEST)
    while place > least and _extends(text[place - 1]):
        place -= 1
        if unicodedata.combining(text[place]) == _VIRAMA:
            return True
    return False
