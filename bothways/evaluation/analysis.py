"""What a report says about predictions beyond their scores: which labels, which mistakes, which texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.evaluation.baseline import Predictions
from bothways.metrics import classification_scores, multilabel_scores
from bothways.metrics.entities import entity_scores, entity_spans
from bothways.metrics.question_answering import answer_exact

TEXT_CHARS = 300
LABEL_CHARS = 60
MISTAKES = 25
CONFUSED_PAIRS = 12
SCATTER_POINTS = 1_000
# C0 and C1 controls, bidirectional overrides, half surrogate pairs and non-characters: not HTML, or not what it seems.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, kw_only=True)
class LabelScore:
    """One label: its scores, how many texts have it (``support``), how many got it, how many were trained on."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int
    trained: int | None = None


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Counts of gold and predicted labels as triples (gold, predicted, count); zeros are left out."""

    labels: tuple[str, ...]
    cells: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, kw_only=True)
class ConfusedPair:
    """Texts with the label ``gold`` that were taken for ``predicted``; ``share`` of all texts with that gold label."""

    gold: str
    predicted: str
    count: int
    share: float


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
    if kind == "entities":
        return _type_scores(gold, predicted, trained)
    known = list(dict.fromkeys([*names, *_each(kind, gold), *_each(kind, predicted)]))
    scored = (multilabel_scores if kind == "multi" else classification_scores)(gold, predicted, known)
    in_training = None if trained is None else Counter(_each(kind, trained))
    rows = [
        LabelScore(
            label=shown_label(label), **values, trained=None if in_training is None else in_training.get(label, 0)
        )
        for label, values in scored["per_label"].items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.support))


def _type_scores(
    gold: Sequence[Any], predicted: Sequence[Any], trained: Sequence[Any] | None
) -> tuple[LabelScore, ...]:
    in_training = None if trained is None else Counter(kind for tags in trained for kind, _, _ in entity_spans(tags))
    rows = [
        LabelScore(label=shown_label(label), **values, trained=None if in_training is None else in_training[label])
        for label, values in entity_scores(gold, predicted)["per_type"].items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.support))


def confusion_of(gold: Sequence[str], predicted: Sequence[str], names: Sequence[str]) -> Confusion:
    """Count pairs of gold and predicted labels, in the order of ``names``, labels that never occur left out."""
    counts = Counter(zip(gold, predicted, strict=True))
    used = {label for pair in counts for label in pair}
    labels = [label for label in dict.fromkeys([*names, *gold, *predicted]) if label in used]
    index = {label: i for i, label in enumerate(labels)}
    cells = sorted((index[g], index[p], count) for (g, p), count in counts.items())
    return Confusion(labels=tuple(shown_label(label) for label in labels), cells=tuple(cells))


def most_confused(confusion: Confusion, most: int = CONFUSED_PAIRS) -> tuple[ConfusedPair, ...]:
    """The pairs of labels with the most mistakes."""
    support: Counter[int] = Counter()
    for gold, _, count in confusion.cells:
        support[gold] += count
    wrong = sorted((cell for cell in confusion.cells if cell[0] != cell[1]), key=lambda cell: -cell[2])
    labels = confusion.labels
    return tuple(
        ConfusedPair(gold=labels[g], predicted=labels[p], count=count, share=count / support[g])
        for g, p, count in wrong[:most]
    )


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
    """One line of at most ``most`` characters, its middle left out: beginnings and ends say most."""
    line = printable(
        " ".join(
            text[: 20 * most].split()
            if len(text) <= 20 * most
            else (text[: 10 * most] + " " + text[-10 * most :]).split()
        )
    )
    if len(line) <= most:
        return line
    tail = most // 4
    return f"{line[: most - tail - 3].rstrip()} … {line[-tail:].lstrip()}"


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


def _each(kind: str, values: Sequence[Any]) -> list[Any]:
    return [label for item in values for label in item] if kind == "multi" else list(values)


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
