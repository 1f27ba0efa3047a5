"""May this model take the place of that one? What flipped, where it got worse, and whether it is within a budget."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bothways.comparing.changes import JUDGED_KINDS, Counts, Decision, agreement, count_decisions, decisions_of
from bothways.comparing.entrants import open_entrants
from bothways.comparing.groups import GroupChange, changes_by_group, columns_of
from bothways.comparing.told import amount_of
from bothways.errors import BothwaysError, UsageError
from bothways.evaluation.analysis import shortened
from bothways.evaluation.intervals import Difference, mcnemar
from bothways.evaluation.scores import METRICS, Outcomes, count_outcomes, score, score_difference
from bothways.evaluation.verdict import Score, is_shown
from bothways.metrics.entities import entity_spans
from bothways.training.task import TrainingTask

BUDGET = 0.01
EXAMPLES = 10


@dataclass(frozen=True, kw_only=True)
class ScoreChange:
    """One score of both models; ``difference`` is after minus before, on the same examples."""

    before: Score
    after: Score
    difference: Difference


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A decision that only one model has right. ``number`` is that of the example's row in the file, from 1."""

    number: int
    text: str
    gold: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class ModelDiff:
    """The second model against the first, on the same examples.

    Attributes:
        before, after: names of the models.
        task, kind, data, items: what was answered. n: examples.
        scores: the first one is held against the budget.
        agreement: share of the examples with the same answer of both, right or wrong; None of numbers.
        counts: decisions by sort; None where answers are only more or less good.
        p_value: of McNemar's exact test on the flips; None without counts.
        newly_wrong, newly_right: some of the flips.
        groups: parts of the data, those that lost most first.
        budget: by how much the first score may fall. max_regressions: how many decisions may become wrong.
        passed: whether both were kept. verdict: one line. notes: further sentences.
    """

    before: str
    after: str
    task: str
    kind: str
    data: str
    items: str
    n: int
    scores: tuple[ScoreChange, ...]
    agreement: float | None
    counts: Counts | None
    p_value: float | None
    newly_wrong: tuple[Flip, ...]
    newly_right: tuple[Flip, ...]
    groups: tuple[GroupChange, ...]
    budget: float
    max_regressions: int | None
    passed: bool
    verdict: str
    notes: tuple[str, ...] = ()


def diff_models(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    budget: float = BUDGET,
    max_regressions: int | None = None,
    examples: int = EXAMPLES,
    task: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    precision: str = "auto",
    encoding: str | None = None,
    format: str | None = None,
    seed: int = 0,
) -> ModelDiff:
    """Compare the answers of two models one by one. The same call gives the same result.

    The budget is broken when the first score falls by more than ``budget`` and the fall is more than chance (its
    interval leaves out 0, p < 0.05), or when more than ``max_regressions`` decisions are newly wrong.

    Args:
        before: the model in use. after: the one that is to take its place.
        data: labelled examples.
        budget: on the scale of the score: 0.01 is one point of accuracy.
        max_regressions: None sets no such limit.
        examples: flips that are shown, of each direction.
        task: as for ``train``; by default that of the first model.
        text_column, label_column, encoding, format: of the file, as for ``train``.
        precision: ``"auto"``, ``"float32"`` or ``"bfloat16"``.
        seed: of the bootstrap.

    Raises:
        UsageError: impossible limits, an unknown task, a file that is not there.
        BothwaysError: the models cannot be judged on the same answers.
    """
    _check(budget, max_regressions, examples)
    reading = {"text_column": text_column, "label_column": label_column, "encoding": encoding, "format": format}
    names = [os.fspath(before), os.fspath(after)]
    found = open_entrants(names, Path(data), task=task, precision=precision, reading=reading)
    if len(found.entrants) != 2:
        raise BothwaysError(f"two models are needed that answer the same. {' '.join(found.left_out)}")
    first, second = found.entrants
    answers = [first.answer().labels, second.answer().labels]
    job = first.job
    if max_regressions is not None and job.kind not in JUDGED_KINDS:
        raise UsageError(
            f"--max-regressions counts answers that are right or wrong, and {job.name} of the kind {job.kind!r} has "
            "none that are. Leave it out; --budget limits the fall of the score."
        )
    gold = job.gold()
    outcomes = count_outcomes(job.kind, gold, *answers, label_names=job.label_names if job.kind != "regression" else ())
    scores = _scores(outcomes, seed)
    decisions = decisions_of(job.kind, gold, *answers)
    counts = count_decisions(decisions) if job.kind in JUDGED_KINDS else None
    columns = _columns(job, Path(data), encoding=encoding, format=format)
    passed, verdict = judge(first.name, second.name, scores[0], counts, budget, max_regressions)
    flips = _Flips(job, gold, *answers)
    return ModelDiff(
        before=first.name,
        after=second.name,
        task=found.task,
        kind=job.kind,
        data=os.fspath(data),
        items=job.items,
        n=outcomes.n,
        scores=scores,
        agreement=agreement(job.kind, *answers),
        counts=counts,
        p_value=None if counts is None else mcnemar(counts.newly_wrong, counts.newly_right, mid_p=False),
        newly_wrong=flips.some([d for d in decisions if d.before and not d.after], examples),
        newly_right=flips.some([d for d in decisions if d.after and not d.before], examples),
        groups=changes_by_group(decisions, _texts(job), columns),
        budget=budget,
        max_regressions=max_regressions,
        passed=passed,
        verdict=verdict,
        notes=_notes(job, outcomes.n),
    )


def judge(
    before: str,
    after: str,
    change: ScoreChange,
    counts: Counts | None,
    budget: float,
    max_regressions: int | None,
) -> tuple[bool, str]:
    """Whether the budget is kept, and one line that says so with its numbers."""
    difference = change.difference
    fell = difference.estimate < -budget and is_shown(difference)
    too_many = max_regressions is not None and counts is not None and counts.newly_wrong > max_regressions
    kept = not (fell or too_many)
    factor, digits = (100, 1) if change.after.percent else (1, 3)
    moved, low, high = (f"{v * factor:+.{digits}f}" for v in (difference.estimate, difference.low, difference.high))
    unit = " points" if change.after.percent else ""
    parts = [
        f"{change.after.title} {moved}{unit} (95 % interval {low} to {high}, p = {difference.p_value:.2g}; "
        f"budget {amount_of(change.after, budget)})"
    ]
    if counts is not None:
        limit = "" if max_regressions is None else f" (at most {max_regressions:,})"
        parts.append(f"{counts.newly_wrong:,} newly wrong{limit}, {counts.newly_right:,} newly right")
    why = " and ".join(["the score fell"] * fell + ["too many are newly wrong"] * too_many)
    if kept and difference.estimate < -budget:
        why = "the fall is beyond the budget and may be chance, judge on more examples"
    return kept, f"{'PASS' if kept else 'FAIL'}: {before} → {after}: {'; '.join(parts)}{f': {why}' if why else ''}."


class _Flips:
    """Decisions in words."""

    def __init__(self, job: TrainingTask, gold: Sequence[Any], before: Sequence[Any], after: Sequence[Any]) -> None:
        self.job: Any = job
        self.gold, self.before, self.after = gold, before, after
        self.texts = _texts(job)

    def some(self, decisions: Sequence[Decision], most: int) -> tuple[Flip, ...]:
        """The first of them, in the order of the file."""
        return tuple(self._flip(decision) for decision in decisions[:most])

    def _flip(self, decision: Decision) -> Flip:
        i = decision.example
        answers = [self._shown(decision, answer) for answer in (self.gold[i], self.before[i], self.after[i])]
        return Flip(number=i + 1, text=shortened(self.texts[i]), gold=answers[0], before=answers[1], after=answers[2])

    def _shown(self, decision: Decision, answer: Any) -> str:
        if decision.span is None:
            return self.job.show(decision.example, answer)
        kind, start, end = decision.span
        words = " ".join(self.job.split.evaluation[decision.example].surfaces[start:end])
        return f"{kind}: {words}" if decision.span in set(entity_spans(answer)) else f"not {kind}: {words}"


def _scores(outcomes: Outcomes, seed: int) -> tuple[ScoreChange, ...]:
    def one(metric: Any, which: int) -> Score:
        interval = score(metric, outcomes, which, seed=seed)
        return Score(name=metric.name, title=metric.title, percent=metric.percent, interval=interval)

    return tuple(
        ScoreChange(
            before=one(metric, 0), after=one(metric, 1), difference=score_difference(metric, outcomes, 1, 0, seed=seed)
        )
        for metric in METRICS[outcomes.kind]
    )


def _texts(job: TrainingTask) -> list[str]:
    """What each example says; of a pair, or a question, both texts."""
    texts, pairs = job.shown_texts()
    return list(texts) if pairs is None else [f"{a} ‖ {b}" if b else a for a, b in zip(texts, pairs, strict=True)]


def _columns(job: TrainingTask, data: Path, **reading: Any) -> dict[str, list[str | None]]:
    rows = [getattr(example, "row", 0) for example in job.split.evaluation]
    if not all(rows):
        return {}
    used = [name for name in job.split.columns.values() if name is not None]
    return columns_of(data, rows, job.shown_texts()[0], used, **reading)


def _notes(job: TrainingTask, n: int) -> tuple[str, ...]:
    notes = []
    if job.kind == "entities":
        notes.append(
            "Flips are counted by entity, there or found; entities of one sentence depend on each other, so that the "
            "interval of the score, which draws whole sentences, is the one to believe."
        )
    if n < 100:
        notes.append(f"Only {n:,} {job.items} were judged; with fewer than 100 most intervals are too wide to decide.")
    return tuple(notes)


def _check(budget: float, max_regressions: int | None, examples: int) -> None:
    if not 0 <= budget < float("inf"):
        raise UsageError(f"--budget is {budget}; expected a number from 0: 0.01 is one point of accuracy.")
    if max_regressions is not None and max_regressions < 0:
        raise UsageError(f"--max-regressions is {max_regressions}; expected a whole number from 0.")
    if examples < 0:
        raise UsageError(f"--examples is {examples}; expected a whole number from 0.")


__all__ = ["Flip", "ModelDiff", "ScoreChange", "diff_models", "judge"]
