"""Rows of a data file, one at a time: the one door to every format."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from bothways.data import delimited, json_rows
from bothways.data.opening import FORMATS, check_readable, file_format, opened, text_chunks, text_lines
from bothways.data.parquet import open_parquet
from bothways.data.row import Row
from bothways.errors import DataError, UsageError


def read_rows(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    encoding: str | None = None,
    advance: Callable[[int], object] | None = None,
) -> Iterator[Row]:
    """Read a file row by row in constant memory.

    CSV (comma, semicolon or tab, found from the header), TSV, JSON lines, a JSON list of objects, text (a column
    ``text``, one row a line, blank lines included) and Parquet; all but Parquet also gzipped.

    Args:
        path: the file.
        format: one of csv, tsv, jsonl, json, txt, parquet; None takes it from the extension.
        encoding: None means UTF-8, or UTF-16 where the file begins with its mark.
        advance: called with the number of bytes that were read from the disk since; of Parquet at the end.

    Raises:
        UsageError: at once: no such file, a directory, an unknown extension, format or encoding.
        DataError: while reading: an empty or damaged file, a ragged row, bytes of another encoding; with the line.
    """
    path = Path(path)
    check_readable(path)
    kind = file_format(path) if format is None else known_format(format)
    if kind == "parquet":
        return _not_empty(_announced(open_parquet(path), path, advance), str(path))
    return _file_rows(path, kind, encoding, advance)


def stream_rows(stream: io.BufferedReader, name: str, format: str, encoding: str | None = None) -> Iterator[Row]:
    """Rows of an open stream of bytes, such as standard input. Errors as in ``read_rows``."""
    if format == "parquet":
        raise UsageError(f"{name}: Parquet cannot be read from a stream. Pass the file's name.")
    if format == "json" and not json_rows.holds_lines(stream):
        return _not_empty(json_rows.list_rows(text_chunks(stream, name, encoding), name), name)
    lines = text_lines(stream, name, encoding)
    if format in ("csv", "tsv"):
        return _not_empty(delimited.delimited_rows(lines, name, preferred="\t" if format == "tsv" else ","), name)
    if format in ("jsonl", "json"):
        return _not_empty(json_rows.line_rows(lines, name), name)
    return _not_empty(plain_rows(lines), name)


def plain_rows(lines: Iterator[str]) -> Iterator[Row]:
    """A row ``{"text": line}`` for each line. Line ends are LF, CR LF or CR."""
    number = 0
    for line in lines:
        line = line.removesuffix("\n").removesuffix("\r")
        for part in line.split("\r"):
            number += 1
            yield Row({"text": part}, number)


def sample_rows(rows: Iterator[Row], most: int = 500, most_chars: int = 2**20) -> tuple[list[Row], Iterator[Row]]:
    """The first rows, and an iterator over all rows. The sample is bounded by rows and by characters."""
    sample: list[Row] = []
    chars = 0
    for row in rows:
        sample.append(row)
        chars += sum(len(v) for v in row.values.values() if isinstance(v, str))
        if len(sample) >= most or chars >= most_chars:
            break
    return sample, itertools.chain(sample, rows)


def known_format(format: str) -> str:
    """``format`` if it is one. Raises ``UsageError`` naming the known ones otherwise."""
    known = sorted(set(FORMATS.values()))
    if format not in known:
        raise UsageError(f"unknown format {format!r}. Known formats: {', '.join(known)}.")
    return format


def _file_rows(path: Path, kind: str, encoding: str | None, advance: Callable[[int], object] | None) -> Iterator[Row]:
    with opened(path, advance) as stream:
        yield from stream_rows(stream, str(path), kind, encoding)


def _announced(rows: Iterator[Row], path: Path, advance: Callable[[int], object] | None) -> Iterator[Row]:
    yield from rows
    if advance is not None:
        advance(path.stat().st_size)


def _not_empty(rows: Iterator[Row], name: str) -> Iterator[Row]:
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise DataError(f"{name} is empty: it has no rows. Expected one text (and its label) a row.")
