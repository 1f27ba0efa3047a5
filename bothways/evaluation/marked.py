"""Some mistakes about places in texts, entities and answers, to be drawn beside what is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bothways.evaluation.analysis import printable, shortened
from bothways.metrics.entities import entity_spans

MOST = 8
MOST_CHARS = 20_000

Span = tuple[int, int, str]
"""Characters from, up to, and what they are."""


@dataclass(frozen=True, kw_only=True)
class MarkedText:
    """A text with what was found in it and what is there.

    Attributes:
        number: position of the example, from 1. heading: a question, or None.
        text: its first 20,000 characters.
        found, right: marked characters.
    """

    number: int
    heading: str | None
    text: str
    found: tuple[Span, ...]
    right: tuple[Span, ...]


def marked_entities(
    texts: Sequence[str], words: Sequence[Sequence[tuple[int, int]]], gold: Sequence[Any], predicted: Sequence[Any]
) -> tuple[MarkedText, ...]:
    """The texts with the most entities that are missed, surplus or of another type.

    Args:
        words: of each text the characters that its words have. gold, predicted: tags of the words.
    """
    wrong = [len(set(entity_spans(g)) ^ set(entity_spans(p))) for g, p in zip(gold, predicted, strict=True)]
    worst = sorted((i for i, n in enumerate(wrong) if n), key=lambda i: -wrong[i])[:MOST]
    return tuple(_cut(i, None, texts[i], *(_spans(words[i], tags[i]) for tags in (predicted, gold))) for i in worst)


def marked_answers(
    questions: Sequence[str], contexts: Sequence[str], gold: Sequence[Sequence[str]], predicted: Sequence[str]
) -> tuple[MarkedText, ...]:
    """The first questions whose answer is not one of the right ones, marked in their texts."""
    wrong = [i for i, (right, answer) in enumerate(zip(gold, predicted, strict=True)) if answer not in right][:MOST]
    return tuple(
        _cut(i, shortened(questions[i]), contexts[i], _place(contexts[i], [predicted[i]]), _place(contexts[i], gold[i]))
        for i in wrong
    )


def _spans(words: Sequence[tuple[int, int]], tags: Sequence[str]) -> tuple[Span, ...]:
    return tuple((words[start][0], words[end - 1][1], kind) for kind, start, end in entity_spans(tags))


def _place(context: str, answers: Sequence[str]) -> tuple[Span, ...]:
    """Where the first of the answers that stands in the context does."""
    places = [(context.find(answer), answer) for answer in answers if answer]
    return next((((at, at + len(answer), "answer"),) for at, answer in places if at >= 0), ())


def _cut(number: int, heading: str | None, text: str, found: tuple[Span, ...], right: tuple[Span, ...]) -> MarkedText:
    return MarkedText(
        number=number + 1,
        heading=heading,
        text=printable(text[:MOST_CHARS]),
        found=tuple(span for span in found if span[1] <= MOST_CHARS),
        right=tuple(span for span in right if span[1] <= MOST_CHARS),
    )
