"""A model directory that is whole or not there: written beside its place, flushed and renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bothways.errors import UsageError
from bothways.files import flush_to_disk, umask

MANIFEST = "bothways.json"


def check_output(directory: Path) -> None:
    """Refuse, before any work, a place where the result could not be put.

    Raises:
        UsageError: a file, a directory with other things in it, or one that cannot be written.
    """
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"--output {directory} is a file; give a directory for the model.")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / MANIFEST).is_file():
        shown = ", ".join(sorted(p.name for p in directory.iterdir())[:4])
        raise UsageError(
            f"--output {directory} is not empty ({shown}) and not an earlier result (no {MANIFEST}). "
            "Choose a new directory."
        )
    parent = _existing_parent(directory)
    if not os.access(parent, os.W_OK):
        raise UsageError(f"--output {directory}: no permission to write in {parent}.")


@contextmanager
def publishing(directory: Path) -> Iterator[Path]:
    """Yield a new directory beside ``directory``; on success it takes that place, on failure it is removed."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    _sweep(directory)
    prefix = f".{directory.name}.{os.getpid()}."
    temporary = Path(tempfile.mkdtemp(dir=directory.parent, prefix=prefix, suffix=".tmp"))
    os.chmod(temporary, 0o777 & ~umask())
    try:
        yield temporary
        for path in temporary.rglob("*"):
            flush_to_disk(path)
        flush_to_disk(temporary)
        _take_place(temporary, directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _take_place(temporary: Path, directory: Path) -> None:
    """Rename into place; an earlier result steps aside first and goes when the new one stands."""
    old = None
    if directory.exists():
        old = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}.", suffix=".old"))
        os.replace(directory, old / directory.name)
    try:
        os.replace(temporary, directory)
    except BaseException:
        if old is not None:
            os.replace(old / directory.name, directory)
        raise
    finally:
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
    flush_to_disk(directory.parent)


def _sweep(directory: Path) -> None:
    """Remove what killed runs left beside the directory: their process number is in the name, and nobody has it now."""
    for left in directory.parent.glob(f".{directory.name}.*.tmp"):
        number = left.name.removeprefix(f".{directory.name}.").partition(".")[0]
        if number.isdigit() and not _is_running(int(number)):
            shutil.rmtree(left, ignore_errors=True)


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return True  # asking would end it there
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _existing_parent(directory: Path) -> Path:
    for parent in (directory, *directory.absolute().parents):
        if parent.is_dir():
            return parent
    return Path("/")
