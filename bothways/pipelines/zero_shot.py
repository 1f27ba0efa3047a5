"""Zero-shot classification: which of any labels fits a text, asked of a model of natural language inference."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bothways.errors import InputError
from bothways.pipelines.base import Pipeline, checked_text
from bothways.pipelines.crossed import CrossedOptions
from bothways.pipelines.options import refuse_unknown, take_tokenizer_options
from bothways.tasks.zero_shot import TEMPLATE, entailment_id, hypotheses, label_scores, parse_labels, ranked

logger = logging.getLogger("bothways")

_KNOWN = ("candidate_labels", "hypothesis_template", "multi_label", "multi_class", "details")
_KEYS = ("sequence", "text", "candidate_labels")
_EXPECTED = "a text (str) or a dictionary {'sequence': ..., 'candidate_labels': [...]}"


@dataclass(frozen=True, kw_only=True)
class ZeroShotOptions(CrossedOptions):
    """Attributes:
    labels: the labels for every text; None where each text has its own.
    labels_of_each: the labels of each text, in the order of the texts; None where all have the same.
    template: becomes the hypothesis when a label is put in.
    multi_label: every label is judged by itself.
    """

    labels: tuple[Any, ...] | None = None
    labels_of_each: tuple[tuple[Any, ...], ...] | None = None
    template: str = TEMPLATE
    multi_label: bool = False


class ZeroShotClassificationPipeline(Pipeline):
    """Scores of freely chosen labels, for any sequence classifier trained on natural language inference.

    Options: ``candidate_labels`` (``"a, b"``, a list, or a list of such lists, one for each text),
    ``hypothesis_template``, ``multi_label`` (older name ``multi_class``), ``details``, and those of texts. A text that
    is longer than the model reads is divided into overlapping windows, each beside every hypothesis whole; its scores
    are the mean of the windows' scores, weighted by their tokens. With ``truncation=True`` the text alone is cut.

    A text or dictionary gives ``{"sequence", "labels", "scores"}``, best label first; a list gives a list, of one too.
    """

    default_task = "zero-shot-classification"
    model_task = "sequence-classification"
    options_class = ZeroShotOptions

    def __init__(self, model: Any, tokenizer: Any = None, **options: Any) -> None:
        super().__init__(model, tokenizer, **options)
        if self.entailment_id == -1:
            names = ", ".join(map(str, self.model.config.label2id))
            logger.warning(
                "no label of this model begins with 'entail' (labels: %s), so its last output is taken for entailment. "
                "Name the outputs: config.label2id = {'contradiction': 0, ..., 'entailment': 2}.",
                names,
            )

    @property
    def entailment_id(self) -> int:
        """Number of the model's output for entailment; -1 (the last) if no label says so."""
        return entailment_id(self.model.config.label2id)

    def __call__(self, sequences: Any, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        """Score labels for texts.

        Args:
            sequences: a text, ``{"sequence" (or "text"): …, "candidate_labels": …}``, lists or streams of them.
            args: ``candidate_labels``, if they are not named.
            options: override the pipeline's options for this call.

        Raises:
            InputError: no label, an empty text, a template without a place for the label (a ``ValueError``).
        """
        if len(args) > 1 or (args and "candidate_labels" in options):
            raise InputError(f"Unable to understand extra arguments {args!r}: only candidate_labels has no name.")
        if args:
            options["candidate_labels"] = args[0]
        chosen = self._with(self.options, options)
        if chosen.labels_of_each is not None and isinstance(sequences, (str, list, tuple, Mapping)):
            count = len(sequences) if isinstance(sequences, (list, tuple)) else 1
            if count != len(chosen.labels_of_each):
                raise InputError(
                    f"candidate_labels has {len(chosen.labels_of_each)} lists, but there are {count} texts. Pass one "
                    "list of labels for all texts, or one for each."
                )
        return super().__call__(sequences, **options)

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        changes = take_tokenizer_options(given)
        older = given.pop("multi_class", None)
        if older is not None:
            logger.warning("multi_class is the older name of multi_label; both work.")
            given["multi_label"] = older
        if "multi_label" in given:
            changes["multi_label"] = bool(given.pop("multi_label"))
        if "details" in given:
            changes["details"] = bool(given.pop("details"))
        if "candidate_labels" in given:
            changes |= _chosen_labels(given.pop("candidate_labels"))
        if "hypothesis_template" in given:
            template = given.pop("hypothesis_template")
            if not isinstance(template, str):
                raise InputError(f"hypothesis_template is {template!r:.60}; expected a text such as {TEMPLATE!r}.")
            hypotheses(["label"], template)
            changes["template"] = template
        refuse_unknown(given, _KNOWN, "the zero-shot-classification pipeline")
        return changes

    def answer(self, inputs: list[Any], options: Any, first: int) -> Iterator[Any]:
        rows = [_row(item, first + i, options) for i, item in enumerate(inputs)]
        filled: dict[tuple[str, ...], list[str]] = {}
        seconds = []
        for _, labels in rows:
            key = tuple(map(str, labels))
            if key not in filled:
                filled[key] = hypotheses(labels, options.template)
            seconds.append(filled[key])
            if (options.multi_label or len(labels) == 1) and self.model.config.num_labels < 2:
                raise InputError(
                    "this model has 1 output, and multi_label or a single label needs 2: entailment and contradiction. "
                    "Use a model trained on natural language inference."
                )
        texts = [text for text, _ in rows]
        answers = options.logits(self.runner, self.tokenizer, texts, seconds, first, "hypothesis")
        for (text, labels), (crossed, logits) in zip(rows, answers, strict=True):
            scores = crossed.mean(label_scores(logits, self.entailment_id, independent=options.multi_label))
            result = ranked(text, labels, scores)
            yield result | crossed.account() if options.details else result


def _chosen_labels(given: Any) -> dict[str, Any]:
    """The same labels for all texts, or a list of labels for each."""
    if isinstance(given, (list, tuple)) and given and all(isinstance(own, (list, tuple)) for own in given):
        return {"labels": None, "labels_of_each": tuple(parse_labels(own) for own in given)}
    return {"labels": parse_labels(given), "labels_of_each": None}


def _row(item: Any, number: int, options: ZeroShotOptions) -> tuple[str, tuple[Any, ...]]:
    """Text and labels of one input."""
    own = None
    if isinstance(item, Mapping):
        texts = [key for key in ("sequence", "text") if key in item]
        if len(texts) != 1 or set(item) - set(_KEYS):
            raise InputError(
                f"input {number} has the keys {sorted(map(str, item))}; expected 'sequence' and perhaps "
                "'candidate_labels'."
            )
        own = item.get("candidate_labels")
        item = item[texts[0]]
    text = checked_text(item, number, _EXPECTED)
    if not text:
        raise InputError(f"input {number} is empty. You must include at least one label and at least one sequence.")
    if own is not None:
        return text, parse_labels(own)
    if options.labels_of_each is not None:
        if number >= len(options.labels_of_each):
            raise InputError(
                f"candidate_labels has {len(options.labels_of_each)} lists, but there is an input {number} (counted "
                "from 0). Pass one list of labels for all texts, or one for each."
            )
        return text, options.labels_of_each[number]
    if options.labels is None:
        raise InputError(
            f"input {number} has no candidate_labels. You must include at least one label and at least one sequence: "
            "pipe(texts, candidate_labels=['politics', 'sports'])."
        )
    return text, options.labels
