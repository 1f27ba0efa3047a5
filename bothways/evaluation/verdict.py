"""Is the model worth its cost? One table and one sentence, with numbers, and plain when the answer is no."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bothways.errors import InputError
from bothways.evaluation.baseline import Predictions
from bothways.evaluation.intervals import Difference, Interval
from bothways.evaluation.scores import METRICS, Kind, Metric, Outcomes, count_outcomes, score, score_difference

Outcome = Literal["model", "baseline", "tie", "neither"]
SIGNIFICANT = 0.05
CONSTANT = {
    "single": "majority answer",
    "multi": "most frequent labels",
    "regression": "mean value",
    "entities": "no entities",
    "answers": "no answer",
    "translations": "empty texts",
    "summaries": "empty texts",
    "language": "all bytes alike",
}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A model that takes part, and what it costs; None where a cost is not known.

    ``train_seconds`` is the training, ``seconds_per_1000`` the time to answer 1,000 texts, ``megabytes`` the size on
    the disk (10^6 bytes).
    """

    name: str
    predictions: Predictions
    train_seconds: float | None = None
    seconds_per_1000: float | None = None
    megabytes: float | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """One cell of the table. ``percent`` says that it is shown times 100."""

    name: str
    title: str
    percent: bool
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: who, how good, how dear."""

    name: str
    scores: tuple[Score, ...]
    train_seconds: float | None = None
    seconds_per_1000: float | None = None
    megabytes: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The model against the baseline and the majority answer.

    ``rows`` are in the order majority, baseline, model. ``difference`` is model minus baseline in ``metric``, the first
    score. ``verdict`` is one sentence; ``notes`` are further ones. ``items`` is what the examples are called.
    """

    kind: Kind
    n: int
    metric: str
    rows: tuple[Row, ...]
    difference: Difference | None
    outcome: Outcome | None
    verdict: str
    notes: tuple[str, ...] = ()
    items: str = "texts"


def compare(
    gold: Sequence[Any],
    model: Contender,
    baseline: Contender,
    majority: Any,
    *,
    kind: Kind,
    label_names: Sequence[Hashable] = (),
    seed: int = 0,
    items: str = "texts",
) -> Comparison:
    """Judge three predictions on the same texts.

    Args:
        gold: the right answers.
        model: the model to judge.
        baseline: what it has to beat.
        majority: the one answer that is best without looking at the text (`Baseline.majority_prediction`).
        kind: what an answer is; see ``evaluation.scores.METRICS``.
        label_names: the known labels.
        seed: of the bootstrap.
        items: what the examples are called in sentences: texts, sentences, questions.

    Raises:
        InputError: the numbers of answers and predictions differ, or there are none.
    """
    if kind not in METRICS:
        raise InputError(f"kind is {kind!r}; expected one of {', '.join(METRICS)}.")
    constant = [majority] * len(gold)
    outcomes = count_outcomes(
        kind, gold, model.predictions.labels, baseline.predictions.labels, constant, label_names=label_names
    )
    metric = METRICS[kind][0]
    rows = (
        Row(
            name=CONSTANT[kind],
            scores=_scores(kind, outcomes, 2, seed),
            train_seconds=0.0,
            seconds_per_1000=0.0,
            megabytes=0.0,
        ),
        _row(kind, baseline, outcomes, 1, seed),
        _row(kind, model, outcomes, 0, seed),
    )
    difference = score_difference(metric, outcomes, 0, 1, seed=seed)
    best = 0 if difference.estimate >= 0 else 1
    over_majority = score_difference(metric, outcomes, best, 2, seed=seed)
    outcome = _outcome(difference, over_majority)
    return Comparison(
        kind=kind,
        n=outcomes.n,
        metric=metric.name,
        rows=rows,
        difference=difference,
        outcome=outcome,
        verdict=_verdict(outcome, metric, rows, difference, outcomes.n, _answer(kind, majority), items),
        notes=_notes(kind, outcome, rows, outcomes, metric, seed, items),
        items=items,
    )


def compare_with_constant(
    gold: Sequence[Any],
    model: Contender,
    constant: Any,
    *,
    kind: Kind,
    label_names: Sequence[Hashable] = (),
    seed: int = 0,
    items: str = "texts",
) -> Comparison:
    """Judge a model where there is no training data for a baseline, beside the best constant answer.

    Args:
        constant: the one answer that is best without looking at the text. The others are those of ``compare``.

    Raises:
        InputError: the numbers of answers and predictions differ, or there are none.
    """
    outcomes = count_outcomes(kind, gold, model.predictions.labels, [constant] * len(gold), label_names=label_names)
    metric = METRICS[kind][0]
    always = Row(name=CONSTANT[kind], scores=_scores(kind, outcomes, 1, seed), seconds_per_1000=0.0, megabytes=0.0)
    own = _row(kind, model, outcomes, 0, seed)
    difference = score_difference(metric, outcomes, 0, 1, seed=seed)
    reached, other = (row.scores[0].interval for row in (own, always))
    interval = f"(95 % interval {_low_to_high(metric, reached)})"
    better = is_shown(difference) and difference.estimate > 0
    return Comparison(
        kind=kind,
        n=outcomes.n,
        metric=metric.name,
        rows=(always, own),
        difference=difference,
        outcome=None,
        verdict=(
            f"{model.name} reaches {_value(metric, reached.estimate)} {metric.title} {interval} on "
            f"{_counted(outcomes.n, items)}; always answering {_answer(kind, constant)} reaches "
            f"{_value(metric, other.estimate)}{'' if better else ', and no difference can be shown'}."
        ),
        notes=(
            f"No baseline was trained: whether simple counting of words would do as well is not known. Give {items} to "
            "train it on with --train.",
        ),
        items=items,
    )


def is_shown(difference: Difference) -> bool:
    """Whether a difference is more than chance: its interval leaves out 0 and the test agrees."""
    return (difference.low > 0 or difference.high < 0) and difference.p_value < SIGNIFICANT


def _outcome(difference: Difference, over_majority: Difference) -> Outcome:
    if not (is_shown(over_majority) and over_majority.estimate > 0):
        return "neither"
    if not is_shown(difference):
        return "tie"
    return "model" if difference.estimate > 0 else "baseline"


def _scores(kind: Kind, outcomes: Outcomes, which: int, seed: int) -> tuple[Score, ...]:
    return tuple(
        Score(name=m.name, title=m.title, percent=m.percent, interval=score(m, outcomes, which, seed=seed))
        for m in METRICS[kind]
    )


def _row(kind: Kind, contender: Contender, outcomes: Outcomes, which: int, seed: int) -> Row:
    return Row(
        name=contender.name,
        scores=_scores(kind, outcomes, which, seed),
        train_seconds=contender.train_seconds,
        seconds_per_1000=contender.seconds_per_1000,
        megabytes=contender.megabytes,
    )


def _verdict(
    outcome: Outcome,
    metric: Metric,
    rows: tuple[Row, ...],
    difference: Difference,
    n: int,
    majority: str,
    items: str,
) -> str:
    always, baseline, model = rows
    judged = _counted(n, items)
    interval = f"(95 % interval {_low_to_high(metric, difference)})"
    ratio = _ratio(model.train_seconds, baseline.train_seconds)
    if outcome == "model":
        cost = _at_cost(ratio)
        gain = f"{model.name} beats {baseline.name} by {_amount(metric, difference.estimate)} {interval}{cost}"
        return f"{gain}: {_worth(metric, difference, ratio, items)}."
    if outcome == "baseline":
        speed = f" and trains {_times(ratio)} times faster" if ratio and ratio >= 1.5 else ""
        lead = f"{baseline.name} beats {model.name} by {_amount(metric, -difference.estimate)}"
        mirrored = f"(95 % interval {_low_to_high(metric, _mirrored(difference))})"
        return f"The baseline wins: {lead} {mirrored}{speed}: use it."
    if outcome == "neither":
        values = [_value(metric, row.scores[0].interval.estimate) for row in (model, baseline, always)]
        return (
            f"Neither {model.name} nor {baseline.name} is shown to beat always answering {majority} on "
            f"{judged} ({metric.title} {values[0]}, {values[1]} and {values[2]}): "
            f"check the labels or collect more {items}."
        )
    side = "above" if difference.estimate >= 0 else "below"
    return (
        f"No difference can be shown on {judged}: {model.name} scores {_amount(metric, abs(difference.estimate))} "
        f"{side} {baseline.name} {interval}{_at_cost(ratio)}: {_what_now(difference, n, ratio, items)}."
    )


def _worth(metric: Metric, difference: Difference, ratio: float | None, items: str) -> str:
    """When the gain is worth the price; a gain at no higher price needs no condition."""
    if ratio is not None and ratio < 1.5:
        return "use it"
    if metric.name == "accuracy":
        fewer = f"{difference.estimate * 1_000:,.0f} fewer mistakes in 1,000 {items}"
    else:
        fewer = f"{_amount(metric, difference.estimate)}"
    matter = "matter" if metric.name == "accuracy" else "matters"
    return f"it is worth it if {fewer} {matter} more to you than the computing"


def _what_now(difference: Difference, n: int, ratio: float | None, items: str) -> str:
    cheaper = "use the baseline, which is cheaper" if ratio and ratio >= 1.5 else "use whichever is simpler to run"
    needed = _needed(difference, n)
    return f"{cheaper}, or judge on more {items}" + (
        f" (a difference of this size shows on about {needed:,})" if needed else ""
    )


def _needed(difference: Difference, n: int) -> int | None:
    """How many examples would make the interval half as wide as the difference is far from 0; None beyond a million."""
    half = (difference.high - difference.low) / 2
    if not difference.estimate or not half:
        return None
    needed = n * (half / abs(difference.estimate)) ** 2
    if not n * 1.1 < needed < 1_000_000:
        return None
    step = 10 ** (len(str(int(needed))) - 2)
    return int(-(-needed // step) * step)


def _notes(
    kind: Kind, outcome: Outcome, rows: tuple[Row, ...], outcomes: Outcomes, metric: Metric, seed: int, items: str
) -> tuple[str, ...]:
    notes = []
    share = rows[0].scores[0].interval.estimate
    if kind == "single" and share >= 0.7:
        macro = [_value(METRICS[kind][1], row.scores[1].interval.estimate) for row in reversed(rows)]
        notes.append(
            f"One label has {share:.0%} of the {items}, so accuracy says little; compare macro F1: "
            f"{rows[2].name} {macro[0]}, {rows[1].name} {macro[1]}, {rows[0].name} {macro[2]}."
        )
    if outcomes.n < 100:
        judged = _counted(outcomes.n, items)
        notes.append(f"Only {judged} were judged; with fewer than 100 most intervals are too wide to decide.")
    against = score_difference(metric, outcomes, 0, 2, seed=seed)
    if outcome == "baseline" and not (is_shown(against) and against.estimate > 0):
        notes.append(f"{rows[2].name} is not shown to beat even the {rows[0].name}.")
    return tuple(notes)


def _value(metric: Metric, value: float) -> str:
    return f"{value * 100:.1f} %" if metric.percent else f"{value:.3f}"


def _amount(metric: Metric, value: float) -> str:
    return f"{value * 100:.1f} points of {metric.title}" if metric.percent else f"{value:.3f} of {metric.title}"


def _low_to_high(metric: Metric, interval: Interval) -> str:
    if metric.percent:
        return f"{interval.low * 100:.1f} to {interval.high * 100:.1f}"
    return f"{interval.low:.3f} to {interval.high:.3f}"


def _mirrored(difference: Difference) -> Interval:
    return Interval(estimate=-difference.estimate, low=-difference.high, high=-difference.low)


def _ratio(seconds: float | None, other: float | None) -> float | None:
    return seconds / other if seconds and other else None


def _at_cost(ratio: float | None) -> str:
    if ratio is None:
        return ""
    if ratio >= 1.5:
        return f" at {_times(ratio)} times the training time"
    if ratio > 1 / 1.5:
        return " at about the same training time"
    return f" at a training time {_times(1 / ratio)} times shorter"


def _times(ratio: float) -> str:
    """Two digits are all that a timing carries: 2.4, 31, 140."""
    return f"{ratio:.1f}" if ratio < 9.95 else f"{float(f'{ratio:.1e}'):,.0f}"


def _counted(n: int, items: str) -> str:
    return f"{n:,} {items.removesuffix('s') if n == 1 else items}"


def _answer(kind: Kind, majority: Any) -> str:
    if kind in ("entities", "answers", "translations", "summaries", "language"):
        return CONSTANT[kind]
    if isinstance(majority, float):
        return f"{majority:.3g}"
    if isinstance(majority, tuple | list | set | frozenset):
        return " + ".join(f'"{label}"' for label in majority) if majority else "no label"
    return f'"{majority}"'
