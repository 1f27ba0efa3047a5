"""Next sentence: whether the second of two texts follows the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bothways.errors import InputError
from bothways.pipelines.base import Pipeline, checked_text
from bothways.pipelines.options import TextOptions, refuse_unknown, take_tokenizer_options
from bothways.tasks.next_sentence import relations

_EXPECTED = "a dictionary {'text': ..., 'text_pair': ...} or two texts"


@dataclass(frozen=True, kw_only=True)
class NextSentenceOptions(TextOptions):
    """Attributes:
    details: add ``n_tokens``, ``n_windows`` and ``truncated`` to every result.
    """

    details: bool = False


class NextSentencePipeline(Pipeline):
    """Whether one text follows another, for models with BERT's next-sentence head (pretraining weights have it too).

    Inputs are ``{"text": …, "text_pair": …}`` or two texts: ``pipe(first, second)``; lists of both forms (a pair is
    then a tuple), two lists of equal length, streams. Options: ``details`` and those of texts. A pair that is longer
    than the model reads is divided into overlapping windows (see ``tasks.windows.split``), and the answer is the mean
    over them; what counts is where the texts meet, so pass the end of a long first text and the beginning of a second.

    A result is ``{"label": "IsNext" or "NotNext", "score": its probability}``.
    """

    default_task = "next-sentence-prediction"
    model_task = "next-sentence-prediction"
    options_class = NextSentenceOptions

    def __call__(self, inputs: Any, second: Any = None, **options: Any) -> Any:
        """Compare. Inputs are pairs of texts, lists or streams of them, or a first and a second text.

        Raises:
            InputError: with the number of the input: no pair, something that is no text, lists of unequal length.
        """
        if second is None:
            return super().__call__(inputs, **options)
        if isinstance(inputs, str) and isinstance(second, str):
            return super().__call__({"text": inputs, "text_pair": second}, **options)
        if not isinstance(inputs, (list, tuple)) or not isinstance(second, (list, tuple)):
            raise InputError(
                f"the first texts are a {type(inputs).__name__} and the second ones a {type(second).__name__}; "
                "expected two texts, or two lists of equal length."
            )
        if len(inputs) != len(second):
            raise InputError(
                f"there are {len(inputs)} first and {len(second)} second texts. They are paired one to one."
            )
        return super().__call__(list(zip(inputs, second, strict=True)), **options)

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        changes = take_tokenizer_options(given)
        if "details" in given:
            changes["details"] = bool(given.pop("details"))
        refuse_unknown(given, ("details",), "the next-sentence-prediction pipeline")
        return changes

    def answer(self, inputs: list[Any], options: Any, first: int) -> Iterator[Any]:
        rows = [_row(item, first + i) for i, item in enumerate(inputs)]
        texts, pairs = [text for text, _ in rows], [pair for _, pair in rows]
        encoded = options.encode(self.tokenizer, self.model.config, texts, pairs, first)
        logits = self.runner.sequence_logits(encoded.input_ids, encoded.token_type_ids)
        for i, result in enumerate(relations(logits, encoded)):
            yield result | encoded.account(i) if options.details else result


def _row(item: Any, number: int) -> tuple[str, str]:
    """First and second text of one input."""
    if isinstance(item, Mapping):
        if set(item) != {"text", "text_pair"}:
            raise InputError(f"input {number} has the keys {sorted(map(str, item))}; expected 'text' and 'text_pair'.")
        item = (item["text"], item["text_pair"])
    if not isinstance(item, (list, tuple)) or len(item) != 2:
        got = f"{len(item)} parts" if isinstance(item, (list, tuple)) else f"{item!r:.60}"
        raise InputError(f"input {number} is {got} ({type(item).__name__}); expected {_EXPECTED}.")
    return checked_text(item[0], number, _EXPECTED), checked_text(item[1], number, _EXPECTED)
