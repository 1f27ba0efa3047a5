"""What changed between two models: every decision that one of them has right and the other wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bothways.evaluation.analysis import same_answer
from bothways.metrics.entities import entity_spans
from bothways.metrics.question_answering import normalise_answer

JUDGED_KINDS = ("single", "multi", "entities", "answers")
"""Kinds of answers that are right or wrong; the others are only more or less good."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing that both models had to get right.

    Attributes:
        example: number of the example, from 0.
        labels: the right label, or labels; of an entity its type.
        before, after: whether the first and the second model have it right.
        span: (type, first word, word after the last) of an entity; None for a decision about the whole example.
        is_gold: whether an entity is one, or was only found by a model.
    """

    example: int
    labels: tuple[str, ...]
    before: bool
    after: bool
    span: tuple[str, int, int] | None = None
    is_gold: bool = True


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many decisions there are of each sort."""

    both_right: int
    both_wrong: int
    newly_right: int
    newly_wrong: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.both_right + self.both_wrong + self.newly_right + self.newly_wrong


def decisions_of(kind: str, gold: Sequence[Any], before: Sequence[Any], after: Sequence[Any]) -> list[Decision]:
    """Decisions in the order of the examples.

    For entities a decision is an entity that is there or that a model found: right is finding it if it is there, and
    leaving it if it is not. For all others it is the answer to the example; nothing for kinds that are not in
    ``JUDGED_KINDS``.
    """
    if kind == "entities":
        return [d for i, tags in enumerate(gold) for d in _of_sentence(i, tags, before[i], after[i])]
    if kind not in JUDGED_KINDS:
        return []
    return [
        Decision(i, _labels(kind, right), same_answer(kind, right, before[i]), same_answer(kind, right, after[i]))
        for i, right in enumerate(gold)
    ]


def count_decisions(decisions: Sequence[Decision]) -> Counts:
    """Count them by sort."""
    sorts = [(d.before, d.after) for d in decisions]
    return Counts(
        both_right=sorts.count((True, True)),
        both_wrong=sorts.count((False, False)),
        newly_right=sorts.count((False, True)),
        newly_wrong=sorts.count((True, False)),
    )


def agreement(kind: str, before: Sequence[Any], after: Sequence[Any]) -> float | None:
    """Share of the examples to which both models give the same answer, right or wrong; None of numbers."""
    if kind in ("regression", "language"):
        return None
    same = sum(_alike(kind, one, other) for one, other in zip(before, after, strict=True))
    return same / len(before)


def _alike(kind: str, one: Any, other: Any) -> bool:
    if kind == "entities":
        return entity_spans(one) == entity_spans(other)
    if kind == "answers":
        return normalise_answer(one) == normalise_answer(other)
    return set(one) == set(other) if kind == "multi" else one == other


def _of_sentence(number: int, gold: Any, before: Any, after: Any) -> list[Decision]:
    right, first, second = set(entity_spans(gold)), set(entity_spans(before)), set(entity_spans(after))
    return [
        Decision(number, (span[0],), (span in first) == (span in right), (span in second) == (span in right), span,
                 span in right)
        for span in sorted(right | first | second, key=lambda span: (span[1], span[2], span[0]))
    ]  # fmt: skip


def _labels(kind: str, right: Any) -> tuple[str, ...]:
    if kind == "answers":
        return ("answered" if any(right) else "no answer",)
    return tuple(right) if kind == "multi" else (str(right),)


__all__ = ["JUDGED_KINDS", "Counts", "Decision", "agreement", "count_decisions", "decisions_of"]
