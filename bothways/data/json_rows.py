"""JSON lines, and JSON lists of objects read piece by piece."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from bothways.data.opening import MAX_LINE_BYTES
from bothways.data.row import Row
from bothways.errors import DataError

_EXAMPLE = '{"text": "...", "label": "..."}'
_TYPES = {list: "list", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}
_CUT_CHARS = 16  # an error this near to the end of what was read may be a cut: longer than any JSON literal or escape


class _TwiceError(Exception):
    """A key that an object has twice, of which JSON would keep the last."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError(next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i])))
    return found


def line_rows(lines: Iterator[str], name: str) -> Iterator[Row]:
    """A row for each line that is not blank.

    Raises:
        DataError: a line that is not JSON or not an object; with line and column.
    """
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        try:
            value = json.loads(line, object_pairs_hook=_unique)
        except _TwiceError as problem:
            raise DataError(f"{name}, line {number}: the key {str(problem)!r} occurs twice. Name each once.") from None
        except json.JSONDecodeError as problem:
            raise DataError(
                f"{name}, line {number}, column {problem.colno}: not JSON: {problem.msg}. "
                f"Expected an object: {_EXAMPLE}."
            ) from None
        except (RecursionError, ValueError) as problem:
            raise DataError(f"{name}, line {number}: JSON that cannot be read: {problem}.") from None
        yield Row(_object(value, name, number), number)


def list_rows(chunks: Iterator[str], name: str) -> Iterator[Row]:
    """A row for each object of one JSON list, holding one object in memory at a time.

    Raises:
        DataError: not a list, an element that is not an object, broken or cut JSON; with the line.
    """
    window = _Window(chunks, name)
    first = window.next_char()
    if not first:
        return
    if first != "[":
        raise DataError(
            f"{name}, line {window.line}: expected a JSON list of objects, [{_EXAMPLE}, ...], got {first!r}."
        )
    window.advance(1)
    if window.next_char() == "]":
        return
    rows = 0
    while True:
        window.next_char()
        line = window.line
        yield Row(_object(window.value(rows), name, line), line)
        rows += 1
        mark = window.next_char()
        window.advance(1)
        if mark == "]":
            return
        if mark != ",":
            raise (
                _cut(name, rows)
                if not mark
                else DataError(f"{name}, line {window.line}: expected ',' or ']' after object {rows}, got {mark!r}.")
            )


def holds_lines(stream: io.BufferedReader) -> bool:
    """Whether a ``.json`` file begins with an object, as files of JSON lines with that extension do."""
    return stream.peek(1024)[:1024].lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(b"{")


class _Window:
    """The part of a JSON text that is in memory."""

    def __init__(self, chunks: Iterator[str], name: str) -> None:
        self._chunks = chunks
        self._name = name
        self._text = ""
        self._at = 0
        self.line = 1
        self._decoder = json.JSONDecoder()

    def next_char(self) -> str:
        """The next character that is not white space, not consumed; "" at the end."""
        while True:
            rest = len(self._text)
            at = self._at
            while at < rest and self._text[at] in " \t\r\n":
                at += 1
            self.advance(at - self._at)
            if at < rest:
                return self._text[at]
            if not self._more():
                return ""

    def advance(self, chars: int) -> None:
        self.line += self._text.count("\n", self._at, self._at + chars)
        self._at += chars

    def value(self, rows: int) -> Any:
        """Consume one JSON value; ``rows`` were read before it."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as problem:
                cut = problem.msg.startswith("Unterminated") or problem.pos >= len(self._text) - _CUT_CHARS
                if cut and len(self._text) - self._at <= MAX_LINE_BYTES and self._more():
                    continue
                line = self.line + self._text.count("\n", self._at, problem.pos)
                if cut:
                    raise _cut(self._name, rows) from None
                raise DataError(f"{self._name}, line {line}: not JSON: {problem.msg} (in object {rows + 1}).") from None
            except (RecursionError, ValueError) as problem:
                raise DataError(f"{self._name}, line {self.line}: JSON that cannot be read: {problem}.") from None
            if end == len(self._text) and not isinstance(value, (dict, list, str)) and self._more():
                continue  # a number may go on
            self.advance(end - self._at)
            return value

    def _more(self) -> bool:
        """Read on, at least as much as is waiting, so that a long object is not scanned again for each chunk."""
        waiting = [self._text[self._at :]]
        wanted = max(1, len(waiting[0]))
        got = 0
        for chunk in self._chunks:
            waiting.append(chunk)
            got += len(chunk)
            if got >= wanted:
                break
        self._text, self._at = "".join(waiting), 0
        return got > 0


def _object(value: Any, name: str, line: int) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise DataError(f"{name}, line {line} is a JSON {_TYPES[type(value)]}; expected an object: {_EXAMPLE}.")


def _cut(name: str, rows: int) -> DataError:
    return DataError(f"{name} ends inside its JSON list, after {rows:,} whole objects. Is the file whole?")
