"""Texts of any length that a model learns to write: documents of plain files, or a column of rows."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bothways.data.columns import recognise_columns
from bothways.data.examples import example_text
from bothways.data.opening import FORMATS, check_readable, opened, text_lines, unpacked_suffix
from bothways.data.rows import known_format, read_rows, sample_rows
from bothways.errors import DataError, UsageError

DIVISIONS = ("blank-lines", "lines", "file")
"""What a document of a plain text file is: what stands between blank lines, a line, or the whole file."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text.

    Attributes:
        text: never blank; its lines are separated by LF, without white space around the whole.
        row: number of the document, from 1, counted through all files that were read together, blank ones included.
    """

    text: str
    row: int = 0


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
    if divide not in DIVISIONS:
        raise UsageError(f"divide is {divide!r}; expected one of {', '.join(map(repr, DIVISIONS))}.")
    paths = [Path(files)] if isinstance(files, (str, os.PathLike)) else [Path(p) for p in files]
    if not paths:
        raise UsageError("no data file was given; at least one is needed.")
    column: str | None = None
    examples: list[Document] = []
    row = 0
    for path in paths:
        if _format_of(path, format) == "txt":
            texts = _plain_documents(path, divide, encoding)
        else:
            own, texts = _column_texts(path, text_column, format, encoding)
            column = column or own
        for text in texts:
            row += 1
            if text := text.strip():
                examples.append(Document(text, row))
    if not examples:
        raise DataError(f"{', '.join(map(str, paths))}: no text in {row:,} rows. Expected documents.")
    return LoadedDocuments(examples=examples, column=column, blank=row - len(examples))


def _format_of(path: Path, format: str | None) -> str:
    """The format; a file of unknown extension is plain text."""
    check_readable(path)
    return FORMATS.get(unpacked_suffix(path), "txt") if format is None else known_format(format)


def _plain_documents(path: Path, divide: str, encoding: str | None) -> Iterator[str]:
    """Texts of a plain file; blank lines and the ends of the file make none."""
    lines: list[str] = []
    with opened(path) as stream:
        for line in text_lines(stream, str(path), encoding):
            for part in line.rstrip("\r\n").split("\r"):
                blank = not part.strip()
                if divide == "lines" and not blank:
                    yield part
                elif divide == "blank-lines" and blank and lines:
                    yield "\n".join(lines)
                    lines = []
                elif divide != "lines" and (divide == "file" or not blank):
                    lines.append(part)
    if lines:
        yield "\n".join(lines)


def _column_texts(
    path: Path, text_column: str | None, format: str | None, encoding: str | None
) -> tuple[str, Iterator[str]]:
    sample, rows = sample_rows(read_rows(path, format=format, encoding=encoding))
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
