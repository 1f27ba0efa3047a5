"""Tokenisers from SentencePiece models, above all Unigram (Kudo, 2018), converted as the ecosystem's fast classes are.

A space belongs to the word behind it and is written ``▁``; the engine puts one before every text.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from bothways.errors import TokenizerError
from bothways.files import replacing
from bothways.tokenizers.base import PreTrainedTokenizerBase
from bothways.tokenizers.engine import guarded
from bothways.tokenizers.plain import PlainTokenizer
from bothways.tokenizers.sentencepiece_bpe import merges_of_pieces
from bothways.tokenizers.sentencepiece_model import (
    BPE,
    CONTROL,
    MAX_BYTES,
    UNIGRAM,
    USER_DEFINED,
    SentencePieceModel,
    read_sentencepiece,
)

SPACE = "▁"


class UnigramBase(PreTrainedTokenizerBase):
    """What families with a SentencePiece model share. A family says how its ids and its rows differ.

    Args:
        vocab_file: the SentencePiece model (``.model``). Kept for saving even when an engine is given.
        tokenizer_file, tokenizer_object: an engine instead of a model.
        kwargs: special tokens and the arguments of ``PreTrainedTokenizerBase``.
    """

    algorithms: tuple[int, ...] = (UNIGRAM,)  # those that the family has
    byte_fallback = False  # whether characters outside the vocabulary become their bytes

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        *,
        tokenizer_file: str | os.PathLike[str] | None = None,
        tokenizer_object: Tokenizer | None = None,
        **kwargs: Any,
    ) -> None:
        built = tokenizer_file is None and tokenizer_object is None
        if built:
            if vocab_file is None:
                raise TokenizerError(
                    f"{type(self).__name__} needs a vocab_file ({self.vocab_files_names['vocab_file']}) or a "
                    "tokenizer_file."
                )
            tokenizer_object = self._convert(read_sentencepiece(vocab_file, self.algorithms), vocab_file, kwargs)
            kwargs.setdefault("sp_model_kwargs", {})
        super().__init__(
            tokenizer_object=tokenizer_object, tokenizer_file=tokenizer_file, copy_engine=not built, **kwargs
        )
        self.vocab_file = None if vocab_file is None else str(vocab_file)
        if built:
            self._tokenizer.post_processor = self._rows()

    def save_vocabulary(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Copy the SentencePiece model, if the tokeniser came with one and it still is where it was."""
        source = self._source()
        if source is None:
            return ()
        name = self.vocab_files_names["vocab_file"]
        path = Path(save_directory) / f"{filename_prefix + '-' if filename_prefix else ''}{name}"
        if not (path.exists() and path.samefile(source)):
            content = source.read_bytes()
            with replacing(path) as temporary:
                temporary.write_bytes(content)
        return (str(path),)

    def _source(self) -> Path | None:
        source = Path(self.vocab_file) if self.vocab_file else None
        return source if source is not None and source.is_file() and source.stat().st_size <= MAX_BYTES else None

    def _saved_class_name(self) -> str:
        """Without the ``.model`` only the fast class can be loaded elsewhere."""
        return type(self).__name__ if self._source() is None else super()._saved_class_name()

    def _vocabulary(self, model: SentencePieceModel) -> tuple[list[tuple[str, float]], int]:
        """Tokens with scores by id, and the id of the unknown one."""
        raise NotImplementedError

    def _normalizer(self, model: SentencePieceModel, options: dict[str, Any]) -> Any:
        """The rules of the file, then no space at the end and no two in a row."""
        rules = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
        return normalizers.Sequence(
            [*rules, normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), SPACE)]
        )

    def _pre_tokenizer(self, options: dict[str, Any]) -> Any:
        """How a text is cut before the vocabulary is looked at; None leaves it whole."""
        return pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")

    def _decoder(self, options: dict[str, Any]) -> Any:
        """How tokens become text again."""
        return decoders.Metaspace(replacement=SPACE, prepend_scheme="always")

    def _rows(self) -> Any:
        """The post-processor: which special tokens a row gets."""
        raise NotImplementedError

    def _convert(self, model: SentencePieceModel, path: str | os.PathLike[str], options: dict[str, Any]) -> Tokenizer:
        vocab, unk_id = self._vocabulary(model)
        with guarded(f"{path} cannot be converted"):
            engine = Tokenizer(self._model(model, vocab, unk_id, path))
            engine.add_tokens([
                AddedToken(piece.text, normalized=False, special=piece.kind == CONTROL)
                for piece in model.pieces
                if piece.kind in (CONTROL, USER_DEFINED)
            ])  # fmt: skip
            if (normalizer := self._normalizer(model, options)) is not None:
                engine.normalizer = normalizer
            if (pre_tokenizer := self._pre_tokenizer(options)) is not None:
                engine.pre_tokenizer = pre_tokenizer
            engine.decoder = self._decoder(options)
        return engine

    def _model(
        self, model: SentencePieceModel, vocab: list[tuple[str, float]], unk_id: int, path: str | os.PathLike[str]
    ) -> models.Model:
        if model.algorithm != BPE:
            return models.Unigram(vocab, unk_id=unk_id, byte_fallback=self.byte_fallback)
        return models.BPE(
            {token: index for index, (token, _) in enumerate(vocab)},
            merges_of_pieces(model.pieces, vocab, path),
            unk_token=model.pieces[model.unk_id].text,
            fuse_unk=True,
            byte_fallback=self.byte_fallback,
            dropout=None,
        )


class PlainUnigram(PlainTokenizer):
    """Mixin of the plain classes whose ``decode`` is SentencePiece's."""

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Join pieces; special tokens get a space before them and none behind."""
        special = set(self.all_special_tokens)
        text, pieces, after_special = "", [], False
        for token in tokens:
            if token not in special:
                pieces.append(token)
                after_special = False
                continue
            text += ("" if after_special else " ") + _joined(pieces) + token
            pieces, after_special = [], True
        return (text + _joined(pieces)).strip()


def prepend_scheme(options: dict[str, Any]) -> str:
    """Which parts of a text get a space in front: ``"always"`` all, ``"first"`` only that at the very beginning.

    The options ``add_prefix_space`` and ``legacy`` count, whose None stands for True.
    """
    if options.get("add_prefix_space") is not None and not options["add_prefix_space"]:
        return "never"
    return "always" if options.get("legacy") is None or options["legacy"] else "first"


def _joined(pieces: list[str]) -> str:
    return "".join(pieces).replace(SPACE, " ").lstrip(" ")
