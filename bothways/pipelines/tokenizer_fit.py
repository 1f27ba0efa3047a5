"""Whether a tokeniser belongs to a model, as far as that can be told before anything is computed."""

from __future__ import annotations

import logging
from typing import Any

from bothways.errors import InputError
from bothways.models.base import PreTrainedModel
from bothways.tokenizers.albert import AlbertBase
from bothways.tokenizers.auto import TOKENIZERS
from bothways.tokenizers.base import PreTrainedTokenizerBase
from bothways.tokenizers.bert import BertBase
from bothways.tokenizers.roberta import RobertaBase
from bothways.tokenizers.xlm_roberta import CamembertBase, XLMRobertaBase

logger = logging.getLogger("bothways")

KINDS = (AlbertBase, BertBase, CamembertBase, RobertaBase, XLMRobertaBase)
"""Bases of tokenisers that number their tokens alike. A tokeniser of none of them says nothing about its model."""


def check_tokenizer(model: PreTrainedModel, tokenizer: Any) -> None:
    """Refuse a tokeniser with more tokens than the model has embeddings; warn of one of another kind.

    Fewer tokens are normal: vocabularies are filled up to round sizes. Another kind is no error, since models are
    trained with all sorts of tokenisers: one that comes from the model's own directory is not doubted.

    Raises:
        InputError: with both numbers; or what was given is no tokeniser.
    """
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise InputError(
            f"tokenizer is a {type(tokenizer).__name__}; expected a tokeniser of this library, such as "
            "AutoTokenizer.from_pretrained(…) gives, or its name."
        )
    rows, tokens = model.get_input_embeddings().num_embeddings, len(tokenizer)
    names = f"{_named(tokenizer)} does not belong to {_named(model)}"
    if tokens > rows:
        raise InputError(
            f"the tokeniser has {tokens:,} tokens, but the model has embeddings for {rows:,}: {names}. If tokens were "
            f"added on purpose, call model.resize_token_embeddings({tokens}) and train the new ones."
        )
    classes = TOKENIZERS.get(model.config.model_type)
    expected = {kind for kind in KINDS if classes is not None and issubclass(classes.fast, kind)}
    found = {kind for kind in KINDS if isinstance(tokenizer, kind)}
    same_place = tokenizer.name_or_path and tokenizer.name_or_path == model.name_or_path
    if classes is not None and expected and found and expected != found and not same_place:
        logger.warning(
            "%s models usually have a %s: perhaps %s (%s tokens, embeddings for %s).",
            model.config.model_type,
            classes.fast.__name__,
            names,
            f"{tokens:,}",
            f"{rows:,}",
        )


def _named(thing: Any) -> str:
    name = type(thing).__name__
    return f"{name} of {thing.name_or_path}" if thing.name_or_path else f"this {name}"
