"""Writing weights: safetensors, in one file or in shards, all of it or nothing."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bothways.checkpoints.safetensors_header import DTYPES, dtype_name, encode_header, name_problem, shown
from bothways.checkpoints.weights import SAFE_FILE, SAFE_INDEX
from bothways.errors import CheckpointError
from bothways.files import replacing

if TYPE_CHECKING:
    from torch import Tensor

_SHARD_NAME = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


def write_weights(
    directory: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    *,
    max_shard_size: int | str = "5GB",
    metadata: Mapping[str, str] | None = None,
) -> tuple[Path, ...]:
    """Write tensors as safetensors: one file, or shards and an index when they are larger than ``max_shard_size``.

    All files are written under temporary names first and renamed when every one is on the disk, the index last; weights
    of an earlier save are removed after that. On any error the earlier save is untouched.

    Args:
        directory: created if need be.
        tensors: by name, on any device. No two may share memory: what is tied is saved once, under one name.
        max_shard_size: bytes, or text such as "500MB" (10**6) or "2GiB" (2**30). A larger tensor gets its own shard.
        metadata: strings for the header; ``{"format": "pt"}`` if None, without which the reference library refuses.

    Returns:
        The files written.

    Raises:
        CheckpointError: tensors share memory or have a dtype that safetensors lacks, or the disk is full.
    """
    directory = Path(directory)
    _check_writable(tensors)
    metadata = {"format": "pt"} if metadata is None else metadata
    if wrong := [key for key, value in metadata.items() if not isinstance(value, str)]:
        raise CheckpointError(f"The metadata {', '.join(wrong)} must be text: safetensors files hold nothing else.")
    shards = _distribute(tensors, _bytes_in(max_shard_size))
    names = _shard_names(len(shards))
    total = sum(tensor.nbytes for tensor in tensors.values())
    try:
        with ExitStack() as renames:  # leaves in reverse order, so the index is entered first and renamed last
            if len(shards) > 1:
                index = renames.enter_context(replacing(directory / SAFE_INDEX))
                index.write_text(_index_text(names, shards, total), encoding="utf-8", newline="\n")
            for name, shard in zip(names, shards, strict=True):
                write_file(renames.enter_context(replacing(directory / name)), shard, metadata)
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise
        free = shutil.disk_usage(directory).free
        raise CheckpointError(
            f"The disk of {directory} is full: the weights need {total:,} bytes beside any earlier save and {free:,} "
            "are free. Earlier weights there are unchanged."
        ) from problem
    _remove_stale(directory, keep=names)
    return tuple(directory / name for name in ([*names, SAFE_INDEX] if len(shards) > 1 else names))


def write_file(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write one safetensors file to just this path. Every tensor must have a dtype and a name that the format takes."""
    import torch

    # Wide dtypes first keeps every tensor aligned; the reference writer has the same order.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    with open(path, "wb") as file:
        file.write(encode_header([(n, dtype_name(t.dtype) or "", t.shape) for n, t in ordered], metadata))
        for _, tensor in ordered:  # one at a time: a copy of the whole model may not fit in memory
            plain = tensor.detach().cpu().resolve_neg().contiguous()
            file.write(plain.reshape(-1).view(torch.uint8).numpy().data)


def _check_writable(tensors: Mapping[str, Tensor]) -> None:
    import torch

    for name, tensor in tensors.items():
        if problem := name_problem(name):
            raise CheckpointError(f"Tensor {shown(name)} {problem}; it cannot be written.")
        if tensor.layout is not torch.strided or tensor.is_meta or dtype_name(tensor.dtype) is None:
            kind = "on the meta device, without data" if tensor.is_meta else f"{tensor.layout} {tensor.dtype}"
            raise CheckpointError(f"Tensor {name!r} is {kind} and cannot be written; known: {', '.join(DTYPES)}.")
    shared = _sharing_memory(tensors)
    if shared:
        groups = "; ".join(" and ".join(group) for group in shared)
        raise CheckpointError(
            f"{sum(map(len, shared))} tensors share memory: {groups}. Save one of each group and declare the others "
            "tied to it, or save clones."
        )


def _sharing_memory(tensors: Mapping[str, Tensor]) -> list[list[str]]:
    """Groups of names whose tensors overlap. Parts of one buffer that lie apart do not count."""
    spans: dict[tuple[Any, int], list[tuple[int, int, str]]] = {}
    for name, tensor in tensors.items():
        if tensor.numel():
            last = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride(), strict=True))
            begin = tensor.data_ptr()
            key = (tensor.device, tensor.untyped_storage().data_ptr())
            spans.setdefault(key, []).append((begin, begin + (last + 1) * tensor.element_size(), name))
    groups: list[list[str]] = []
    for members in spans.values():
        group: list[str] = []
        reach = 0
        for begin, end, name in sorted(members):
            if begin >= reach:
                group = []
                groups.append(group)
            group.append(name)
            reach = max(reach, end)
    return [group for group in groups if len(group) > 1]


def _distribute(tensors: Mapping[str, Tensor], limit: int) -> list[dict[str, Tensor]]:
    """Fill one shard after the other, in the order given, as the reference library does. At least one shard."""
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.nbytes > limit:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.nbytes
    return shards


def _shard_names(n: int) -> list[str]:
    return [SAFE_FILE] if n == 1 else [f"model-{i:05d}-of-{n:05d}.safetensors" for i in range(1, n + 1)]


def _index_text(names: Sequence[str], shards: Sequence[Mapping[str, Tensor]], total: int) -> str:
    weight_map = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    value = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _bytes_in(size: int | str) -> int:
    units = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    units |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
    match = re.fullmatch(r"\s*(\d{1,15})\s*([A-Za-z]*)\s*", str(size))
    if not match or match[2].upper() not in units or not int(match[1]):
        raise CheckpointError(f"max_shard_size={size!r} is not a size. Give bytes, or text such as '500MB' or '5GB'.")
    return int(match[1]) * units[match[2].upper()]


def _remove_stale(directory: Path, keep: Iterable[str]) -> None:
    """Remove the weights of an earlier save: the index before the shards it names, so that none is left broken."""
    kept = set(keep)
    if SAFE_FILE in kept:
        (directory / SAFE_INDEX).unlink(missing_ok=True)
    else:
        (directory / SAFE_FILE).unlink(missing_ok=True)
    for path in sorted(directory.iterdir()):
        if _SHARD_NAME.fullmatch(path.name) and path.name not in kept:
            path.unlink(missing_ok=True)
