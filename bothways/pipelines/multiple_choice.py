"""Multiple choice: which of several choices fits a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bothways.data.choices import ChoiceExample, choice_example
from bothways.errors import DataError, InputError
from bothways.pipelines.base import Pipeline
from bothways.pipelines.crossed import CrossedOptions
from bothways.pipelines.options import refuse_unknown, take_tokenizer_options
from bothways.tasks.multiple_choice import best_choice, choice_scores

_COLUMNS = ("question", "text", "prompt", "context", "stem", "choices", "endings", "options")


class MultipleChoicePipeline(Pipeline):
    """The best of several choices, for models with a multiple-choice head.

    Inputs are ``{"question" (or "text", "prompt"): …, "choices": […]}``, the rows of the usual data sets (see
    ``data.choices.choice_example``; a label in them is ignored), or keyword arguments:
    ``pipe(question=…, choices=[…])``. With a ``context`` the question begins every choice, as in RACE.

    Options: ``details`` and those of texts. A text that is longer than the model reads is divided into overlapping
    windows, each beside every choice whole; its scores are the mean of the windows' scores, weighted by their tokens.
    With ``truncation=True`` the text alone is cut.

    A result is ``{"choice": number from 0, "answer": its text, "scores": one for each choice}``; scores add up to 1.
    """

    default_task = "multiple-choice"
    model_task = "multiple-choice"
    options_class = CrossedOptions

    def __call__(self, inputs: Any = None, **options: Any) -> Any:
        """Choose. Inputs are dictionaries, lists or streams of them, or keyword arguments; see ``Pipeline``.

        Raises:
            InputError: with the number of the input: no text, fewer than two choices, a choice that is no text.
        """
        row = {name: options.pop(name) for name in _COLUMNS if name in options}
        if row and inputs is not None:
            raise InputError(f"the question is given twice: as an input and as {', '.join(row)}. Pass it once.")
        if inputs is None and not row:
            raise InputError("nothing to choose from: pass question= and choices=, or a dictionary with both.")
        if isinstance(inputs, ChoiceExample):
            return super().__call__([inputs], **options)[0]
        return super().__call__(row or inputs, **options)

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        changes = take_tokenizer_options(given)
        if "details" in given:
            changes["details"] = bool(given.pop("details"))
        refuse_unknown(given, (*_COLUMNS, "details"), "the multiple-choice pipeline")
        return changes

    def answer(self, inputs: list[Any], options: Any, first: int) -> Iterator[Any]:
        rows = [_row(item, first + i) for i, item in enumerate(inputs)]
        texts = [row.text for row in rows]
        seconds = [row.second_texts for row in rows]
        answers = options.logits(self.runner, self.tokenizer, texts, seconds, first, "choice")
        for row, (crossed, logits) in zip(rows, answers, strict=True):
            result = best_choice(row.choices, choice_scores(crossed, logits))
            yield result | crossed.account() if options.details else result


def _row(item: Any, number: int) -> ChoiceExample:
    if isinstance(item, ChoiceExample):
        return item
    if not isinstance(item, Mapping):
        raise InputError(
            f"input {number} is {item!r:.60} ({type(item).__name__}); expected a dictionary "
            "{'question': ..., 'choices': [...]}."
        )
    hidden = ("label", "labels", "answer", "answerKey")
    try:
        return choice_example({k: v for k, v in item.items() if k not in hidden}, f"input {number}")
    except DataError as problem:
        raise InputError(str(problem)) from None
