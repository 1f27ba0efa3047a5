"""Rows that end in ``</s>`` and have nothing else: ``A </s>``, ``A B </s>`` (Pegasus, Marian)."""

from __future__ import annotations

from typing import Any

from bothways.tokenizers.base import PreTrainedTokenizerBase


class EosRows(PreTrainedTokenizerBase):
    """Mixin: how such rows are built. Pairs are not what these models are for."""

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """``A </s>`` or ``A B </s>``."""
        eos: Any = self.eos_token_id
        return [*token_ids_0, *(token_ids_1 or []), eos]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Zeros, as many as the row has tokens."""
        return [0] * len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))

    def get_special_tokens_mask(
        self,
        token_ids_0: list[int],
        token_ids_1: list[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for special tokens wherever they stand, 0 for others; ``<unk>`` is no special token here."""
        special = {index for index in self.all_special_ids if index != self.unk_token_id}
        marks = [int(index in special) for index in [*token_ids_0, *(token_ids_1 or [])]]
        return marks if already_has_special_tokens else [*marks, 1]
