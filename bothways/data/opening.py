"""Bytes to text: which file, which compression, which encoding, and exact places for what is wrong."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bothways.errors import DataError, UsageError, nearest

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".txt": "txt",
}
PACKED = {".gz": "gunzip", ".xz": "unxz", ".zst": "unzstd"}
"""Endings of compressed files, and what unpacks them."""

MAX_LINE_BYTES = 64 * 2**20  # a line is held in memory; what is longer is not a text a line
_CHUNK_BYTES = 64 * 2**10
_ZSTD_CHUNK_BYTES = 4 * 2**10  # unpacked at once; a byte of zstd can stand for some 30,000


def file_format(path: Path) -> str:
    """The format that the file name stands for: a value of ``FORMATS``.

    Raises:
        UsageError: the extension is not known.
    """
    suffix = unpacked_suffix(path)
    if suffix == ".parquet" and path.suffix.lower() in PACKED:
        raise UsageError(
            f"{path}: Parquet is compressed inside; unpack it with '{PACKED[path.suffix.lower()]}' and pass the "
            ".parquet file."
        )
    if suffix in FORMATS:
        return FORMATS[suffix]
    raise UsageError(
        f"{path} has {suffix or 'no extension'}; known are {', '.join(FORMATS)}, each but .parquet also with .gz, "
        ".xz or .zst. Name the file so, or name the format (--format)."
    )


def unpacked_suffix(path: Path) -> str:
    """The last extension in lower case, without that of the compression: ``".txt"`` of ``books.TXT.gz``; or ""."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def check_readable(path: Path) -> None:
    """Raise ``UsageError`` unless ``path`` is there and is no directory."""
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if any(s in FORMATS for s in p.suffixes))[:5]
        hint = f" Files in it: {', '.join(inside)}." if inside else ""
        raise UsageError(f"{path} is a directory; a data file is expected.{hint}")
    if path.exists():
        return
    if not path.parent.is_dir():
        raise UsageError(f"{path} does not exist; neither does the directory {path.parent}.")
    near = nearest(path.name, [p.name for p in path.parent.iterdir()])
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    raise UsageError(f"{path} does not exist.{hint}")


@contextmanager
def opened(path: Path, advance: Callable[[int], object] | None = None) -> Iterator[io.BufferedReader]:
    """Yield the (unpacked) bytes of a file. Gzip, xz and zstd are known by their first bytes or by the name.

    Args:
        advance: called with the number of bytes that were read from the disk since.

    Raises:
        UsageError: the file cannot be opened, or is zstd and nothing here unpacks that.
    """
    try:
        raw = io.FileIO(path) if advance is None else _Watched(path, advance)
    except OSError as problem:
        raise UsageError(f"{path} cannot be opened: {os.strerror(problem.errno or 0)}.") from None
    plain: io.BufferedReader = io.BufferedReader(raw, _CHUNK_BYTES)
    with plain:
        ending, first = path.suffix.lower(), plain.peek(6)[:6]
        if ending == ".gz" or first[:2] == b"\x1f\x8b":
            damage: tuple[type[Exception], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
            unpacked: Any = gzip.GzipFile(fileobj=plain)
            yield io.BufferedReader(_Unpacked(unpacked, str(path), "gzip", damage), _CHUNK_BYTES)
        elif ending == ".xz" or first == b"\xfd7zXZ\0":
            import lzma  # some builds of Python have none

            unpacked = lzma.LZMAFile(plain)  # noqa: SIM115 - reads from the file that is closed here
            yield io.BufferedReader(_Unpacked(unpacked, str(path), "xz", (EOFError, lzma.LZMAError)), _CHUNK_BYTES)
        elif ending == ".zst" or first[:4] == b"\x28\xb5\x2f\xfd":
            new, damaged = _zstd(path)
            unpacked = _ZstdFrames(plain, new)
            yield io.BufferedReader(_Unpacked(unpacked, str(path), "zstd", (EOFError, damaged)), _CHUNK_BYTES)
        else:
            yield plain


def text_lines(stream: io.BufferedReader, name: str, encoding: str | None = None) -> Iterator[str]:
    """Yield decoded lines, each with its line end, in constant memory.

    Args:
        stream: bytes; anything buffered, a pipe too.
        name: the file's name in messages.
        encoding: None means UTF-8, or UTF-16 where the file begins with its mark. A UTF-8 mark is dropped.

    Raises:
        UsageError: an unknown encoding.
        DataError: bytes of another encoding, a NUL, or a line above 64 MiB; with line and byte offset.
    """
    encoding = _encoding(stream, name, encoding)
    if encoding.startswith(("utf-16", "utf-32")):
        yield from _lines_of_chunks(text_chunks(stream, name, encoding), name)
        return
    offset = _skip_mark(stream, encoding)
    number = 0
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            raise _too_long(name, number)
        try:
            line = raw.decode(encoding)
        except UnicodeDecodeError as problem:
            raise _undecodable(name, number, offset + problem.start, problem, encoding) from None
        if "\0" in line:
            raise _nul(name, number)
        offset += len(raw)
        yield line


def text_chunks(stream: io.BufferedReader, name: str, encoding: str | None = None) -> Iterator[str]:
    """Like ``text_lines`` for formats whose lines mean nothing: pieces of about 64 KiB."""
    encoding = _encoding(stream, name, encoding)
    offset = _skip_mark(stream, encoding)
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    while True:
        raw = stream.read1(_CHUNK_BYTES)
        waiting = len(decoder.getstate()[0])  # bytes of a character that the last chunk cut in two
        try:
            text = decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as problem:
            line += problem.object[: problem.start].count(b"\n")
            raise _undecodable(name, line, offset - waiting + problem.start, problem, encoding) from None
        if "\0" in text:
            raise _nul(name, line + text[: text.index("\0")].count("\n"))
        offset += len(raw)
        line += text.count("\n")
        if text:
            yield text
        if not raw:
            return


class _Unpacked(io.RawIOBase):
    """Unpacked bytes whose damage is a ``DataError`` wherever it is met."""

    def __init__(self, unpacked: Any, name: str, program: str, damage: tuple[type[Exception], ...]) -> None:
        self._unpacked = unpacked
        self._name, self._program, self._damage = name, program, damage
        self._done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._unpacked.read(len(buffer))
        except self._damage as problem:
            raise DataError(
                f"{self._name} is not a whole {self._program} file: {problem} (after {self._done:,} unpacked bytes). "
                f"Copy it again, or check it with '{self._program} -t {self._name}'."
            ) from None
        buffer[: len(data)] = data
        self._done += len(data)
        return len(data)


class _Watched(io.FileIO):
    """A file that tells how many bytes are read from it."""

    def __init__(self, path: Path, advance: Callable[[int], object]) -> None:
        super().__init__(path)
        self._advance = advance

    def readinto(self, buffer: Any, /) -> int | None:
        count = super().readinto(buffer)
        self._advance(count or 0)
        return count


class _ZstdFrames:
    """The unpacked bytes of one zstd frame after another. A file that is cut short is an ``EOFError``.

    Args:
        new: makes an unpacker of one frame: ``decompress``, ``eof``, ``unused_data``.
    """

    def __init__(self, packed: io.BufferedReader, new: Callable[[], Any]) -> None:
        self._packed, self._new = packed, new
        self._frame: Any = None
        self._ready, self._waiting = memoryview(b""), b""

    def read(self, size: int) -> memoryview:
        while not self._ready and (self._waiting or self._packed.peek(1) or self._frame is not None):
            self._unpack()
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def _unpack(self) -> None:
        packed = self._waiting or self._packed.read1(_ZSTD_CHUNK_BYTES)
        if not packed:
            raise EOFError("Compressed file ended before the end-of-stream marker was reached")
        if self._frame is None:
            self._frame = self._new()
        self._ready, self._waiting = memoryview(self._frame.decompress(packed)), b""
        if self._frame.eof:
            self._frame, self._waiting = None, self._frame.unused_data


def _zstd(path: Path) -> tuple[Callable[[], Any], type[Exception]]:
    """What makes an unpacker of zstd, and its error: Python's own from 3.14 on, else that of ``zstandard``."""
    try:
        from compression import zstd

        return zstd.ZstdDecompressor, zstd.ZstdError
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError:
        raise UsageError(
            f"{path}: zstd needs the package zstandard (or Python 3.14). Install it: pip install 'bothways[zstd]', or "
            "unpack the file with 'unzstd'."
        ) from None
    return lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError


def _encoding(stream: io.BufferedReader, name: str, asked: str | None) -> str:
    if asked is not None:
        try:
            found = codecs.lookup(asked)
            "".encode(found.name)  # some codecs are no encodings of text
            return found.name
        except (LookupError, UnicodeError):
            raise UsageError(
                f"unknown encoding {asked!r} for {name}. Usual ones: utf-8, utf-16, latin-1, cp1252."
            ) from None
    return "utf-16" if stream.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8"


def _skip_mark(stream: io.BufferedReader, encoding: str) -> int:
    if encoding in ("utf-8", "utf-8-sig") and stream.peek(3)[:3] == codecs.BOM_UTF8:
        return len(stream.read(3))
    return 0


def _lines_of_chunks(chunks: Iterator[str], name: str) -> Iterator[str]:
    rest = ""
    number = 0
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        number += len(whole)
        if len(rest) > MAX_LINE_BYTES:
            raise _too_long(name, number + 1)
        for line in whole:
            yield line + "\n"
    if rest:
        yield rest


STDIN_NAME = "standard input"


def _undecodable(name: str, line: int, offset: int, problem: UnicodeDecodeError, encoding: str) -> DataError:
    byte = problem.object[problem.start] if problem.start < len(problem.object) else 0
    convert = "" if name == STDIN_NAME else f"convert it ('iconv -f latin1 -t utf-8 {name}') or "
    return DataError(
        f"{name}, line {line}: byte 0x{byte:02x} at offset {offset} is not {encoding.upper()} ({problem.reason}). "
        f"If it is text of another encoding, {convert}name that (--encoding "
        "latin-1); a binary file cannot be read."
    )


def _nul(name: str, line: int) -> DataError:
    return DataError(
        f"{name}, line {line}: a NUL byte; texts have none. The file is binary, or UTF-16 without a mark "
        "(--encoding utf-16-le), or damaged (remove them with tr -d '\\000')."
    )


def _too_long(name: str, line: int) -> DataError:
    return DataError(f"{name}, line {line} is longer than {MAX_LINE_BYTES:,} bytes; a text a line is expected.")
