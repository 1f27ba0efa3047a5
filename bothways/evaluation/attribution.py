"""Which words moved a classification: each is left out once, and the marking that results is itself checked.

The effect of a word is how much the logit of the label falls when the word is left out. The logit is that of the
label's probability, ln(p / (1 - p)): for a softmax the label's logit against all others, for a sigmoid its own, for a
regression the value.

Source: Li, Monroe and Jurafsky 2016, "Understanding Neural Networks through Representation Erasure".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.errors import InputError, nearest
from bothways.evaluation.deletion_curve import FEWEST_UNITS, DeletionCurve, deletion_curve
from bothways.evaluation.removal import BETWEEN, UnitName, pair_units_of, units_of
from bothways.tasks.sentences import split_sentences
from bothways.tasks.text_classification import default_function

MOST_CHARACTERS = 5_000
"""Characters of a text that are looked at: each unit costs one more reading."""
_ANY_ANSWER: dict[str, Any] = {"abstain_at_risk": None, "conformal": None}  # also where the pipeline would give none


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A unit of a text, its characters ``[start, end)``, and how much the label's logit falls without it."""

    start: int
    end: int
    text: str
    effect: float


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a text was classified as it was.

    Attributes:
        text: what was looked at: the whole text, or the beginning of a long one; of a pair both, with ``‖`` between.
        n_characters: of the whole text, or of both.
        label: whose logit is explained; ``predicted`` is the one that the model chose.
        score: the label's, as the pipeline gives it (calibrated where the model has a calibration); the value itself
            for a regression.
        logit: what effects are differences of, before any calibration.
        unit: what was left out, one at a time.
        effects: of each unit, in the order of the text.
        curve: the check of the marking; None for a text of fewer than four units.
        value: whether the score is a value and no probability.
    """

    text: str
    n_characters: int
    label: str
    predicted: str
    score: float
    logit: float
    unit: UnitName
    effects: tuple[Effect, ...]
    curve: DeletionCurve | None
    value: bool = False

    @property
    def strongest(self) -> tuple[Effect, ...]:
        """The effects, largest first, whatever their sign."""
        return tuple(sorted(self.effects, key=lambda e: -abs(e.effect)))

    @property
    def verdict(self) -> str:
        """One sentence: whether the marking is better than chance on this text."""
        return _verdict(self)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know beside the verdict."""
        if len(self.text) == self.n_characters:
            return ()
        return (f"Only the first {len(self.text):,} of {self.n_characters:,} characters were looked at.",)

    def to_html(self) -> str:
        """One self-contained page."""
        from bothways.evaluation.views import explanation_view, render_views

        return render_views([explanation_view(self)], title="Words that moved the answer")

    def to_terminal(self, *, color: bool | None = None, width: int | None = None) -> str:
        """Text for a terminal.

        Args:
            color: with escape sequences for colours; by default if standard output is a terminal that wants them.
            width: columns; by default those of the terminal.
        """
        from bothways.evaluation.terminal import explanation_lines, written

        return written(explanation_lines(self), color=color, width=width)

    def as_json(self) -> dict[str, Any]:
        """All numbers as plain values."""
        return {
            "label": self.label,
            "score": self.score,
            "logit": self.logit,
            "unit": self.unit,
            "effects": [vars(effect) for effect in self.effects],
            "curve": None if self.curve is None else vars(self.curve),
            "verdict": self.verdict,
            "notes": list(self.notes),
        }


def explain(
    pipe: Any,
    text: str,
    text_pair: str | None = None,
    *,
    label: str | None = None,
    unit: str | None = None,
    most_characters: int = MOST_CHARACTERS,
    n_orders: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Which words, or sentences of a long text, moved the classification of a text.

    A text of n words is read n times without one of them, and some hundred times more for the check, in packed batches.

    Args:
        pipe: a text-classification pipeline.
        text, text_pair: what it classifies; words of either text are left out.
        label: whose logit; by default the best one's.
        unit: ``"word"`` or ``"sentence"``; by default words for up to 100 of them.
        most_characters: of a longer text the beginning is looked at, and ``notes`` says so.
        n_orders: random orders that the marking is compared with; by default 19 to 99, fewer for long texts.
        seed: of these orders.

    Raises:
        InputError: another pipeline, no text, a text without words, an unknown label or unit.
    """
    given = [text] if text_pair is None else [text, text_pair]
    for one in given:
        _check(pipe, one, most_characters)
    names = [pipe.model.config.id2label[i] for i in range(pipe.model.config.num_labels)]
    if label is not None and label not in names:
        known = ", ".join(map(repr, nearest(label, names) or names[:20]))
        raise InputError(f"the model has no label {label!r}; expected one of its {len(names)}, for example {known}.")
    beginnings = [_beginning(one, most_characters) for one in given]
    units = units_of(beginnings[0], unit) if text_pair is None else pair_units_of(beginnings[0], beginnings[1], unit)
    logits = _logits(pipe, names, units.inputs([units.text, *(units.without({i}) for i in range(len(units)))]))
    function = pipe.options.function_to_apply or default_function(pipe.model.config)
    answer = _table(pipe(units.inputs([units.text]), return_all_scores=True, **_ANY_ANSWER), names)[0]
    best = int(answer.argmax())
    column = best if label is None else names.index(label)

    def scores(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        return _label_scores(_logits(pipe, names, units.inputs(texts)), column, function)

    own, _ = _label_scores(logits, column, function)
    effects = own[0] - own[1:]
    return Explanation(
        text=units.text,
        n_characters=len(BETWEEN.join(given)),
        label=names[column],
        predicted=names[best],
        score=float(answer[column]),
        logit=float(own[0]),
        unit=units.name,
        effects=tuple(
            Effect(start=start, end=end, text=units.text[start:end], effect=float(effect))
            for (start, end), effect in zip(units.spans, effects, strict=True)
        ),
        curve=deletion_curve(units, effects.tolist(), scores, n_orders=n_orders, seed=seed),
        value=function == "none",
    )


def _check(pipe: Any, text: Any, most_characters: int) -> None:
    if getattr(pipe, "default_task", None) != "text-classification":
        raise InputError(
            f"explain needs a text-classification pipeline, but this is a {type(pipe).__name__}: "
            "pipeline('text-classification', model=…)."
        )
    if not isinstance(text, str):
        raise InputError(f"the text is {text!r:.60} ({type(text).__name__}); expected one text (str).")
    if most_characters < 1:
        raise InputError(f"most_characters is {most_characters}; expected at least 1.")


def _beginning(text: str, most: int) -> str:
    """The whole text, or its first sentences; at least the first ``most`` characters where no sentence ends."""
    if len(text) <= most:
        return text
    ends = [end for _, end in split_sentences(text[:most]).spans[:-1]]
    return text[: ends[-1]] if ends and ends[-1] >= most // 2 else text[:most]


def _logits(pipe: Any, names: Sequence[str], inputs: Sequence[Any]) -> np.ndarray:
    """float64 (texts, labels); of a text in several windows the mean over them."""
    every = pipe(list(inputs), return_all_scores=True, function_to_apply="none", calibrated=False, **_ANY_ANSWER)
    return _table(every, names)


def _table(rows: Sequence[Sequence[Mapping[str, Any]]], names: Sequence[str]) -> np.ndarray:
    """Labels with their scores, in any order, as float64 (texts, labels)."""
    return np.array([[{r["label"]: r["score"] for r in row}[name] for name in names] for row in rows], dtype=np.float64)


def _label_scores(logits: np.ndarray, column: int, function: str) -> tuple[np.ndarray, np.ndarray]:
    """The logit of the label's probability, and the probability: float64 (texts,) each."""
    own = logits[:, column]
    if function == "softmax":
        others = np.delete(logits, column, axis=1)
        own = own - (np.logaddexp.reduce(others, axis=1) if others.shape[1] else 0.0)
    if function == "none":
        return own, own
    return own, np.exp(-np.logaddexp(0, -own))


def _verdict(explanation: Explanation) -> str:
    curve, units = explanation.curve, f"{explanation.unit}s"
    if curve is None:
        count = len(explanation.effects)
        return (
            f"With {count} {units if count != 1 else explanation.unit} chance finds the best order too often to test "
            f"the marking; {FEWEST_UNITS} are needed."
        )
    beaten = round((1 - curve.p_value) * (curve.n_orders + 1))
    shown = (
        f"Taking {units} away in the marked order lowers the score of {explanation.label} faster than {beaten} of "
        f"{curve.n_orders} random orders (p = {curve.p_value:.2g})"
    )
    if curve.better_than_chance:
        return f"{shown}: on this text the marking is better than chance."
    return f"{shown}: on this text the marking is not shown to be better than chance."
