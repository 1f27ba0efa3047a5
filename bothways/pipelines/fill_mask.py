"""Fill-mask: which words fit into the gaps of a text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.errors import InputError, PipelineException
from bothways.pipelines.base import Pipeline, checked_text
from bothways.pipelines.options import TextOptions, refuse_unknown, take_tokenizer_options
from bothways.tasks.fill_mask import candidates, find_masks, results, target_ids


@dataclass(frozen=True, kw_only=True)
class FillMaskOptions(TextOptions):
    """Attributes:
    top_k: how many words for each gap.
    targets: ids of the only tokens to choose from, int64; None for the whole vocabulary.
    """

    top_k: int = 5
    targets: np.ndarray | None = None


class FillMaskPipeline(Pipeline):
    """The most probable words for each mask.

    Options: ``top_k`` (5; never more than there are words), ``targets`` (a word or several; a word outside the
    vocabulary stands for its first piece, with a warning), ``tokenizer_kwargs``, and those of texts. Every mask of a
    long text is answered from the window that shows most of its surroundings.

    The nesting of results is the ecosystem's: a list of words for one mask, a list of such lists for several; and a
    list of one text gives the result of that text alone.
    """

    default_task = "fill-mask"
    model_task = "masked-lm"
    options_class = FillMaskOptions
    chunk_items = 512

    def __init__(self, model: Any, tokenizer: Any = None, **options: Any) -> None:
        if tokenizer is not None and tokenizer.mask_token_id is None:
            raise PipelineException(
                "fill-mask needs a tokeniser with a mask_token, and this one defines none. Pass the tokeniser of a "
                "masked language model."
            )
        self.tokenizer = tokenizer  # targets among the options need it
        super().__init__(model, tokenizer, **options)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Fill the masks of texts, lists or streams of texts; see ``Pipeline``."""
        answers = super().__call__(inputs, **options)
        return answers[0] if isinstance(inputs, list) and len(inputs) == 1 else answers

    @classmethod
    def accepts(cls, model_task: str) -> bool:
        return model_task == "masked-lm"

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        given |= given.pop("tokenizer_kwargs", None) or {}
        changes = take_tokenizer_options(given)
        top_k = given.pop("top_k", None)
        if top_k is not None:
            if not isinstance(top_k, int) or top_k < 1:
                raise InputError(f"top_k is {top_k!r}; expected a number from 1 on.")
            changes["top_k"] = top_k
        targets = given.pop("targets", None)
        if targets is not None:
            changes["targets"] = target_ids(self.tokenizer, targets)
        given.pop("return_tensors", None)
        refuse_unknown(given, ("top_k", "targets", "tokenizer_kwargs"), "the fill-mask pipeline")
        return changes

    def answer(self, inputs: list[Any], options: Any, first: int) -> Iterator[Any]:
        texts = [checked_text(item, first + i) for i, item in enumerate(inputs)]
        encoded = options.encode(self.tokenizer, self.model.config, texts, None, first)
        assert self.tokenizer.mask_token_id is not None
        masks = find_masks(encoded, self.tokenizer.mask_token_id)
        for i, places in enumerate(masks.places):
            if not places:
                cut = " in what truncation left of it" if encoded.truncated[i] else ""
                raise PipelineException(
                    f"input {first + i} has no mask token ({self.tokenizer.mask_token}){cut}. Put one where the "
                    "missing word stands."
                )
        found = self.runner.masked_logits(
            encoded.input_ids,
            masks.asked,
            encoded.token_type_ids,
            then=lambda logits: candidates(logits, options.top_k, options.targets),
        )
        for i, first_window in enumerate(encoded.first_windows.tolist()):
            own = [(found[window][0][slot], found[window][1][slot]) for window, slot in masks.slots[i]]
            yield results(self.tokenizer, encoded.whole_ids(i, first_window), masks.places[i], own)
