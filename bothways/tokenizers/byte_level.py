"""What the classes on byte-level BPE share (Radford et al., 2019): RoBERTa, BART, GPT-2.

A space before a word belongs to its first token (``Ġword``), so a word at the very beginning of a text differs from the
same word further on, unless ``add_prefix_space`` is on.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from typing import Any

from tokenizers import AddedToken, Encoding, Tokenizer

from bothways.errors import TokenizerError
from bothways.tokenizers.base import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from bothways.tokenizers.bpe import BpeFiles, bytes_of, read_bpe
from bothways.tokenizers.options import Limits
from bothways.tokenizers.plain import PlainTokenizer


class ByteLevelBase(BpeFiles, PreTrainedTokenizerBase):
    """What both classes of a family share.

    Args:
        vocab_file, merges_file: ``vocab.json`` (token to id) and ``merges.txt`` (two tokens a line, best first).
        tokenizer_file, tokenizer_object: an engine instead of a vocabulary.
        errors: what the plain class does with bytes that are no UTF-8 when it decodes, as in ``bytes.decode``.
        add_prefix_space: treat the first word like the others. Needed for ``is_split_into_words``.
        kwargs: special tokens and the arguments of ``PreTrainedTokenizerBase``.
    """

    vocab_files_names = {"vocab_file": "vocab.json", "merges_file": "merges.txt", "tokenizer_file": "tokenizer.json"}
    model_input_names = ["input_ids", "attention_mask"]

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        merges_file: str | os.PathLike[str] | None = None,
        *,
        tokenizer_file: str | os.PathLike[str] | None = None,
        tokenizer_object: Tokenizer | None = None,
        errors: str = "replace",
        add_prefix_space: bool = False,
        **kwargs: Any,
    ) -> None:
        _check_handler(errors)
        built = tokenizer_file is None and tokenizer_object is None
        if built:
            vocab_file, merges_file = self._both_files(vocab_file, merges_file)
            tokenizer_object = read_bpe(vocab_file, merges_file, add_prefix_space=bool(add_prefix_space))
        super().__init__(
            tokenizer_object=tokenizer_object,
            tokenizer_file=tokenizer_file,
            copy_engine=not built,
            errors=errors,
            add_prefix_space=bool(add_prefix_space),
            **kwargs,
        )
        self.errors = errors


class PlainByteLevel(PlainTokenizer):
    """Mixin of the plain classes; words of ``is_split_into_words`` get their space here."""

    errors: str

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The bytes of the tokens as UTF-8. Characters that stand for no byte are kept as they are."""
        return bytes_of("".join(tokens)).decode("utf-8", errors=self.errors)

    def _run_engine(
        self, rows: list[Any], limits: Limits, add_special_tokens: bool, words: bool, **options: Any
    ) -> list[Encoding]:
        if words and not self.add_prefix_space:
            rows = [_map_words(row, _spaced) for row in rows]
        return super()._run_engine(rows, limits, add_special_tokens, words, **options)


class FastByteLevel(PreTrainedTokenizerFast):
    """Mixin of the fast classes, to stand behind the class of the family."""

    def _run_engine(
        self, rows: list[Any], limits: Limits, add_special_tokens: bool, words: bool, **options: Any
    ) -> list[Encoding]:
        if words and not self.add_prefix_space:
            raise TokenizerError(
                f"You need to instantiate {type(self).__name__} with add_prefix_space=True to use it with pretokenized "
                "inputs (is_split_into_words=True): without it the words would lose the spaces between them."
            )
        return super()._run_engine(rows, limits, add_special_tokens, words, **options)


def unstripped(token: Any) -> Any:
    """A special token that leaves the spaces around it alone, with the ecosystem's flags."""
    return AddedToken(token, lstrip=False, rstrip=False) if isinstance(token, str) else token


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
