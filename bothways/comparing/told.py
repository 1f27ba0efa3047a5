"""What a table of models says, in sentences: the best, the fastest, who is not shown to be worse, who is dominated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bothways.evaluation.intervals import Difference
from bothways.evaluation.verdict import Score, is_shown

if TYPE_CHECKING:
    from bothways.comparing.compare import ComparedModel


def told(rows: Sequence[ComparedModel]) -> list[str]:
    """Sentences about lines that are in the order of their first score."""
    best = rows[0]
    if len(rows) == 1:
        return [f"{best.name}: {value_of(best.scores[0])} {best.scores[0].title}; nothing to compare it with."]
    said = [_of_the_best(best, rows[1:])]
    for row in rows:
        if row.dominated_by is not None:
            said.append(_of_dominated(row, next(other for other in rows if other.name == row.dominated_by)))
    front = [row.name for row in rows if row.dominated_by is None]
    if len(front) > 1:
        said.append(f"On the Pareto front, best score first and fastest last: {', '.join(front)}.")
    said += _of_the_baseline(rows)
    return said


def _of_the_best(best: ComparedModel, others: Sequence[ComparedModel]) -> str:
    score = best.scores[0]
    text = f"{best.name} has the best {score.title}, {value_of(score)}"
    equal = [row for row in others if row.behind is not None and not is_shown(row.behind)]
    if not equal:
        return f"{text}, and is shown to be better than all others."
    faster = [row for row in equal if row.texts_per_second > 1.1 * best.texts_per_second]
    names = ", ".join(row.name for row in equal)
    text = f"{text}; not shown to be worse: {names}"
    if not faster:
        return f"{text}."
    quickest = max(faster, key=lambda row: row.texts_per_second)
    ratio = quickest.texts_per_second / best.texts_per_second
    return f"{text}. Of these {quickest.name} answers {times(ratio)} times as many texts a second."


def _of_dominated(row: ComparedModel, better: ComparedModel) -> str:
    gain = better.scores[0].interval.estimate - row.scores[0].interval.estimate
    ratio = better.texts_per_second / row.texts_per_second
    chance = "" if row.below is None or is_shown(row.below) else " (which may be chance)"
    score = "scores the same" if not gain else f"scores {amount_of(row.scores[0], gain)} more{chance}"
    speed = "is as fast" if ratio < 1.005 else f"is {times(ratio)} times as fast"
    return f"{row.name} is dominated by {better.name}, which {score} and {speed}."


def _of_the_baseline(rows: Sequence[ComparedModel]) -> list[str]:
    baseline = next((row for row in rows if row.is_baseline), None)
    if baseline is None:
        return []
    if rows[0] is baseline:
        return [f"No model scores more than the baseline, {baseline.name}: use it."]
    assert baseline.behind is not None
    if not is_shown(baseline.behind):
        return [f"No model is shown to beat the baseline, {baseline.name}: use it, or judge on more examples."]
    gain = _between(rows[0].scores[0], baseline.behind)
    return [f"{rows[0].name} beats the baseline, {baseline.name}, by {gain}."]


def _between(score: Score, difference: Difference) -> str:
    factor, digits = (100, 1) if score.percent else (1, 3)
    low, high = (f"{value * factor:.{digits}f}" for value in (difference.low, difference.high))
    return f"{amount_of(score, difference.estimate)} (95 % interval {low} to {high})"


def value_of(score: Score) -> str:
    """``91.2 %`` or ``0.871``."""
    value = score.interval.estimate
    return f"{value * 100:.1f} %" if score.percent else f"{value:.3f}"


def amount_of(score: Score, value: float) -> str:
    """A difference: ``1.2 points`` or ``0.012``."""
    return f"{value * 100:.1f} points" if score.percent else f"{value:.3f}"


def times(ratio: float) -> str:
    """Two digits are all that a timing carries: 2.4, 31, 140."""
    return f"{ratio:.1f}" if ratio < 9.95 else f"{float(f'{ratio:.1e}'):,.0f}"


__all__ = ["amount_of", "times", "told", "value_of"]
