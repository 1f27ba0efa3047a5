"""Check the weights of known models, and remember the answer so that start-up need not hash 90 MB each time."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from bothways.resolver.known import KnownModel
from bothways.resolver.request import Missed
from bothways.resolver.store import store_directory

WEIGHTS_FILE = "model.safetensors"
MEMORY_FILE = ".verified.json"  # in the store; harmless if missing, damaged or not writable


def check_weights(directory: Path, known: KnownModel, *, remember: bool = True) -> None:
    """Raise ``Missed`` unless ``directory`` holds the published weights of ``known``.

    Args:
        directory: the model directory.
        known: says the expected size and SHA-256.
        remember: use and fill the memory of hashes; False for directories that are about to move.
    """
    path = directory / WEIGHTS_FILE
    if not path.is_file():
        raise Missed(f"{directory} has no {WEIGHTS_FILE}")
    size = path.stat().st_size
    if size != known.size_bytes:
        raise Missed(f"refused: {path} has {size:,} bytes, the published weights have {known.size_bytes:,}")
    found = _remembered_sha256(path) if remember else _sha256(path)
    if found != known.sha256:
        raise Missed(
            f"refused: {path} has sha256 {found[:12]}…, the published weights have {known.sha256[:12]}…; "
            "the file is damaged or another model"
        )


def weights_sha256(directory: Path) -> str | None:
    """The SHA-256 of a directory's ``model.safetensors``, remembered by size and time; None if it has none."""
    path = directory / WEIGHTS_FILE
    return _remembered_sha256(path) if path.is_file() else None


def _remembered_sha256(path: Path) -> str:
    path = path.resolve()
    stat = path.stat()
    memory = _read_memory()
    entry = memory.get(str(path))
    if isinstance(entry, dict) and entry.get("size") == stat.st_size and entry.get("mtime_ns") == stat.st_mtime_ns:
        return str(entry.get("sha256"))
    digest = _sha256(path)
    memory[str(path)] = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest}
    _write_memory({name: value for name, value in memory.items() if Path(name).exists()})
    return digest


def _sha256(path: Path) -> str:
    import hashlib

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _read_memory() -> dict[str, Any]:
    from bothways.errors import BothwaysError
    from bothways.files import read_json

    try:
        memory = read_json(store_directory() / MEMORY_FILE)
    except (BothwaysError, OSError):
        return {}
    return memory if isinstance(memory, dict) else {}


def _write_memory(memory: dict[str, Any]) -> None:
    from bothways.files import write_json

    with suppress(OSError):  # a read-only home: the next start hashes again
        write_json(store_directory() / MEMORY_FILE, memory)
