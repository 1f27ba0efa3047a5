"""Reading a SentencePiece ``.model``: the pieces with their scores, and the map of characters.

The file is a Protocol Buffers message (``sentencepiece_model.proto``). Only the wire format is interpreted here, and
only the fields named below; everything else is skipped by its length. Nothing is executed, nothing is allocated that
the file does not contain, and a field that reaches beyond its message is an error.

Wire format: a message is a row of fields; a field is a varint ``number << 3 | type`` and a value: type 0 a varint, 1
eight bytes, 2 a varint length and so many bytes, 5 four bytes.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bothways.errors import TokenizerError
from bothways.tokenizers.engine import check_charsmap

MAX_BYTES = 32 * 2**20  # XLM-RoBERTa's file, one of the largest, has 5 MB
MAX_PIECES = 1_000_000
UNIGRAM, BPE = 1, 2  # algorithms
NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4  # kinds of pieces
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_ALGORITHMS = {UNIGRAM: "Unigram", BPE: "BPE", 3: "WORD", 4: "CHAR"}
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3  # fields of ModelProto
_TEXT, _SCORE, _KIND = 1, 2, 3  # fields of SentencePiece
_PIECE_FIELDS = {_TEXT: _BYTES, _SCORE: _FOUR, _KIND: _VARINT}
_MODEL_TYPE, _UNK_ID = 3, 40  # fields of TrainerSpec
_CHARSMAP, _ADD_PREFIX, _REMOVE_SPACES = 2, 3, 4  # fields of NormalizerSpec


class Piece(NamedTuple):
    """One entry of the vocabulary. ``score`` is a log probability."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True, kw_only=True)
class SentencePieceModel:
    """What an engine needs of a ``.model``.

    Attributes:
        pieces: by id.
        unk_id: id of the unknown piece.
        charsmap: the compiled normalisation rules, possibly empty.
        algorithm: ``UNIGRAM`` or ``BPE``.
        add_dummy_prefix: a space is put before every text.
        remove_extra_whitespaces: spaces at the ends, and all but one of a run, are dropped.
    """

    pieces: list[Piece]
    unk_id: int
    charsmap: bytes
    algorithm: int = UNIGRAM
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True


def read_sentencepiece(path: str | os.PathLike[str], algorithms: tuple[int, ...] = (UNIGRAM,)) -> SentencePieceModel:
    """Read a ``.model`` file.

    Args:
        path: the file.
        algorithms: those that the caller can use.

    Raises:
        TokenizerError: no such file, too large, truncated or damaged, or of another algorithm.
    """
    path = Path(path)
    if not path.is_file():
        raise TokenizerError(f"{path} is not a file; a SentencePiece model is expected.")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise TokenizerError(f"{path} has {size:,} bytes; SentencePiece models up to {MAX_BYTES:,} bytes are read.")
    return parse_sentencepiece(path.read_bytes(), path, algorithms)


def parse_sentencepiece(
    data: bytes, path: str | os.PathLike[str], algorithms: tuple[int, ...] = (UNIGRAM,)
) -> SentencePieceModel:
    """As ``read_sentencepiece``, from the bytes. ``path`` is for messages."""
    pieces: list[Piece] = []
    numbers = {_MODEL_TYPE: UNIGRAM, _UNK_ID: 0}
    rules: dict[int, Any] = {_CHARSMAP: b"", _ADD_PREFIX: 1, _REMOVE_SPACES: 1}
    try:
        for field, value in _fields(data, {_PIECES: _BYTES, _TRAINER: _BYTES, _NORMALIZER: _BYTES}):
            if field == _PIECES:
                if len(pieces) == MAX_PIECES:
                    raise _Damage(f"it has more than {MAX_PIECES:,} pieces")
                pieces.append(_piece(value, len(pieces)))
            elif field == _TRAINER:
                numbers.update(_fields(value, {_MODEL_TYPE: _VARINT, _UNK_ID: _VARINT}))
            else:
                rules.update(_fields(value, {_CHARSMAP: _BYTES, _ADD_PREFIX: _VARINT, _REMOVE_SPACES: _VARINT}))
    except _Damage as problem:
        raise TokenizerError(f"{path} is no SentencePiece model, or it is damaged: {problem}.") from None
    _check(pieces, numbers[_UNK_ID], path)
    _check_algorithm(numbers[_MODEL_TYPE], algorithms, path)
    check_charsmap(rules[_CHARSMAP], path)
    return SentencePieceModel(
        pieces=pieces,
        unk_id=numbers[_UNK_ID],
        charsmap=rules[_CHARSMAP],
        algorithm=numbers[_MODEL_TYPE],
        add_dummy_prefix=bool(rules[_ADD_PREFIX]),
        remove_extra_whitespaces=bool(rules[_REMOVE_SPACES]),
    )


class _Damage(Exception):
    """What is wrong, as a part of a sentence."""


def _piece(data: bytes, number: int) -> Piece:
    values: dict[int, Any] = {_TEXT: b"", _SCORE: 0.0, _KIND: NORMAL}
    values.update(_fields(data, _PIECE_FIELDS))
    try:
        text = values[_TEXT].decode("utf-8")
    except UnicodeDecodeError:
        raise _Damage(f"piece {number} is not UTF-8 text") from None
    if not text:
        raise _Damage(f"piece {number} is empty")
    if not math.isfinite(values[_SCORE]):
        raise _Damage(f"piece {number} ({text!r}) has the score {values[_SCORE]}")
    return Piece(text, values[_SCORE], values[_KIND])


def _fields(data: bytes, wanted: dict[int, int]) -> Iterator[tuple[int, Any]]:
    """The wanted fields of a message with their values, in order of the file.

    Args:
        wanted: field numbers with the wire type that each must have.
    """
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        field, wire = tag >> 3, tag & 7
        start = place
        if wire == _VARINT:
            value, place = _varint(data, place)
        elif wire == _BYTES:
            size, start = _varint(data, place)
            place = start + size
        elif wire in (_EIGHT, _FOUR):
            place += 8 if wire == _EIGHT else 4
        else:
            raise _Damage(f"field {field} has the wire type {wire}")
        if place > len(data):
            raise _Damage(f"field {field} wants {place - start:,} bytes, and {len(data) - start:,} are left")
        if field not in wanted:
            continue
        if wire != wanted[field]:
            raise _Damage(f"field {field} has the wire type {wire} instead of {wanted[field]}")
        if wire == _BYTES:
            yield field, data[start:place]
        else:
            yield field, value if wire == _VARINT else struct.unpack_from("<f", data, start)[0]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and the place behind it."""
    if place < len(data) and data[place] < 0x80:  # nearly all are one byte
        return data[place], place + 1
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise _Damage("it ends within a number")
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise _Damage("a number has more than ten bytes")


def _check_algorithm(model_type: int, known: tuple[int, ...], path: str | os.PathLike[str]) -> None:
    if model_type in known:
        return
    name = _ALGORITHMS.get(model_type, "unknown")
    wanted = " and ".join(f"{_ALGORITHMS[number]} ({number})" for number in known)
    raise TokenizerError(
        f"{path} is a SentencePiece model of the type {name} (model_type {model_type}); only {wanted} "
        f"{'is' if len(known) == 1 else 'are'} read. If the model has a tokenizer.json, use that."
    )


def _check(pieces: list[Piece], unk_id: int, path: str | os.PathLike[str]) -> None:
    if not pieces:
        raise TokenizerError(f"{path} has no pieces, so it is no SentencePiece model.")
    if unk_id >= len(pieces):
        raise TokenizerError(f"{path} has {len(pieces):,} pieces, but its unknown piece has the id {unk_id}.")
    if len(seen := {piece.text for piece in pieces}) < len(pieces):
        for number, piece in enumerate(pieces):
            if piece.text not in seen:
                raise TokenizerError(f"{path} has the piece {piece.text!r} twice (again as id {number}).")
            seen.remove(piece.text)
