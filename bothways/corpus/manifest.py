"""The manifest of a directory of shards: what is in it, what it was made from, and the hash of each file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bothways.errors import DataError
from bothways.files import read_json

MANIFEST = "manifest.json"
DOCUMENTS, SENTENCES = "documents.npy", "sentences.npy"
TOKENIZER = "tokenizer"
UNFINISHED = "unfinished"
FORMAT, VERSION = "bothways shards", 1
_TOKENS = "tokens-"
SHARD_NAME = _TOKENS + "{:05d}.bin"
DTYPES = {"uint16": 2, "uint32": 4}
"""Bytes of a token; the numbers are little-endian."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file that was read.

    Attributes:
        name: without its directory.
        n_bytes, sha256: of the file as it lies on the disk.
        n_documents: with text, before long ones were divided and duplicates dropped.
        n_divided: documents that were divided because they are long.
        n_pieces: documents after that.
        text_bytes: UTF-8 bytes of all documents.
    """

    name: str
    n_bytes: int
    sha256: str
    n_documents: int = 0
    n_divided: int = 0
    n_pieces: int = 0
    text_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class ShardFile:
    """A file of the directory. ``n_tokens`` is 0 for those that hold no tokens."""

    name: str
    n_bytes: int
    sha256: str
    n_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a directory of shards is.

    Attributes:
        tokenizer: see ``tokenizer_identity``.
        dtype: of the tokens, uint16 or uint32.
        n_documents, n_tokens, n_sentences: of the documents that were kept.
        n_exact_duplicates, n_near_duplicates: documents that were dropped.
        n_empty: documents without a token, such as of control characters alone, which were left out.
        n_tokens_read: tokens of all documents, those of dropped ones included.
        n_special, n_unknown: of these, special ones written out in a text, and unknown words.
        content_sha256: of tokens, documents and sentences, wherever the files are cut.
        settings: how files were read and what was dropped.
        sources: files that were read, in their order.
        files: all files but the manifest; those with tokens first, in their order.
    """

    tokenizer: dict[str, Any]
    dtype: str
    n_documents: int
    n_tokens: int
    n_sentences: int
    n_exact_duplicates: int
    n_near_duplicates: int
    n_empty: int
    n_tokens_read: int
    n_special: int
    n_unknown: int
    content_sha256: str
    settings: dict[str, Any]
    sources: tuple[Source, ...]
    files: tuple[ShardFile, ...]

    @property
    def tokenizer_sha256(self) -> str:
        return self.tokenizer["sha256"]

    @property
    def vocab_size(self) -> int:
        """All tokens are below this."""
        return self.tokenizer["vocab_size"]

    @property
    def shards(self) -> tuple[ShardFile, ...]:
        """The files with tokens."""
        return tuple(file for file in self.files if file.name.startswith(_TOKENS))

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a directory, each value of its type, and sums that agree.

    Raises:
        DataError: it is not there, or says what cannot be.
    """
    path = directory / MANIFEST
    if not directory.is_dir():
        raise DataError(f"{directory} is not a directory; expected one that 'bothways shard' made.")
    if not path.exists():
        if (directory / UNFINISHED).is_dir():
            raise DataError(f"The shards in {directory} are not finished: give the 'bothways shard' command again.")
        raise DataError(f"{directory} has no {MANIFEST}; expected a directory that 'bothways shard' made.")
    content = read_json(path, error=DataError)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{path} is not the manifest of shards (no format {FORMAT!r}).")
    if content.get("version") != VERSION:
        raise DataError(
            f"{path} has version {content.get('version')!r}; this program reads version {VERSION}. Make the shards "
            "again with 'bothways shard'."
        )
    try:
        return _from_json(content)
    except KeyError as missing:
        problem = f"{missing.args[0]} is missing"
    except (TypeError, ValueError) as wrong:
        problem = str(wrong)
    raise DataError(f"{path} is damaged: {problem}. Make the shards again with 'bothways shard'.")


def content_hash(tokenizer_sha256: str, dtype: str, tokens: str, documents: str, sentences: str) -> str:
    """The identity of a corpus from the hashes of its parts."""
    parts = json.dumps([FORMAT, VERSION, tokenizer_sha256, dtype, tokens, documents, sentences])
    return hashlib.sha256(parts.encode()).hexdigest()


def _from_json(content: dict[str, Any]) -> Manifest:
    fields = {field.name: content[field.name] for field in dataclasses.fields(Manifest)}
    for name, value in fields.items():
        if name.startswith("n_"):
            _check(name, value, int)
    for name, kind in (("tokenizer", dict), ("settings", dict), ("sources", list), ("files", list)):
        _check(name, fields[name], kind)
    _check("tokenizer.sha256", fields["tokenizer"].get("sha256"), str)
    _check("tokenizer.vocab_size", fields["tokenizer"].get("vocab_size"), int)
    if fields["dtype"] not in DTYPES:
        raise ValueError(f"dtype is {fields['dtype']!r}; expected one of {', '.join(DTYPES)}")
    fields["sources"] = tuple(_record(Source, entry) for entry in fields["sources"])
    fields["files"] = tuple(_record(ShardFile, entry) for entry in fields["files"])
    manifest = Manifest(**fields)
    _check_sums(manifest)
    return manifest


def _record(kind: type[Any], entry: Any) -> Any:
    _check(kind.__name__, entry, dict)
    record = kind(**entry)
    for field in dataclasses.fields(kind):
        _check(field.name, getattr(record, field.name), str if field.name in ("name", "sha256") else int)
    return record


def _check(name: str, value: Any, kind: type) -> None:
    if type(value) is not kind or (isinstance(value, int) and value < 0):
        raise ValueError(f"{name} is {str(value)[:80]!r}")


def _check_sums(manifest: Manifest) -> None:
    names = [file.name for file in manifest.files]
    if [n for n in names if n.removeprefix(f"{TOKENIZER}/") != Path(n).name] or len(set(names)) < len(names):
        raise ValueError("files are no different names of files in its directory")
    if missing := {DOCUMENTS, SENTENCES} - set(names):
        raise ValueError(f"files lack {' and '.join(sorted(missing))}")
    tokens = sum(file.n_tokens for file in manifest.shards)
    if tokens != manifest.n_tokens:
        raise ValueError(f"n_tokens is {manifest.n_tokens:,}, but the files have {tokens:,}")
    size = DTYPES[manifest.dtype]
    for file in manifest.shards:
        if file.n_bytes != file.n_tokens * size:
            raise ValueError(f"{file.name} has {file.n_bytes:,} bytes for {file.n_tokens:,} tokens of {size} bytes")
