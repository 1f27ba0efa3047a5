"""ALBERT (Lan et al., 2020): SentencePiece Unigram on lower-cased text without accents; ``[CLS] A [SEP] B [SEP]``."""

from __future__ import annotations

import os
from typing import Any

from tokenizers import AddedToken, Regex, normalizers, processors

from bothways.tokenizers.base import PreTrainedTokenizerFast
from bothways.tokenizers.sentencepiece_model import SentencePieceModel
from bothways.tokenizers.special_tokens import checked_token
from bothways.tokenizers.unigram import PlainUnigram, UnigramBase


class AlbertBase(UnigramBase):
    """What both ALBERT classes share.

    Args:
        vocab_file: ``spiece.model``.
        do_lower_case: lower-case the text.
        remove_space: kept for saving; the engine always removes spaces at the ends and runs of spaces.
        keep_accents: do not remove accents.
        kwargs: special tokens and the arguments of ``UnigramBase``.

    A ``tokenizer.json`` says itself what is done to the text; the three switches are then only kept, as in the
    ecosystem.
    """

    vocab_files_names = {"vocab_file": "spiece.model", "tokenizer_file": "tokenizer.json"}

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        *,
        do_lower_case: bool = True,
        remove_space: bool = True,
        keep_accents: bool = False,
        **kwargs: Any,
    ) -> None:
        for name, token in _SPECIAL.items():
            kwargs[name] = token if kwargs.get(name) is None else checked_token(name, kwargs[name])
        if isinstance(kwargs["mask_token"], str):  # it takes the space before it, like a word
            kwargs["mask_token"] = AddedToken(kwargs["mask_token"], lstrip=True, rstrip=False, normalized=False)
        super().__init__(
            vocab_file,
            do_lower_case=bool(do_lower_case),
            remove_space=bool(remove_space),
            keep_accents=bool(keep_accents),
            **kwargs,
        )
        self.do_lower_case = bool(do_lower_case)
        self.remove_space = bool(remove_space)
        self.keep_accents = bool(keep_accents)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """``[CLS] A [SEP]`` or ``[CLS] A [SEP] B [SEP]``."""
        cls: Any = self.cls_token_id
        sep: Any = self.sep_token_id
        row = [cls, *token_ids_0, sep]
        return row if token_ids_1 is None else [*row, *token_ids_1, sep]

    def _vocabulary(self, model: SentencePieceModel) -> tuple[list[tuple[str, float]], int]:
        """A piece that ends with a digit and a comma costs so much that the comma becomes a token of its own."""
        vocab = [
            (piece.text, piece.score - 100 if piece.text[-1] == "," and piece.text[-2:-1].isdigit() else piece.score)
            for piece in model.pieces
        ]
        return vocab, model.unk_id

    def _normalizer(self, model: SentencePieceModel, options: dict[str, Any]) -> normalizers.Normalizer:
        steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
        if not options["keep_accents"]:
            steps += [normalizers.NFKD(), normalizers.StripAccents()]
        if options["do_lower_case"]:
            steps.append(normalizers.Lowercase())
        if model.charsmap:
            steps.append(normalizers.Precompiled(model.charsmap))
        return normalizers.Sequence([*steps, normalizers.Replace(Regex(" {2,}"), " ")])

    def _rows(self) -> Any:
        cls, sep = str(self.cls_token), str(self.sep_token)
        return processors.TemplateProcessing(
            single=[f"{cls}:0", "$A:0", f"{sep}:0"],
            pair=[f"{cls}:0", "$A:0", f"{sep}:0", "$B:1", f"{sep}:1"],
            special_tokens=[(cls, self.cls_token_id or 0), (sep, self.sep_token_id or 0)],
        )


class AlbertTokenizer(PlainUnigram, AlbertBase):
    """ALBERT's tokeniser as the ecosystem's plain class."""


class AlbertTokenizerFast(AlbertBase, PreTrainedTokenizerFast):
    """ALBERT's tokeniser as the ecosystem's fast class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocab_file, tokenizer_file=tokenizer_file, **kwargs)


_SPECIAL = {
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "unk_token": "<unk>",
    "sep_token": "[SEP]",
    "pad_token": "<pad>",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
