"""BPE from ``vocab.json`` and ``merges.txt``, above all on bytes (Radford et al., 2019, section 2.2).

Bytes are written as printable characters: the 188 bytes that are visible in Latin-1 as themselves, the other 68 as the
characters from U+0100 on (a space is ``Ġ``).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from bothways.errors import TokenizerError
from bothways.files import MAX_JSON_BYTES, read_json, write_text
from bothways.tokenizers.engine import guarded

_VISIBLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_HIDDEN = [byte for byte in range(256) if byte not in _VISIBLE]
_BYTE_OF = {chr(byte): byte for byte in _VISIBLE} | {chr(256 + n): byte for n, byte in enumerate(_HIDDEN)}


class BpeFiles:
    """Mixin of the families with ``vocab.json`` and ``merges.txt``. Needs ``_tokenizer``, the engine."""

    _tokenizer: Tokenizer

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

    def _both_files(self, vocab_file: Any, merges_file: Any) -> tuple[Any, Any]:
        if vocab_file is None or merges_file is None:
            raise TokenizerError(
                f"{type(self).__name__} needs a vocab_file (vocab.json) and a merges_file (merges.txt), "
                "or a tokenizer_file."
            )
        return vocab_file, merges_file


def read_bpe(
    vocab_file: str | os.PathLike[str], merges_file: str | os.PathLike[str], *, add_prefix_space: bool
) -> Tokenizer:
    """The engine of the two files, without special tokens.

    Raises:
        TokenizerError: a file is missing or malformed, or a merge uses a token that the vocabulary lacks.
    """
    vocab = read_vocab_json(vocab_file)
    merges = read_merges(merges_file, vocab)
    with guarded(f"{vocab_file} and {merges_file} cannot be read"):
        engine = Tokenizer(
            models.BPE(vocab, merges, dropout=None, continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False)
        )
        engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
        engine.decoder = decoders.ByteLevel()
    return engine


def read_vocab_json(path: str | os.PathLike[str]) -> dict[str, int]:
    """Read a ``vocab.json``: an object of tokens with their ids, each id once."""
    vocab = read_json(path, error=TokenizerError)
    if not isinstance(vocab, dict) or not vocab:
        raise TokenizerError(f"{path} should hold an object of tokens with their ids, not {_short(vocab)}.")
    for token, index in vocab.items():
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < 2**31:
            raise TokenizerError(
                f"{path} gives the token {token!r} the id {_short(index)}; ids are whole numbers from 0."
            )
    if len(set(vocab.values())) < len(vocab):
        owner: dict[int, str] = {}
        for token, index in vocab.items():
            if (other := owner.setdefault(index, token)) != token:
                raise TokenizerError(f"{path} gives the id {index} to two tokens, {other!r} and {token!r}.")
    return vocab


def read_merges(path: str | os.PathLike[str], vocab: dict[str, int]) -> list[tuple[str, str]]:
    """Read a ``merges.txt``: two tokens a line, the most frequent pair first; a first line ``#version`` is skipped."""
    path = Path(path)
    if not path.is_file():
        raise TokenizerError(f"{path} is not a file; a merges.txt with two tokens a line is expected.")
    if (size := path.stat().st_size) > MAX_JSON_BYTES:
        raise TokenizerError(f"{path} has {size:,} bytes; merges up to {MAX_JSON_BYTES:,} bytes are read.")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # universal newlines
    except UnicodeDecodeError as problem:
        raise TokenizerError(f"{path} is not UTF-8 text (byte {problem.start}).") from None
    while lines and not lines[-1].strip():
        lines.pop()
    merges: list[tuple[str, str]] = []
    for number, line in enumerate(lines, 1):
        if number == 1 and line.startswith("#version"):
            continue
        parts = line.split()
        if len(parts) != 2:
            raise TokenizerError(
                f"{path}, line {number} is {_short(line)}; two tokens with one space between them are expected."
            )
        first, second = parts
        for token in (first, second, first + second):
            if token not in vocab:
                raise TokenizerError(
                    f"{path}, line {number} merges {first!r} and {second!r}, but {token!r} is not among the "
                    f"{len(vocab):,} tokens of the vocabulary. The two files do not belong together."
                )
        merges.append((first, second))
    return merges


def merge_lines(engine: Tokenizer) -> list[str] | None:
    """The lines of a ``merges.txt``; None if the engine is no BPE, or if white space inside a token forbids lines."""
    if not isinstance(engine.model, models.BPE):
        return None
    merges = json.loads(engine.to_str())["model"]["merges"]
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    if any(len(pair) != 2 or any(len(token.split()) != 1 for token in pair) for pair in pairs):
        return None
    return [" ".join(pair) for pair in pairs]


def bytes_of(text: str) -> bytes:
    """The bytes that the characters of byte-level tokens stand for; other characters become their UTF-8."""
    return b"".join(bytes([_BYTE_OF[char]]) if char in _BYTE_OF else char.encode("utf-8") for char in text)


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, (str, int, float, bool)) or value is None else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
