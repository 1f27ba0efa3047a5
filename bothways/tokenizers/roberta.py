"""RoBERTa (Liu et al., 2019): byte-level BPE, ``<s> A </s></s> B </s>``, no token types.

A space before a word belongs to its first token (``Ġword``), so a word at the very beginning of a text differs from the
same word further on, unless ``add_prefix_space`` is on.
"""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Encoding, Tokenizer, processors

from bothways.errors import TokenizerError
from bothways.files import write_text
from bothways.tokenizers.base import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from bothways.tokenizers.bpe import bytes_of, merge_lines, read_bpe
from bothways.tokenizers.options import Limits
from bothways.tokenizers.plain import PlainTokenizer
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


class RobertaBase(RobertaRows):
    """What both RoBERTa classes share.

    Args:
        vocab_file, merges_file: ``vocab.json`` (token to id) and ``merges.txt`` (two tokens a line, best first).
        tokenizer_file, tokenizer_object: an engine instead of a vocabulary.
        errors: what the plain class does with bytes that are no UTF-8 when it decodes, as in ``bytes.decode``.
        add_prefix_space: treat the first word like the others. Needed for ``is_split_into_words``.
        trim_offsets: leave the space before a word out of its offsets.
        kwargs: special tokens and the arguments of ``PreTrainedTokenizerBase``.
    """

    vocab_files_names = {"vocab_file": "vocab.json", "merges_file": "merges.txt", "tokenizer_file": "tokenizer.json"}

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        merges_file: str | os.PathLike[str] | None = None,
        *,
        tokenizer_file: str | os.PathLike[str] | None = None,
        tokenizer_object: Tokenizer | None = None,
        errors: str = "replace",
        add_prefix_space: bool = False,
        trim_offsets: bool = True,
        **kwargs: Any,
    ) -> None:
        _check_handler(errors)
        built = tokenizer_file is None and tokenizer_object is None
        if built:
            if vocab_file is None or merges_file is None:
                raise TokenizerError(
                    f"{type(self).__name__} needs a vocab_file (vocab.json) and a merges_file (merges.txt), "
                    "or a tokenizer_file."
                )
            tokenizer_object = read_bpe(vocab_file, merges_file, add_prefix_space=bool(add_prefix_space))
        for name, token in _SPECIAL.items():
            given = token if kwargs.get(name) is None else checked_token(name, kwargs[name])
            kwargs[name] = _as_added(given, name, plainly=not built)
        super().__init__(
            tokenizer_object=tokenizer_object,
            tokenizer_file=tokenizer_file,
            copy_engine=not built,
            errors=errors,
            add_prefix_space=bool(add_prefix_space),
            trim_offsets=bool(trim_offsets),
            **kwargs,
        )
        self.errors = errors
        self.trim_offsets = bool(trim_offsets)
        if built:
            self._tokenizer.post_processor = processors.RobertaProcessing(
                sep=(str(self.sep_token), self.sep_token_id or 0),
                cls=(str(self.cls_token), self.cls_token_id or 0),
                add_prefix_space=self.add_prefix_space,
                trim_offsets=self.trim_offsets,
            )
        else:
            _restyle(self._tokenizer, self.add_prefix_space, self.trim_offsets)

    def save_vocabulary(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write ``vocab.json`` and ``merges.txt``: the vocabulary without added tokens."""
        lines = merge_lines(self._tokenizer)
        if lines is None:
            return ()  # no BPE, or tokens that lines cannot say; tokenizer.json does
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        vocab = sorted(self._tokenizer.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1])
        paths = Path(save_directory) / f"{prefix}vocab.json", Path(save_directory) / f"{prefix}merges.txt"
        write_text(paths[0], json.dumps(dict(vocab), ensure_ascii=False, separators=(",", ":")))
        write_text(paths[1], "".join(f"{line}\n" for line in ["#version: 0.2", *lines]))
        return str(paths[0]), str(paths[1])


class RobertaTokenizer(PlainTokenizer, RobertaBase):
    """RoBERTa's tokeniser as the ecosystem's plain class; words of ``is_split_into_words`` get their space here."""

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The bytes of the tokens as UTF-8. Characters that stand for no byte are kept as they are."""
        return bytes_of("".join(tokens)).decode("utf-8", errors=self.errors)

    def _run_engine(
        self, rows: list[Any], limits: Limits, add_special_tokens: bool, words: bool, **options: Any
    ) -> list[Encoding]:
        if words and not self.add_prefix_space:
            rows = [_map_words(row, _spaced) for row in rows]
        return super()._run_engine(rows, limits, add_special_tokens, words, **options)


class RobertaTokenizerFast(RobertaBase, PreTrainedTokenizerFast):
    """RoBERTa's tokeniser as the ecosystem's fast class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        merges_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocab_file, merges_file, tokenizer_file=tokenizer_file, **kwargs)

    def _run_engine(
        self, rows: list[Any], limits: Limits, add_special_tokens: bool, words: bool, **options: Any
    ) -> list[Encoding]:
        if words and not self.add_prefix_space:
            raise TokenizerError(
                f"You need to instantiate {type(self).__name__} with add_prefix_space=True to use it with pretokenized "
                "inputs (is_split_into_words=True): without it the words would lose the spaces between them."
            )
        return super()._run_engine(rows, limits, add_special_tokens, words, **options)


_SPECIAL = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}


def _as_added(token: Any, name: str, *, plainly: bool) -> Any:
    """The mask takes the space before it, like a word. The flags of the others are the ecosystem's."""
    if not isinstance(token, str):
        return token
    if name == "mask_token":
        return AddedToken(token, lstrip=True, rstrip=False, normalized=False)
    return token if plainly else AddedToken(token, lstrip=False, rstrip=False)


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


def _check_handler(errors: Any) -> None:
    try:
        codecs.lookup_error(errors)
    except (LookupError, TypeError):
        raise TokenizerError(
            f"errors is {errors!r}, which is no way to treat undecodable bytes. Known: 'replace', 'ignore', 'strict'."
        ) from None


def _spaced(word: Any) -> Any:
    return f" {word}" if isinstance(word, str) and word and not word[0].isspace() else word


def _map_words(row: Any, change: Callable[[Any], Any]) -> Any:
    """``change`` applied to every word of a row, which is a list of words or a pair of such lists."""
    if isinstance(row, (list, tuple)):
        return type(row)(_map_words(part, change) for part in row)
    return change(row)
