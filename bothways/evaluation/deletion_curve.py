"""Is a marking of words any good? Take the words away in the claimed order, and see whether chance does as well.

A marking claims an order of importance. If the claim is true, the score of the label falls faster when units are taken
away in that order than in random ones. The area between both curves measures by how much, and the share of random
orders that do as well is the p value of "this marking is no better than chance".

Source: DeYoung et al. 2020, "ERASER: A Benchmark to Evaluate Rationalized NLP Models", section 4.2 (comprehensiveness,
sufficiency and their areas); Samek et al. 2017, "Evaluating the visualization of what a deep neural network has
learned" (the curve).

Shapes: n units, S points of the curve, R random orders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bothways.evaluation.removal import Units

SHARES = (0.01, 0.05, 0.10, 0.20, 0.50)
"""Shares of the units in DeYoung et al.'s measures."""
STEPS = 10
STEPS_OF_PASSAGES = 5
FEWEST_UNITS = 4
"""With three units chance finds the best order in one of six cases: nothing could be shown."""
SIGNIFICANT = 0.05
_ORDERS = (19, 99)
_CHARACTERS = 150_000  # read for random orders, about ten seconds on one core with a small model

Scores = Callable[[Sequence[str]], tuple[np.ndarray, np.ndarray]]
"""Texts to the logit and the probability of the explained label, float64 (texts,) each."""


@dataclass(frozen=True, kw_only=True)
class DeletionCurve:
    """What the label's logit does while units are taken away.

    Attributes:
        shares: of units taken away at each of the S points, 0 to 1.
        claimed: the logit when they go in the claimed order.
        random_mean, random_low, random_high: the same over random orders: mean, and 5th and 95th percentile.
        area: between the mean of the random curves and the claimed one, in logits; above 0 speaks for the marking.
        p_value: share of orders, random ones and the claimed one, whose area is at least as large.
        n_orders: R.
        comprehensiveness: fall of the probability when the most important 1, 5, 10, 20 and 50 % of the units are taken
            away, in the mean: high is good. ``random_comprehensiveness`` is the same in random orders.
        sufficiency: fall of the probability when only these units are left: low is good.
    """

    shares: tuple[float, ...]
    claimed: tuple[float, ...]
    random_mean: tuple[float, ...]
    random_low: tuple[float, ...]
    random_high: tuple[float, ...]
    area: float
    p_value: float
    n_orders: int
    comprehensiveness: float
    random_comprehensiveness: float
    sufficiency: float
    random_sufficiency: float

    @property
    def better_than_chance(self) -> bool:
        """Whether that is shown on this text, at 5 %."""
        return self.area > 0 and self.p_value <= SIGNIFICANT


def deletion_curve(
    units: Units, importance: Sequence[float], scores: Scores, *, n_orders: int | None = None, seed: int = 0
) -> DeletionCurve | None:
    """Check a marking.

    Args:
        units: n units of a text.
        importance: n numbers, the largest for what is claimed to matter most.
        scores: asked once, with all texts.
        n_orders: R; by default 19 to 99, fewer for long texts.
        seed: of the random orders.

    Returns:
        The curve; None for fewer than ``FEWEST_UNITS`` units.
    """
    n = len(units)
    if n < FEWEST_UNITS:
        return None
    steps = min(n, STEPS if units.name == "word" else STEPS_OF_PASSAGES)
    counts = sorted({round(n * i / steps) for i in range(steps + 1)})
    marked = [max(1, round(n * share)) for share in SHARES]
    n_orders = n_orders or _orders_for(len(units.text), len(counts))
    generator = np.random.default_rng(seed)
    claimed = np.argsort(-np.asarray(importance, dtype=np.float64), kind="stable")
    orders = [claimed, *(generator.permutation(n) for _ in range(n_orders))]
    logits, probabilities = _ask(units, orders, counts, marked, scores)

    shares = np.array(counts) / n
    curves = logits[:, : len(counts)]
    mean = curves[1:].mean(axis=0)
    areas = _area(mean - curves, shares)  # (1 + R,)
    low, high = np.percentile(curves[1:], [5, 95], axis=0)
    whole = probabilities[:, :1]
    fall = (whole - probabilities[:, len(counts) : len(counts) + len(marked)]).mean(axis=1)
    rest = (whole - probabilities[:, len(counts) + len(marked) :]).mean(axis=1)
    return DeletionCurve(
        shares=_numbers(shares),
        claimed=_numbers(curves[0]),
        random_mean=_numbers(mean),
        random_low=_numbers(low),
        random_high=_numbers(high),
        area=float(areas[0]),
        # sums of the same numbers in another order may differ in the last bit
        p_value=float((1 + np.sum(areas[1:] >= areas[0] - 1e-9)) / (1 + n_orders)),
        n_orders=n_orders,
        comprehensiveness=float(fall[0]),
        random_comprehensiveness=float(fall[1:].mean()),
        sufficiency=float(rest[0]),
        random_sufficiency=float(rest[1:].mean()),
    )


def _ask(
    units: Units, orders: Sequence[np.ndarray], counts: Sequence[int], marked: Sequence[int], scores: Scores
) -> tuple[np.ndarray, np.ndarray]:
    """Logits and probabilities, float64 (orders, S + 2 * marked): after each count, without and with only the marked.

    Every different text is asked once.
    """
    number_of: dict[str, int] = {}
    asked = []
    for order in orders:
        first = [frozenset(order[:count].tolist()) for count in (*counts, *marked)]
        last = [frozenset(order[count:].tolist()) for count in marked]
        texts = [units.without(removed) for removed in (*first, *last)]
        asked.append([number_of.setdefault(text, len(number_of)) for text in texts])
    logits, probabilities = scores(list(number_of))
    places = np.array(asked)
    return logits[places], probabilities[places]


def _area(heights: np.ndarray, places: np.ndarray) -> np.ndarray:
    """By trapezoids, along the last axis."""
    return ((heights[:, 1:] + heights[:, :-1]) / 2 * np.diff(places)).sum(axis=1)


def _orders_for(characters: int, points: int) -> int:
    fewest, most = _ORDERS
    return max(fewest, min(most, 2 * _CHARACTERS // max(characters * points, 1)))


def _numbers(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
