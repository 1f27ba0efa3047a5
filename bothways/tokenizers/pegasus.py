"""Pegasus (Zhang et al., 2020): Unigram, ``A </s>``, and 103 ids in front of the pieces that were used in pretraining.

These are ``<mask_1>`` (for whole sentences), ``<mask_2>`` (for words) and ``<unk_2>`` to ``<unk_102>``.
"""

from __future__ import annotations

import os
from typing import Any

from tokenizers import pre_tokenizers, processors

from bothways.errors import TokenizerError
from bothways.tokenizers.base import PreTrainedTokenizerFast
from bothways.tokenizers.eos_rows import EosRows
from bothways.tokenizers.plain import PlainTokenizer
from bothways.tokenizers.sentencepiece_model import BPE, UNIGRAM, SentencePieceModel
from bothways.tokenizers.special_tokens import ADDITIONAL, checked_token, checked_tokens
from bothways.tokenizers.unigram import SPACE, UnigramBase


class PegasusBase(EosRows, UnigramBase):
    """What both Pegasus classes share.

    Args:
        vocab_file: ``spiece.model``, which begins with ``<pad> </s>``.
        mask_token_sent: stands for a whole sentence; None if the model has none (BigBird-Pegasus).
        additional_special_tokens: filled up with ``<unk_x>`` to ``offset`` - 1 tokens.
        offset: how far the ids of the pieces are shifted.
        kwargs: special tokens and the arguments of ``UnigramBase``.
    """

    vocab_files_names = {"vocab_file": "spiece.model", "tokenizer_file": "tokenizer.json"}
    model_input_names = ["input_ids", "attention_mask"]
    algorithms = (UNIGRAM, BPE)

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        *,
        mask_token_sent: str | None = "<mask_1>",
        additional_special_tokens: list[Any] | None = None,
        offset: int = 103,
        **kwargs: Any,
    ) -> None:
        if isinstance(offset, bool) or not isinstance(offset, int) or not 0 <= offset <= 10_000:
            raise TokenizerError(f"offset is {offset!r}; a whole number from 0 to 10,000 is expected.")
        for name, token in _SPECIAL.items():
            kwargs[name] = token if kwargs.get(name) is None else checked_token(name, kwargs[name])
        self.offset = offset
        self.mask_token_sent = None if mask_token_sent is None else str(mask_token_sent)
        self._named = {name: str(kwargs[name]) for name in _SPECIAL}
        super().__init__(
            vocab_file,
            mask_token_sent=self.mask_token_sent,
            offset=offset,
            additional_special_tokens=self._filled_up(additional_special_tokens),
            **kwargs,
        )

    def _filled_up(self, tokens: list[Any] | None) -> list[Any]:
        if tokens is None:
            head = [] if self.mask_token_sent is None else [self.mask_token_sent]
            return [*head, *(f"<unk_{number}>" for number in range(2, self.offset))]
        given = checked_tokens(ADDITIONAL, tokens)
        if self.mask_token_sent is not None and self.mask_token_sent not in [str(token) for token in given]:
            given = [self.mask_token_sent, *given]
        given += [f"<unk_{number}>" for number in range(len(given), self.offset - 1)]
        names = [str(token) for token in given]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise TokenizerError(
                f"{ADDITIONAL} are filled up with <unk_x> to {self.offset - 1} tokens, and then name {twice} twice. "
                "Pass the <unk_x> tokens in order, or none of them."
            )
        return given

    def _vocabulary(self, model: SentencePieceModel) -> tuple[list[tuple[str, float]], int]:
        head = [(self._named["pad_token"], 0.0), (self._named["eos_token"], 0.0)]
        if self.mask_token_sent is not None:
            head += [(self.mask_token_sent, 0.0), (self._named["mask_token"], 0.0)]
        head += [(f"<unk_{number}>", -100.0) for number in range(2, self.offset)]
        pieces = [(piece.text, piece.score) for piece in model.pieces[2:]]
        return [*head, *pieces], model.unk_id + self.offset

    def _pre_tokenizer(self, options: dict[str, Any]) -> Any:
        return pre_tokenizers.Sequence([
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always"),
        ])  # fmt: skip

    def _rows(self) -> Any:
        eos = str(self.eos_token)
        return processors.TemplateProcessing(
            single=["$A", eos], pair=["$A", "$B", eos], special_tokens=[(eos, self.eos_token_id or 0)]
        )


class PegasusTokenizer(PlainTokenizer, PegasusBase):
    """Pegasus's tokeniser as the ecosystem's plain class."""

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Join pieces; special tokens get no spaces."""
        special = set(self.all_special_tokens)
        text, bare = "", True
        for token in tokens:
            if token in special:
                text, bare = text + token, True
                continue
            piece = token.replace(SPACE, " ")
            text += piece.lstrip(" ") if bare else piece
            bare = bare and not piece.strip(" ")
        return text.strip()


class PegasusTokenizerFast(PegasusBase, PreTrainedTokenizerFast):
    """Pegasus's tokeniser as the ecosystem's fast class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocab_file, tokenizer_file=tokenizer_file, **kwargs)


_SPECIAL = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask_2>"}
