"""What each example adds to a score, so that any part of the examples has a score of its own.

Shapes: n examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.evaluation.intervals import Interval, wilson_interval
from bothways.evaluation.written_scores import LANGUAGE, WRITTEN, written_scores
from bothways.metrics.entities import entity_spans
from bothways.metrics.question_answering import answer_f1

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A score that is a sum over examples (``parts``) divided by another one (``wholes``).

    ``percent`` says that it is shown times 100; ``binary`` that each example is right (1 of 1) or wrong (0 of 1).
    """

    name: str
    percent: bool = True
    higher_is_better: bool = True
    binary: bool = False


@dataclass(frozen=True, kw_only=True)
class Sums:
    """All that a score and its variance need to know of some examples; sums of disjoint parts can be added.

    Attributes:
        n: examples.
        moments: (5,) sums of part, whole, part squared, part times whole, whole squared.
    """

    measure: Measure
    n: int
    moments: NDArray[np.float64]

    def __add__(self, other: Sums) -> Sums:
        return Sums(measure=self.measure, n=self.n + other.n, moments=self.moments + other.moments)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(measure=self.measure, n=self.n - other.n, moments=self.moments - other.moments)

    @property
    def part(self) -> float:
        """What was reached."""
        return float(self.moments[0])

    @property
    def whole(self) -> float:
        """What could be reached."""
        return float(self.moments[1])

    @property
    def value(self) -> float:
        """The score; 0 where there is nothing to divide by."""
        return self.part / self.whole if self.whole > 0 else 0.0

    @property
    def variance(self) -> float:
        """Of the value, examples being drawn at random.

        Source: the ratio estimator of Cochran 1977, "Sampling techniques", section 2.11. What stands in one example
        (the entities of a sentence) is taken together, since it is not independent.
        """
        if self.whole <= 0:
            return 0.0
        _, _, squares, products, wholes = self.moments
        spread = float(squares - 2 * self.value * products + self.value**2 * wholes)
        return spread / self.whole**2 if spread > 1e-12 * max(1.0, squares) else 0.0

    def interval(self) -> Interval:
        """95 %: Wilson's for shares of examples and where nothing varies, else from the variance."""
        if self.measure.percent and self.whole >= 1 and (self.measure.binary or self.variance == 0):
            n = round(self.whole)
            found = wilson_interval(min(n, max(0, round(self.part))), n)
            return Interval(estimate=self.value, low=min(found.low, self.value), high=max(found.high, self.value))
        half = _Z * self.variance**0.5
        low, high = self.value - half, self.value + half
        if self.measure.percent:
            low, high = max(low, 0.0), min(high, 1.0)
        return Interval(estimate=self.value, low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class RowScores:
    """What each example adds to a score.

    Attributes:
        parts, wholes: (n,).
    """

    measure: Measure
    parts: NDArray[np.float64]
    wholes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.parts)

    def sums(self) -> Sums:
        """Of all examples."""
        return self.grouped(np.zeros(len(self), dtype=np.int64), 1)[0]

    def grouped(self, group: NDArray[np.int64], n_groups: int) -> list[Sums]:
        """Of each group of examples; ``group`` is (n,), -1 for examples that are in none."""
        used = group >= 0
        group, parts, wholes = group[used], self.parts[used], self.wholes[used]
        columns = (parts, wholes, parts**2, parts * wholes, wholes**2)
        moments = np.stack([np.bincount(group, column, n_groups) for column in columns], axis=1)
        counts = np.bincount(group, minlength=n_groups)
        return [Sums(measure=self.measure, n=int(n), moments=row) for n, row in zip(counts, moments, strict=True)]


def row_scores(kind: str, gold: Sequence[Any], predicted: Sequence[Any]) -> RowScores:
    """Accuracy, micro F1, absolute error, entity F1, answer F1, the first score of written texts, or bits per byte."""
    if kind == "multi":
        table = [(2 * len(set(g) & set(p)), len(set(g)) + len(set(p))) for g, p in zip(gold, predicted, strict=True)]
        return _from(table, name="micro F1")
    if kind == "entities":
        table = []
        for g, p in zip(gold, predicted, strict=True):
            right, found = set(entity_spans(g)), set(entity_spans(p))
            table.append((2 * len(right & found), len(right) + len(found)))
        return _from(table, name="entity F1")
    if kind == "regression":
        errors = np.abs(np.asarray(gold, dtype=np.float64) - np.asarray(predicted, dtype=np.float64))
        return _mean(errors, name="mean absolute error", percent=False, higher_is_better=False)
    if kind == "answers":
        return _mean([answer_f1(p, g) for g, p in zip(gold, predicted, strict=True)], name="answer F1")
    if kind in WRITTEN:
        score = next(iter(written_scores(kind, gold, predicted).values()))
        title = {"translations": "chrF of each text", "summaries": "ROUGE-L of each text"}[kind]
        return _mean([score.of_sums(counts) / 100 for counts in score.counts], name=title)
    if kind == LANGUAGE:
        wholes = np.asarray(gold, dtype=np.float64)
        parts = np.asarray(predicted, dtype=np.float64) * wholes
        measure = Measure(name="bits per byte", percent=False, higher_is_better=False)
        return RowScores(measure=measure, parts=parts, wholes=wholes)
    return _mean([float(g == p) for g, p in zip(gold, predicted, strict=True)], name="accuracy", binary=True)


def _from(table: Sequence[tuple[float, float]], name: str) -> RowScores:
    columns = np.array(table, dtype=np.float64).reshape(-1, 2)
    return RowScores(measure=Measure(name=name), parts=columns[:, 0], wholes=columns[:, 1])


def _mean(values: Any, **measure: Any) -> RowScores:
    values = np.asarray(values, dtype=np.float64)
    return RowScores(measure=Measure(**measure), parts=values, wholes=np.ones(len(values)))
