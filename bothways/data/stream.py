"""Unlabelled texts for prediction: a stream from a file or from standard input."""

from __future__ import annotations

import io
import itertools
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from bothways.data.columns import Columns, recognise_columns
from bothways.data.examples import TextExample, example_text
from bothways.data.json_rows import line_rows
from bothways.data.opening import STDIN_NAME, text_lines
from bothways.data.row import Row
from bothways.data.rows import known_format, plain_rows, read_rows, sample_rows, stream_rows
from bothways.errors import DataError, UsageError


def iter_texts(
    path_or_dash: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    format: str | None = None,
    encoding: str | None = None,
) -> Iterator[TextExample]:
    """Yield every text of a file or of standard input (``"-"``), in order, in constant memory.

    Blank texts are yielded too, so that results stay aligned with their input; ``row`` counts from 1.
    Standard input holds a text a line, or JSON lines if its first line is a JSON object, or what ``format`` says.

    Args:
        path_or_dash: a file, or ``"-"``.
        text_column: see ``recognise_columns``.
        format, encoding: see ``read_rows``.

    Raises:
        UsageError, DataError: as ``read_rows`` and ``recognise_columns``; errors of content come while reading.
    """
    if str(path_or_dash) == "-":
        rows, name = _stdin_rows(format, encoding), STDIN_NAME
    else:
        rows, name = read_rows(path_or_dash, format=format, encoding=encoding), str(path_or_dash)
    return _examples(rows, name, text_column)


def _examples(rows: Iterator[Row], name: str, text_column: str | None) -> Iterator[TextExample]:
    columns, rows = _text_columns(rows, name, text_column)
    for number, row in enumerate(rows, 1):
        text = example_text(row, columns.text, name)
        pair = example_text(row, columns.text_pair, name) if columns.text_pair else None
        yield TextExample(text, pair, None, number)


def _text_columns(rows: Iterator[Row], name: str, text_column: str | None) -> tuple[Columns, Iterator[Row]]:
    """The text columns: from the names in the first row, so that nobody waits; else by content of a sample."""
    first = next(rows)
    rows = itertools.chain([first], rows)
    try:
        columns = recognise_columns(list(first.values), [], text_column=text_column, need_label=False, file=name)
    except UsageError:
        if text_column is not None:
            raise
    else:
        return columns, rows
    sample, rows = sample_rows(rows)
    names = list(dict.fromkeys(itertools.chain.from_iterable(row.values for row in sample)))
    return recognise_columns(names, [row.values for row in sample], need_label=False, file=name), rows


def stdin_bytes() -> io.BufferedReader:
    """The bytes of standard input."""
    stream: Any = sys.stdin.buffer
    # a replaced standard input, such as a BytesIO, may have no peek
    return stream if hasattr(stream, "peek") else io.BufferedReader(stream)


def _stdin_rows(format: str | None, encoding: str | None) -> Iterator[Row]:
    stream = stdin_bytes()
    if format is not None:
        yield from stream_rows(stream, STDIN_NAME, known_format(format), encoding)
        return
    lines = text_lines(stream, STDIN_NAME, encoding)
    first = next(lines, None)
    if first is None:
        raise DataError(f"{STDIN_NAME} is empty. Expected a text a line, or JSON lines.")
    yield from _guessed_rows(first, itertools.chain([first], lines))


def _guessed_rows(first: str, lines: Iterator[str]) -> Iterator[Row]:
    if _is_object(first):
        return line_rows(lines, STDIN_NAME)
    return plain_rows(lines)


def _is_object(line: str) -> bool:
    try:
        return line.lstrip().startswith("{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
