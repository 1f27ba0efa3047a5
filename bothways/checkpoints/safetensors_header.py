"""The safetensors file format: checking a header before any byte of data is believed, and writing one.

A file is: 8 bytes little-endian header length N, N bytes of JSON, then the tensors' bytes without holes. The JSON maps
each name to ``{"dtype", "shape", "data_offsets"}`` and, optionally, ``"__metadata__"`` to strings. The checks are ours,
because the limits of the published readers differ from version to version.

Source: the format section of the safetensors README, https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bothways.errors import CheckpointError

if TYPE_CHECKING:
    import torch

MAX_HEADER_BYTES = 100_000_000  # the limit of the reference reader
MAX_TENSORS = 100_000
MAX_DIMENSIONS = 32
MAX_NAME_LENGTH = 1_000
# A tensor needs one object and two arrays. More brackets than that are a memory bomb: "[[],[],..." of 100 MB parses
# into several GB of Python lists.
MAX_BRACKETS = 4 * MAX_TENSORS
MAX_ELEMENTS = 2**63 - 1

# name in the file -> (attribute of torch, bytes per element)
DTYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """Where one tensor lies. ``begin`` and ``end`` are bytes counted from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Header:
    """A checked header."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]


def read_header(file: BinaryIO, path: Path) -> Header:
    """Read and check the header of an open safetensors file.

    Args:
        file: the file, open for reading in binary mode.
        path: its name, for messages.

    Raises:
        CheckpointError: the header is too long, not JSON, has a key twice, an unknown dtype or an impossible shape; or
            its tensors overlap, leave holes or do not end exactly at the end of the file.
    """
    raw, data_start, size = _raw_header(file, path)
    value = _parse(raw, path)
    metadata = _metadata(value.pop("__metadata__", {}), path)
    if len(value) > MAX_TENSORS:
        raise CheckpointError(f"{path} has {len(value):,} tensors; files with up to {MAX_TENSORS:,} are read.")
    data_size = size - data_start
    tensors = {name: _entry(name, entry, data_size, data_start, path) for name, entry in value.items()}
    _check_layout(tensors, data_start, size, path)
    return Header(tensors=tensors, metadata=metadata)


def encode_header(tensors: Sequence[tuple[str, str, Sequence[int]]], metadata: Mapping[str, str]) -> bytes:
    """The first bytes of a file whose data are these tensors, in this order.

    Args:
        tensors: (name, dtype as in ``DTYPES``, shape) of each.
        metadata: strings to keep beside them.
    """
    value: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    begin = 0
    for name, dtype, shape in tensors:
        end = begin + _product(shape) * DTYPES[dtype][1]
        value[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)  # readers that map the file want the data aligned
    return len(text).to_bytes(8, "little") + text


def dtype_name(dtype: torch.dtype) -> str | None:
    """The name of a torch dtype in a file, or None if the format or the library lacks it."""
    wanted = str(dtype).removeprefix("torch.")
    return next((name for name, (attribute, _) in DTYPES.items() if attribute == wanted), None)


def name_problem(name: str) -> str | None:
    """Why a tensor may not have this name, as the end of a sentence, or None if it may."""
    if len(name) > MAX_NAME_LENGTH:
        return f"has a name of {len(name):,} characters; up to {MAX_NAME_LENGTH:,} are allowed"
    if not name.isprintable():  # includes lone surrogates, which cannot be encoded
        return "has characters in its name that cannot be printed"
    return "has the name of the metadata" if name == "__metadata__" else None


def shown(name: str) -> str:
    """A name from a file as it may appear in a message: quoted, without control characters, not endless."""
    return repr(name) if len(name) <= 200 else repr(name[:200]) + f"... ({len(name):,} characters)"


def _raw_header(file: BinaryIO, path: Path) -> tuple[bytes, int, int]:
    """The JSON bytes, where the data start, and the size of the file."""
    size = os.fstat(file.fileno()).st_size
    first = file.read(8)
    if len(first) < 8:
        raise CheckpointError(f"{path} has {size:,} bytes; a safetensors file has 8 or more. Is the download complete?")
    length = int.from_bytes(first, "little")
    if length > MAX_HEADER_BYTES:
        raise CheckpointError(
            f"{path} announces a header of {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read. "
            "This is not a safetensors file, or it is damaged."
        )
    if length > size - 8:
        raise CheckpointError(
            f"{path} announces a header of {length:,} bytes but has only {size - 8:,} bytes after the length. "
            "Is the download complete?"
        )
    raw = file.read(length)
    if len(raw) < length:
        raise CheckpointError(f"{path} became shorter while it was read: {len(raw):,} of {length:,} header bytes.")
    return raw, 8 + length, size


def _parse(raw: bytes, path: Path) -> dict[str, Any]:
    if not raw.startswith(b"{"):
        raise CheckpointError(f"{path}: the header begins with {raw[:1]!r}, not with '{{'. This is not safetensors.")
    brackets = raw.count(b"[") + raw.count(b"{")
    if brackets > MAX_BRACKETS:
        raise CheckpointError(f"{path}: the header has {brackets:,} brackets; up to {MAX_BRACKETS:,} are read.")
    try:
        return json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_bounded_int,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except ValueError as problem:  # JSONDecodeError, UnicodeDecodeError and those of the hooks
        raise CheckpointError(f"{path}: the header is not safetensors JSON: {problem}.") from None
    except RecursionError:
        raise CheckpointError(f"{path}: the header is nested too deeply to be safetensors JSON.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {shown(key)} occurs twice")
        result[key] = value
    return result


def _bounded_int(text: str) -> int:
    if len(text) > 20:  # 2**64 has 20 digits; longer ones cost quadratic time
        raise ValueError(f"a number of {len(text):,} digits")
    return int(text)


def _no_number(text: str) -> Any:
    raise ValueError(f"the number {text[:20]} is not an integer")


def _metadata(value: Any, path: Path) -> dict[str, str]:
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: __metadata__ is a {type(value).__name__}, not an object of strings.")
    for key, content in value.items():
        if not isinstance(content, str):
            raise CheckpointError(
                f"{path}: __metadata__ {shown(key)} is a {type(content).__name__}; only strings are allowed."
            )
    return value


def _entry(name: str, value: Any, data_size: int, data_start: int, path: Path) -> TensorEntry:
    where = f"{path}: tensor {shown(name)}"
    if problem := name_problem(name):
        raise CheckpointError(f"{where} {problem}.")
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{where} must be described by dtype, shape and data_offsets and nothing else.")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise CheckpointError(f"{where} has {_dtype_problem(dtype)}")
    if not _natural_numbers(shape) or len(shape) > MAX_DIMENSIONS:
        raise CheckpointError(
            f"{where} has the impossible shape {str(shape)[:100]}; "
            f"up to {MAX_DIMENSIONS} sizes of 0 or more are expected."
        )
    if not _natural_numbers(offsets) or len(offsets) != 2:
        raise CheckpointError(f"{where} has data_offsets {str(offsets)[:100]}; a begin and an end are expected.")
    begin, end = offsets
    if begin > end or end > data_size:
        raise CheckpointError(
            f"{where} lies at bytes {begin:,} to {end:,}, but the data have {data_size:,} bytes. "
            "Is the download complete?"
        )
    width = DTYPES[dtype][1]
    if _product([n for n in shape if n]) * width > MAX_ELEMENTS:  # also with a 0 elsewhere: strides would overflow
        raise CheckpointError(f"{where} has the shape {shape}, which overflows 64 bits.")
    if (needed := _product(shape) * width) != end - begin:
        raise CheckpointError(
            f"{where} of dtype {dtype} and shape {shape} needs {needed:,} bytes but has {end - begin:,}."
        )
    return TensorEntry(dtype=dtype, shape=tuple(shape), begin=data_start + begin, end=data_start + end)


def _dtype_problem(dtype: Any) -> str:
    known = ", ".join(DTYPES)
    if isinstance(dtype, str) and dtype.startswith("F8"):
        return f"the dtype {dtype[:20]}, an 8-bit float, which is not supported. Convert it to BF16; known: {known}."
    return f"the unknown dtype {str(dtype)[:50]!r}; known: {known}."


def _check_layout(tensors: Mapping[str, TensorEntry], data_start: int, size: int, path: Path) -> None:
    """Every byte of the data belongs to exactly one tensor."""
    position, previous = data_start, "the header"
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin < position:
            raise CheckpointError(
                f"{path}: tensor {shown(name)} overlaps {previous}: it begins at byte {entry.begin - data_start:,} "
                f"of the data, before byte {position - data_start:,}."
            )
        if entry.begin > position:
            raise CheckpointError(
                f"{path}: {entry.begin - position:,} bytes between {previous} and tensor {shown(name)} "
                "belong to no tensor."
            )
        position, previous = entry.end, f"tensor {shown(name)}"
    if position != size:
        raise CheckpointError(f"{path}: the last {size - position:,} bytes belong to no tensor.")


def _natural_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n <= MAX_ELEMENTS for n in value)


def _product(shape: Sequence[int]) -> int:
    result = 1
    for n in shape:
        result *= n
    return result
