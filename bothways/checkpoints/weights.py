"""Weights in a directory: found, checked, and read one tensor at a time.

Reading never executes anything. Safetensors files are checked completely when they are opened; tensors are then read
into memory of their own, so a file that is replaced or cut short later cannot crash the process, as a mapped one would.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from bothways.checkpoints.safetensors_header import (
    DTYPES,
    MAX_TENSORS,
    TensorEntry,
    dtype_name,
    name_problem,
    read_header,
    shown,
)
from bothways.errors import CheckpointError, nearest
from bothways.files import read_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SAFE_FILE = "model.safetensors"
SAFE_INDEX = "model.safetensors.index.json"
PICKLE_FILE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"
MAX_SHARDS = 500  # each stays open while the weights are; systems allow about 1,000 open files

_FORBIDDEN_IN_NAMES = set('<>:"/\\|?*')
_WINDOWS_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?")


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """One tensor that was not read yet."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]


class Weights:
    """Named tensors on disk, for one thread. Close it, or use it in a ``with`` block, when all wanted is loaded."""

    def __init__(
        self, source: str, tensors: Mapping[str, StoredTensor], metadata: Mapping[str, str], open_files: ExitStack
    ) -> None:
        self.source = source
        self.metadata = dict(metadata)
        self._tensors = dict(tensors)
        self._open_files = open_files
        self._closed = False

    def names(self) -> tuple[str, ...]:
        """The names of all tensors, in the order of the files."""
        return tuple(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._stored(name).shape

    def dtype(self, name: str) -> torch.dtype:
        return self._stored(name).dtype

    def load(self, name: str) -> Tensor:
        """Read one tensor: contiguous, on the CPU, in memory of its own."""
        stored = self._stored(name)
        if self._closed:
            raise CheckpointError(f"{self.source} was closed before tensor {shown(name)} was read.")
        return stored.read()

    def close(self) -> None:
        self._closed = True
        self._open_files.close()

    def __enter__(self) -> Weights:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stored(self, name: str) -> StoredTensor:
        try:
            return self._tensors[name]
        except KeyError:
            close = ", ".join(nearest(name, list(self._tensors))) or "none"
            raise CheckpointError(f"{self.source} has no tensor {shown(name)}. Similar names: {close}.") from None


def open_weights(directory: str | os.PathLike[str], *, allow_pickle: bool = False) -> Weights:
    """Find and check the weights in a model directory.

    ``model.safetensors`` comes first, then ``model.safetensors.index.json`` with its shards.

    Args:
        directory: where the files are. They may be links, as in the hub's cache; names in an index must be bare.
        allow_pickle: read ``pytorch_model.bin`` (or its shards) with torch's weights-only reader where there is no
            safetensors file.

    Raises:
        CheckpointError: no weights, only a pickle without the opt-in, a damaged or unsafe file, or an index and shards
            that contradict each other.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise CheckpointError(f"{directory} is not a directory.")
    if os.path.lexists(directory / SAFE_FILE):
        return _opened(directory, {SAFE_FILE: None}, _safetensors)
    if os.path.lexists(directory / SAFE_INDEX):
        return _opened(directory, _shards(directory / SAFE_INDEX, ".safetensors"), _safetensors)
    pickles = [name for name in (PICKLE_FILE, PICKLE_INDEX) if os.path.lexists(directory / name)]
    if not pickles:
        there = sorted(entry.name for entry in directory.iterdir())
        more = f" and {len(there) - 8} more" if len(there) > 8 else ""
        raise CheckpointError(
            f"{directory} has no {SAFE_FILE} and no {SAFE_INDEX}. It has: {', '.join(there[:8]) or 'nothing'}{more}."
        )
    if not allow_pickle:
        raise CheckpointError(
            f"{directory} has its weights only as {pickles[0]}, a pickle, and {SAFE_FILE} was expected. Pickles can "
            "run code when they are opened. If you trust it, pass use_safetensors=False to read it with torch's "
            "weights-only reader; save_pretrained then converts it to safetensors for good."
        )
    if pickles[0] == PICKLE_FILE:
        return _opened(directory, {PICKLE_FILE: None}, _pickle)
    return _opened(directory, _shards(directory / PICKLE_INDEX, ".bin"), _pickle)


def open_safetensors(path: str | os.PathLike[str]) -> Weights:
    """Check and open one safetensors file, whatever its name.

    Raises:
        CheckpointError: no such file, or a damaged or unsafe one.
    """
    path = Path(path)
    return _opened(path.parent, {path.name: None}, _safetensors)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal. Reads 1 MiB at a time."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def check_bare_name(name: Any, where: str) -> str:
    """``name`` if it is a file name, and nothing but a file name, on every operating system.

    Raises:
        CheckpointError: a path, a drive, a device, an empty name, control characters, a trailing dot or space.
    """
    problem = None
    if not isinstance(name, str):
        problem = "it is not a text"
    elif not name:
        problem = "it is empty"
    elif len(name.encode("utf-8", "replace")) > 255:
        problem = f"it has {len(name):,} characters"
    elif not name.isprintable():
        problem = "it has control characters"
    elif bad := sorted(_FORBIDDEN_IN_NAMES & set(name)):
        problem = f"it contains {' '.join(bad)}"
    elif name[-1] in ". ":
        problem = "it ends with a dot or a space"
    elif _WINDOWS_DEVICES.fullmatch(name):
        problem = "it is the name of a device on Windows"
    if problem:
        raise CheckpointError(f"{where} names the file {shown(str(name))}, which is refused: {problem}.")
    return name


def _shards(index: Path, suffix: str) -> dict[str, set[str]]:
    """Shard name -> the tensors that the index promises in it."""
    value = read_json(index, error=CheckpointError)
    weight_map = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index} has no weight_map from tensor names to file names.")
    if len(weight_map) > MAX_TENSORS:
        raise CheckpointError(f"{index} names {len(weight_map):,} tensors; up to {MAX_TENSORS:,} are read.")
    shards: dict[str, set[str]] = {}
    for tensor, shard in weight_map.items():
        shard = check_bare_name(shard, str(index))
        if not shard.endswith(suffix):
            raise CheckpointError(f"{index} names the file {shown(shard)}; names that end in {suffix} are expected.")
        shards.setdefault(shard, set()).add(tensor)
    if len(shards) > MAX_SHARDS:
        raise CheckpointError(f"{index} names {len(shards):,} files; up to {MAX_SHARDS} are read.")
    missing = [name for name in shards if not (index.parent / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{len(missing)} of the {len(shards)} files that {index} names are missing: {', '.join(missing[:8])}. "
            "Is the download complete?"
        )
    return shards


Reader = Callable[[Path, ExitStack], "tuple[dict[str, StoredTensor], Mapping[str, str]]"]


def _opened(directory: Path, shards: Mapping[str, set[str] | None], reader: Reader) -> Weights:
    """Open every shard and compare what it holds with what the index promises (None: no index, anything goes)."""
    tensors: dict[str, StoredTensor] = {}
    holder: dict[str, str] = {}
    metadata: dict[str, str] = {}
    with ExitStack() as files:
        for shard, promised in shards.items():
            path = directory / shard
            if not path.is_file():
                raise CheckpointError(f"{path} is not a file: it is a directory, a device or a broken link.")
            try:
                found, about = reader(path, files)
            except OSError as problem:
                raise CheckpointError(f"{path} cannot be read: {problem.strerror or problem}.") from problem
            for name in found:
                if name in holder:
                    raise CheckpointError(
                        f"{directory}: tensor {shown(name)} is in two files, {holder[name]} and {shard}."
                    )
                holder[name] = shard
            if promised is not None:
                _compare(directory / shard, set(found), promised)
            tensors.update(found)
            metadata.update(about)
        source = str(directory / next(iter(shards))) if len(shards) == 1 else str(directory)
        return Weights(source, tensors, metadata, files.pop_all())


def _compare(path: Path, found: set[str], promised: set[str]) -> None:
    for names, sentence in (
        (promised - found, "lacks {} tensors that the index promises"),
        (found - promised, "holds {} tensors that the index does not name"),
    ):
        if names:
            listed = ", ".join(shown(name) for name in sorted(names)[:5])
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            raise CheckpointError(f"{path} {sentence.format(len(names))}: {listed}{more}. The files are of two models.")


def _safetensors(path: Path, files: ExitStack) -> tuple[dict[str, StoredTensor], Mapping[str, str]]:
    import torch

    file = files.enter_context(open(path, "rb"))  # noqa: SIM115 - closed with the weights
    header = read_header(file, path)
    tensors = {
        name: StoredTensor(
            shape=entry.shape,
            dtype=getattr(torch, DTYPES[entry.dtype][0]),
            read=partial(_read_tensor, file, path, name, entry),
        )
        for name, entry in header.tensors.items()
    }
    return tensors, header.metadata


def _read_tensor(file: BinaryIO, path: Path, name: str, entry: TensorEntry) -> Tensor:
    import torch

    raw = torch.empty(entry.end - entry.begin, dtype=torch.uint8)
    try:
        file.seek(entry.begin)
        n_read = file.readinto(raw.numpy())  # type: ignore[attr-defined]
    except OSError as problem:
        raise CheckpointError(f"{path}: tensor {shown(name)} cannot be read: {problem.strerror}.") from problem
    if n_read < len(raw):
        raise CheckpointError(
            f"{path} became shorter after it was opened: tensor {shown(name)} has {n_read:,} of {len(raw):,} bytes."
        )
    if entry.dtype == "BOOL" and len(raw) and int(raw.max()) > 1:
        raise CheckpointError(
            f"{path}: tensor {shown(name)} is BOOL but holds the byte {int(raw.max())}; 0 or 1 expected."
        )
    return raw.view(getattr(torch, DTYPES[entry.dtype][0])).reshape(entry.shape)


def _pickle(path: Path, files: ExitStack) -> tuple[dict[str, StoredTensor], Mapping[str, str]]:
    """Read a pickle of tensors with torch's weights-only reader, which refuses everything that is not plain data."""
    import zipfile

    import torch

    try:
        # Files from before torch 1.6 are not archives and cannot be mapped.
        value = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as problem:  # the reader raises whatever the damage led to
        reason = str(problem).strip().split("\n")[0][:200]
        raise CheckpointError(
            f"{path} is not a pickle of plain tensors, or is damaged ({type(problem).__name__}: {reason}). "
            "It was not opened in any other way. Ask its author for safetensors."
        ) from problem
    if not isinstance(value, Mapping):
        raise CheckpointError(f"{path} holds a {type(value).__name__}; a dictionary of tensors was expected.")
    tensors = {}
    for name, tensor in value.items():
        _check_pickled(path, name, tensor)
        tensors[name] = StoredTensor(
            shape=tuple(tensor.shape), dtype=tensor.dtype, read=partial(_own_copy, tensor.detach())
        )
    return tensors, {}


def _check_pickled(path: Path, name: Any, tensor: Any) -> None:
    import torch

    if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
        raise CheckpointError(
            f"{path} holds {shown(str(name))}, a {type(tensor).__name__}; only named tensors are expected."
        )
    if problem := name_problem(name):
        raise CheckpointError(f"{path}: tensor {shown(name)} {problem}.")
    if tensor.layout is not torch.strided or tensor.is_meta or dtype_name(tensor.dtype) is None:
        raise CheckpointError(
            f"{path}: tensor {shown(name)} is {tensor.layout} {tensor.dtype}; known: {', '.join(DTYPES)}."
        )
    if tensor.nbytes > tensor.untyped_storage().nbytes():  # expanded: a small file that would fill the memory
        raise CheckpointError(
            f"{path}: tensor {shown(name)} of shape {tuple(tensor.shape)} needs {tensor.nbytes:,} bytes; the file has "
            f"{tensor.untyped_storage().nbytes():,}."
        )


def _own_copy(tensor: Tensor) -> Tensor:
    import torch

    return tensor.clone(memory_format=torch.contiguous_format)
