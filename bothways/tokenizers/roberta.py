"""RoBERTa (Liu et al., 2019): byte-level BPE, ``<s> A </s></s> B </s>``, no token types."""

from __future__ import annotations

import json
import os
from typing import Any

from tokenizers import AddedToken, Tokenizer, processors

from bothways.tokenizers.base import PreTrainedTokenizerBase
from bothways.tokenizers.byte_level import ByteLevelBase, FastByteLevel, PlainByteLevel, unstripped
from bothways.tokenizers.special_tokens import checked_token


class RobertaRows(PreTrainedTokenizerBase):
    """Rows of RoBERTa and its kin: ``<s> A </s>`` or ``<s> A </s></s> B </s>``, all of token type 0."""

    model_input_names = ["input_ids", "attention_mask"]

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """``<s> A </s>`` or ``<s> A </s></s> B </s>``."""
        cls: Any = self.cls_token_id
        sep: Any = self.sep_token_id
        row = [cls, *token_ids_0, sep]
        return row if token_ids_1 is None else [*row, sep, *token_ids_1, sep]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Zeros, as many as the row has tokens."""
        return [0] * len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))


class RobertaBase(RobertaRows, ByteLevelBase):
    """What both RoBERTa classes share.

    Args:
        vocab_file, merges_file, tokenizer_file, tokenizer_object: see ``ByteLevelBase``.
        trim_offsets: leave the space before a word out of its offsets.
        kwargs: special tokens and the arguments of ``ByteLevelBase``.
    """

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        merges_file: str | os.PathLike[str] | None = None,
        *,
        tokenizer_file: str | os.PathLike[str] | None = None,
        tokenizer_object: Tokenizer | None = None,
        trim_offsets: bool = True,
        **kwargs: Any,
    ) -> None:
        built = tokenizer_file is None and tokenizer_object is None
        for name, token in _SPECIAL.items():
            given = token if kwargs.get(name) is None else checked_token(name, kwargs[name])
            if name == "mask_token":
                kwargs[name] = self._mask(given) if isinstance(given, str) else given
            else:
                kwargs[name] = unstripped(given) if built else given
        super().__init__(
            vocab_file,
            merges_file,
            tokenizer_file=tokenizer_file,
            tokenizer_object=tokenizer_object,
            trim_offsets=bool(trim_offsets),
            **kwargs,
        )
        self.trim_offsets = bool(trim_offsets)
        if built:
            self._tokenizer.post_processor = processors.RobertaProcessing(
                sep=(str(self.sep_token), self.sep_token_id or 0),
                cls=(str(self.cls_token), self.cls_token_id or 0),
                add_prefix_space=self.add_prefix_space,
                trim_offsets=self.trim_offsets,
            )
        else:
            _restyle(self._tokenizer, bool(self.add_prefix_space), self.trim_offsets)

    def _mask(self, token: str) -> AddedToken:
        """It takes the space before it, like a word."""
        return AddedToken(token, lstrip=True, rstrip=False, normalized=False)


class RobertaTokenizer(PlainByteLevel, RobertaBase):
    """RoBERTa's tokeniser as the ecosystem's plain class."""


class RobertaTokenizerFast(RobertaBase, FastByteLevel):
    """RoBERTa's tokeniser as the ecosystem's fast class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        merges_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocab_file, merges_file, tokenizer_file=tokenizer_file, **kwargs)


_SPECIAL = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}


def _restyle(engine: Tokenizer, add_prefix_space: bool, trim_offsets: bool) -> None:
    """Let the arguments win over what a ``tokenizer.json`` says about offsets."""
    processor = engine.post_processor
    if not isinstance(processor, (processors.RobertaProcessing, processors.ByteLevel)):
        return
    state = json.loads(processor.__getstate__())
    wanted = {"add_prefix_space": add_prefix_space, "trim_offsets": trim_offsets}
    if any(state.get(key, value) != value for key, value in wanted.items()):
        state.update({key: value for key, value in wanted.items() if key in state})
        state.update({key: tuple(state[key]) for key in ("sep", "cls") if key in state})
        engine.post_processor = getattr(processors, state.pop("type"))(**state)
