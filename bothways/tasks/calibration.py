"""What a model was found to know of its own sureness, as it is stored in ``config.json`` and applied to scores.

The key is unknown to other readers of the file, which keep it as data. Everything is a function of scores, and none of
logits: softmax(z / T) is proportional to softmax(z) ** (1 / T), which is also defined for the mean over windows.

Shapes: n texts, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from bothways.errors import ConfigError

CONFIG_KEY = "bothways_calibration"
FORMAT = 1
LEAST = 1e-45
"""The smallest probability that float32 holds; a smaller one is unknown, and taken to be this."""
LEAST_DISTANCE = 2**-24
"""Of a probability from 1, as float32 holds it."""
STEPS = 250
"""At most so many numbers are stored of each table: coverage is told to 0.4 %."""

Kind = Literal["single", "multi", "regression"]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Measured once on labelled texts that the model did not learn from.

    Doubt is 1 - confidence: of one label 1 - its probability, of a set of labels that of its least sure member. For
    numbers it is the distance from the truth, in their own unit.

    Attributes:
        kind: of labels.
        labels: how many the model has.
        count: labelled texts.
        temperatures: that divide the logits: none where nothing could be fitted, one for all labels, or one for each.
        ranks, nonconformity: doubt about the right answer: that of rank k from below, among ``count``.
        doubts, covered, wrong: for each doubt how many answers had at most that, and how many of them were wrong.
        head: numbers of the model's last layer, by which weights that changed since are noticed.
    """

    kind: Kind
    labels: int
    count: int
    temperatures: tuple[float, ...] = ()
    ranks: tuple[int, ...] = ()
    nonconformity: tuple[float, ...] = ()
    doubts: tuple[float, ...] = ()
    covered: tuple[int, ...] = ()
    wrong: tuple[int, ...] = ()
    head: tuple[float, ...] = ()

    def scores(self, scores: np.ndarray) -> np.ndarray:
        """Scores (n, C) that mean what they say, float64.

        With one label a text, the order of its labels stays; with several, those that reach one half stay the same, and
        their order follows what each label's scores were found to be worth.
        """
        if self.kind == "regression":
            return scores.astype(np.float64)
        return tempered(scores, self.temperatures, self.kind)

    def to_json(self) -> dict[str, Any]:
        """JSON values. A table is a line of text, so that the file stays readable."""
        tables = {name: " ".join(f"{value:.8g}" for value in getattr(self, name)) for name in _TABLES}
        return {"format": FORMAT, "kind": self.kind, "labels": self.labels, "count": self.count, **tables}

    @classmethod
    def from_json(cls, values: Any) -> Calibration:
        """Read what ``to_json`` wrote.

        Raises:
            ConfigError: something else, or values that cannot be.
        """
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            found = values.get("format") if isinstance(values, dict) else type(values).__name__
            raise ConfigError(f"{CONFIG_KEY} has the format {found!r}; expected {FORMAT}. {REMEDY}")
        try:
            read: dict[str, Any] = {name: tuple(map(_TABLES[name], values[name].split())) for name in _TABLES}
            found_now = cls(kind=values["kind"], labels=values["labels"], count=values["count"], **read)
            possible = _is_possible(found_now)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            possible = False
        if not possible:
            raise ConfigError(f"{CONFIG_KEY} has values that cannot be. {REMEDY}")
        return found_now


REMEDY = "`bothways calibrate MODEL FILE` makes a new one."

_TABLES: dict[str, Any] = {
    "temperatures": float,
    "ranks": int,
    "nonconformity": float,
    "doubts": float,
    "covered": int,
    "wrong": int,
    "head": float,
}


def tempered(scores: np.ndarray, temperatures: Sequence[float], kind: Kind) -> np.ndarray:
    """Probabilities (n, C) as float64, as if the logits had been divided: by one number, or each label's by its own."""
    given = np.asarray(scores, dtype=np.float64)
    if not len(temperatures):
        return given
    inverse = 1 / np.asarray(temperatures, dtype=np.float64)
    if kind == "multi":
        logits = logit(given) * inverse
        small = np.exp(-np.abs(logits))
        return np.where(logits >= 0, 1 / (1 + small), small / (1 + small))
    logs = np.log(np.maximum(given, LEAST)) * inverse
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def logit(probabilities: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)), finite where p was rounded to 0 or 1; exactly 0 only for one half."""
    high = np.minimum(probabilities, 1 - LEAST_DISTANCE)
    return np.log(np.maximum(high, LEAST)) - np.log1p(-high)


def answer_doubt(scores: np.ndarray, kind: Kind) -> np.ndarray:
    """(n,): the doubt about the answer to each text, which is its best label, or all labels from one half on."""
    if kind == "multi":
        return np.minimum(scores, 1 - scores).max(axis=1)
    return 1 - scores.max(axis=1)


def head_sketch(model: Any, most: int = 16) -> tuple[float, ...]:
    """A few numbers of the layer that makes the scores, evenly from all of it."""
    labels = model.config.num_labels
    last = [p for n, p in model.named_parameters() if p.ndim == 2 and p.shape[0] == labels and "lora_" not in n]
    if not last:
        return ()
    flat = last[-1].detach().float().reshape(-1)
    places = np.linspace(0, len(flat) - 1, min(most, len(flat))).astype(np.int64).tolist()
    return tuple(float(f"{flat[i].item():.8g}") for i in places)


def same_head(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two sketches are of the same weights, be they rounded to bfloat16 in between."""
    if len(one) != len(other):
        return False
    return bool(np.allclose(one, other, rtol=2**-7, atol=1e-6))


def _is_possible(found: Calibration) -> bool:
    tables_fit = len(found.ranks) == len(found.nonconformity) and (
        len(found.doubts) == len(found.covered) == len(found.wrong)
    )
    numbers = (*found.temperatures, *found.nonconformity, *found.doubts, *found.head)
    return (
        found.kind in get_args(Kind)
        and type(found.labels) is type(found.count) is int
        and found.labels > 0
        and found.count > 0
        and len(found.temperatures) in (0, 1, found.labels)
        and all(0 < t < 1e6 for t in found.temperatures)
        and tables_fit
        and all(np.isfinite(numbers))
        and _rises(found.nonconformity)
        and _rises(found.doubts)
        and all(0 < rank <= found.count for rank in (*found.ranks, *found.covered))
        and all(0 <= w <= c for w, c in zip(found.wrong, found.covered, strict=True))
        and _rises(found.ranks)
        and _rises(found.covered)
    )


def _rises(values: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(values, values[1:], strict=False))
