"""XLM-RoBERTa and CamemBERT (Conneau et al., 2020; Martin et al., 2020): Unigram with ids in fairseq's order.

The SentencePiece file begins with ``<unk> <s> </s>``, fairseq's dictionary with special tokens of its own, so the ids
of the pieces are shifted: by one in XLM-RoBERTa, by four in CamemBERT. The mask is the last id. Rows are RoBERTa's.
"""

from __future__ import annotations

import os
from typing import Any

from tokenizers import AddedToken, processors

from bothways.tokenizers.base import PreTrainedTokenizerFast
from bothways.tokenizers.plain import PlainTokenizer
from bothways.tokenizers.roberta import RobertaRows
from bothways.tokenizers.sentencepiece_model import SentencePieceModel
from bothways.tokenizers.special_tokens import ADDITIONAL, checked_token
from bothways.tokenizers.unigram import SPACE, PlainUnigram, UnigramBase


class XLMRobertaBase(UnigramBase, RobertaRows):
    """What both XLM-RoBERTa classes share.

    Args:
        vocab_file: ``sentencepiece.bpe.model`` (Unigram in spite of its name).
        kwargs: special tokens and the arguments of ``UnigramBase``.
    """

    vocab_files_names = {"vocab_file": "sentencepiece.bpe.model", "tokenizer_file": "tokenizer.json"}

    def __init__(self, vocab_file: str | os.PathLike[str] | None = None, **kwargs: Any) -> None:
        for name, token in _SPECIAL.items():
            kwargs[name] = token if kwargs.get(name) is None else checked_token(name, kwargs[name])
        if isinstance(kwargs["mask_token"], str):
            built = kwargs.get("tokenizer_file") is None and kwargs.get("tokenizer_object") is None
            kwargs["mask_token"] = self._mask(kwargs["mask_token"], built)
        super().__init__(vocab_file, **kwargs)

    def _mask(self, token: str, built: bool) -> AddedToken:
        """It takes the space before it, like a word. The flags are the ecosystem's."""
        return AddedToken(token, lstrip=True, special=True)

    def _vocabulary(self, model: SentencePieceModel) -> tuple[list[tuple[str, float]], int]:
        head = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
        pieces = [(piece.text, piece.score) for piece in model.pieces[3:]]
        return [*head, *pieces, ("<mask>", 0.0)], 3

    def _rows(self) -> Any:
        cls, sep = str(self.cls_token), str(self.sep_token)
        return processors.TemplateProcessing(
            single=[cls, "$A", sep],
            pair=[cls, "$A", sep, sep, "$B", sep],
            special_tokens=[(cls, self.cls_token_id or 0), (sep, self.sep_token_id or 0)],
        )


class XLMRobertaTokenizer(PlainTokenizer, XLMRobertaBase):
    """XLM-RoBERTa's tokeniser as the ecosystem's plain class."""

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return "".join(tokens).replace(SPACE, " ").strip()


class XLMRobertaTokenizerFast(XLMRobertaBase, PreTrainedTokenizerFast):
    """XLM-RoBERTa's tokeniser as the ecosystem's fast class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocab_file, tokenizer_file=tokenizer_file, **kwargs)

    def _mask(self, token: str, built: bool) -> AddedToken:
        """From a ``.model`` it is looked for in the normalised text (so ``＜mask＞`` is one too)."""
        return AddedToken(token, lstrip=True, rstrip=False, normalized=built)


class CamembertBase(XLMRobertaBase):
    """What both CamemBERT classes share; as ``XLMRobertaBase``, with five entries that no text ever gets."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        *,
        additional_special_tokens: list[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        extra = list(_NOT_USED) if additional_special_tokens is None else additional_special_tokens
        super().__init__(vocab_file, **{ADDITIONAL: extra}, **kwargs)

    def _vocabulary(self, model: SentencePieceModel) -> tuple[list[tuple[str, float]], int]:
        head = [(token, 0.0) for token in ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>")]
        pieces = [(piece.text, piece.score) for piece in model.pieces[1:]]
        return [*head, ("<unk>NOTUSED", -100.0), *pieces, ("<mask>", 0.0)], 3


class CamembertTokenizer(PlainUnigram, CamembertBase):
    """CamemBERT's tokeniser as the ecosystem's plain class."""


class CamembertTokenizerFast(CamembertBase, PreTrainedTokenizerFast):
    """CamemBERT's tokeniser as the ecosystem's fast class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocab_file, tokenizer_file=tokenizer_file, **kwargs)


_NOT_USED = ("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED")
_SPECIAL = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}
