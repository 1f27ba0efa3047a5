"""A model directory that is whole or not there: written beside its place, flushed and renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bothways.errors import UsageError
from bothways.files import flush_to_disk, read_json, umask

MANIFEST = "bothways.json"
LONGEST_NAME = 200  # bytes: file systems take 255, and the temporary name is longer


def check_output(directory: Path, inputs: Sequence[Path] = ()) -> None:
    """Refuse, before any work, a place where the result could not be put, or where it would replace other things.

    Args:
        directory: where the result is to be.
        inputs: files that are read; none may lie in the directory.

    Raises:
        UsageError: a file, a directory with things that no run wrote, or one that cannot be written.
    """
    what = f"--output {directory}"
    parent = _existing_parent(directory)
    if directory.is_file() or not parent.is_dir():
        found = directory if directory.is_file() else parent
        raise UsageError(f"{what}: {found} is a file; give a directory for the model.")
    if len(os.fsencode(directory.name)) > LONGEST_NAME:
        raise UsageError(f"{what}: the name has {len(os.fsencode(directory.name))} bytes; at most {LONGEST_NAME} fit.")
    if directory.is_dir():
        _check_existing(directory, what, inputs)
        parent = directory.parent
    try:
        os.rmdir(tempfile.mkdtemp(dir=parent, prefix=".bothways-"))
    except OSError as problem:
        raise UsageError(f"{what}: cannot write in {parent} ({problem.strerror}). Choose another directory.") from None


def _check_existing(directory: Path, what: str, inputs: Sequence[Path]) -> None:
    if directory == Path.cwd():
        raise UsageError(f"{what} is the current directory, which cannot be replaced; give a new one inside it.")
    if os.path.ismount(directory):
        raise UsageError(f"{what} is a mount point, which cannot be replaced; give a directory inside it.")
    names = {path.name for path in directory.iterdir()}
    if names and MANIFEST not in names:
        raise UsageError(
            f"{what} is not empty ({_some(names)}) and not an earlier result (no {MANIFEST}). Choose a new directory."
        )
    inside = [path for path in inputs if directory in path.resolve().parents]
    own = set(read_json(directory / MANIFEST, error=UsageError).get("files", ())) if names else set()
    foreign = {path.name for path in inside} | (names - own - {MANIFEST})
    if foreign:
        raise UsageError(
            f"{what} is an earlier result, but {_some(foreign)} in it is not from that run and would be lost. "
            "Move it away, or choose a new directory."
        )


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:4]) + (f" and {len(ordered) - 4} more" if len(ordered) > 4 else "")


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
    """The nearest parent that is there, be it a directory or not."""
    return next(parent for parent in directory.parents if parent.exists())
