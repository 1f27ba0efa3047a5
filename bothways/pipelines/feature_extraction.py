"""Feature extraction: the hidden vector of every token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bothways.errors import InputError
from bothways.pipelines.base import Pipeline, checked_text
from bothways.pipelines.options import TextOptions, refuse_unknown, take_tokenizer_options
from bothways.tasks.windows import best_windows


@dataclass(frozen=True, kw_only=True)
class FeatureOptions(TextOptions):
    """Attributes:
    return_tensors: a tensor (1, tokens, hidden_size) instead of nested lists.
    """

    return_tensors: bool = False


class FeatureExtractionPipeline(Pipeline):
    """Last hidden vectors of a model's body, ``[1][tokens][hidden_size]`` for each text.

    Options: ``return_tensors``, ``tokenize_kwargs`` and those of texts. Padding has no effect: only real tokens are in
    a result, in a batch too. In a text of several windows each token comes from the window that shows most of its
    surroundings.
    """

    default_task = "feature-extraction"
    model_task = "base"
    options_class = FeatureOptions
    chunk_items = 512
    chunk_characters = 2**17  # a vector for every token: about 50 MB of numbers for 384 of them

    @classmethod
    def accepts(cls, model_task: str) -> bool:
        return True  # the body is there whatever head is on it

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        tokenize = dict(given.pop("tokenize_kwargs", None) or {})
        if "truncation" in tokenize and given.get("truncation") is not None:
            raise InputError("truncation is given twice: as a keyword argument and in tokenize_kwargs. Pass it once.")
        if given.get("truncation", False) is None:
            del given["truncation"]
        given |= tokenize
        changes = take_tokenizer_options(given)
        tensors = given.pop("return_tensors", None)
        if tensors is not None:
            changes["return_tensors"] = bool(tensors)
        refuse_unknown(given, ("return_tensors", "tokenize_kwargs"), "the feature-extraction pipeline")
        return changes

    def answer(self, inputs: list[Any], options: Any, first: int) -> Iterator[Any]:
        texts = [checked_text(item, first + i) for i, item in enumerate(inputs)]
        encoded = options.encode(self.tokenizer, self.model.config, texts, None, first)
        hidden = self.runner.hidden(encoded.input_ids, encoded.token_type_ids)
        for i, start in enumerate(encoded.first_windows.tolist()):
            if i in encoded.windows:
                window, place = best_windows(encoded.windows[i], encoded.n_tokens[i])
                vectors = np.stack([hidden[start + w][p] for w, p in zip(window, place, strict=True)])
            else:
                vectors = hidden[start]
            yield torch.from_numpy(vectors[None].copy()) if options.return_tensors else [vectors.tolist()]
