"""Which tokeniser made the shards: a hash of all that decides which ids a text gets."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from bothways.errors import ModelNotFoundError
from bothways.tokenizers import AutoTokenizer, PreTrainedTokenizerBase

_DECIDES = ("normalizer", "pre_tokenizer", "model", "added_tokens")
"""Parts of ``tokenizer.json`` that turn text into ids. The rest adds special tokens, cuts, pads or decodes."""


def tokenizer_identity(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What must be equal for two tokenisers to give every text the same ids.

    The files that a tokeniser came from do not matter: saved and loaded again, it is the same.

    Returns:
        sha256: of the normaliser, the splitting into words, the vocabulary and the added tokens.
        vocab_size: all ids are below this; added tokens included.
        class: its name, without ``Fast``.
        special_ids: names of special tokens such as ``mask_token`` → ids.
    """
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    decides = {name: _rounded(content.get(name)) for name in _DECIDES}
    decides["split_special_tokens"] = tokenizer.split_special_tokens
    text = json.dumps(decides, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    special = {
        name: tokenizer.convert_tokens_to_ids(token)
        for name, token in sorted(tokenizer.special_tokens_map.items())
        if isinstance(token, str)
    }
    return {
        "sha256": hashlib.sha256(text.encode("utf-8")).hexdigest(),
        "vocab_size": max(tokenizer.get_vocab().values()) + 1,
        "class": type(tokenizer).__name__.removesuffix("Fast"),
        "special_ids": special,
    }


def _rounded(value: Any) -> Any:
    """Numbers to six digits: the engine's own writing and reading of scores may change their last one."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value


def tokenizer_to_learn_with(name: str | os.PathLike[str]) -> PreTrainedTokenizerBase:
    """The tokeniser that texts are made into tokens with.

    Raises:
        ModelNotFoundError: the name leads nowhere; with how to make one.
    """
    try:
        return AutoTokenizer.from_pretrained(name)
    except ModelNotFoundError as problem:
        raise ModelNotFoundError(
            f"{problem}\nTo learn a vocabulary from the same text: bothways tokenizer train FILES -o DIR."
        ) from None
