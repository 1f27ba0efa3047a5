"""Entities as character spans: read from the records of annotation tools, checked, and laid on words."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bothways.data.words import Span, word_spans
from bothways.errors import DataError

ENTITY_KEYS = ("entities", "spans", "labels", "label", "ner")
_START, _END = ("start", "start_offset"), ("end", "end_offset")
_LABEL = ("label", "labels", "entity_group", "type", "entity")


@dataclass(frozen=True, slots=True, order=True)
class EntitySpan:
    """Characters ``[start, end)`` of a text that are an entity."""

    start: int
    end: int
    label: str


def read_spans(values: Any, text: str, where: str) -> list[EntitySpan]:
    """Entities of a record: ``{"start", "end", "label"}`` or ``[start, end, label]`` each, in order of their place.

    Names of other tools are known too (``start_offset``, ``labels``, ``entity_group``). Offsets count characters
    (Unicode code points); where a record also has the ``text`` of an entity, it must agree, and offsets that only agree
    when counted in UTF-16, as browsers count, are converted. An entity that is there twice counts once.

    Raises:
        DataError: what is no entity, offsets outside the text, entities that overlap; with numbers.
    """
    if not isinstance(values, (list, tuple)):
        raise DataError(f"{where}: the entities are {values!r:.60}; expected a list.")
    spans = sorted({_span(value, text, where) for value in values})
    for one, other in zip(spans, spans[1:], strict=False):
        if other.start < one.end:
            raise DataError(
                f"{where}: the entities {_shown(one, text)} and {_shown(other, text)} overlap. One label a word can be "
                "learned; keep one of them."
            )
    return spans


def tag_words(text: str, spans: Sequence[EntitySpan]) -> tuple[list[Span], list[str], list[EntitySpan]]:
    """Divide a text into words and tag them in IOB2.

    A word that an entity begins or ends in is divided into its units (see ``word_spans``). An entity that begins or
    ends inside a unit cannot be said with tags of words: it is left out, and returned.

    Returns:
        The words, their tags, and the entities that fit no words.
    """
    edges = sorted({edge for span in spans for edge in (span.start, span.end)})
    words = [part for word in word_spans(text) for part in _divided(text, word, edges)]
    tags = ["O"] * len(words)
    left_out = []
    first = 0
    for span in spans:
        while first < len(words) and words[first][1] <= span.start:
            first += 1
        last = first
        while last < len(words) and words[last][0] < span.end:
            last += 1
        if first == last or words[first][0] < span.start or words[last - 1][1] > span.end:
            left_out.append(span)
            continue
        tags[first:last] = [f"B-{span.label}", *[f"I-{span.label}"] * (last - first - 1)]
    return words, tags, left_out


def units_of(text: str, words: Iterable[Span], tags: Iterable[str]) -> tuple[list[Span], list[str]]:
    """Divide words that carry IOB2 tags into their units: ``U.S.`` with B-LOC becomes ``U . S .`` with B I I I."""
    found: list[Span] = []
    labels: list[str] = []
    for word, tag in zip(words, tags, strict=True):
        parts = _units(text, word)
        found += parts
        inner = f"I-{tag[2:]}" if tag.startswith("B-") else tag
        labels += [tag, *[inner] * (len(parts) - 1)]
    return found, labels


def _divided(text: str, word: Span, edges: Sequence[int]) -> list[Span]:
    following = bisect_right(edges, word[0])
    is_cut = following < len(edges) and edges[following] < word[1]
    return _units(text, word) if is_cut else [word]


def _units(text: str, word: Span) -> list[Span]:
    parts = word_spans(text[word[0] : word[1]], joined=False)
    return [(word[0] + start, word[0] + end) for start, end in parts] or [word]


def _span(value: Any, text: str, where: str) -> EntitySpan:
    surface = None
    if isinstance(value, Mapping):
        start, end, label = (_first(value, names) for names in (_START, _END, _LABEL))
        surface = value.get("text")
    elif isinstance(value, (list, tuple)) and len(value) == 3:
        start, end, label = value
    else:
        start = end = label = None
    if isinstance(label, (list, tuple)) and len(label) == 1:
        label = label[0]
    numbers = all(isinstance(n, int) and not isinstance(n, bool) for n in (start, end))
    if not numbers or not isinstance(label, str) or not label.strip():
        raise DataError(
            f"{where}: {value!r:.80} is no entity; expected "
            '{"start": 0, "end": 5, "label": "PER"} or [0, 5, "PER"], with whole numbers and one label.'
        )
    if isinstance(surface, str) and text[start:end] != surface:
        start, end = _recounted(start, end, text, surface, where)
    if not 0 <= start < end <= len(text):
        raise DataError(
            f"{where}: the entity {label!r} has the characters {start} to {end}, but the text has {len(text):,}: "
            "expected 0 <= start < end <= length."
        )
    return EntitySpan(start, end, label.strip())


def _recounted(start: int, end: int, text: str, surface: str, where: str) -> Span:
    """Offsets in UTF-16 units as offsets in characters."""
    units = text.encode("utf-16-le", "surrogatepass")
    before = units[: 2 * max(start, 0)].decode("utf-16-le", "replace")
    inside = units[2 * max(start, 0) : 2 * max(end, 0)].decode("utf-16-le", "replace")
    if inside != surface:
        raise DataError(
            f"{where}: an entity is said to be {surface!r:.60}, but the characters {start} to {end} are "
            f"{text[max(start, 0) : max(end, 0)]!r:.60}. Export the offsets again for this very text."
        )
    return len(before), len(before) + len(inside)


def _first(value: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((value[name] for name in names if name in value), None)


def _shown(span: EntitySpan, text: str) -> str:
    return f"{text[span.start : span.end]!r:.40} ({span.label}, {span.start} to {span.end})"
