"""The files that a corpus is made from: which they are, and their texts in parts of a fixed size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from bothways.corpus.manifest import Source
from bothways.data.documents import iter_documents
from bothways.data.opening import check_readable
from bothways.errors import DataError, UsageError
from bothways.progress import progress_bar

LONGEST = 2**20
"""Characters of a document above which it is divided, so that memory stays bounded."""
PART_CHARACTERS = 2**22
"""Characters after which a part of the work ends, with the document that reaches them."""
PART_DOCUMENTS = 2**15

_CHUNK_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files are read; see ``iter_documents``."""

    text_column: str | None = None
    divide: str = "blank-lines"
    format: str | None = None
    encoding: str | None = None


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A file with what is known of it before it is read.

    Attributes:
        state: size in bytes and time of change in nanoseconds when it was hashed.
    """

    path: Path
    source: Source
    state: tuple[int, int]


class TextPart(NamedTuple):
    """Some texts of a file, one after another, and what is known of the file up to their end."""

    texts: list[str]
    so_far: Source


def find_sources(files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[SourceFile]:
    """The files, each with its hash.

    Raises:
        UsageError: none, one that is not there or not a file, or one that is given twice.
        DataError: an empty file.
    """
    paths = [Path(files)] if isinstance(files, (str, os.PathLike)) else [Path(file) for file in files]
    if not paths:
        raise UsageError("no text file was given; at least one is needed.")
    seen: dict[Path, Path] = {}
    for path in paths:
        check_readable(path)
        if not path.is_file():
            raise UsageError(f"{path} is no regular file. Shards are made from files that can be read again.")
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty (0 bytes); expected text. Leave it out.")
        first = seen.setdefault(path.resolve(), path)
        if first is not path:
            also = "" if str(first) == str(path) else f" (also as {first})"
            raise UsageError(f"{path} is given twice{also}. Give each file once.")
    with progress_bar("Hashing", sum(path.stat().st_size for path in paths), "bytes") as advance:
        return [_hashed(path, advance) for path in paths]


def text_parts(file: SourceFile, reading: Reading, advance: Callable[[int], object]) -> Iterator[TextPart]:
    """The texts of a file in parts, of which the last may be empty; they do not depend on anything else.

    Raises:
        DataError: the content cannot be read, or the file has changed since it was hashed.
    """
    documents = iter_documents(
        file.path,
        text_column=reading.text_column,
        divide=reading.divide,
        format=reading.format,
        encoding=reading.encoding,
        longest=LONGEST,
        may_be_empty=True,
        advance=advance,
    )
    texts: list[str] = []
    size = n_documents = n_divided = n_pieces = text_bytes = 0

    def part() -> TextPart:
        counts = {"n_documents": n_documents, "n_divided": n_divided, "n_pieces": n_pieces, "text_bytes": text_bytes}
        return TextPart(texts, replace(file.source, **counts))  # type: ignore[arg-type]

    for document in documents:
        n_documents += document.piece < 2
        n_divided += document.piece == 1
        n_pieces += 1
        text_bytes += len(document.text.encode("utf-8", "surrogatepass"))
        texts.append(document.text)
        size += len(document.text)
        if size >= PART_CHARACTERS or len(texts) == PART_DOCUMENTS:
            yield part()
            texts, size = [], 0
    if state(file.path) != file.state:
        raise changed(file.path, "while it was read")
    yield part()


def changed(path: Path, when: str) -> DataError:
    """The error when a file is not what it was."""
    return DataError(f"{path} has changed {when}. Give files that stay as they are.")


def state(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns


def _hashed(path: Path, advance: Callable[..., Any]) -> SourceFile:
    before = state(path)
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            found.update(chunk)
            advance(len(chunk))
    source = Source(name=path.name, n_bytes=before[0], sha256=found.hexdigest())
    return SourceFile(path=path, source=source, state=before)
