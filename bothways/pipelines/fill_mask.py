"""Fill-mask: which words fit into the gaps of a text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bothways.errors import InputError, PipelineException
from bothways.pipelines.base import Pipeline, checked_text
from bothways.pipelines.options import TextOptions, refuse_unknown, take_tokenizer_options
from bothways.tasks.encoded import EncodedTexts, position_limit
from bothways.tasks.fill_mask import (
    Found,
    Masks,
    Targets,
    candidates,
    find_first_pieces,
    find_masks,
    find_targets,
    gap_rows,
    results,
)


@dataclass(frozen=True, kw_only=True)
class FillMaskOptions(TextOptions):
    """Attributes:
    top_k: how many words for each gap.
    targets: the only words to choose from; None for the whole vocabulary.
    details: a dictionary with ``candidates``, ``n_tokens``, ``n_windows`` and ``truncated`` for every text.
    """

    top_k: int = 5
    targets: Targets | None = None
    details: bool = False

    def with_room(self, tokenizer: Any, config: Any) -> FillMaskOptions:
        """Shorter rows, so that the pieces of the longest target fit in the place of a mask."""
        limit = position_limit(config)
        more = 0 if self.targets is None else self.targets.lengths[-1] - 1
        if limit is None or more == 0:
            return self
        if limit <= more:
            raise InputError(
                f"a target has {more + 1} pieces, which leaves no room for a text within {limit} tokens. Drop it."
            )
        how = self.encoding(tokenizer, config)
        return replace(self, max_length=min(limit - more, how["max_length"]), long_input=how["long_input"])


class FillMaskPipeline(Pipeline):
    """The most probable words for each mask.

    Options: ``top_k`` (5; never more than there are words), ``targets`` (a word or several), ``tokenizer_kwargs``,
    ``details``, and those of texts. Every mask of a long text is answered from the window that shows most of its
    surroundings.

    A target may have several pieces: it is scored as a whole, by the product of the probabilities of its n pieces at n
    masks in the place of one, and its ``token`` is a list of ids. With ``compat="v4"`` a target outside the vocabulary
    stands for its first piece, with a warning, as in the reference.

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
        compat = given.pop("compat", None)
        if compat not in (None, "v4"):
            raise InputError(f"compat is {compat!r}; expected 'v4' or None.")
        if targets is not None:
            find = find_targets if compat is None else find_first_pieces
            changes["targets"] = find(self.tokenizer, targets)
        if "details" in given:
            changes["details"] = bool(given.pop("details"))
        given.pop("return_tensors", None)
        refuse_unknown(given, ("top_k", "targets", "tokenizer_kwargs", "compat", "details"), "the fill-mask pipeline")
        return changes

    def answer(self, inputs: list[Any], options: Any, first: int) -> Iterator[Any]:
        texts = [checked_text(item, first + i) for i, item in enumerate(inputs)]
        config: Any = self.model.config
        encoded = options.with_room(self.tokenizer, config).encode(self.tokenizer, config, texts, None, first)
        assert self.tokenizer.mask_token_id is not None
        masks = find_masks(encoded, self.tokenizer.mask_token_id)
        for i, places in enumerate(masks.places):
            if not places:
                cut = " in what truncation left of it" if encoded.truncated[i] else ""
                raise PipelineException(
                    f"input {first + i} has no mask token ({self.tokenizer.mask_token}){cut}. Put one where the "
                    "missing word stands."
                )
        found = self._found(encoded, masks, options)
        for i, first_window in enumerate(encoded.first_windows.tolist()):
            words = results(self.tokenizer, encoded.whole_ids(i, first_window), masks.places[i], found[i])
            yield {"candidates": words, **encoded.account(i)} if options.details else words

    def _found(self, encoded: EncodedTexts, masks: Masks, options: FillMaskOptions) -> list[list[Found]]:
        """For each text and mask the candidates."""
        targets, top_k, run = options.targets, options.top_k, self.runner.masked_logits
        if targets is None:
            best = run(
                encoded.input_ids, masks.asked, encoded.token_type_ids, then=lambda logits: candidates(logits, top_k)
            )
            return [[best[window][slot] for window, slot in slots] for slots in masks.slots]
        assert self.tokenizer.mask_token_id is not None
        rows = gap_rows(encoded, masks, targets.lengths, self.tokenizer.mask_token_id)
        scored = run(rows.input_ids, rows.asked, rows.token_type_ids, then=targets.log_probabilities)
        return [[targets.best(at, scored, top_k) for at in own] for own in rows.at]
