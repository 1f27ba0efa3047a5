"""A text as units that can be taken out, words or sentences, and the text without some of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from bothways.data.words import Span, word_spans
from bothways.errors import InputError
from bothways.evaluation.graphemes import widened
from bothways.tasks.sentences import split_sentences

WORDS_EACH = 100
"""Words up to which each is taken out by itself."""
MOST_WORDS = 1_000
BETWEEN = " ‖ "
"""Between the texts of a pair, where they are shown as one."""
PASSAGES = 40
"""Sentences or passages that a longer text is divided into, at most."""

UnitName = Literal["word", "sentence", "passage"]


@dataclass(frozen=True, kw_only=True)
class Units:
    """A text and its units.

    Attributes:
        name: what they are; a passage is several sentences, or several words of a text without sentences.
        spans: characters of each, rising, without overlap; no cluster of characters is divided.
    """

    text: str
    name: UnitName
    spans: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.spans)

    def inputs(self, texts: Sequence[str]) -> list[Any]:
        """Such texts as a pipeline takes them."""
        return list(texts)

    def without(self, removed: Collection[int]) -> str:
        """The text without these units. Between what remains stands one of the separators that stood there.

        Example: ``"not bad, really"`` without 1 (``bad``) and 2 (the comma) is ``"not really"``.
        """
        separators = self._separators
        kept = [i for i in range(len(self.spans)) if i not in removed]
        if not kept:
            return ""
        pieces = [separators[0] if kept[0] == 0 else ""]
        for before, unit in zip([None, *kept], kept, strict=False):
            if before is not None:
                pieces.append(separators[unit] or separators[before + 1])
            pieces.append(self.text[slice(*self.spans[unit])])
        if kept[-1] == len(self.spans) - 1:
            pieces.append(separators[-1])
        return "".join(pieces)

    @cached_property
    def _separators(self) -> list[str]:
        """What stands before, between and after the units."""
        edges = [0, *(place for span in self.spans for place in span), len(self.text)]
        return [self.text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]


@dataclass(frozen=True, kw_only=True)
class PairUnits(Units):
    """Two texts with ``BETWEEN`` between them; the units of each side are taken out of their own text."""

    sides: tuple[Units, Units]

    def inputs(self, texts: Sequence[str]) -> list[Any]:
        sides = (text.partition(BETWEEN) for text in texts)
        return [{"text": first, "text_pair": second} for first, _, second in sides]

    def without(self, removed: Collection[int]) -> str:
        first, second = self.sides
        own = {i for i in removed if i < len(first)}
        others = {i - len(first) for i in removed if i >= len(first)}
        return BETWEEN.join(side.without(out) if out else side.text for side, out in ((first, own), (second, others)))


def pair_units_of(first: str, second: str, unit: str | None = None) -> PairUnits:
    """Divide both texts of a pair, in the same way; as ``units_of``."""
    first = first.replace(BETWEEN, " | ")  # so that what is between them is told apart
    if unit is None:
        unit = "word" if len(word_spans(first)) + len(word_spans(second)) <= WORDS_EACH else "sentence"
    empty = Units(text=first, name="word", spans=()), Units(text=second, name="word", spans=())
    sides = [
        units_of(text, unit) if word_spans(text) else none for text, none in zip((first, second), empty, strict=True)
    ]
    shift = len(first) + len(BETWEEN)
    spans = (*sides[0].spans, *((start + shift, end + shift) for start, end in sides[1].spans))
    if not spans:
        raise InputError(f"the texts {first!r:.40} and {second!r:.40} have no words, so there is nothing to explain.")
    name = next(side.name for side in sorted(sides, key=lambda side: -len(side)))
    return PairUnits(text=f"{first}{BETWEEN}{second}", name=name, spans=spans, sides=(sides[0], sides[1]))


def units_of(text: str, unit: str | None = None) -> Units:
    """Divide a text.

    Args:
        unit: ``"word"`` or ``"sentence"``; None for words up to ``WORDS_EACH`` of them, else sentences.

    Raises:
        InputError: a text without words, too many words for one each, or another unit.
    """
    if unit not in (None, "word", "sentence"):
        raise InputError(f"unit is {unit!r}; expected 'word', 'sentence', or None for what suits the text.")
    words = _whole_clusters(text, word_spans(text))
    if not words:
        raise InputError(f"the text {text!r:.60} has no words, so there is nothing to explain.")
    if unit == "word" and len(words) > MOST_WORDS:
        raise InputError(
            f"the text has {len(words):,} words, and each would be one more text to read; at most {MOST_WORDS:,}. "
            "Use unit='sentence', or a part of the text."
        )
    if unit == "word" or (unit is None and len(words) <= WORDS_EACH):
        return Units(text=text, name="word", spans=tuple(words))
    sentences = split_sentences(text).spans
    if unit == "sentence" or len(sentences) > 3:
        joined = _grouped(sentences, PASSAGES)
        name: UnitName = "sentence" if len(joined) == len(sentences) else "passage"
        return Units(text=text, name=name, spans=tuple(joined))
    return Units(text=text, name="passage", spans=tuple(_grouped(words, PASSAGES)))


def _whole_clusters(text: str, spans: Sequence[Span]) -> list[Span]:
    """Spans widened to whole clusters; the parts of one cluster become one."""
    found: list[Span] = []
    for start, end in spans:
        start, end = widened(text, start, end)
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _grouped(spans: Sequence[Span], most: int) -> list[Span]:
    """Neighbours joined, so that at most ``most`` spans remain, of as nearly equal numbers as possible."""
    count = min(most, len(spans))
    edges = [round(i * len(spans) / count) for i in range(count + 1)]
    return [(spans[a][0], spans[b - 1][1]) for a, b in zip(edges, edges[1:], strict=False)]
