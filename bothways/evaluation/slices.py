"""Where a model is worse than elsewhere: parts of the data with scores of their own, the worst first.

Whoever looks at a hundred parts finds five that differ by chance; p-values are corrected for how many were looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from bothways.errors import InputError
from bothways.evaluation.intervals import Interval
from bothways.evaluation.row_scores import RowScores, Sums

FEWEST = 10
"""Examples of a part and of the rest; fewer say nothing."""

MOST_SLICES = 500
SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class Facet:
    """A way of dividing examples: for each one the name of its part, None where it has none."""

    name: str
    values: Sequence[str | None]


@dataclass(frozen=True, kw_only=True)
class CountedFacet:
    """A way of dividing what stands inside examples, such as entities, with the score of each part."""

    name: str
    parts: Mapping[str, Sums]


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A part of the data.

    Attributes:
        facet, value: what was divided by, and the part.
        support: examples in it, or what stands in them (entities).
        measure: the name of the score.
        score: with its 95 % interval.
        rest: the score of what has another value of the same facet.
        difference: score minus rest.
        p_value: that there is no difference, corrected for all parts that were looked at (Holm 1979).
        worse: whether the part is worse by more than chance.
    """

    facet: str
    value: str
    support: int
    measure: str
    percent: bool
    score: Interval
    rest: float
    difference: float
    p_value: float
    worse: bool


@dataclass(frozen=True, kw_only=True)
class Slices:
    """The parts, the worst first.

    Attributes:
        overall: score of all examples, ``measure`` its name.
        slices: at most 500.
        compared: how many parts were looked at. small: how many were left out, having fewer than 10 examples.
    """

    measure: str
    percent: bool
    overall: Interval
    slices: tuple[Slice, ...]
    compared: int
    small: int

    @property
    def worse(self) -> tuple[Slice, ...]:
        """Those that are worse by more than chance."""
        return tuple(found for found in self.slices if found.worse)


def find_slices(rows: RowScores, facets: Sequence[Facet], counted: Sequence[CountedFacet] = ()) -> Slices:
    """Score every part and compare it with the rest.

    Args:
        rows: what each example adds to the score.
        facets: ways of dividing the examples. counted: those that have scores of their own.

    Raises:
        InputError: a facet has another number of examples.
    """
    found: list[tuple[str, str, Sums, Sums]] = []
    small = 0
    for name, parts in [*((f.name, _divided(rows, f)) for f in facets), *((f.name, f.parts) for f in counted)]:
        everything = sum(parts.values(), start=_nothing(parts))
        for value, own in parts.items():
            others = everything - own
            if min(own.n, others.n) < FEWEST:
                small += 1
            else:
                found.append((name, value, own, others))
    corrected = holm([_p_value(own, others) for _, _, own, others in found])
    slices = [_slice(*part, p) for part, p in zip(found, corrected, strict=True)]
    sign = 1 if rows.measure.higher_is_better else -1
    slices.sort(key=lambda s: (not s.worse, sign * s.difference, s.facet, s.value))
    return Slices(
        measure=rows.measure.name,
        percent=rows.measure.percent,
        overall=rows.sums().interval(),
        slices=tuple(slices[:MOST_SLICES]),
        compared=len(found),
        small=small,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values such that calling those below 5 % real is wrong at all in 5 % of cases.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - rank)))
        corrected[i] = highest
    return corrected


def _slice(facet: str, value: str, own: Sums, others: Sums, p_value: float) -> Slice:
    difference = own.value - others.value
    lower = difference < 0 if own.measure.higher_is_better else difference > 0
    return Slice(
        facet=facet,
        value=value,
        support=own.n,
        measure=own.measure.name,
        percent=own.measure.percent,
        score=own.interval(),
        rest=others.value,
        difference=difference,
        p_value=p_value,
        worse=lower and p_value < SIGNIFICANT,
    )


def _p_value(own: Sums, others: Sums) -> float:
    """Fisher's exact test for examples that are right or wrong, else the normal distribution; two-sided."""
    if own.measure.binary:
        from scipy.stats import fisher_exact

        return float(fisher_exact([[round(s.part), round(s.whole - s.part)] for s in (own, others)])[1])
    spread = math.sqrt(_spread(own) + _spread(others))
    if spread == 0:
        return 1.0 if own.value == others.value else 0.0  # nothing varies
    return 2 * NormalDist().cdf(-abs(own.value - others.value) / spread)


def _spread(sums: Sums) -> float:
    """Variance of a score; where all are right or all are wrong that of one more each (Agresti and Caffo 2000)."""
    if sums.variance > 0 or not sums.measure.percent:
        return sums.variance
    share = (sums.part + 1) / (sums.whole + 2)
    return share * (1 - share) / (sums.whole + 2)


def _divided(rows: RowScores, facet: Facet) -> dict[str, Sums]:
    if len(facet.values) != len(rows):
        raise InputError(f"{facet.name!r} has {len(facet.values):,} values for {len(rows):,} examples.")
    names = list(dict.fromkeys(value for value in facet.values if value is not None))
    place = {name: i for i, name in enumerate(names)}
    group = np.array([-1 if value is None else place[value] for value in facet.values], dtype=np.int64)
    return dict(zip(names, rows.grouped(group, len(names)), strict=True))


def _nothing(parts: Mapping[str, Sums]) -> Any:
    """What sums begin with."""
    first = next(iter(parts.values()), None)
    return first - first if first is not None else 0
