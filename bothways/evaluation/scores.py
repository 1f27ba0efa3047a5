"""Scores as functions of counted outcomes, so that the bootstrap can resample any of them.

Shapes: n examples, C distinct outcomes, L labels, B resamples of one block.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bothways.errors import InputError
from bothways.evaluation.intervals import (
    RESAMPLES,
    Difference,
    Interval,
    Statistic,
    mcnemar,
    statistic_difference,
    statistic_interval,
    wilson_interval,
)
from bothways.evaluation.written_scores import (
    LANGUAGE,
    WRITTEN,
    bits_statistic,
    compression_statistic,
    written_counts,
    written_statistic,
)
from bothways.metrics.entities import entity_spans
from bothways.metrics.question_answering import answer_exact, answer_f1

Kind = Literal["single", "multi", "regression", "entities", "answers", "translations", "summaries", "language"]


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What happened to the examples, equal ones counted once.

    ``gold`` and each of ``predicted`` are label numbers (C,) for one label, bool (C, L) for several, numbers (C,) for a
    regression. For entities ``gold`` is their number (C,) and ``predicted`` how many were right and how many were found
    (C, 2); for answers ``predicted`` is exact match and F1 of each (C, 2). For written texts ``predicted`` is what the
    scores are counted from (C, K); for a language ``gold`` is the bytes of each text and ``predicted`` its bits per
    byte, (C,) both. ``counts`` is (C,).
    """

    kind: Kind
    gold: NDArray
    predicted: tuple[NDArray, ...]
    counts: NDArray[np.int64]
    n_labels: int

    @property
    def n(self) -> int:
        """How many examples there are."""
        return int(self.counts.sum())


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One score. ``of(outcomes, which)`` is the statistic of prediction number ``which``."""

    name: str
    title: str
    percent: bool
    of: Callable[[Outcomes, int], Statistic]


def count_outcomes(
    kind: Kind, gold: Sequence[Any], *predictions: Sequence[Any], label_names: Sequence[Hashable] = ()
) -> Outcomes:
    """Encode and count.

    Args:
        kind: one label, a collection of labels, or one number for each text; the tags of its words (entities); the
            text of an answer, of which ``gold`` has all right ones; a translation or a summary; or bits per byte of a
            text, of which ``gold`` has the bytes (language).
        gold: the right answers.
        predictions: one or more sequences of answers to the same texts.
        label_names: the known labels; labels that occur only in the data are added.

    Raises:
        InputError: nothing to judge, different lengths, numbers that are not finite.
    """
    if kind not in METRICS:
        raise InputError(f"kind is {kind!r}; expected one of {', '.join(METRICS)}.")
    columns = [gold, *predictions]
    lengths = [len(column) for column in columns]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise InputError(
            f"{lengths[0]:,} right answers and {', '.join(f'{n:,}' for n in lengths[1:])} predictions: "
            "expected the same number of each, and at least one."
        )
    if kind in ("regression", LANGUAGE):
        numbers = [_numbers(column) for column in columns]
        return _outcomes(kind, numbers, np.ones(lengths[0], dtype=np.int64), 0)
    if kind in WRITTEN:
        ones = np.ones(lengths[0], dtype=np.int64)
        return _outcomes(kind, [np.zeros(lengths[0]), *written_counts(kind, gold, predictions)], ones, 0)
    if kind in ("entities", "answers"):
        table = (_entity_counts if kind == "entities" else _answer_scores)(gold, predictions)
        distinct, counts = np.unique(table, axis=0, return_counts=True)
        pairs = [distinct[:, 1 + 2 * i : 3 + 2 * i] for i in range(len(predictions))]
        return _outcomes(kind, [distinct[:, 0], *pairs], counts, 0)
    flat = [label for column in columns for item in column for label in (item if kind == "multi" else (item,))]
    index = {label: i for i, label in enumerate(dict.fromkeys([*label_names, *flat]))}
    if kind == "single":
        encoded = np.array([[index[label] for label in column] for column in columns], dtype=np.int64)
        distinct, counts = np.unique(encoded, axis=1, return_counts=True)
        return _outcomes(kind, list(distinct), counts, len(index))
    marks = np.stack([_marks(column, index) for column in columns], axis=1)  # (n, 1 + predictions, L)
    # Packed bits make equal rows of many labels cheap to find.
    packed = np.packbits(marks.reshape(len(marks), -1), axis=1)
    _, first, counts = np.unique(packed, axis=0, return_index=True, return_counts=True)
    return _outcomes(kind, [marks[first, i] for i in range(len(columns))], counts, len(index))


def score(metric: Metric, outcomes: Outcomes, which: int = 0, *, seed: int = 0) -> Interval:
    """One score with its 95 % interval: Wilson's for accuracy, the bootstrap's for all others."""
    statistic = metric.of(outcomes, which)
    if metric.of is _accuracy:
        share = float(statistic(outcomes.counts[None].astype(np.float64))[0])
        return wilson_interval(round(share * outcomes.n), outcomes.n)
    return statistic_interval(outcomes.counts, statistic, n_resamples=_affordable(outcomes), seed=seed)


def score_difference(
    metric: Metric, outcomes: Outcomes, first: int = 0, second: int = 1, *, seed: int = 0
) -> Difference:
    """Score of prediction ``first`` minus that of ``second`` on the same texts, with its 95 % interval."""
    one, other = metric.of(outcomes, first), metric.of(outcomes, second)
    result = statistic_difference(
        outcomes.counts, lambda weights: one(weights) - other(weights), n_resamples=_affordable(outcomes), seed=seed
    )
    if metric.of is not _accuracy:
        return result
    right, other_right = _correct(outcomes, first), _correct(outcomes, second)
    p_value = mcnemar(
        int(outcomes.counts[right & ~other_right].sum()), int(outcomes.counts[other_right & ~right].sum())
    )
    return Difference(estimate=result.estimate, low=result.low, high=result.high, p_value=p_value)


def _affordable(outcomes: Outcomes) -> int:
    """2,000 resamples up to 20,000 distinct outcomes; fewer beyond, where intervals are narrow and ranks are slow."""
    return max(400, min(RESAMPLES, 40_000_000 // len(outcomes.counts)))


def _accuracy(outcomes: Outcomes, which: int) -> Statistic:
    correct = _correct(outcomes, which).astype(np.float64)
    return lambda weights: weights @ correct / weights.sum(axis=1)


def _correct(outcomes: Outcomes, which: int) -> NDArray[np.bool_]:
    equal = outcomes.gold == outcomes.predicted[which]
    return equal if equal.ndim == 1 else equal.all(axis=1)


def _f1(average: Literal["macro", "micro"]) -> Callable[[Outcomes, int], Statistic]:
    def of(outcomes: Outcomes, which: int) -> Statistic:
        gold, predicted = (
            _indicator(outcomes.gold, outcomes.n_labels),
            _indicator(outcomes.predicted[which], outcomes.n_labels),
        )
        both, either = gold.multiply(predicted).tocsr().T, (gold + predicted).tocsr().T

        def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            hits, total = 2 * (both @ weights.T), either @ weights.T  # (L, B): F1 = 2 tp / (gold + predicted)
            if average == "micro":
                hits, total = hits.sum(axis=0, keepdims=True), total.sum(axis=0, keepdims=True)
            per_label = np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)
            # A label that occurs neither in the answers nor in the predictions has no F1 and is left out.
            return per_label.sum(axis=0) / np.maximum(1, (total > 0).sum(axis=0))

        return statistic

    return of


def _entity_f1(outcomes: Outcomes, which: int) -> Statistic:
    right, found = outcomes.predicted[which].T
    return lambda weights: _ratio(2 * (weights @ right), weights @ (found + outcomes.gold))


def _entity_precision(outcomes: Outcomes, which: int) -> Statistic:
    right, found = outcomes.predicted[which].T
    return lambda weights: _ratio(weights @ right, weights @ found)


def _entity_recall(outcomes: Outcomes, which: int) -> Statistic:
    return lambda weights: _ratio(weights @ outcomes.predicted[which][:, 0], weights @ outcomes.gold)


def _mean_of(column: int) -> Callable[[Outcomes, int], Statistic]:
    def of(outcomes: Outcomes, which: int) -> Statistic:
        values = outcomes.predicted[which][:, column]
        return lambda weights: weights @ values / weights.sum(axis=1)

    return of


def _written(kind: Kind, name: str) -> Callable[[Outcomes, int], Statistic]:
    return lambda outcomes, which: written_statistic(kind, name)(outcomes.predicted[which])


def _bits(outcomes: Outcomes, which: int) -> Statistic:
    return bits_statistic(outcomes.gold, outcomes.predicted[which])


def _compression(outcomes: Outcomes, which: int) -> Statistic:
    return compression_statistic(outcomes.gold, outcomes.predicted[which])


def _ratio(part: NDArray, whole: NDArray) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros_like(part, dtype=np.float64), where=whole > 0)


def _entity_counts(gold: Sequence[Any], predictions: tuple[Sequence[Any], ...]) -> NDArray[np.float64]:
    """For each sentence the gold entities, and for each prediction how many were right and how many were found."""
    rows = []
    for i, tags in enumerate(gold):
        right = set(entity_spans(tags))
        row = [len(right)]
        for column in predictions:
            found = set(entity_spans(column[i]))
            row += [len(right & found), len(found)]
        rows.append(row)
    return np.array(rows, dtype=np.float64)


def _answer_scores(gold: Sequence[Any], predictions: tuple[Sequence[Any], ...]) -> NDArray[np.float64]:
    """For each question 0, and for each prediction its exact match and F1, from 0 to 1."""
    rows = [
        [0.0, *(score(column[i], right) for column in predictions for score in (answer_exact, answer_f1))]
        for i, right in enumerate(gold)
    ]
    return np.array(rows, dtype=np.float64)


def _pearson(outcomes: Outcomes, which: int) -> Statistic:
    # Measured from the first value, so that constant columns are exactly 0.
    gold, predicted = outcomes.gold - outcomes.gold[0], outcomes.predicted[which] - outcomes.predicted[which][0]
    return lambda weights: _weighted_correlation(weights, gold[None], predicted[None])


def _spearman(outcomes: Outcomes, which: int) -> Statistic:
    gold_ranks, predicted_ranks = _ranks(outcomes.gold), _ranks(outcomes.predicted[which])
    return lambda weights: _weighted_correlation(weights, gold_ranks(weights), predicted_ranks(weights))


def _mean_absolute_error(outcomes: Outcomes, which: int) -> Statistic:
    error = np.abs(outcomes.gold - outcomes.predicted[which])
    return lambda weights: weights @ error / weights.sum(axis=1)


def _ranks(values: NDArray[np.float64]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Mean ranks of the values, up to a constant, when value i occurs ``weights[b, i]`` times: (B, C) to (B, C)."""
    order = np.argsort(values, kind="stable")
    in_order = values[order]
    starts = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]])
    group = np.empty(len(values), dtype=np.int64)
    group[order] = np.cumsum(np.r_[False, in_order[1:] != in_order[:-1]])

    def ranks(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        tied = np.add.reduceat(weights[:, order], starts, axis=1)
        return (np.cumsum(tied, axis=1) - tied / 2)[:, group]

    return ranks


def _weighted_correlation(weights: NDArray, x: NDArray, y: NDArray) -> NDArray[np.float64]:
    """Pearson's correlation per row; 0 where one side is constant and the correlation does not exist."""
    total = weights.sum(axis=1, keepdims=True)
    reach = max(np.abs(x).max(), 1e-300), max(np.abs(y).max(), 1e-300)
    x, y = x / reach[0], y / reach[1]
    x = x - (weights * x).sum(axis=1, keepdims=True) / total
    y = y - (weights * y).sum(axis=1, keepdims=True) / total
    weighted = weights * x
    spread = np.sqrt((weighted * x).sum(axis=1) * (weights * y * y).sum(axis=1))
    # Rounding leaves about 1e-16 of a constant column's size: less than this is nothing.
    varies = spread > 1e-13 * total[:, 0]
    return np.divide((weighted * y).sum(axis=1), spread, out=np.zeros_like(spread), where=varies)


def _indicator(labels: NDArray, n_labels: int) -> Any:
    """(C,) label numbers or (C, L) marks as a sparse (C, L) matrix of ones."""
    from scipy.sparse import csr_matrix

    if labels.ndim == 2:
        return csr_matrix(labels.astype(np.float64))
    rows = np.arange(len(labels) + 1)
    return csr_matrix((np.ones(len(labels)), labels, rows), shape=(len(labels), n_labels))


def _marks(column: Sequence[Any], index: dict[Hashable, int]) -> NDArray[np.bool_]:
    marks = np.zeros((len(column), len(index)), dtype=bool)
    for row, labels in enumerate(column):
        for label in labels:
            marks[row, index[label]] = True
    return marks


def _numbers(column: Sequence[Any]) -> NDArray[np.float64]:
    numbers = np.asarray(column, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise InputError(f"{int((~np.isfinite(numbers)).sum()):,} of {len(numbers):,} values are not finite numbers.")
    return numbers


def _outcomes(kind: Kind, columns: list[NDArray], counts: NDArray, n_labels: int) -> Outcomes:
    return Outcomes(kind=kind, gold=columns[0], predicted=tuple(columns[1:]), counts=counts, n_labels=n_labels)


METRICS: dict[str, tuple[Metric, ...]] = {
    "single": (
        Metric(name="accuracy", title="accuracy", percent=True, of=_accuracy),
        Metric(name="macro_f1", title="macro F1", percent=True, of=_f1("macro")),
    ),
    "multi": (
        Metric(name="micro_f1", title="micro F1", percent=True, of=_f1("micro")),
        Metric(name="macro_f1", title="macro F1", percent=True, of=_f1("macro")),
        Metric(name="subset_accuracy", title="exact match", percent=True, of=_accuracy),
    ),
    "regression": (
        Metric(name="spearman", title="Spearman correlation", percent=False, of=_spearman),
        Metric(name="pearson", title="Pearson correlation", percent=False, of=_pearson),
        Metric(name="mae", title="mean absolute error", percent=False, of=_mean_absolute_error),
    ),
    "entities": (
        Metric(name="f1", title="entity F1", percent=True, of=_entity_f1),
        Metric(name="precision", title="precision", percent=True, of=_entity_precision),
        Metric(name="recall", title="recall", percent=True, of=_entity_recall),
    ),
    "answers": (
        Metric(name="f1", title="answer F1", percent=True, of=_mean_of(1)),
        Metric(name="exact", title="exact match", percent=True, of=_mean_of(0)),
    ),
    "translations": (
        Metric(name="chrf", title="chrF", percent=True, of=_written("translations", "chrf")),
        Metric(name="bleu", title="BLEU", percent=True, of=_written("translations", "bleu")),
    ),
    "summaries": (
        Metric(name="rougeL", title="ROUGE-L", percent=True, of=_written("summaries", "rougeL")),
        Metric(name="rouge1", title="ROUGE-1", percent=True, of=_written("summaries", "rouge1")),
        Metric(name="rouge2", title="ROUGE-2", percent=True, of=_written("summaries", "rouge2")),
    ),
    "language": (
        Metric(name="compression", title="compression", percent=True, of=_compression),
        Metric(name="bits_per_byte", title="bits per byte", percent=False, of=_bits),
    ),
}
"""The scores of each kind; the first decides the verdict."""
