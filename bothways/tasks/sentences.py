"""A text as sentences and what stands between them, so that nothing is lost: joining both gives the text back.

The rules know no language: marks that end sentences, and the places where such a mark ends none (abbreviations,
initials, numbers, a small letter after it). Where rules cannot tell, a text is left in one piece: two sentences that
are read together do no harm, half a sentence does.

Shapes: S sentences.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bothways.errors import InputError

LINE_BREAKS = ("auto", "always", "never")
"""Whether a line break ends a sentence. auto: unless the next line goes on with a small letter, or the line ends with
a comma or hyphen, as lines of one paragraph do. A blank line always does."""


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


# Words before a full stop that does not end a sentence; without the stop, in small letters.
ABBREVIATIONS = _words(
    "mr mrs ms dr prof st mt ft rev hon gen col maj capt lt sgt cmdr adm gov sen rep pres messrs mme mlle mm",
    "vs e.g i.e viz al approx dept eds bzw ggf evtl vgl z.b d.h u.a z.t o.ä s.o s.u str hr fr hrn dipl ing inkl exkl",
    "p.ex c.-à-d env sr sra srta dña ud uds sig dott avv",
    "\u0443\u043b \u0433\u0433 \u0434\u0440 \u0442.\u0435 \u0442.\u043a",
)
# The same where a number follows.
BEFORE_NUMBERS = _words(
    "no nos nr fig figs eq eqs vol vols pp ch chap sec sect art p par abb kap bd abs ca cf v tel max min",
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun",
)
_ENDS = ".!?\u2026\u203c\u2047\u2048\u2049\u037e\u061f\u06d4\u0589\u0964\u0965\u1362\u1367\u104a\u104b\u17d4"
_WIDE_ENDS = "\u3002\uff01\uff1f\uff0e\uff61"  # no space follows these
_CLOSERS = "\"'\u2019\u201d\u00bb\u203a)]}\u300d\u300f\u3011\uff09\u300b\u3009\u201c"
_OPENERS = (
    "\"'\u2018\u201c\u201e\u201a\u00ab\u2039([{\u300c\u300e\u3010\uff08\u300a\u3008\u00bf\u00a1*_#-\u2013\u2014\u2022"
)
_BREAKS = "\n\r\x0b\x0c\x85\u2028\u2029"
_WIDE_CLOSERS = _CLOSERS.replace("\u201c", "")  # which opens a quotation there
_MARK = re.compile(
    f"(?P<wide>[{re.escape(_ENDS + _WIDE_ENDS)}]*[{_WIDE_ENDS}][{re.escape(_WIDE_CLOSERS)}]*)"
    f"|[{re.escape(_ENDS)}]+(?:[ \u00a0]\\.(?![0-9]))*"  # also the spaced ellipsis
    f"[{re.escape(_CLOSERS)}]*(?:\\[[0-9]{{1,4}}\\])*"  # quotes, brackets and the numbers of notes
    f"|\r\n|[{_BREAKS}]"
)
_LONGEST_WORD = 24  # characters looked at before a full stop


@dataclass(frozen=True)
class SentenceSplit:
    """A text and where its sentences are.

    Attributes:
        text: as it was given.
        spans: start and end of each of the S sentences, rising, none blank, without white space around them.
    """

    text: str
    spans: tuple[tuple[int, int], ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The S texts."""
        return tuple(self.text[start:end] for start, end in self.spans)

    @property
    def separators(self) -> tuple[str, ...]:
        """The S + 1 pieces of white space before, between and after the sentences, any of which may be empty."""
        edges = [0, *(place for span in self.spans for place in span), len(self.text)]
        return tuple(self.text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True))

    def joined(self, sentences: Sequence[str]) -> str:
        """Other sentences, for instance translations, with what stood between the original ones.

        Between sentences that had nothing between them a space is put where the new ones need one.

        Raises:
            InputError: not as many as there are.
        """
        if len(sentences) != len(self.spans):
            raise InputError(f"{len(sentences)} sentences for a text of {len(self.spans)}; expected as many.")
        own, separators = self.sentences, list(self.separators)
        for i in range(1, len(own)):
            changed = sentences[i - 1] != own[i - 1] or sentences[i] != own[i]
            if changed and not separators[i] and _needs_space(sentences[i - 1], sentences[i]):
                separators[i] = " "
        return separators[0] + "".join(s + after for s, after in zip(sentences, separators[1:], strict=True))


def split_sentences(
    text: str, *, line_breaks: str = "auto", abbreviations: Collection[str] = ABBREVIATIONS
) -> SentenceSplit:
    """Divide a text into sentences, with exact places.

    Args:
        text: any text, also a blank one, which has no sentence.
        line_breaks: one of ``LINE_BREAKS``.
        abbreviations: words without their last stop, in small letters, that never end a sentence.

    Raises:
        InputError: another value of ``line_breaks``.

    Example: ``'Dr. No came at 3.15. "Hi!" he said.'`` -> ``'Dr. No came at 3.15.'``, ``'"Hi!" he said.'``.
    """
    if line_breaks not in LINE_BREAKS:
        raise InputError(f"line_breaks is {line_breaks!r}; expected one of {', '.join(map(repr, LINE_BREAKS))}.")
    ends: list[int] = []
    start = 0
    for match in _MARK.finditer(text):
        if match[0][0] in _BREAKS:
            ending = _line_ends(text, match.start(), match.end(), line_breaks)
        else:
            ending = _mark_ends(text, start, match, abbreviations)
        if ending:
            ends.append(match.end())
            start = match.end()
    ends.append(len(text))
    spans = []
    start = 0
    for end in ends:
        sentence = text[start:end]
        if stripped := sentence.strip():
            first = start + len(sentence) - len(sentence.lstrip())
            spans.append((first, first + len(stripped)))
        start = end
    return SentenceSplit(text, tuple(spans))


def _line_ends(text: str, start: int, end: int, line_breaks: str) -> bool:
    """Whether a line break, ``text[start:end]``, ends a sentence."""
    rest = end
    while rest < len(text) and text[rest].isspace():
        if text[rest] in _BREAKS:
            return True  # a blank line; one that is met before is found again at its second break
        rest += 1
    if line_breaks != "auto":
        return line_breaks == "always"
    return not (text[rest : rest + 1].islower() or text[start - 1 : start] in (",", "-", "\u00ad"))


def _mark_ends(text: str, start: int, match: re.Match[str], abbreviations: Collection[str]) -> bool:
    """Whether a mark ends the sentence that begins at ``start``."""
    end = match.end()
    following = text[end : end + 1]
    if match["wide"]:
        closed = match[0][-1] not in _WIDE_ENDS
        return not closed or not following or following.isspace() or following in _OPENERS
    if following and not following.isspace():
        return False
    if _next(text, end).islower():  # what was before is no whole sentence
        return False
    if match[0].rstrip(_CLOSERS) != ".":
        return True
    word = _word_before(text, start, match.start())
    if word.lower() in abbreviations or (word.lower() in BEFORE_NUMBERS and _next(text, end).isdigit()):
        return False
    if len(word) == 1 or (len(word) > 1 and word[-2] == "."):  # an initial, or the last of U.S.
        return word[-1].upper() == word[-1].lower() and not word[-1].isdigit()
    return not (word.isdigit() and len(word) <= 2)  # 3. Oktober, or the number of a list


def _next(text: str, place: int) -> str:
    """The first character of the next word in the line; "" where the line ends before, for its own rule to decide."""
    while place < len(text) and (text[place].isspace() or text[place] in _OPENERS):
        if text[place] in _BREAKS:
            return ""
        place += 1
    return text[place : place + 1]


def _word_before(text: str, start: int, place: int) -> str:
    """The characters before ``place`` up to a space."""
    word = text[max(start, place - _LONGEST_WORD) : place].split()
    return word[-1].lstrip(_OPENERS) if word and not text[place - 1].isspace() else ""


def _needs_space(before: str, after: str) -> bool:
    return (
        bool(before and after) and before[-1] not in _WIDE_ENDS and not before[-1].isspace() and not after[0].isspace()
    )
