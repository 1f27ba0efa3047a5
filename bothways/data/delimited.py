"""CSV and TSV, with the delimiter found from the header and quotes taken as the file means them."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator

from bothways.data.columns import is_known_name
from bothways.data.opening import MAX_LINE_BYTES
from bothways.data.row import Row
from bothways.errors import DataError

_DELIMITERS = (",", ";", "\t")
_SNIFFED_LINES, _SNIFFED_CHARS = 100, 2**18
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}

Record = tuple[int, list[str]]  # the line where it begins, its fields


def delimited_rows(lines: Iterator[str], name: str, *, preferred: str) -> Iterator[Row]:
    """Rows of a delimited file whose first record names the columns.

    Two columns without a header are taken as text and label where that is safe: the first record has no known column
    name, and its value in one column comes again below it, among few distinct values.

    Args:
        lines: decoded lines with their ends.
        name: the file's name in messages.
        preferred: the delimiter that the extension stands for; the header may show another.

    Raises:
        DataError: a record with another number of fields than the header, a column name twice, a quote never closed.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    head = _first_lines(lines)
    delimiter = _sniff(head, preferred)
    lines = itertools.chain(head, lines)
    records = _tab_records(lines) if delimiter == "\t" else _csv_records(lines, name, delimiter)
    first = next(records, None)
    if first is None:
        return
    names, records = _column_names(first, records, name)
    rows = 0
    for line, fields in records:
        if len(fields) != len(names):
            if len(fields) == 1 and not fields[0].strip():
                continue
            raise _ragged(name, line, fields, names, delimiter)
        rows += 1
        yield Row(dict(zip(names, fields, strict=True)), line)
    if not rows:
        raise DataError(f"{name} has a header ({', '.join(names)}) and no rows below it.")


def _first_lines(lines: Iterator[str]) -> list[str]:
    head: list[str] = []
    chars = 0
    for line in lines:
        head.append(line)
        chars += len(line)
        if len(head) >= _SNIFFED_LINES or chars >= _SNIFFED_CHARS:
            break
    return head


def _sniff(head: list[str], preferred: str) -> str:
    """The delimiter that splits the header and gives most of the first records as many fields as the header."""
    best, best_share = preferred, 0.0
    for delimiter in (preferred, *(d for d in _DELIMITERS if d != preferred)):
        try:
            counts = [len(fields) for fields in csv.reader(head, delimiter=delimiter) if fields]
        except csv.Error:
            continue
        if len(counts) > 2:
            counts.pop()  # the sample may end inside it
        share = sum(c == counts[0] for c in counts) / len(counts) if counts and counts[0] > 1 else 0.0
        if share > best_share:
            best, best_share = delimiter, share
    return best


def _csv_records(lines: Iterator[str], name: str, delimiter: str) -> Iterator[Record]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            raise _malformed(name, start, reader.line_num, problem) from None
        if fields:
            yield start, fields


def _tab_records(lines: Iterator[str]) -> Iterator[Record]:
    """TSV as published: quotes may be plain characters (GLUE) or quote a field (spreadsheets, pandas).

    Decided record by record, so that one stray quote never swallows the lines after it.
    """
    expected = None
    number = 1
    for line in lines:
        fields, used = _tab_fields(line, lines, expected)
        if line.strip("\r\n"):
            expected = expected or len(fields)
            yield number, fields
        number += used


def _tab_fields(line: str, lines: Iterator[str], expected: int | None) -> tuple[list[str], int]:
    """Fields of the record that begins with ``line``, and how many lines it takes."""
    plain = line.rstrip("\r\n").split("\t")
    if '"' not in line:
        return plain, 1
    quoted = _quoted_fields(line)
    if quoted is not None and expected in (None, len(quoted)):
        return quoted, 1
    if expected in (None, len(plain)):
        return plain, 1
    text, used = line, 1
    for more in itertools.islice(lines, 1000):  # a quoted field that holds line ends
        text, used = text + more, used + 1
        if '"' in more:
            quoted = _quoted_fields(text)
            if quoted is not None and len(quoted) == expected:
                return quoted, used
        if len(text) > MAX_LINE_BYTES:
            break
    return plain, 1  # ragged: the caller stops here


def _quoted_fields(text: str) -> list[str] | None:
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True))
    except csv.Error:
        return None
    return records[0] if len(records) == 1 else None


def _column_names(first: Record, records: Iterator[Record], name: str) -> tuple[list[str], Iterator[Record]]:
    line, fields = first
    if len(fields) == 2 and not any(is_known_name(f) for f in fields):
        sample = list(itertools.islice(records, 50))
        records = itertools.chain(sample, records)
        label = _label_without_header(fields, [f for _, f in sample if len(f) == 2])
        if label is not None:
            return ["label", "text"] if label == 0 else ["text", "label"], itertools.chain([first], records)
    names = [f.strip() or f"column {i}" for i, f in enumerate(fields, 1)]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        places = "; ".join(
            f"{n!r} in columns {', '.join(str(i) for i, m in enumerate(names, 1) if m == n)}" for n in twice
        )
        raise DataError(f"{name}, line {line}: column names occur more than once: {places}. Rename or remove them.")
    return names, records


def _label_without_header(first: list[str], below: list[list[str]]) -> int | None:
    """The column that holds labels if ``first`` is data, not a header; None where that is not certain."""
    if len(below) < 4:
        return None
    candidates = []
    for column in (0, 1):
        values = [fields[column] for fields in below]
        others = [fields[1 - column] for fields in below]
        repeats = first[column] in values and len(set(values)) <= len(values) / 2
        if repeats and len(set(others)) > len(others) / 2 and sum(map(len, others)) > sum(map(len, values)):
            candidates.append(column)
    return candidates[0] if len(candidates) == 1 else None


def _ragged(name: str, line: int, fields: list[str], names: list[str], delimiter: str) -> DataError:
    shown = ", ".join(names)
    return DataError(
        f"{name}, line {line} has {len(fields)} fields, expected {len(names)} ({shown}; split at {_NAMES[delimiter]}). "
        'Put a text that holds the delimiter or a line end in double quotes: "like, this".'
    )


def _malformed(name: str, start: int, line: int, problem: csv.Error) -> DataError:
    reason = str(problem)
    if "unexpected end of data" in reason or "field limit" in reason:
        return DataError(f"{name}, line {start}: a double quote opens a field here and is not closed by line {line}.")
    if "new-line character" in reason:
        return DataError(
            f"{name}, line {start}: a bare carriage return inside a line. Convert line ends first (tr '\\r' '\\n')."
        )
    return DataError(f'{name}, line {line}: {reason}. Inside a quoted field a quote is written twice: "".')
