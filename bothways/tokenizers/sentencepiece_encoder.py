"""SentencePiece itself, from text to pieces, for Marian, whose ids are not those of the SentencePiece model.

Other families have the engine do all of it, as the ecosystem's fast classes do. This one follows the library
(``normalizer.cc``): the rules of characters, then no space at the ends and no two in a row, then one in front.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from tokenizers import models, normalizers

from bothways.tokenizers.engine import guarded
from bothways.tokenizers.sentencepiece_bpe import merges_of_pieces
from bothways.tokenizers.sentencepiece_model import (
    BPE,
    CONTROL,
    UNIGRAM,
    UNKNOWN,
    SentencePieceModel,
    parse_sentencepiece,
    read_sentencepiece,
)

SPACE = "▁"
_SPACES = re.compile(" {2,}")


class SentencePieceEncoder:
    """One SentencePiece model at work. ``known`` are its pieces.

    Args:
        model: what the file says.
        content: the file itself, kept for saving.
        path: for messages.
    """

    def __init__(self, model: SentencePieceModel, content: bytes, path: str | os.PathLike[str]) -> None:
        self.content = content
        self._path = str(path)
        self.known = frozenset(piece.text for piece in model.pieces)
        self._add_prefix, self._remove_spaces = model.add_dummy_prefix, model.remove_extra_whitespaces
        with guarded(f"{path} cannot be used"):
            self._rules = normalizers.Precompiled(model.charsmap) if model.charsmap else None
            self._model = _algorithm(model, path)

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text; a run of characters that the model does not know is one piece.

        Raises:
            UnicodeEncodeError: a lone surrogate.
        """
        text.encode("utf-8")
        with guarded("the input cannot be encoded"):
            text = self._normalized(text)
            if not text:
                return []
            data = text.encode("utf-8")
            return [data[slice(*token.offsets)].decode("utf-8") for token in self._model.tokenize(text)]

    def __getstate__(self) -> dict[str, Any]:
        return {"content": self.content, "path": self._path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        content, path = state["content"], state["path"]
        self.__init__(parse_sentencepiece(content, path, (UNIGRAM, BPE)), content, path)  # type: ignore[misc]

    def _normalized(self, text: str) -> str:
        if self._rules is not None:
            text = self._rules.normalize_str(text)
        if self._remove_spaces:
            text = _SPACES.sub(" ", text).strip(" ")
        if not text:
            return ""
        text = (SPACE if self._add_prefix else "") + text.replace(" ", SPACE)
        return text.rstrip(SPACE) if self._remove_spaces else text


def read_encoder(path: str | os.PathLike[str]) -> SentencePieceEncoder:
    """Read a SentencePiece model.

    Raises:
        TokenizerError: as ``read_sentencepiece``.
    """
    model = read_sentencepiece(path, (UNIGRAM, BPE))
    return SentencePieceEncoder(model, Path(path).read_bytes(), path)


def _algorithm(model: SentencePieceModel, path: str | os.PathLike[str]) -> Any:
    """The engine's part. Control pieces and the unknown one never match text: no normalised text has a space."""
    vocab = [
        (f" {piece.text}" if piece.kind in (CONTROL, UNKNOWN) else piece.text, piece.score) for piece in model.pieces
    ]
    if model.algorithm == UNIGRAM:
        return models.Unigram(vocab, unk_id=model.unk_id, byte_fallback=False)
    return models.BPE(
        {token: index for index, (token, _) in enumerate(vocab)},
        merges_of_pieces(model.pieces, vocab, path),
        unk_token=vocab[model.unk_id][0],
        fuse_unk=True,
        dropout=None,
    )
