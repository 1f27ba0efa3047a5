"""Texts of any length that a model learns to write: documents of plain files, or a column of rows."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bothways.data.columns import recognise_columns
from bothways.data.examples import example_text
from bothways.data.opening import FORMATS, check_readable, opened, text_chunks, text_lines, unpacked_suffix
from bothways.data.rows import known_format, read_rows, sample_rows
from bothways.errors import DataError, UsageError

DIVISIONS = ("blank-lines", "lines", "file")
"""What a document of a plain text file is: what stands between blank lines, a line, or the whole file."""


_LINE_END = re.compile("\r*\n|\r")
_BACK = 65_536  # characters before the end of a piece in which white space is looked for
_WAITING = 1_024  # CRs at the end of a chunk that may belong to an LF in the next one

Advance = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Document:
    """One text.

    Attributes:
        text: never blank; its lines are separated by LF, without white space around the whole.
        row: number of the document, from 1, counted through all files that were read together, blank ones included.
        piece: 0 for a whole document; of one that was divided because it is long, the number of the piece, from 1.
    """

    text: str
    row: int = 0
    piece: int = 0


@dataclass(frozen=True, kw_only=True)
class LoadedDocuments:
    """Documents in the order of the files.

    Attributes:
        examples: at least one.
        column: of the first file that has columns; None where none has.
        blank: rows without a text, which were left out.
    """

    examples: list[Document]
    column: str | None
    blank: int

    @property
    def n_bytes(self) -> int:
        """Length of all texts in UTF-8."""
        return sum(len(document.text.encode("utf-8")) for document in self.examples)


def load_documents(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    text_column: str | None = None,
    divide: str = "blank-lines",
    format: str | None = None,
    encoding: str | None = None,
) -> LoadedDocuments:
    """Read documents from one or more files.

    Plain text (``.txt``, ``.md``, no known extension) is divided at blank lines; of all other formats a row is a
    document.

    Args:
        files: plain text, or any format of ``read_rows``; gzipped or xz too.
        text_column: recognised by name or content if not given.
        divide: what a document of a plain text file is, one of ``DIVISIONS``.
        format, encoding: see ``read_rows``.

    Raises:
        UsageError: files or columns that are not there, an unknown division.
        DataError: content that cannot be read, or no text at all; with file and line.
    """
    column: str | None = None
    examples: list[Document] = []
    row = 0
    for path in _checked(files, divide):
        own, texts = _texts(path, text_column, divide, format, encoding)
        column = column or own
        for text, _ in texts:
            row += 1
            if text := text.strip():
                examples.append(Document(text, row))
    if not examples:
        names = [files] if isinstance(files, (str, os.PathLike)) else files
        raise DataError(f"{', '.join(map(str, names))}: no text in {row:,} rows. Expected documents.")
    return LoadedDocuments(examples=examples, column=column, blank=row - len(examples))


def iter_documents(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    text_column: str | None = None,
    divide: str = "blank-lines",
    format: str | None = None,
    encoding: str | None = None,
    longest: int | None = None,
    may_be_empty: bool = False,
    advance: Advance | None = None,
) -> Iterator[Document]:
    """Like ``load_documents``, one document at a time, in memory that does not grow with the files.

    Args:
        files, text_column, divide, format, encoding: see ``load_documents``.
        longest: characters of a piece. A longer document is divided at white space, or where there is none for 65,536
            characters just there; None leaves it whole, and then lines above 64 MiB are refused.
        may_be_empty: whether no text at all is an answer rather than an error.
        advance: called with the number of bytes that were read from the disk since.

    Raises:
        UsageError: at once: files that are not there, an unknown division. When its file is reached: a column that is
            not there.
        DataError: while reading; at the end, if there was no text at all and there must be.
    """
    if longest is not None and longest < 1:
        raise UsageError(f"longest is {longest}; expected a number of characters from 1 on.")
    paths = _checked(files, divide)
    documents = _iterate(paths, text_column, divide, format, encoding, longest, advance)
    return documents if may_be_empty else _some(documents, paths)


def is_plain(path: Path, format: str | None = None) -> bool:
    """Whether the file is plain text, which is divided into documents; a file of unknown extension is."""
    return (FORMATS.get(unpacked_suffix(path), "txt") if format is None else known_format(format)) == "txt"


def _iterate(
    paths: list[Path],
    text_column: str | None,
    divide: str,
    format: str | None,
    encoding: str | None,
    longest: int | None,
    advance: Advance | None,
) -> Iterator[Document]:
    row = 0
    for path in paths:
        _, texts = _texts(path, text_column, divide, format, encoding, longest, advance)
        for text, piece in texts:
            row += piece < 2
            if text := text.strip():
                yield Document(text, row, piece)


def _some(documents: Iterator[Document], paths: list[Path]) -> Iterator[Document]:
    none = True
    for document in documents:
        none = False
        yield document
    if none:
        raise DataError(f"{', '.join(map(str, paths))}: no text. Expected documents.")


def _checked(files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], divide: str) -> list[Path]:
    if divide not in DIVISIONS:
        raise UsageError(f"divide is {divide!r}; expected one of {', '.join(map(repr, DIVISIONS))}.")
    paths = [Path(files)] if isinstance(files, (str, os.PathLike)) else [Path(p) for p in files]
    if not paths:
        raise UsageError("no data file was given; at least one is needed.")
    for path in paths:
        check_readable(path)
    return paths


def _texts(
    path: Path,
    text_column: str | None,
    divide: str,
    format: str | None,
    encoding: str | None,
    longest: int | None = None,
    advance: Advance | None = None,
) -> tuple[str | None, Iterator[tuple[str, int]]]:
    """The column, None for plain text, and what is in it: (text, number of the piece), blank rows included."""
    if is_plain(path, format):
        return None, _plain_documents(path, divide, encoding, longest, advance)
    column, texts = _column_texts(path, text_column, format, encoding, advance)
    return column, _divided(texts, longest)


def _plain_documents(
    path: Path, divide: str, encoding: str | None, longest: int | None, advance: Advance | None
) -> Iterator[tuple[str, int]]:
    """Texts of a plain file; blank lines and the ends of the file make none."""
    growing = _Growing(longest)
    held, blank = "", True  # of the line that is being read
    with opened(path, advance) as stream:
        if longest is None:
            parts = _whole_lines(text_lines(stream, str(path), encoding))
        else:
            parts = _bounded_lines(text_chunks(stream, str(path), encoding))
        for part, ends in parts:
            if blank and not part.strip():
                held = (held + part)[:_BACK]
            else:
                if blank and not growing.empty:
                    yield from growing.add("\n")
                yield from growing.add(held + part if blank else part)
                held, blank = "", False
            if not ends:
                continue
            if blank and divide == "file" and not growing.empty:
                yield from growing.add("\n" + held)
            elif (divide == "blank-lines" and blank) or (divide == "lines" and not blank):
                yield from growing.finish()
            held, blank = "", True
        yield from growing.finish()


def _whole_lines(lines: Iterator[str]) -> Iterator[tuple[str, bool]]:
    for line in lines:
        for part in line.rstrip("\r\n").split("\r"):
            yield part, True


def _bounded_lines(chunks: Iterator[str]) -> Iterator[tuple[str, bool]]:
    """Parts of lines, none longer than a chunk, and whether the line ends with them."""
    waiting = ""
    for chunk in chunks:
        chunk = waiting + chunk
        kept = chunk.rstrip("\r") if len(waiting) < _WAITING else chunk
        waiting = chunk[len(kept) :]
        *lines, rest = _LINE_END.split(kept) if "\r" in kept else kept.split("\n")
        for line in lines:
            yield line, True
        if rest:
            yield rest, False
    yield "", True


def _divided(texts: Iterator[str], longest: int | None) -> Iterator[tuple[str, int]]:
    for text in texts:
        if longest is None or len(text) <= longest:
            yield text, 0
        else:
            growing = _Growing(longest)
            yield from growing.add(text.strip())
            yield from growing.finish()


class _Growing:
    """A document that grows, and is handed out in pieces where it grows longer than ``longest`` characters."""

    def __init__(self, longest: int | None) -> None:
        self._longest = longest
        self._parts: list[str] = []
        self._size = self._pieces = 0

    @property
    def empty(self) -> bool:
        return not self._parts and not self._pieces

    def add(self, part: str) -> Iterator[tuple[str, int]]:
        self._parts.append(part)
        self._size += len(part)
        if self._longest is None or self._size <= self._longest:
            return
        text, start = "".join(self._parts), 0
        while len(text) - start > self._longest:
            stop = _cut(text, start, start + self._longest)
            self._pieces += 1
            yield text[start:stop], self._pieces
            start = stop
        self._parts, self._size = [text[start:]], len(text) - start

    def finish(self) -> Iterator[tuple[str, int]]:
        if self._parts:
            yield "".join(self._parts), self._pieces + 1 if self._pieces else 0
        self._parts, self._size, self._pieces = [], 0, 0


def _cut(text: str, start: int, stop: int) -> int:
    """The last place up to ``stop`` where white space is; ``stop`` if there is none for long."""
    before = text[max(start + 1, stop + 1 - _BACK) : stop + 1]
    if before[-1].isspace():
        return stop
    word = before.rsplit(None, 1)[-1]
    return stop if len(word) == len(before) else stop - len(word)


def _column_texts(
    path: Path, text_column: str | None, format: str | None, encoding: str | None, advance: Advance | None
) -> tuple[str, Iterator[str]]:
    sample, rows = sample_rows(read_rows(path, format=format, encoding=encoding, advance=advance))
    names = list(dict.fromkeys(itertools.chain.from_iterable(row.values for row in sample)))
    columns = recognise_columns(
        names, [row.values for row in sample], text_column=text_column, need_label=False, file=str(path)
    )
    if columns.text_pair is not None:
        raise UsageError(
            f"{path}: columns {columns.text!r} and {columns.text_pair!r} are a pair of texts; a document is one. Name "
            "one of them: --text-column NAME."
        )
    return columns.text, (example_text(row, columns.text, str(path)) for row in rows)
