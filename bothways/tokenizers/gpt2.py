"""GPT-2 (Radford et al., 2019): byte-level BPE; rows get no special tokens unless ``add_bos_token`` is on."""

from __future__ import annotations

import os
from typing import Any

from tokenizers import Tokenizer, processors

from bothways.tokenizers.byte_level import ByteLevelBase, FastByteLevel, PlainByteLevel, unstripped
from bothways.tokenizers.special_tokens import checked_token

END = "<|endoftext|>"


class GPT2Base(ByteLevelBase):
    """What both GPT-2 classes share.

    Args:
        vocab_file, merges_file, tokenizer_file, tokenizer_object: see ``ByteLevelBase``.
        add_bos_token: begin each row with ``bos_token``. A ``tokenizer.json`` says that itself.
        kwargs: special tokens (there is no ``pad_token`` by default) and the arguments of ``ByteLevelBase``.
    """

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        merges_file: str | os.PathLike[str] | None = None,
        *,
        tokenizer_file: str | os.PathLike[str] | None = None,
        tokenizer_object: Tokenizer | None = None,
        add_bos_token: bool = False,
        **kwargs: Any,
    ) -> None:
        built = tokenizer_file is None and tokenizer_object is None
        for name, token in (("unk_token", END), ("bos_token", END), ("eos_token", END), ("pad_token", None)):
            given = token if kwargs.get(name) is None else checked_token(name, kwargs[name])
            kwargs[name] = unstripped(given) if built else given
        super().__init__(
            vocab_file,
            merges_file,
            tokenizer_file=tokenizer_file,
            tokenizer_object=tokenizer_object,
            add_bos_token=bool(add_bos_token),
            **kwargs,
        )
        self.add_bos_token = bool(add_bos_token)
        if built:
            self._tokenizer.post_processor = self._rows()

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """``A`` or ``A B``; with ``add_bos_token``, ``<|endoftext|>`` before them."""
        first: Any = [self.bos_token_id] if self.add_bos_token else []
        return [*first, *token_ids_0, *(token_ids_1 or [])]

    def _rows(self) -> Any:
        if not self.add_bos_token:
            return processors.ByteLevel(trim_offsets=False)
        bos = str(self.bos_token)
        return processors.TemplateProcessing(
            single=[f"{bos}:0", "$A:0"],
            pair=self._pair(bos),
            special_tokens=[(bos, self.bos_token_id or 0)],
        )

    def _pair(self, bos: str) -> list[str]:
        return [f"{bos}:0", "$A:0", "$B:1"]


class GPT2Tokenizer(PlainByteLevel, GPT2Base):
    """GPT-2's tokeniser as the ecosystem's plain class; ``add_bos_token`` counts for both texts of a pair."""

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """``A`` or ``A B``; with ``add_bos_token``, ``<|endoftext|>`` before each."""
        row = super().build_inputs_with_special_tokens(token_ids_0)
        return row if token_ids_1 is None else [*row, *super().build_inputs_with_special_tokens(token_ids_1)]

    def _pair(self, bos: str) -> list[str]:
        return [f"{bos}:0", "$A:0", f"{bos}:1", "$B:1"]


class GPT2TokenizerFast(GPT2Base, FastByteLevel):
    """GPT-2's tokeniser as the ecosystem's fast class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        merges_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocab_file, merges_file, tokenizer_file=tokenizer_file, **kwargs)
