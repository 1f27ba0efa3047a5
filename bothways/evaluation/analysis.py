"""What a report says about predictions beyond their scores: which labels, which mistakes, which texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.evaluation.baseline import Predictions
from bothways.evaluation.intervals import Interval, wilson_interval
from bothways.metrics.entities import entity_spans
from bothways.metrics.question_answering import answer_exact

TEXT_CHARS = 300
LABEL_CHARS = 60
COUNTED_FROM = 1_000  # characters of a text that is cut, from which their number is said
MISTAKES = 25
SCATTER_POINTS = 1_000
# C0 and C1 controls, bidirectional overrides, half surrogate pairs and non-characters: not HTML, or not what it seems.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, kw_only=True)
class LabelScore:
    """One label: its scores, how many texts have it (``support``), how many got it, how many were trained on.

    The intervals are of 95 %; None where there is nothing to divide by.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int
    trained: int | None = None
    precision_interval: Interval | None = None
    recall_interval: Interval | None = None
    f1_interval: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One wrong answer. ``number`` is the position of the text, from 1; ``error`` is given for regressions only."""

    number: int
    text: str
    pair: str | None
    gold: str
    predicted: str
    probability: float | None = None
    error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts between edges; ``edges`` has one element more than ``counts``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How long the texts are, in tokens, and which share of them is longer than the model reads at once."""

    histogram: Histogram
    median: float
    longest: int
    limit: int | None
    share_over_limit: float | None


def label_scores(
    kind: str, gold: Sequence[Any], predicted: Sequence[Any], names: Sequence[str], trained: Sequence[Any] | None
) -> tuple[LabelScore, ...]:
    """Scores of every label or type of entity that occurs, best supported first; nothing for numbers and texts."""
    if kind in ("regression", "answers", "translations", "summaries", "language"):
        return ()
    right, found, own = (Counter[Hashable]() for _ in range(3))
    for truth, answer in zip(gold, predicted, strict=True):
        one, other = _counted_in(kind, truth), _counted_in(kind, answer)
        own.update(item[0] for item in one)
        found.update(item[0] for item in other)
        right.update(item[0] for item in one & other)
    in_training = None if trained is None else Counter(i[0] for item in trained for i in _counted_in(kind, item))

    def trained_on(label: Hashable) -> int | None:
        return None if in_training is None else in_training[label]

    known = dict.fromkeys([*(names if kind != "entities" else ()), *own, *found])
    rows = [
        _label_score(label, right[label], own[label], found[label], trained_on(label))
        for label in known
        if kind != "entities" or own[label] or found[label]
    ]
    return tuple(sorted(rows, key=lambda row: -row.support))


def _label_score(label: Hashable, right: int, support: int, predicted: int, trained: int | None) -> LabelScore:
    precision, recall = (_share(right, n) for n in (predicted, support))
    # F1 = 2 J / (1 + J), where J is the share of right ones in all that have the label or got it.
    joint = _share(right, support + predicted - right)
    f1 = joint and Interval(estimate=_f1_of(joint.estimate), low=_f1_of(joint.low), high=_f1_of(joint.high))
    return LabelScore(
        label=shown_label(label),
        precision=precision.estimate if precision else 0.0,
        recall=recall.estimate if recall else 0.0,
        f1=f1.estimate if f1 else 0.0,
        support=support,
        predicted=predicted,
        trained=trained,
        precision_interval=precision,
        recall_interval=recall,
        f1_interval=f1,
    )


def _share(part: int, whole: int) -> Interval | None:
    return wilson_interval(part, whole) if whole else None


def _f1_of(joint: float) -> float:
    return 2 * joint / (1 + joint)


def _counted_in(kind: str, answer: Any) -> set[tuple[Any, ...]]:
    """What an answer says, each with its label first."""
    if kind == "entities":
        return set(entity_spans(answer))
    return {(label,) for label in answer} if kind == "multi" else {(answer,)}


def confident_mistakes(
    kind: str,
    texts: Sequence[str],
    pairs: Sequence[str | None] | None,
    gold: Sequence[Any],
    predictions: Predictions,
    names: Sequence[Hashable],
    most: int = MISTAKES,
    show: Callable[[int, Any], str] | None = None,
) -> tuple[Mistake, ...]:
    """The wrong answers of which the model is most sure; for a regression, those furthest off.

    ``show`` writes an answer to text number i, where the answer alone does not say it.
    """
    wrong = [
        i
        for i, (right, answer) in enumerate(zip(gold, predictions.labels, strict=True))
        if not same_answer(kind, right, answer)
    ]
    sureness = _sureness(kind, wrong, gold, predictions, names)
    write = show or (lambda number, answer: shown_answer(kind, answer))
    worst = sorted(range(len(wrong)), key=lambda k: -(sureness[k] or 0.0))[:most]
    return tuple(
        Mistake(
            number=wrong[k] + 1,
            text=shortened(texts[wrong[k]]),
            pair=shortened(pairs[wrong[k]] or "") if pairs is not None else None,
            gold=write(wrong[k], gold[wrong[k]]),
            predicted=write(wrong[k], predictions.labels[wrong[k]]),
            probability=None if kind == "regression" else sureness[k],
            error=float(predictions.labels[wrong[k]]) - float(gold[wrong[k]]) if kind == "regression" else None,
        )
        for k in worst
    )


def same_answer(kind: str, gold: Any, predicted: Any) -> bool:
    """Whether an answer counts as right."""
    if kind == "entities":
        return entity_spans(gold) == entity_spans(predicted)
    if kind == "answers":
        return bool(answer_exact(predicted, gold))
    if kind == "language":
        return True  # a text is more or less likely, and never wrong
    return set(gold) == set(predicted) if kind == "multi" else gold == predicted


def length_facts(token_lengths: Sequence[int], limit: int | None) -> Lengths:
    """The distribution of lengths. Bins have a whole number of tokens; the last one takes the longest 1 % together."""
    lengths = np.asarray(token_lengths, dtype=np.int64)
    shown = max(int(np.quantile(lengths, 0.99)), 1)
    width = max(1, -(-(shown + 1) // 24))
    edges = np.arange(0, shown + width + 1, width)
    counts, _ = np.histogram(np.minimum(lengths, edges[-1] - 1), edges)
    return Lengths(
        histogram=Histogram(edges=tuple(map(float, edges)), counts=tuple(map(int, counts))),
        median=float(np.median(lengths)),
        longest=int(lengths.max()),
        limit=limit,
        share_over_limit=None if limit is None else float((lengths > limit).mean()),
    )


def scatter_of(gold: Sequence[float], predicted: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """At most 1,000 pairs (gold, predicted), evenly spread over the data."""
    chosen = np.unique(np.linspace(0, len(gold) - 1, min(len(gold), SCATTER_POINTS)).round().astype(int))
    return tuple((float(gold[i]), float(predicted[i])) for i in chosen)


def residuals_of(gold: Sequence[float], predicted: Sequence[float]) -> Histogram:
    """The distribution of predicted minus gold."""
    residuals = np.asarray(predicted, dtype=np.float64) - np.asarray(gold, dtype=np.float64)
    reach = float(np.abs(residuals).max()) or 1.0
    counts, edges = np.histogram(residuals, bins=21, range=(-reach, reach))
    return Histogram(edges=tuple(map(float, edges)), counts=tuple(map(int, counts)))


def shortened(text: str, most: int = TEXT_CHARS) -> str:
    """One line of at most ``most`` characters, its middle left out: beginnings and ends say most.

    In the gap stands how many characters a long text has.
    """
    whole = len(text) <= 20 * most
    line = printable(" ".join((text if whole else f"{text[: 10 * most]} {text[-10 * most :]}").split()))
    if whole and len(line) <= most:
        return line
    gap = f" … [{len(text):,} characters] … " if len(text) >= COUNTED_FROM and most > LABEL_CHARS else " … "
    tail = most // 4
    return f"{line[: most - tail - len(gap)].rstrip()}{gap}{line[-tail:].lstrip()}"


def shown_answer(kind: str, answer: Any) -> str:
    """An answer in words."""
    if kind == "regression":
        return f"{float(answer):.3g}"
    if kind == "answers":
        texts = [answer] if isinstance(answer, str) else list(dict.fromkeys(answer))
        return shortened(" / ".join(texts), 200) or "(no answer)"
    if kind in ("translations", "summaries"):
        return shortened(answer, 400) or "(nothing)"
    if kind == "language":
        return f"{float(answer):.2f} bits per byte"
    if kind == "multi":
        return shortened(", ".join(shown_label(label) for label in sorted(answer, key=str)), 200) or "(none)"
    return shown_label(answer)


def shown_label(label: Hashable) -> str:
    """A label as text of bounded length."""
    return shortened(str(label), LABEL_CHARS) or "(blank)"


def printable(text: str) -> str:
    """Characters that no page can show become U+FFFD."""
    return UNPRINTABLE.sub("\ufffd", text)


def _sureness(
    kind: str, wrong: list[int], gold: Sequence[Any], predictions: Predictions, names: Sequence[Hashable]
) -> list[float | None]:
    """For each wrong answer the probability of what is wrong in it; the size of the error for a regression."""
    if kind == "regression":
        return [abs(float(predictions.labels[i]) - float(gold[i])) for i in wrong]
    if predictions.probabilities is None:
        return [None] * len(wrong)
    index = {name: column for column, name in enumerate(names)}
    result: list[float | None] = []
    for i in wrong:
        row, answer = predictions.probabilities[i], predictions.labels[i]
        if kind == "single":
            result.append(float(row[index[answer]]))
            continue
        if kind in ("entities", "answers"):
            result.append(float(row[0]))  # one number an answer: how sure the model is of it
            continue
        spurious = [float(row[index[label]]) for label in set(answer) - set(gold[i])]
        missing = [1 - float(row[index[label]]) for label in set(gold[i]) - set(answer) if label in index]
        result.append(max([*spurious, *missing], default=None))
    return result
