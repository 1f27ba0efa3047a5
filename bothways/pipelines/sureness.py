"""Scores that mean what they say, answers or none at a bounded risk, and sets of labels: what a calibration adds.

A calibration lies in the configuration, where ``bothways train`` and ``bothways calibrate`` put it. It is used where it
is asked for: scores are the ecosystem's to the last digit otherwise.

Shapes: n texts, C labels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from bothways.errors import ConfigError, InputError
from bothways.tasks.calibration import CONFIG_KEY, REMEDY, Calibration, head_sketch, same_head
from bothways.tasks.sure_answers import abstains, conformal_doubt, label_sets

logger = logging.getLogger("bothways.pipelines")

OPTIONS = ("calibrated", "abstain_at_risk", "conformal")


def read_calibration(model: Any) -> Calibration | None:
    """The calibration of a model; None where it has none that is its own, with a warning if it has another one."""
    values = getattr(model.config, CONFIG_KEY, None)
    if values is None:
        return None
    try:
        found = Calibration.from_json(values)
    except ConfigError as problem:
        logger.warning("%s It is not used.", problem)
        return None
    if found.labels != model.config.num_labels or not same_head(found.head, head_sketch(model)):
        logger.warning("%s was made for other weights than these, and is not used. %s", CONFIG_KEY, REMEDY)
        return None
    return found


def take_options(given: dict[str, Any]) -> dict[str, Any]:
    """Remove the options of sureness from ``given`` and return the fields that change.

    Raises:
        InputError: ``calibrated`` is no truth value, or an answer is asked both as a set and with abstention.
    """
    changes = {name: given.pop(name) for name in OPTIONS if name in given}
    calibrated = changes.get("calibrated")
    if calibrated is not None and not isinstance(calibrated, bool):
        raise InputError(f"calibrated is {calibrated!r}; expected True or False.")
    if changes.get("abstain_at_risk") is not None and changes.get("conformal") is not None:
        raise InputError("abstain_at_risk gives one label or none and conformal a set of labels. Pass one of them.")
    return changes


def in_use(read: Callable[[], Calibration | None], options: Any) -> Calibration | None:
    """The calibration that a call uses, if it asks for one.

    Args:
        read: gives the model's.
        options: of the call, with ``calibrated``, ``abstain_at_risk``, ``conformal``, ``top_k``, ``nested`` and
            ``function_to_apply``.

    Raises:
        InputError: what is asked needs a calibration and there is none, or contradicts the form of the answer.
    """
    asked = next((name for name in ("abstain_at_risk", "conformal") if getattr(options, name) is not None), None)
    if asked is not None:
        _check_form(asked, options)
    if not options.calibrated and asked is None:
        return None
    calibration = read()
    if calibration is None:
        raise InputError(
            f"{asked or 'calibrated=True'} needs to know how sure the model may be, which its configuration does not "
            "tell. Measure it on labelled texts: `bothways calibrate MODEL FILE`."
        )
    return calibration


def with_abstention(
    results: Iterator[dict[str, Any]], scores: np.ndarray, calibration: Calibration, risk: float
) -> Iterator[dict[str, Any]]:
    """Results with ``abstain``; where that is True the label is None.

    Args:
        results: the best label and score of each text.
        scores: (n, C), calibrated.
    """
    for result, abstain in zip(results, abstains(calibration, scores, risk).tolist(), strict=True):
        yield {"label": None if abstain else result["label"], "score": result["score"], "abstain": abstain}


def sets_of_labels(
    scores: np.ndarray, id2label: Mapping[int, str], calibration: Calibration, error: float
) -> Iterator[list[dict[str, Any]]]:
    """For each row of (n, C) calibrated scores the labels of its set with their scores, best first."""
    inside = label_sets(calibration, scores, error)
    order = np.argsort(-scores, axis=1, kind="stable")
    for row, own, chosen in zip(scores.tolist(), order.tolist(), inside, strict=True):
        yield [{"label": id2label[j], "score": row[j]} for j in own if chosen[j]]


def with_intervals(
    results: Iterator[dict[str, Any]], calibration: Calibration, error: float
) -> Iterator[dict[str, Any]]:
    """Numbers with ``interval``, which holds the true one in at least 1 - ``error`` of texts."""
    half = conformal_doubt(calibration, error)
    for result in results:
        yield result | {"interval": [result["score"] - half, result["score"] + half]}


def _check_form(asked: str, options: Any) -> None:
    if options.nested or options.top_k != 1:
        raise InputError(f"{asked} decides itself how many labels an answer has. Drop top_k and return_all_scores.")
    if options.calibrated is False:
        raise InputError(f"{asked} is about calibrated scores. Drop calibrated=False.")
    if options.function_to_apply is not None:
        raise InputError(f"{asked} is about probabilities. Drop function_to_apply={options.function_to_apply!r}.")
    if asked == "abstain_at_risk" and options.conformal is not None:
        raise InputError("abstain_at_risk gives one label or none and conformal a set of labels. Pass one of them.")
