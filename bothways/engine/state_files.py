"""The state of optimizers, schedules and random generators in files that hold data and nothing else.

``<name>.json`` holds the structure and ``<name>.safetensors`` the tensors. In the JSON, numbers, texts, booleans, null
and lists stand for themselves. Everything else is an object with one key that says what it is::

    {"dict": [[key, value], ...]}   keys may be numbers    {"tensor": name}            in the other file
    {"tuple": [...]}                                       {"float": "nan"}            JSON has none, nor infinities
    {"defaultdict": ["list", [[key, value], ...]]}         {"numpy": ["float32", hex]} little-endian bytes

Reading executes nothing: the kinds and the factories of a ``defaultdict`` are closed tables.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.checkpoints.safetensors_header import (
    MAX_DIMENSIONS,
    MAX_ELEMENTS,
    MAX_TENSORS,
    dtype_name,
    name_problem,
    shown,
)
from bothways.checkpoints.weights import Weights, open_safetensors, sha256_of
from bothways.checkpoints.weights_writer import write_file
from bothways.errors import CheckpointError
from bothways.files import MAX_JSON_BYTES, read_json, replacing, write_text

FORMAT = 1
MAX_DEPTH = 100
MAX_INTEGER_BITS = 4_096  # Python reads up to 4,300 digits; PCG64's state has 128 bits

_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}
_MAPPINGS: dict[str, type[dict]] = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}
_FACTORIES: dict[str, Any] = {"none": None, "dict": dict, "list": list, "set": set, "int": int, "float": float}
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_OTHER_DTYPES = ("complex64", "complex128", "uint16", "uint32", "uint64", "float8_e5m2")  # as bytes
_NUMPY_DTYPES = ("bool", *(f"{kind}int{n}" for kind in ("", "u") for n in (8, 16, 32, 64)), "float16", "float32")
_NUMPY_DTYPES += ("float64", "complex64", "complex128")


def save_state(directory: str | os.PathLike[str], name: str, state: Any) -> None:
    """Write ``<name>.json`` and ``<name>.safetensors``; ``load_state`` gives back an equal value.

    Tensors come back bit by bit, contiguous and on the CPU. A tensor that occurs twice does so again; tensors that
    share memory otherwise come back apart. Parameters come back as tensors.

    Args:
        state: dicts (also ``OrderedDict``, ``defaultdict``, ``Counter``), lists, tuples and sets of tensors, NumPy
            arrays and scalars, numbers, texts, booleans and None, nested up to 100 deep.

    Raises:
        CheckpointError: something else is in it; the message says where.
    """
    directory = Path(directory)
    written = _Writing()
    tree = written.encode(state, "", 0)
    if len(written.tensors) > MAX_TENSORS:
        raise CheckpointError(f"The state {name!r} has {len(written.tensors):,} tensors; up to {MAX_TENSORS:,} fit.")
    text = json.dumps({"format": FORMAT, "state": tree}, allow_nan=False) + "\n"
    if len(text) > MAX_JSON_BYTES:
        raise CheckpointError(
            f"The state {name!r} needs {len(text):,} bytes of JSON; up to {MAX_JSON_BYTES:,} are read."
        )
    write_text(directory / f"{name}.json", text)
    about = {"format": "pt", "structure_sha256": sha256_of(directory / f"{name}.json")}
    with replacing(directory / f"{name}.safetensors") as temporary:
        write_file(temporary, written.tensors, about)


def load_state(directory: str | os.PathLike[str], name: str) -> Any:
    """Read what ``save_state`` wrote.

    Raises:
        CheckpointError: a file is missing, damaged or too large, or the two are not of one save.
    """
    path = Path(directory) / f"{name}.json"
    value = read_json(path, error=CheckpointError)
    if not isinstance(value, dict) or set(value) != {"format", "state"}:
        raise CheckpointError(f"{path} is not the structure of a state: an object of format and state is expected.")
    if value["format"] != FORMAT:
        raise CheckpointError(f"{path} has the format {str(value['format'])[:20]}; this version reads {FORMAT}.")
    with open_safetensors(path.with_suffix(".safetensors")) as weights:
        if weights.metadata.get("structure_sha256") != sha256_of(path):
            raise CheckpointError(f"{path} and {weights.source} are not of one save. Use an earlier checkpoint.")
        return _Reading(path, weights).decode(value["state"], 0)


class _Writing:
    """A state on its way to JSON. ``tensors`` collects what goes to the other file."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._names: dict[int, str] = {}  # id of a tensor or array of the state → its name in the file

    def encode(self, value: Any, path: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise CheckpointError(f"{path[:200]} is nested deeper than {MAX_DEPTH} levels, or contains itself.")
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind in (int, float, str):
            return _plain(value, path)
        if kind is list:
            return self._all(value, path, depth)
        if kind.__name__ in _SEQUENCES and kind is _SEQUENCES[kind.__name__]:
            return {kind.__name__: self._all(value, path, depth)}
        if kind.__name__ in _MAPPINGS and kind is _MAPPINGS[kind.__name__]:
            return {kind.__name__: self._pairs(value, path, depth)}
        if kind is defaultdict:
            factory = next((name for name, known in _FACTORIES.items() if known is value.default_factory), None)
            if factory is None:
                raise _cannot(path, f"a defaultdict of {value.default_factory!r}"[:200])
            return {"defaultdict": [factory, self._pairs(value, path, depth)]}
        return self._data(value, path)

    def _all(self, values: Any, path: str, depth: int) -> list[Any]:
        return [self.encode(value, f"{path}[{i}]", depth + 1) for i, value in enumerate(values)]

    def _pairs(self, value: Mapping[Any, Any], path: str, depth: int) -> list[list[Any]]:
        pairs = []
        for key, item in value.items():
            inner = _inner(path, key)
            if isinstance(key, Tensor):
                raise CheckpointError(f"{path or 'The state'} has a tensor as a key, which cannot be stored.")
            pairs.append([self.encode(key, f"the key {inner}", depth + 1), self.encode(item, inner, depth + 1)])
        return pairs

    def _data(self, value: Any, path: str) -> dict[str, Any]:
        """Tensors, arrays and NumPy's scalars."""
        if type(value) in (Tensor, torch.nn.Parameter):
            if value.layout is not torch.strided or value.is_meta or value.is_quantized:
                raise _cannot(path, "a tensor without data" if value.is_meta else f"a tensor of {value.layout}")
            dtype = str(value.dtype).removeprefix("torch.")
            if dtype_name(value.dtype):
                return {"tensor": self._keep(value, value, path)}
            if dtype not in _OTHER_DTYPES:
                raise _cannot(path, f"a tensor of {dtype}")
            plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
            raw = plain.reshape(-1).view(torch.uint8)
            return {"raw_tensor": [self._keep(value, raw, path), dtype, list(value.shape)]}
        if type(value) is np.ndarray and value.dtype.name in _NUMPY_DTYPES:
            raw = torch.frombuffer(bytearray(_bytes_of(value)), dtype=torch.uint8) if value.size else torch.empty(0)
            name = self._keep(value, raw.to(torch.uint8), path)
            return {"array": [name, value.dtype.name, list(value.shape)]}
        if isinstance(value, np.generic) and value.dtype.name in _NUMPY_DTYPES:
            return {"numpy": [value.dtype.name, _bytes_of(np.asarray(value)).hex()]}
        raise _cannot(path, _kind(value))

    def _keep(self, value: Any, tensor: Tensor, path: str) -> str:
        """The name of a tensor in the file: where it is first in the state, as far as a name can say that."""
        name = self._names.get(id(value))
        if name is None:
            name = path
            if not name or name in self.tensors or name_problem(name):
                name = f"tensor {len(self.tensors)}"
            self._names[id(value)] = name
            self.tensors[name] = tensor
        return name


def _plain(value: float | str, path: str) -> Any:
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        raise _cannot(path, f"an integer of {value.bit_length():,} bits (at most {MAX_INTEGER_BITS:,} are read)")
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        return {"text": value.encode("utf-8", "surrogatepass").hex()}  # JSON would join two halves that were apart
    return value


def _bytes_of(array: np.ndarray) -> bytes:
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _inner(path: str, key: Any) -> str:
    if isinstance(key, str) and key.isidentifier():
        return f"{path}.{key}" if path else key
    return f"{path}[{repr(key)[:200]}]"


def _kind(value: Any) -> str:
    if callable(value) and hasattr(value, "__qualname__"):
        return f"a class, {value.__qualname__}" if isinstance(value, type) else f"a function, {value.__qualname__}"
    return f"of the type {type(value).__module__}.{type(value).__qualname__}"


def _cannot(path: str, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path or 'The state'} is {what}, which cannot be stored: a checkpoint holds dicts, lists, tuples, sets, "
        "tensors, NumPy arrays, numbers, texts, booleans and None."
    )


class _Reading:
    """A state on its way back from JSON, which may hold anything."""

    def __init__(self, path: Path, weights: Weights) -> None:
        self._path = path
        self._weights = weights
        self._read: dict[str, Any] = {}

    def decode(self, node: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise CheckpointError(f"{self._path} is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(node, list):
            return [self.decode(item, depth + 1) for item in node]
        if not isinstance(node, dict):
            if isinstance(node, float) and not math.isfinite(node):
                raise self._damaged(node)
            return node
        try:
            ((kind, content),) = node.items()
            return self._decode_kind(kind, content, depth)
        except (ValueError, TypeError, KeyError, OverflowError) as problem:
            if isinstance(problem, CheckpointError):
                raise
            raise self._damaged(node) from None

    def _decode_kind(self, kind: str, content: Any, depth: int) -> Any:
        """What does not fit raises an ordinary error, which ``decode`` turns into a sentence."""
        if kind in _SEQUENCES:
            return _SEQUENCES[kind](self.decode(_a_list(content), depth))
        if kind in _MAPPINGS:
            return _MAPPINGS[kind](self._pairs(content, depth))
        if kind == "defaultdict":
            factory, pairs = _a_list(content)
            return defaultdict(_FACTORIES[factory], self._pairs(pairs, depth))
        if kind == "float":
            return _FLOATS[content]
        if kind == "text":
            return bytes.fromhex(content).decode("utf-8", "surrogatepass")
        if kind == "numpy":
            dtype, raw = _a_list(content)
            return _array(bytes.fromhex(raw), dtype, [])[()]
        if kind == "tensor":
            return self._once(kind, content, lambda: self._weights.load(content))
        name, dtype, shape = _a_list(content)
        if kind == "array":
            return self._once(f"{kind} {dtype} {shape}", name, lambda: _array(self._raw(name), dtype, shape))
        if kind == "raw_tensor":
            return self._once(f"{kind} {dtype} {shape}", name, lambda: _raw_tensor(self._raw(name), dtype, shape))
        raise ValueError(kind)

    def _pairs(self, content: Any, depth: int) -> dict[Any, Any]:
        result = {}
        for pair in _a_list(content):
            key, value = _a_list(pair)
            decoded = self.decode(key, depth + 1)
            if decoded in result:
                raise ValueError("a key that occurs twice")
            result[decoded] = self.decode(value, depth + 1)
        return result

    def _once(self, kind: str, name: str, read: Callable[[], Any]) -> Any:
        """The same object wherever one name is read: what was one tensor in the state is one again."""
        if not isinstance(name, str):
            raise TypeError(name)
        key = f"{kind} {name}"
        if key not in self._read:
            self._read[key] = read()
        return self._read[key]

    def _raw(self, name: str) -> bytes:
        tensor = self._weights.load(name)
        if tensor.dtype is not torch.uint8:
            raise ValueError("bytes are expected")
        return tensor.numpy().tobytes()

    def _damaged(self, node: Any) -> CheckpointError:
        return CheckpointError(f"{self._path} is damaged: no state has {shown(json.dumps(node))}.")


def _a_list(content: Any) -> list[Any]:
    if not isinstance(content, list):
        raise TypeError(content)
    return content


def _array(raw: bytes, dtype: str, shape: list[int]) -> np.ndarray:
    if dtype not in _NUMPY_DTYPES or (dtype == "bool" and raw.strip(b"\0\1")):
        raise ValueError(dtype)
    stored = np.frombuffer(raw, np.dtype(dtype).newbyteorder("<")).reshape(_checked_shape(shape))
    return stored.astype(np.dtype(dtype))


def _raw_tensor(raw: bytes, dtype: str, shape: list[int]) -> Tensor:
    if dtype not in _OTHER_DTYPES:
        raise ValueError(dtype)
    wanted = getattr(torch, dtype)
    if len(raw) != math.prod(_checked_shape(shape)) * wanted.itemsize:
        raise ValueError(shape)
    flat = torch.frombuffer(bytearray(raw), dtype=wanted) if raw else torch.empty(0, dtype=wanted)
    return flat.reshape(shape)


def _checked_shape(shape: list[int]) -> list[int]:
    """Sizes whose product, also without the zeros among them, is far from overflowing."""
    sizes = _a_list(shape)
    if not all(type(n) is int and n >= 0 for n in sizes) or len(sizes) > MAX_DIMENSIONS:
        raise ValueError(shape)
    if math.prod(n for n in sizes if n) > MAX_ELEMENTS // 16:
        raise ValueError(shape)
    return sizes
