"""Text classification: which label a text, or a pair of texts, has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bothways.errors import InputError
from bothways.pipelines.base import Pipeline, checked_text
from bothways.pipelines.options import TextOptions, refuse_unknown, take_tokenizer_options
from bothways.pipelines.sureness import (
    OPTIONS,
    in_use,
    read_calibration,
    sets_of_labels,
    take_options,
    with_abstention,
    with_intervals,
)
from bothways.tasks.calibration import Calibration
from bothways.tasks.encoded import EncodedTexts
from bothways.tasks.text_classification import FUNCTIONS, decode, default_function, named_scores, top_labels

_NOT_GIVEN = ""  # the ecosystem's default of top_k, since None means all labels
_EXPECTED = "a text (str) or a dictionary {'text': ..., 'text_pair': ...}"


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions(TextOptions):
    """How scores are made and shown.

    Attributes:
        top_k: how many labels; None for all.
        nested: a list of labels, best first, for every input, because the caller said ``top_k``. Without it the best
            label alone, or with ``top_k`` None (``return_all_scores``) all in the order of the model.
        function_to_apply: name of the function from logits to scores; None for what suits the model.
        details: add ``n_tokens``, ``n_windows`` and ``truncated`` to every result.
        calibrated: whether scores are calibrated; None is no, and yields to the two options below.
        abstain_at_risk: the share of wrong answers above which none is given; None for always an answer.
        conformal: the share of texts whose set of labels may miss the right one; None for no sets.
    """

    top_k: int | None = 1
    nested: bool = False
    function_to_apply: str | None = None
    details: bool = False
    calibrated: bool | None = None
    abstain_at_risk: float | None = None
    conformal: float | None = None


class TextClassificationPipeline(Pipeline):
    """Labels with scores for texts and pairs of texts.

    Options: ``top_k``, ``function_to_apply`` (``"softmax"``, ``"sigmoid"``, ``"none"``, ``"default"``),
    ``return_all_scores``, ``details``, and those of texts: ``truncation``, ``max_length``, ``long_input``,
    ``window_overlap``. A text that is longer than the model reads is divided into overlapping windows, and its scores
    are the mean over them, unless the caller asks to truncate.

    A model that ``bothways train`` or ``bothways calibrate`` wrote knows how sure it may be, and takes three more
    options: ``calibrated=True`` gives scores that mean what they say; ``abstain_at_risk=0.02`` gives
    ``{"label": None, "score": …, "abstain": True}`` where an answer would be too risky for at most 2 % mistakes, with
    95 % confidence; ``conformal=0.1`` gives for each text the list of labels, best first, that holds the right one
    for at least 90 % of texts (of a model that answers with numbers: ``interval``). Both are for texts such as those
    that the calibration was made on.

    The nesting of results is the ecosystem's: ``pipe(text)`` gives ``[{…}]`` and ``pipe([text])`` ``[{…}]``; with
    ``top_k`` in the call ``[{…}, …]`` and ``[[{…}, …]]``; with ``top_k`` at construction ``[[{…}, …]]`` for both.
    """

    default_task = "text-classification"
    model_task = "sequence-classification"
    options_class = ClassificationOptions

    def __init__(self, model: Any, tokenizer: Any = None, **options: Any) -> None:
        stated = getattr(getattr(model, "config", None), "return_all_scores", None)
        if stated is not None and "top_k" not in options:
            options.setdefault("return_all_scores", stated)
        super().__init__(model, tokenizer, **options)

    @cached_property
    def calibration(self) -> Calibration | None:
        """The model's; None where it has none of its own."""
        return read_calibration(self.model)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Classify. Inputs are texts, ``{"text": …, "text_pair": …}``, lists or streams of them; see ``Pipeline``."""
        result = super().__call__(inputs, **options)
        asked_for_set = options.get("conformal", self.options.conformal) is not None
        is_set = asked_for_set and (isinstance(result, list) or (isinstance(result, dict) and "labels" in result))
        return [result] if isinstance(inputs, str) and "top_k" not in options and not is_set else result

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        changes = take_tokenizer_options(given)
        top_k = given.pop("top_k", _NOT_GIVEN)
        every = given.pop("return_all_scores", None)
        if not (isinstance(top_k, str) and top_k == _NOT_GIVEN):
            changes |= {"top_k": _checked_top_k(top_k), "nested": True}
        elif every is not None:
            changes["top_k"] = None if every else 1
        if "function_to_apply" in given:
            function = _function_name(given.pop("function_to_apply"))
            if function is not None:
                changes["function_to_apply"] = None if function == "default" else function
        if "details" in given:
            changes["details"] = bool(given.pop("details"))
        changes |= take_options(given)
        known = ("top_k", "return_all_scores", "function_to_apply", "details", *OPTIONS)
        refuse_unknown(given, known, "the text-classification pipeline")
        return changes

    def answer(self, inputs: list[Any], options: Any, first: int) -> Iterator[Any]:
        rows = [_row(item, first + i) for i, item in enumerate(inputs)]
        pairs = [pair for _, pair in rows] if any(pair is not None for _, pair in rows) else None
        config: Any = self.model.config
        encoded = options.encode(self.tokenizer, config, [text for text, _ in rows], pairs, first)
        logits = self.runner.sequence_logits(encoded.input_ids, encoded.token_type_ids)
        scores = decode(logits, encoded, options.function_to_apply or default_function(config))
        results = self._results(scores, options)
        return _detailed(results, encoded, sets=options.conformal is not None) if options.details else results

    def _results(self, scores: np.ndarray, options: ClassificationOptions) -> Iterator[Any]:
        names = self.model.config.id2label
        calibration = in_use(lambda: self.calibration, options)
        if calibration is not None:
            scores = calibration.scores(scores)
            if options.conformal is not None and calibration.kind != "regression":
                return sets_of_labels(scores, names, calibration, options.conformal)
        if options.top_k != 1 or options.nested:
            return named_scores(scores, names, top_k=options.top_k, sort=options.nested)
        results = top_labels(scores, names)
        if calibration is not None and options.conformal is not None:
            return with_intervals(results, calibration, options.conformal)
        if calibration is not None and options.abstain_at_risk is not None:
            return with_abstention(results, scores, calibration, options.abstain_at_risk)
        return results


def _row(item: Any, number: int) -> tuple[str, str | None]:
    """Text and second text of one input."""
    if isinstance(item, str):
        return item, None
    if isinstance(item, Mapping):
        other = sorted(str(key) for key in item if key not in ("text", "text_pair"))
        if other or "text" not in item:
            raise InputError(
                f"input {number} has the keys {sorted(map(str, item))}; expected 'text' and perhaps 'text_pair'. For a "
                "column of a data set use KeyDataset(dataset, 'column')."
            )
        pair = item.get("text_pair")
        text = checked_text(item["text"], number, "a text under 'text'")
        return text, None if pair is None else checked_text(pair, number, "a text under 'text_pair'")
    if isinstance(item, list) and len(item) == 1 and isinstance(item[0], list) and len(item[0]) == 2:
        first, second = item[0]  # how pairs were passed before dictionaries
        return checked_text(first, number), checked_text(second, number)
    if isinstance(item, (list, tuple)):
        raise InputError(
            f"input {number} is a {type(item).__name__} of {len(item)}; expected {_EXPECTED}. A pair of texts is "
            "passed as a dictionary."
        )
    return checked_text(item, number, _EXPECTED), None


def _detailed(results: Iterator[Any], encoded: EncodedTexts, *, sets: bool) -> Iterator[Any]:
    """A set, which may have no label that could carry them, is put under ``labels`` beside the details."""
    for i, result in enumerate(results):
        extra = encoded.account(i)
        if sets and isinstance(result, list):
            result = {"labels": result}
        yield [label | extra for label in result] if isinstance(result, list) else result | extra


def _checked_top_k(top_k: Any) -> int | None:
    if top_k is None or (isinstance(top_k, int) and top_k >= 1):
        return None if top_k is None else int(top_k)
    raise InputError(f"top_k is {top_k!r}; expected a number from 1 on, or None for all labels.")


def _function_name(value: Any) -> str | None:
    """None keeps what is set; the ecosystem also has an enumeration with these values."""
    if value is None:
        return None
    name = getattr(value, "value", value)
    if isinstance(name, str) and name.lower() in (*FUNCTIONS, "default"):
        return name.lower()
    known = ", ".join(repr(name) for name in (*FUNCTIONS, "default"))
    raise InputError(f"function_to_apply is {value!r}; expected one of {known}.")
