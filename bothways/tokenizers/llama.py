"""Llama and Mistral (Touvron et al., 2023; Jiang et al., 2023): SentencePiece BPE, unknown characters as bytes.

Rows begin with ``<s>``. Directories of later models have only a ``tokenizer.json``, which ``PreTrainedTokenizerFast``
reads.
"""

from __future__ import annotations

import os
from typing import Any

from tokenizers import decoders, normalizers, pre_tokenizers, processors

from bothways.errors import TokenizerError
from bothways.tokenizers.base import PreTrainedTokenizerFast
from bothways.tokenizers.plain import PlainTokenizer
from bothways.tokenizers.sentencepiece_model import BPE, UNIGRAM, SentencePieceModel
from bothways.tokenizers.special_tokens import as_special, checked_token
from bothways.tokenizers.unigram import SPACE, UnigramBase, prepend_scheme


class LlamaBase(UnigramBase):
    """What both Llama classes share.

    Args:
        vocab_file: ``tokenizer.model``, which begins with ``<unk> <s> </s>``.
        tokenizer_file: a ``tokenizer.json``; left aside if ``add_prefix_space`` is given and there is a ``vocab_file``.
        add_bos_token, add_eos_token: whether a row begins with ``<s>`` and ends with ``</s>``; may be set later.
        legacy: put a space before every part of a text that follows a special token, as before September 2023. None
            stands for True.
        add_prefix_space: put a space before every text; None stands for True.
        kwargs: special tokens (there is no ``pad_token`` by default) and the arguments of ``UnigramBase``.
    """

    vocab_files_names = {"vocab_file": "tokenizer.model", "tokenizer_file": "tokenizer.json"}
    model_input_names = ["input_ids", "attention_mask"]
    algorithms = (UNIGRAM, BPE)
    byte_fallback = True

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        *,
        add_bos_token: bool = True,
        add_eos_token: bool = False,
        legacy: bool | None = None,
        add_prefix_space: bool | None = None,
        use_default_system_prompt: bool = False,
        clean_up_tokenization_spaces: bool = False,
        **kwargs: Any,
    ) -> None:
        built = kwargs.get("tokenizer_file") is None and kwargs.get("tokenizer_object") is None
        for name, token in (("unk_token", "<unk>"), ("bos_token", "<s>"), ("eos_token", "</s>"), ("pad_token", None)):
            given = token if kwargs.get(name) is None else checked_token(name, kwargs[name])
            kwargs[name] = as_special(given) if built and given is not None else given
        if built:
            kwargs.setdefault("spaces_between_special_tokens", False)  # only kept for saving, as in the ecosystem
        self._add_bos_token, self._add_eos_token = bool(add_bos_token), bool(add_eos_token)
        self.legacy = legacy is None or bool(legacy)
        self.use_default_system_prompt = use_default_system_prompt
        super().__init__(
            vocab_file,
            add_bos_token=self._add_bos_token,
            add_eos_token=self._add_eos_token,
            legacy=self.legacy,
            add_prefix_space=add_prefix_space,
            use_default_system_prompt=use_default_system_prompt,
            clean_up_tokenization_spaces=clean_up_tokenization_spaces,
            **kwargs,
        )
        self.update_post_processor()

    @property
    def add_bos_token(self) -> bool:
        return self._add_bos_token

    @add_bos_token.setter
    def add_bos_token(self, value: bool) -> None:
        self._add_bos_token = bool(value)
        self.update_post_processor()

    @property
    def add_eos_token(self) -> bool:
        return self._add_eos_token

    @add_eos_token.setter
    def add_eos_token(self, value: bool) -> None:
        self._add_eos_token = bool(value)
        self.update_post_processor()

    def update_post_processor(self) -> None:
        """Let rows begin and end as ``add_bos_token``, ``bos_token``, ``add_eos_token`` and ``eos_token`` say now."""
        with self._lock:
            self._tokenizer.post_processor = self._rows()

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """``<s> A`` or ``<s> A <s> B``, with ``</s>`` behind each text if ``add_eos_token`` is on."""
        bos: Any = [self.bos_token_id] if self.add_bos_token else []
        eos: Any = [self.eos_token_id] if self.add_eos_token else []
        row = [*bos, *token_ids_0, *eos]
        return row if token_ids_1 is None else [*row, *bos, *token_ids_1, *eos]

    def _vocabulary(self, model: SentencePieceModel) -> tuple[list[tuple[str, float]], int]:
        head = [(piece.text, 0.0) for piece in model.pieces[:3]]
        return [*head, *((piece.text, piece.score) for piece in model.pieces[3:])], 0

    def _normalizer(self, model: SentencePieceModel, options: dict[str, Any]) -> Any:
        if not self.legacy:
            return None
        first = [normalizers.Prepend(SPACE)] if prepend_scheme(options) != "never" else []
        return normalizers.Sequence([*first, normalizers.Replace(" ", SPACE)])

    def _pre_tokenizer(self, options: dict[str, Any]) -> Any:
        if self.legacy:
            return None
        return pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=prepend_scheme(options), split=False)

    def _decoder(self, options: dict[str, Any]) -> Any:
        steps: list[Any] = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
        if prepend_scheme(options) != "never":
            steps.append(decoders.Strip(content=" ", left=1))
        return decoders.Sequence(steps)

    def _rows(self) -> Any:
        added = {"bos_token": self._add_bos_token, "eos_token": self._add_eos_token}
        if missing := [name for name, wanted in added.items() if wanted and getattr(self, name) is None]:
            raise TokenizerError(f"add_{missing[0]} is on, but {missing[0]} is None. Set {missing[0]} first.")
        bos, eos = ([getattr(self, name)] if wanted else [] for name, wanted in added.items())
        return processors.TemplateProcessing(
            single=[*(f"{token}:0" for token in bos), "$A:0", *(f"{token}:0" for token in eos)],
            pair=[
                *(f"{token}:0" for token in bos), "$A:0", *(f"{token}:0" for token in eos),
                *(f"{token}:1" for token in bos), "$B:1", *(f"{token}:1" for token in eos),
            ],
            special_tokens=[(token, self.convert_tokens_to_ids(token)) for token in dict.fromkeys([*bos, *eos])],
        )  # fmt: skip


class LlamaTokenizer(PlainTokenizer, LlamaBase):
    """Llama's tokeniser as the ecosystem's plain class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        *,
        add_prefix_space: bool | None = None,
        **kwargs: Any,
    ) -> None:
        spaced = add_prefix_space is None or bool(add_prefix_space)
        super().__init__(vocab_file, add_prefix_space=spaced, **kwargs)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Join pieces and bytes; special tokens get a space before them if ``legacy`` is on."""
        if tokens and self.add_prefix_space:
            tokens = [tokens[0].removeprefix(SPACE), *tokens[1:]]
        special = set(self.all_special_tokens)
        text, after_special = "", False
        pieces: list[str] = []
        for place, token in enumerate(tokens):
            if token in special:
                text += " " if self.legacy and place and not after_special else ""
                text, pieces, after_special = text + self._joined(pieces) + token, [], True
                continue
            if after_special and place == 1 and self.add_prefix_space and not token.startswith(SPACE):
                text += " "
            pieces.append(token)
            after_special = False
        return text + self._joined(pieces)

    def _joined(self, pieces: list[str]) -> str:
        """Pieces between special tokens as SentencePiece joins them."""
        text, data, at_start = "", bytearray(), self.legacy
        for piece in [*pieces, ""]:
            if (byte := _byte(piece)) is not None:
                data.append(byte)
                continue
            text, data = text + _decoded(bytes(data)), bytearray()
            text += (piece.removeprefix(SPACE) if at_start and not text else piece).replace(SPACE, " ")
            at_start = at_start and not piece
        return text


class LlamaTokenizerFast(LlamaBase, PreTrainedTokenizerFast):
    """Llama's tokeniser as the ecosystem's fast class."""

    padding_side = "left"

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
        super().__init__(vocab_file, tokenizer_file=tokenizer_file, add_prefix_space=add_prefix_space, **kwargs)
        self.add_prefix_space = add_prefix_space  # None is saved as such: a value makes the ecosystem convert again


def _byte(piece: str) -> int | None:
    """The byte that ``<0x0A>`` stands for."""
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        try:
            return int(piece[3:5], 16)
        except ValueError:
            return None
    return None


def _decoded(data: bytes) -> str:
    """UTF-8 as SentencePiece decodes it: U+FFFD for each byte that does not fit, where Python gives one for several."""
    text, place = "", 0
    while place < len(data):
        try:
            return text + data[place:].decode("utf-8")
        except UnicodeDecodeError as problem:
            text += data[place : place + problem.start].decode("utf-8") + "\ufffd"
            place += problem.start + 1
    return text
