"""What is odd in the characters of texts: bytes read in a wrong encoding, what cannot be seen, remains of HTML."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from bothways.evaluation.audit_findings import MOST_EXAMPLES, Finding, Level, Place
from bothways.evaluation.audit_parts import Entry, Part

# The bytes 0x80 to 0xBF as Windows-1252, or Latin-1 where that has none, reads them: the second and later bytes of a
# character in UTF-8.
_LATER = "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in range(0x80, 0xC0)) + "".join(
    map(chr, range(0x80, 0xA0))
)
_T = f"[{re.escape(_LATER)}]"
_MISREAD = re.compile(
    f"(?<![A-Z])[ÂÃ]{_T}"  # letters of Western Europe; a capital Portuguese word may end so before a quotation mark
    f"|(?:[Ä-Å]{_T}){{2}}|(?:[Î-Ñ]{_T}){{2}}|(?:[×ØÙ]{_T}){{2}}"  # Central Europe, Greek, Cyrillic, Hebrew, Arabic
    f"|â[€„\u0080\u0084]{_T}|ð[Ÿ\u0090-\u009f]{_T}{{2}}"  # quotation marks and dashes, emoji
    f"|(?:[à-ï]{_T}{{2}}){{2}}"  # Asia; one alone may be French, such as 'é' before '…”'
)
_REPLACED = re.compile("\ufffd")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# Bytes that are dashes and quotation marks in Windows-1252 and control characters in Latin-1; what ends
# a character in UTF-8 is not meant, nor is 0x85, which Unicode has for a new line.
_LATIN = re.compile(r"(?<![\x80-\xff€„])[\x80-\x84\x86-\x9f](?![\x80-\x9f])")
# Joiners belong to Persian, the scripts of India and emoji, and marks of direction to Hebrew and Arabic, so these
# count only between Latin letters.
_INVISIBLE = re.compile(
    "[\u00ad\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069\U000e0020-\U000e007f]|(?<=[a-zA-Z])[\u200c-\u200f]"
)
_TAGS = "a|abbr|b|blockquote|body|br|code|dd|div|dl|dt|em|font|form|h[1-6]|head|hr|html|i|iframe|img|input|li|link|meta"
_TAGS += "|nav|ol|option|p|pre|script|section|select|small|span|strong|style|sub|sup|table|tbody|td|th|title|tr|u|ul"
_HTML = re.compile(
    rf"</?(?:{_TAGS})(?:\s[^<>]{{0,500}})?/?>|&(?:amp|lt|gt|quot|apos|nbsp|[lr][sd]quo|[mn]dash|hellip|#\d{{2,6}}|#x[0-9a-f]{{2,5}});",
    re.IGNORECASE,
)
_AROUND = 12  # characters shown on both sides of what is odd

_Check = Callable[[str], "tuple[int, int] | None"]


def odd_texts(parts: Sequence[Part]) -> list[Finding]:
    """Findings about the characters of all texts."""
    entries = [entry for part in parts for entry in part.entries]
    total = len(entries)
    findings = []
    for kind, level, check, words in _CHECKS:
        count, examples = _search(entries, check)
        if count:
            sentence = words.format(texts=f"{count:,} of {total:,} texts", has="has" if count == 1 else "have")
            findings.append(Finding(kind=kind, level=level, count=count, sentence=sentence, examples=examples))
    return findings


def blank_texts(parts: Sequence[Part]) -> list[Finding]:
    """A finding about texts without anything to read, and pairs of which one text is blank."""
    left_out = sum(part.blank_texts for part in parts)
    blank = [
        e for part in parts for e in part.entries if not e.text.strip() or (e.pair is not None and not e.pair.strip())
    ]
    count = len(blank) + left_out
    if not count:
        return []
    rows = "1 row has" if count == 1 else f"{count:,} rows have"
    sentence = f"{rows} a blank text. Training leaves blank texts out, evaluation counts them: fill or remove them."
    examples = tuple((entry.place(),) for entry in blank[:MOST_EXAMPLES])
    return [Finding(kind="blank-texts", level="problem", count=count, sentence=sentence, examples=examples)]


def _search(entries: Sequence[Entry], check: _Check) -> tuple[int, tuple[tuple[Place, ...], ...]]:
    """How many texts a check objects to, and the first ones with what it objects to."""
    count = 0
    examples: list[tuple[Place, ...]] = []
    for entry in entries:
        for text in (entry.text, entry.pair):
            span = check(text) if text else None
            if text is None or span is None:
                continue
            count += 1
            if len(examples) < MOST_EXAMPLES:
                examples.append((entry.place(detail=_seen(text, span)),))
            break
    return count, tuple(examples)


def _seen(text: str, span: tuple[int, int]) -> str:
    """The place in a text, with what cannot be seen written as its number."""
    start, end = max(span[0] - _AROUND, 0), min(span[1] + _AROUND, span[0] + 100)
    return ascii(text[start:end]) if not text[span[0] : span[1]].isprintable() else repr(text[start:end])


def _found(pattern: re.Pattern[str], *, in_ascii: bool = False) -> _Check:
    def check(text: str) -> tuple[int, int] | None:
        if not in_ascii and text.isascii():
            return None
        match = pattern.search(text)
        return match.span() if match else None

    return check


def _decomposed(text: str) -> tuple[int, int] | None:
    """The first letter whose accent stands alone although Unicode has the accented letter."""
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return None
    for place, character in enumerate(text[1:]):
        if "\u0300" <= character <= "\u036f" and len(unicodedata.normalize("NFC", text[place : place + 2])) == 1:
            return place, place + 2
    return None


_CHECKS: tuple[tuple[str, Level, _Check, str], ...] = (
    (
        "misread-encoding",
        "problem",
        _found(_MISREAD),
        "{texts} {has} characters such as 'Ã©' for 'é': UTF-8 that was read as Windows-1252. Read the "
        "source again as UTF-8.",
    ),
    (
        "replacement-characters",
        "problem",
        _found(_REPLACED),
        "{texts} {has} replacement characters (U+FFFD): letters were lost when the source was read in a wrong "
        "encoding.",
    ),
    (
        "control-characters",
        "problem",
        _found(_CONTROL, in_ascii=True),
        "{texts} {has} control characters, which tokenisers drop or take for unknown words. Remove them.",
    ),
    (
        "misread-punctuation",
        "problem",
        _found(_LATIN),
        "{texts} {has} control characters such as U+0096 where a dash or a quotation mark was meant: Windows-1252 that "
        "was read as Latin-1. Read the source again as Windows-1252.",
    ),
    (
        "invisible-characters",
        "note",
        _found(_INVISIBLE),
        "{texts} {has} characters that cannot be seen (soft hyphens, zero-width spaces, marks of direction), which "
        "divide words for the tokeniser. Remove them unless the texts to come have them too.",
    ),
    (
        "decomposed-accents",
        "note",
        _decomposed,
        "{texts} {has} accents as characters of their own (NFD), so that equal words may be two. Normalise to NFC.",
    ),
    (
        "html",
        "note",
        _found(_HTML, in_ascii=True),
        "{texts} {has} remains of HTML, such as '<br />' or '&amp;'. Remove them unless the texts to come have "
        "them too.",
    ),
)
