"""Spans in a text as what opens, is written and closes: the order in which a page or a terminal draws them.

Spans may lie in one another and cross. Nothing here knows HTML or colours; offsets count code points, and no cluster of
characters that a reader sees as one is divided.

Shapes: M marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bothways.errors import InputError
from bothways.evaluation.graphemes import is_boundary, widened
from bothways.metrics.tag_schemes import split_tag

WHOLE_TEXT = 3_000
"""Characters up to which a text is shown whole."""
SURROUNDINGS = 160
"""Characters that are shown on either side of a mark in a longer text."""
MARKS_SHOWN = 400
DEPTH_SHOWN = 6
"""Marks over the same characters that are drawn; an eighth frame around a word helps nobody."""
_WORD_SEARCH = 24

_LABEL_KEYS = ("entity_group", "entity", "label", "type")


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Characters ``[start, end)`` with a name.

    Attributes:
        score: between 0 and 1; None where nobody gave one.
        verdict: ``"right"`` or ``"wrong"`` beside another source, None without one.
    """

    start: int
    end: int
    label: str
    score: float | None = None
    verdict: Literal["right", "wrong"] | None = None

    @property
    def kind(self) -> str:
        """The label without the prefix of a tag scheme: ``B-PER`` is a ``PER``."""
        return split_tag(self.label)[1] or self.label


@dataclass(frozen=True, slots=True)
class Part:
    """One step of drawing.

    Attributes:
        what: ``"open"`` and ``"close"`` a mark, ``"text"``, or a ``"gap"`` in the place of text that is left out.
        start, end: characters of a text or a gap.
        mark: of what is opened or closed.
        whole: whether the mark begins (open) or ends (close) here, and is not only divided by one that it crosses.
    """

    what: Literal["open", "close", "text", "gap"]
    start: int
    end: int
    mark: Mark | None = None
    whole: bool = True


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A text ready to be drawn.

    Attributes:
        parts: in their order.
        shown: the marks that are drawn.
        n_marks: how many there are.
        n_left_out: characters in gaps.
    """

    text: str
    parts: tuple[Part, ...]
    shown: tuple[Mark, ...]
    n_marks: int
    n_left_out: int


def read_marks(text: str, entities: Sequence[Any]) -> tuple[Mark, ...]:
    """Entities in any of their forms as marks, in order of their places; the ones around others first.

    Args:
        text: what the offsets are of.
        entities: a pipeline's dictionaries (``start``, ``end``, and ``entity_group``, ``entity``, ``label`` or
            ``type``; perhaps ``score``), objects with these attributes, or tuples (start, end, label). They may
            overlap. What covers no character is left out.

    Raises:
        InputError: an entity without place or name, or outside the text; with its number.
    """
    marks = [_read(text, entity, number) for number, entity in enumerate(entities)]
    return tuple(sorted((m for m in marks if m.start < m.end), key=lambda m: (m.start, -m.end, m.label)))


def judged(marks: Sequence[Mark], others: Sequence[Mark]) -> tuple[Mark, ...]:
    """The marks, each with whether the other source has the same one: same characters, same kind."""
    known = {(mark.start, mark.end, mark.kind) for mark in others}
    return tuple(replace(m, verdict="right" if (m.start, m.end, m.kind) in known else "wrong") for m in marks)


def draw(text: str, marks: Sequence[Mark], *, most_marks: int = MARKS_SHOWN) -> Drawing:
    """What to draw, in its order.

    A text above ``WHOLE_TEXT`` characters is shown around its marks only. Of more than ``most_marks`` marks the first
    are shown, and of marks over the same characters the outer ``DEPTH_SHOWN``.

    Args:
        marks: sorted as ``read_marks`` gives them.
    """
    shown = _drawable(text, marks, most_marks)
    shorten = len(text) > WHOLE_TEXT
    parts: list[Part] = []
    opened: list[Mark] = []
    edges = sorted({0, len(text), *(m.start for m in shown), *(m.end for m in shown)})
    waiting = iter([*shown, None])
    coming = next(waiting)
    for number, place in enumerate(edges):
        opened, steps = _closed(opened, place)
        parts += steps
        while coming is not None and coming.start == place:
            opened.append(coming)
            parts.append(Part("open", place, place, coming))
            coming = next(waiting)
        if number + 1 < len(edges):
            stop = edges[number + 1]
            sides = (place > 0 or bool(opened), stop < len(text) or bool(opened))
            parts += _run(text, place, stop, *sides) if shorten else [Part("text", place, stop)]
    left_out = sum(part.end - part.start for part in parts if part.what == "gap")
    return Drawing(text=text, parts=tuple(parts), shown=tuple(shown), n_marks=len(marks), n_left_out=left_out)


def _read(text: str, entity: Any, number: int) -> Mark:
    start: Any
    end: Any
    label: Any
    score: Any = None
    if isinstance(entity, Mapping):
        start, end, score = entity.get("start"), entity.get("end"), entity.get("score")
        label = next((entity[key] for key in _LABEL_KEYS if entity.get(key) is not None), None)
    elif isinstance(entity, (tuple, list)) and len(entity) == 3:
        start, end, label = entity
    else:
        start, end, score = (getattr(entity, name, None) for name in ("start", "end", "score"))
        label = next((v for key in _LABEL_KEYS if (v := getattr(entity, key, None)) is not None), None)
    if not (_is_whole(start) and _is_whole(end)) or label is None:
        raise InputError(
            f"entity {number} is {entity!r:.80}; expected start, end and a label: a dictionary of the pipeline, or "
            "(start, end, label)."
        )
    start, end = int(start), int(end)
    if not 0 <= start <= end <= len(text):
        raise InputError(
            f"entity {number} covers the characters {start} to {end}, but the text has {len(text)}. Offsets count "
            "Unicode code points; is it the entity of another text?"
        )
    return Mark(start=start, end=end, label=str(label), score=None if score is None else float(score))


def _is_whole(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _drawable(text: str, marks: Sequence[Mark], most: int) -> list[Mark]:
    """The marks that are drawn, on whole clusters, the outer ones first."""
    wide = []
    for mark in marks[:most]:
        start, end = widened(text, mark.start, mark.end)
        wide.append(replace(mark, start=start, end=end))
    kept: list[Mark] = []
    ends: list[int] = []
    for mark in sorted(wide, key=lambda m: (m.start, -m.end)):
        ends = [end for end in ends if end > mark.start]
        if len(ends) < DEPTH_SHOWN:
            ends.append(mark.end)
            kept.append(mark)
    return kept


def _closed(opened: list[Mark], place: int) -> tuple[list[Mark], list[Part]]:
    """Close what ends at ``place``; what lies inside it and goes on is closed and opened again."""
    first = next((i for i, mark in enumerate(opened) if mark.end <= place), len(opened))
    parts = [Part("close", place, place, mark, mark.end <= place) for mark in reversed(opened[first:])]
    going_on = [mark for mark in opened[first:] if mark.end > place]
    parts += [Part("open", place, place, mark, False) for mark in going_on]
    return [*opened[:first], *going_on], parts


def _run(text: str, start: int, stop: int, before: bool, after: bool) -> Iterator[Part]:
    """Text between two edges; its middle is left out if it is long. Text is kept on the sides that touch a mark."""
    head = _cut(text, start, start + SURROUNDINGS, forward=True) if before else start
    tail = _cut(text, stop - SURROUNDINGS, stop, forward=False) if after else stop
    if not (before or after):
        head = _cut(text, start, start + SURROUNDINGS, forward=True)  # a long text without any mark: its beginning
    if tail - head <= SURROUNDINGS // 2:
        yield Part("text", start, stop)
        return
    if head > start:
        yield Part("text", start, head)
    yield Part("gap", head, tail)
    if tail < stop:
        yield Part("text", tail, stop)


def _cut(text: str, low: int, high: int, *, forward: bool) -> int:
    """A place near the outer end of ``[low, high)`` where no word is divided, or at least no cluster."""
    place = min(high, len(text)) if forward else max(low, 0)
    for distance in range(_WORD_SEARCH):
        near = place - distance if forward else place + distance
        blank = 0 < near < len(text) and text[near - 1 if forward else near].isspace()
        if blank and is_boundary(text, near):
            return near
    return widened(text, place, place)[0 if forward else 1]
