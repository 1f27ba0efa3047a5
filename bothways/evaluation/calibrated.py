"""What is known of a model's sureness: fitted for storage, and measured on texts that the fit did not see.

Shapes: n texts, C labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bothways.errors import InputError
from bothways.evaluation.conformal import (
    SetCoverage,
    interval_coverage,
    nonconformity,
    rounded_up,
    set_coverage,
    stored_quantiles,
)
from bothways.evaluation.reliability import Reliability, confidence_reliability, reliability
from bothways.evaluation.risk_coverage import RiskCoverage, risk_coverage, risk_table, spread
from bothways.evaluation.temperature import fit_label_temperatures, fit_temperature
from bothways.tasks.calibration import STEPS, Calibration, Kind, answer_doubt
from bothways.tasks.sure_answers import conformal_doubt, doubt_at_risk, label_sets

FEWEST = 50
"""Texts from which anything is fitted."""
RISKS = (0.01, 0.02, 0.05, 0.1)
ERRORS = (0.1, 0.05)

MeasuredOn = Literal["other halves", "other texts", "these texts"]


@dataclass(frozen=True, kw_only=True)
class Abstention:
    """What ``abstain_at_risk=asked`` does.

    Attributes:
        answered, wrong: of ``count`` texts that the threshold was not chosen on.
        confidence: below which the stored threshold gives no answer.
    """

    asked: float
    count: int
    answered: int
    wrong: int
    confidence: float

    @property
    def coverage(self) -> float:
        return self.answered / self.count

    @property
    def risk(self) -> float:
        return self.wrong / self.answered if self.answered else 0.0


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """Everything that a page about a model's sureness shows.

    Attributes:
        kind: of labels, or ``"confidences"`` of answers without a table of probabilities (entities).
        items: what was measured: ``texts``, ``entities``. count: how many.
        measured_on: ``"other halves"``: fitted on each half and measured on the other one, both ways;
            ``"other texts"``: fitted and measured on different data; ``"these texts"``: nothing was fitted.
        calibration: fitted on all texts, for storage; None where nothing is stored.
        before, after: with scores as they are, and calibrated; None where there are no confidences, or where no
            temperature is stored, because none can be fitted or it makes the log loss on other texts no smaller.
        risk_coverage: of the calibrated confidences; None for numbers.
        abstention: for each risk that the texts can show. sets: for each coverage that they can promise.
        sentences: what a reader should know.
    """

    kind: str
    items: str
    count: int
    measured_on: MeasuredOn
    calibration: Calibration | None
    before: Reliability | None
    after: Reliability | None
    risk_coverage: RiskCoverage | None
    abstention: tuple[Abstention, ...] = ()
    sets: tuple[SetCoverage, ...] = ()
    sentences: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """The numbers without the curves, as JSON values."""
        return {
            "measured_on": self.measured_on,
            "count": self.count,
            "temperatures": [] if self.calibration is None else list(self.calibration.temperatures),
            "before": None if self.before is None else self.before.summary(),
            "after": None if self.after is None else self.after.summary(),
            "area": None if self.risk_coverage is None else self.risk_coverage.area,
            "abstention": [{"risk": a.asked, "coverage": a.coverage, "measured": a.risk} for a in self.abstention],
            "sets": [{"promised": s.promised, "measured": s.coverage, "mean_size": s.mean_size} for s in self.sets],
            "sentences": list(self.sentences),
        }


def fit_calibration(kind: Kind, scores: ArrayLike, gold: Any, *, head: Sequence[float] = ()) -> Calibration:
    """Temperature, quantiles and thresholds from texts that the model did not learn from.

    Args:
        scores: (n, C) probabilities; (n,) numbers for ``"regression"``.
        gold: n class indices (``"single"``), marks (n, C) (``"multi"``) or n numbers.
        head: ``tasks.calibration.head_sketch`` of the model.

    Raises:
        InputError: fewer than ``FEWEST`` texts, or shapes that do not fit.
    """
    table = np.asarray(scores, dtype=np.float64)
    _check_count(table)
    return _fit(kind, table, np.asarray(gold), tuple(head))


def measure_calibration(
    kind: Kind,
    scores: ArrayLike,
    gold: Any,
    *,
    other: tuple[ArrayLike, Any] | None = None,
    head: Sequence[float] = (),
    items: str = "texts",
    seed: int = 0,
) -> Calibrated:
    """Fit a calibration, and measure it on texts that it was not fitted on.

    Args:
        kind, scores, gold, head: as for ``fit_calibration``.
        other: scores and gold of further texts to measure on. Without them each half of the texts is measured with what
            the other half gives; the stored calibration is that of all of them.
        seed: of the halves.

    Raises:
        InputError: as ``fit_calibration``.
    """
    if other is not None and not len(np.asarray(other[0])):
        raise InputError("there are no texts to measure on; expected 1 or more.")
    table, truth = np.asarray(scores, dtype=np.float64), np.asarray(gold)
    stored, found = _measured(kind, table, truth, other, tuple(head), seed, temper=True)
    said = _of_temperature(stored, items, found["before"], found["after"])
    if found["after"] is not None and found["after"].log_loss >= found["before"].log_loss:
        stored, found = _measured(kind, table, truth, other, tuple(head), seed, temper=False)
    how = f"on each half of the {items}, with what the other half gives" if other is None else f"on other {items}"
    return Calibrated(
        kind=kind,
        items=items,
        count=len(table if other is None else np.asarray(other[0])),
        measured_on="other halves" if other is None else "other texts",
        calibration=stored,
        sentences=(*said, *_sentences(stored, items, **found), f"How sure it is was measured {how}."),
        **found,
    )


def measure_confidences(confidence: ArrayLike, right: ArrayLike, *, items: str) -> Calibrated:
    """The reliability of answers of which nothing but a confidence is known, such as entities; nothing is fitted.

    Args:
        confidence: (n,), from 0 to 1. right: (n,), whether the answer is right.

    Raises:
        InputError: shapes or values that cannot be.
    """
    before = confidence_reliability(confidence, right)
    doubt = 1 - np.asarray(confidence, dtype=np.float64)
    return Calibrated(
        kind="confidences",
        items=items,
        count=len(doubt),
        measured_on="these texts",
        calibration=None,
        before=before,
        after=None,
        risk_coverage=risk_coverage(doubt, right),
        sentences=(
            f"The confidences of {len(doubt):,} {items} are {before.error * 100:.1f} % away from the share of right "
            "ones.",
        ),
    )


def _measured(
    kind: Kind,
    table: NDArray[Any],
    gold: NDArray[Any],
    other: tuple[ArrayLike, Any] | None,
    head: tuple[float, ...],
    seed: int,
    *,
    temper: bool,
) -> tuple[Calibration, dict[str, Any]]:
    """The calibration to store, and what was measured: fields of ``Calibrated``."""
    _check_count(table)
    stored = _fit(kind, table, gold, head, temper=temper)
    if other is not None:
        measured, right = np.asarray(other[0], dtype=np.float64), np.asarray(other[1])
        parts = [(stored, np.arange(len(measured)))]
    else:
        measured, right = table, gold
        order = np.random.default_rng(seed).permutation(len(table))
        one, two = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
        parts = [(_fit(kind, table[a], gold[a], temper=temper), b) for a, b in ((one, two), (two, one))]
    measure = _numbers if kind == "regression" else _labels
    return stored, measure(stored, parts, measured, right)


def _check_count(table: NDArray[Any]) -> None:
    if len(table) < FEWEST:
        raise InputError(
            f"{len(table):,} labelled texts are too few to measure how sure a model may be; give at least {FEWEST}."
        )


def _fit(
    kind: Kind, table: NDArray[Any], gold: NDArray[Any], head: tuple[float, ...] = (), *, temper: bool = True
) -> Calibration:
    temperatures: tuple[float, ...] = ()
    if kind == "multi" and temper:
        temperatures = fit_label_temperatures(table, gold)
    elif kind == "single" and temper:
        fitted = fit_temperature(table, gold)
        temperatures = () if fitted is None else (fitted,)
    labels = 1 if kind == "regression" else table.shape[1]
    bare = Calibration(kind=kind, labels=labels, count=len(table), temperatures=_stored(temperatures), head=head)
    scores = bare.scores(table)
    ranks, quantiles = stored_quantiles(nonconformity(scores, gold, kind))
    facts: dict[str, Any] = {"ranks": ranks, "nonconformity": quantiles}
    if kind != "regression":
        rounded = [rounded_up(value) for value in answer_doubt(scores, kind).tolist()]
        doubts, covered, wrong = risk_table(rounded, _right(kind, table, gold))
        chosen = spread(len(doubts), STEPS)
        facts |= {
            "doubts": tuple(doubts[chosen].tolist()),
            "covered": tuple(covered[chosen].tolist()),
            "wrong": tuple(wrong[chosen].tolist()),
        }
    return Calibration(**{**vars(bare), **facts})


def _stored(temperatures: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.8g}") for value in temperatures)


def _right(kind: Kind, scores: NDArray[Any], gold: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether the answer to each text is right; of several labels all must be."""
    if kind == "multi":
        return ((scores >= 0.5) == (gold > 0)).all(axis=1)
    return scores.argmax(axis=1) == gold


Parts = list[tuple[Calibration, NDArray[np.int64]]]
"""Calibrations, and the rows that each is measured on."""


def _labels(stored: Calibration, parts: Parts, table: NDArray[Any], gold: NDArray[Any]) -> dict[str, Any]:
    kind = stored.kind
    scores = np.empty_like(table)
    for calibration, rows in parts:
        scores[rows] = calibration.scores(table[rows])
    right, doubt = _right(kind, table, gold), answer_doubt(scores, kind)
    abstention, sets = [], []
    for risk in RISKS:
        cut = _if_shown(doubt_at_risk, risk, stored, parts)
        if cut is not None:
            own = np.empty(len(table))
            for (_, rows), most in zip(parts, cut[1], strict=True):
                own[rows] = most
            answered = doubt <= own
            count, wrong = int(answered.sum()), int((answered & ~right).sum())
            abstention.append(
                Abstention(asked=risk, count=len(table), answered=count, wrong=wrong, confidence=1 - cut[0])
            )
    for error in ERRORS:
        if _if_shown(conformal_doubt, error, stored, parts) is not None:
            inside = np.empty(table.shape, dtype=bool)
            for calibration, rows in parts:
                inside[rows] = label_sets(calibration, scores[rows], error)
            sets.append(set_coverage(inside, gold, kind, 1 - error))
    return {
        "before": reliability(kind, table, gold),
        "after": reliability(kind, scores, gold) if stored.temperatures else None,
        "risk_coverage": risk_coverage(doubt, right),
        "abstention": tuple(abstention),
        "sets": tuple(sets),
    }


def _numbers(stored: Calibration, parts: Parts, numbers: NDArray[Any], gold: NDArray[Any]) -> dict[str, Any]:
    sets = []
    for error in ERRORS:
        cut = _if_shown(conformal_doubt, error, stored, parts)
        if cut is not None:
            half = np.empty(len(numbers))
            for (_, rows), own in zip(parts, cut[1], strict=True):
                half[rows] = own
            sets.append(interval_coverage(half, np.abs(numbers - gold), 1 - error))
    return {"before": None, "after": None, "risk_coverage": None, "abstention": (), "sets": tuple(sets)}


def _if_shown(
    ask: Callable[[Calibration, float], float], share: float, stored: Calibration, parts: Parts
) -> tuple[float, list[float]] | None:
    """The doubt of the stored calibration and those of the parts; None where one of them has too few texts to tell."""
    try:
        return ask(stored, share), [ask(calibration, share) for calibration, _ in parts]
    except InputError:
        return None


def _sentences(stored: Calibration, items: str, **found: Any) -> tuple[str, ...]:
    said = []
    if stored.kind != "regression":
        said.append(_of_abstention(stored, items, found["abstention"]))
    for sets in found["sets"][:1]:
        what = "intervals" if stored.kind == "regression" else "sets of labels"
        size = f"{sets.mean_size:.3g} wide" if stored.kind == "regression" else f"of {sets.mean_size:.2f} labels"
        said.append(
            f"Its {what} for {sets.promised * 100:.0f} % hold the truth in {sets.coverage * 100:.1f} % of the {items} "
            f"and are {size} on average."
        )
    return tuple(said)


def _of_abstention(stored: Calibration, items: str, abstention: Sequence[Abstention]) -> str:
    at = next((a for a in abstention if a.asked == 0.02), None)
    if at is not None:
        return (
            f"Asked for at most 2 % mistakes it answers {at.coverage * 100:.0f} % of the {items}, and "
            f"{at.risk * 100:.1f} % of these answers are wrong."
        )
    alone = _if_shown(doubt_at_risk, 0.02, stored, [])
    if alone is None:
        return f"At most 2 % mistakes cannot be promised: {stored.count:,} {items} do not show it for any threshold."
    return (
        f"Asked for at most 2 % mistakes it answers from a confidence of {1 - alone[0]:.3f} on; half of the {items} "
        "are too few to measure that."
    )


def _of_temperature(
    stored: Calibration, items: str, before: Reliability | None, after: Reliability | None
) -> tuple[str, ...]:
    if before is None:
        return ()
    if after is None:
        return (f"None of {stored.count:,} {items} is answered wrongly, so no temperature can be fitted to them.",)
    t = stored.temperatures
    shown = f"{t[0]:.2f}" if len(t) == 1 else f"{min(t):.2f} to {max(t):.2f} for the {len(t)} labels"
    fitted = f"Temperature {shown}, fitted on {stored.count:,} {items}"
    assert before.log_loss is not None and after.log_loss is not None
    if after.log_loss >= before.log_loss:
        return (
            f"{fitted}, is not used: the log loss goes from {before.log_loss:.4f} to {after.log_loss:.4f}, which is no "
            "gain.",
        )
    return (
        f"{fitted}: the calibration error goes from {before.error * 100:.1f} to {after.error * 100:.1f} %, the log "
        f"loss from {before.log_loss:.3f} to {after.log_loss:.3f}.",
    )
