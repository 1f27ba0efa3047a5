"""Would more labels help, and how many? A curve of the score against the number of training examples, carried on.

Errors fall with the number n of examples like ``floor + a * n ** -b`` (Hestness et al. 2017, "Deep learning scaling is
predictable, empirically", section 3; for text classifiers Figueroa et al. 2012, "Predicting sample size required for
classification performance"). The interval is of both chances: which examples judge, and which train.

Shapes: P points of the curve, R resamples, G exponents.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.evaluation.intervals import Interval, resample_statistic
from bothways.evaluation.scores import METRICS, Kind, Metric, count_outcomes

PARTS = ((16, 3), (8, 2), (4, 2), (2, 1))
"""One part in so many of the training examples, and how many such parts are trained on; together 1.4 times all."""

FEWEST = 160
"""Training examples from which a curve is drawn."""

MOST_ANSWERS = 10_000_000
"""Training examples x labels up to which one is drawn; above, training again and again would take minutes."""

FEWEST_JUDGED = 50
POINT = 0.01
FAR = 100
"""Times the examples there are: further the curve is not carried on."""

_RESAMPLES = 400
_EXPONENTS = np.linspace(0.05, 1.0, 20)


@dataclass(frozen=True, kw_only=True)
class CurveStep:
    """The score after training on ``n`` examples."""

    n: int
    score: Interval


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What ``n`` examples would give, and how much that is more than now; scores from 0 to 1."""

    n: int
    score: Interval
    gain: Interval


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """How the score grows with the examples.

    Attributes:
        name: of the model that was trained again and again. measure: the score's name.
        steps: by number of examples; several of equal number are of different examples.
        floor, factor, exponent: of the errors, ``floor + factor * n ** -exponent``; None where nothing was fitted.
        forecasts: for two, four and ten times the examples.
        needed: examples beyond those there are for one more point; None where none or more than 100 times as many do.
        answer: would more labels help, and how many: one sentence.
    """

    name: str
    measure: str
    items: str
    steps: tuple[CurveStep, ...]
    floor: float | None = None
    factor: float | None = None
    exponent: float | None = None
    forecasts: tuple[Forecast, ...] = ()
    needed: int | None = None
    answer: str


def parts_of(n: int, seed: int = 0) -> list[NDArray[np.int64]]:
    """Numbers of the training examples of each point, the smallest parts first; none where there are too few."""
    if n < FEWEST:
        return []
    order = np.random.default_rng(seed).permutation(n)
    parts = []
    for divisor, repeats in PARTS:
        size = n // divisor
        parts += [np.sort(order[i * size : (i + 1) * size]) for i in range(repeats)]
    return parts


def learning_curve(
    kind: Kind,
    gold: Sequence[Any],
    sizes: Sequence[int],
    answers: Sequence[Sequence[Any]],
    *,
    name: str,
    label_names: Sequence[Hashable] = (),
    items: str = "texts",
    seed: int = 0,
) -> LearningCurve:
    """Fit the curve and say what it means.

    Args:
        gold: right answers to the judged examples.
        sizes: (P,) numbers of training examples. answers: what the model trained on them answers.
        name: of the model.
    """
    metric = METRICS[kind][0]
    outcomes = count_outcomes(kind, gold, *answers, label_names=label_names)
    draws = np.stack(
        [_draws(outcomes.counts, metric.of(outcomes, i), seed) for i in range(len(answers))], axis=1
    )  # (R, P); one seed, so that a row of it is one sample of judged examples
    scores = np.array(
        [float(metric.of(outcomes, i)(outcomes.counts[None].astype(float))[0]) for i in range(len(sizes))]
    )
    steps = tuple(
        CurveStep(n=n, score=Interval(estimate=float(s), low=float(low), high=float(high)))
        for n, s, low, high in zip(sizes, scores, *np.quantile(draws, [0.025, 0.975], axis=0), strict=True)
    )
    about: dict[str, Any] = {"name": name, "measure": metric.title, "items": items, "steps": steps}
    if len(set(sizes)) < 4 or outcomes.n < FEWEST_JUDGED or not metric.percent:
        return LearningCurve(**about, answer=_too_little(max(sizes, default=0), outcomes.n, items))
    return _carried_on(np.asarray(sizes, dtype=float), scores, draws, about, metric, seed)


def no_curve(n: int, judged: int, *, name: str, measure: str, items: str, n_labels: int = 1) -> LearningCurve:
    """What there is to say of too few examples, or of very many with many labels."""
    if n * n_labels > MOST_ANSWERS:
        answer = (
            f"It was not tried: to train the baseline again and again on {n:,} {items} with {n_labels:,} labels would "
            "take minutes."
        )
    else:
        answer = _too_little(n, judged, items)
    return LearningCurve(name=name, measure=measure, items=items, steps=(), answer=answer)


def fit_power_law(
    sizes: NDArray[np.float64], errors: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted least squares of ``floor + factor * n ** -exponent``, neither number below 0.

    Args:
        sizes, weights: (P,). errors: (R, P), a curve each.

    Returns:
        (R, 3): floor, factor, exponent.
    """
    w = weights / weights.sum()
    scaled = sizes / sizes.max()
    best = np.full(len(errors), np.inf)
    found = np.zeros((len(errors), 3))
    for exponent in _EXPONENTS:
        x = scaled**-exponent
        mean_x, mean_e = w @ x, errors @ w
        spread = w @ (x - mean_x) ** 2
        factor = np.clip(((errors - mean_e[:, None]) * w) @ (x - mean_x) / spread, 0, None)
        floor = mean_e - factor * mean_x
        through_zero = (errors * w) @ x / (w @ x**2)
        factor, floor = np.where(floor < 0, through_zero, factor), np.clip(floor, 0, None)
        loss = ((errors - floor[:, None] - factor[:, None] * x) ** 2) @ w
        better = loss < best
        best = np.where(better, loss, best)
        row = np.stack([floor, factor * sizes.max() ** exponent, np.full(len(errors), exponent)], axis=1)
        found[better] = row[better]
    return found


def _draws(counts: NDArray, statistic: Callable[[NDArray], NDArray], seed: int) -> NDArray[np.float64]:
    return resample_statistic(counts, statistic, n_resamples=_RESAMPLES, seed=seed)


def _carried_on(
    sizes: NDArray[np.float64],
    scores: NDArray[np.float64],
    draws: NDArray[np.float64],
    about: dict[str, Any],
    metric: Metric,
    seed: int,
) -> LearningCurve:
    now = int(sizes.max())
    weights = sizes**0.5  # scores after few examples hang on which ones they were
    floor, factor, exponent = fit_power_law(sizes, 1 - scores[None], weights)[0]
    residuals = scores - (1 - floor - factor * sizes**-exponent)
    # What training on other examples would have given: as far from the curve as these are, three numbers being fitted.
    noise = np.sqrt((weights * residuals**2).sum() / weights.sum() * len(sizes) / max(1, len(sizes) - 3))
    noisy = draws + np.random.default_rng(seed).normal(0, noise, draws.shape) * (weights.mean() / weights) ** 0.5
    curves = fit_power_law(sizes, 1 - noisy, weights)

    def of(table: NDArray[np.float64], n: float) -> NDArray[np.float64]:
        return 1 - table[:, 0] - table[:, 1] * n ** -table[:, 2]

    fitted = np.array([[floor, factor, exponent]])
    forecasts = []
    for times in (2, 4, 10):
        gains = of(curves, now * times) - of(curves, now)
        gain = _interval(float((of(fitted, now * times) - of(fitted, now))[0]), gains)
        reached = float(scores[np.argmax(sizes)])
        levels = draws[:, int(np.argmax(sizes))] + gains
        forecasts.append(Forecast(n=now * times, score=_interval(min(1.0, reached + gain.estimate), levels), gain=gain))
    needed = _needed(floor, factor, exponent, now)
    return LearningCurve(
        **about,
        floor=float(floor),
        factor=float(factor),
        exponent=float(exponent),
        forecasts=tuple(forecasts),
        needed=needed,
        answer=_answer(forecasts[0].gain, forecasts[-1].gain, needed, now, about, metric),
    )


def _interval(estimate: float, values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(estimate=estimate, low=min(float(low), estimate), high=max(min(1.0, float(high)), estimate))


def _needed(floor: float, factor: float, exponent: float, now: int) -> int | None:
    """Examples beyond those there are for one more point."""
    reducible = factor * now**-exponent - POINT
    if reducible <= 0:
        return None
    n = (factor / reducible) ** (1 / exponent)
    return None if n > FAR * now else int(-(-(n - now) // 1))


def _answer(gain: Interval, far: Interval, needed: int | None, now: int, about: dict[str, Any], metric: Metric) -> str:
    what = f"{metric.title} of {about['name']}"
    twice = f"twice as many {about['items']} ({2 * now:,})"
    points = f"{gain.estimate * 100:.1f} points"
    interval = f"(95 % interval {gain.low * 100:.1f} to {gain.high * 100:.1f})"
    if gain.high < POINT:
        return (
            f"Hardly: by the curve {twice} would raise the {what} by {points} {interval}, and ten times as many by "
            f"{far.estimate * 100:.1f} ({far.low * 100:.1f} to {far.high * 100:.1f})."
        )
    if gain.low < 0.001:
        return (
            f"It cannot be told: by the curve {twice} would raise the {what} by {points} {interval}, "
            "which may be nothing."
        )
    more = f"; one point more needs about {_rounded(needed):,} more" if needed is not None else ""
    return f"Yes: by the curve {twice} would raise the {what} by about {points} {interval}{more}."


def _rounded(n: int) -> int:
    """Two digits are all that a curve carries."""
    step = 10 ** max(0, len(str(n)) - 2)
    return -(-n // step) * step


def _too_little(n: int, judged: int, items: str) -> str:
    return (
        f"It cannot be told from {n:,} training and {judged:,} judged {items}: a curve needs at least {FEWEST} and "
        f"{FEWEST_JUDGED}, and a score in percent."
    )
