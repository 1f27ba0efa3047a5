"""T5 (Raffel et al., 2020): Unigram, ``A </s>`` or ``A </s> B </s>``, and sentinels ``<extra_id_0>`` at the end.

The sentinels count downwards: ``<extra_id_0>`` has the last id of the vocabulary.
"""

from __future__ import annotations

import os
import re
from typing import Any

from tokenizers import decoders, pre_tokenizers, processors

from bothways.errors import TokenizerError
from bothways.tokenizers.base import PreTrainedTokenizerFast
from bothways.tokenizers.sentencepiece_model import BPE, UNIGRAM, SentencePieceModel
from bothways.tokenizers.special_tokens import ADDITIONAL, as_special, checked_token, checked_tokens
from bothways.tokenizers.unigram import SPACE, PlainUnigram, UnigramBase, prepend_scheme


class T5Base(UnigramBase):
    """What both T5 classes share.

    Args:
        vocab_file: ``spiece.model``.
        tokenizer_file: a ``tokenizer.json``; left aside if ``add_prefix_space`` is given and there is a ``vocab_file``.
        extra_ids: number of sentinels.
        additional_special_tokens: the sentinels, or further tokens, to which the sentinels are then added.
        legacy: put a space before every part of a text that follows a special token, as before September 2023. None
            stands for True.
        add_prefix_space: put a space before every text; None stands for True.
        kwargs: special tokens and the arguments of ``UnigramBase``.
    """

    vocab_files_names = {"vocab_file": "spiece.model", "tokenizer_file": "tokenizer.json"}
    model_input_names = ["input_ids", "attention_mask"]
    algorithms = (UNIGRAM, BPE)

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        *,
        extra_ids: int = 100,
        additional_special_tokens: list[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        for name, token in (("eos_token", "</s>"), ("unk_token", "<unk>"), ("pad_token", "<pad>")):
            given = token if kwargs.get(name) is None else checked_token(name, kwargs[name])
            kwargs[name] = as_special(given)
        self.extra_ids = self._extra_ids = _count(extra_ids)
        super().__init__(
            vocab_file,
            extra_ids=self.extra_ids,
            additional_special_tokens=self._with_sentinels(additional_special_tokens),
            **kwargs,
        )

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """``A </s>`` or ``A </s> B </s>``."""
        eos: Any = self.eos_token_id
        row = [*token_ids_0, eos]
        return row if token_ids_1 is None else [*row, *token_ids_1, eos]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Zeros, as many as the row has tokens."""
        return [0] * len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))

    def get_sentinel_tokens(self) -> list[str]:
        """``<extra_id_0>`` and so on, by number."""
        found = [token for token in self.additional_special_tokens if _SENTINEL.fullmatch(token)]
        return sorted(found, key=lambda token: int(token[10:-1]))

    def get_sentinel_token_ids(self) -> list[int]:
        """The ids of ``get_sentinel_tokens``."""
        return self.convert_tokens_to_ids(self.get_sentinel_tokens())

    def _with_sentinels(self, tokens: list[Any] | None) -> list[Any]:
        sentinels = [f"<extra_id_{number}>" for number in range(self.extra_ids)]
        if tokens is None:
            return list(sentinels)
        given = checked_tokens(ADDITIONAL, tokens)
        present = [token for token in given if "<extra_id_" in str(token)]
        if not present:
            return [*given, *sentinels]
        if self.extra_ids and self.extra_ids != len(present):
            raise TokenizerError(
                f"extra_ids is {self.extra_ids}, but {ADDITIONAL} names {len(present)} sentinels (<extra_id_…>). "
                "Pass as many as extra_ids says, or none of them."
            )
        return given

    def _vocabulary(self, model: SentencePieceModel) -> tuple[list[tuple[str, float]], int]:
        pieces = [(piece.text, piece.score) for piece in model.pieces]
        return [*pieces, *((f"<extra_id_{n}>", 0.0) for n in reversed(range(self.extra_ids)))], model.unk_id

    def _pre_tokenizer(self, options: dict[str, Any]) -> Any:
        return pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=prepend_scheme(options))

    def _decoder(self, options: dict[str, Any]) -> Any:
        return decoders.Metaspace(replacement=SPACE, prepend_scheme=prepend_scheme(options))

    def _rows(self) -> Any:
        return processors.TemplateProcessing(
            single=["$A", "</s>"],
            pair=["$A", "</s>", "$B", "</s>"],
            special_tokens=[("</s>", self.convert_tokens_to_ids("</s>"))],
        )


class T5Tokenizer(PlainUnigram, T5Base):
    """T5's tokeniser as the ecosystem's plain class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        *,
        legacy: bool | None = None,
        add_prefix_space: bool | None = None,
        **kwargs: Any,
    ) -> None:
        self.legacy = legacy is None or bool(legacy)
        spaced = add_prefix_space is None or bool(add_prefix_space)
        super().__init__(vocab_file, legacy=self.legacy, add_prefix_space=spaced, **kwargs)

    @property
    def vocab_size(self) -> int:
        """Pieces of the SentencePiece model: the plain class counts the sentinels as added tokens."""
        size = super().vocab_size
        return size - sum(index < size for index in self.get_sentinel_token_ids())


class T5TokenizerFast(T5Base, PreTrainedTokenizerFast):
    """T5's tokeniser as the ecosystem's fast class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        *,
        add_prefix_space: bool | None = None,
        **kwargs: Any,
    ) -> None:
        if add_prefix_space is not None and vocab_file is not None:
            tokenizer_file = None
        if tokenizer_file is None and kwargs.get("tokenizer_object") is None and kwargs.get("legacy") is None:
            kwargs["legacy"] = True
        super().__init__(vocab_file, tokenizer_file=tokenizer_file, add_prefix_space=add_prefix_space, **kwargs)
        self.add_prefix_space = add_prefix_space  # None is saved as such: a value makes the ecosystem convert again


_SENTINEL = re.compile(r"<extra_id_\d+>")


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10_000:
        raise TokenizerError(f"extra_ids is {value!r}; a whole number from 0 to 10,000 is expected.")
    return value
