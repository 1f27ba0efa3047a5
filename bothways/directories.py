"""Directories that are whole or not there: written beside their place, flushed to the disk and renamed.

What is not finished has a hidden name that tells its place, the computer and the process that made it. When that
process was killed, the next one sweeps it away; a directory that had stepped aside for a new one goes back.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bothways.files import flush_to_disk

LONGEST_NAME = 200  # bytes: file systems take 255, and the temporary name is longer

_UNFINISHED, _ASIDE = "tmp", "old"
_HIDDEN = re.compile(
    rf"\.(?P<name>.+)\.(?P<host>[0-9a-f]{{8}})-(?P<process>\d+)-[0-9a-f]{{8}}\.(?P<kind>{_UNFINISHED}|{_ASIDE})", re.S
)
_DAY_S = 86_400
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h

_own_names: set[str] = set()  # a restarted container gives its process the number of the one that was killed


@contextmanager
def publishing(directory: Path) -> Iterator[Path]:
    """Yield a new directory beside ``directory``; on success it takes that place, on failure it is removed.

    What was in that place is replaced in one step where the system can do that (Linux), else it steps aside first. A
    process that is killed leaves the old directory or the new one; between the two renames of the second way, the old
    one waits under a hidden name until the next ``sweep``.
    """
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is no directory, and would be lost", str(directory))
    _make_directories(directory.parent)
    sweep(directory.parent, lambda name: name == directory.name)
    temporary = _hidden(directory, _UNFINISHED)
    try:
        temporary.mkdir()
        yield temporary
        for path in temporary.rglob("*"):
            flush_to_disk(path)
        flush_to_disk(temporary)
        _take_place(temporary, directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def remove_directory(directory: Path) -> None:
    """Remove a directory that is nowhere seen half removed: it gets a hidden name before the first file goes.

    Raises:
        OSError: it cannot be renamed; then nothing has changed.
    """
    hidden = _hidden(directory, _UNFINISHED)
    os.rename(directory, hidden)
    try:
        flush_to_disk(directory.parent)
    finally:
        _delete(hidden)


def sweep(parent: Path, wanted: Callable[[str], bool]) -> None:
    """Clear away what killed processes left in ``parent``; a directory that only stepped aside goes back to its place.

    Left is what a process of this computer made that does not run any more, or what is older than a day: whether a
    process of another computer still runs cannot be asked on a shared file system.

    Args:
        wanted: says for the name of a directory whether its leftovers are meant.
    """
    try:
        names = os.listdir(parent)
    except OSError:  # not there, or not ours to read
        return
    for name in names:
        found = _HIDDEN.fullmatch(name)
        if not found or not wanted(found["name"]) or not _is_left(parent / name, found["host"], int(found["process"])):
            continue
        if found["kind"] == _ASIDE and not os.path.lexists(parent / found["name"]):
            with suppress(OSError):  # another process was faster
                os.rename(parent / name, parent / found["name"])
        else:
            _delete(parent / name)


def is_running(process: int) -> bool:
    """Whether this computer runs a process of that number. Always true on Windows, where asking would end it."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _take_place(temporary: Path, directory: Path) -> None:
    """Rename into place; what was there goes when the new one stands on the disk."""
    old = None
    if not os.path.lexists(directory):
        os.rename(temporary, directory)
    elif _exchange(temporary, directory):
        old = temporary
    else:
        old = _hidden(directory, _ASIDE)
        os.rename(directory, old)
        try:
            os.rename(temporary, directory)
        except BaseException:
            os.rename(old, directory)
            raise
    flush_to_disk(directory.parent)
    if old is not None:
        _delete(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where the system or the file system cannot."""
    import ctypes

    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux
        return False
    return renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0


def _make_directories(directory: Path) -> None:
    """``mkdir`` with parents, each of them flushed: a loss of power must not take the way to what is on the disk."""
    if directory.is_dir():
        return
    _make_directories(directory.parent)
    directory.mkdir(exist_ok=True)
    flush_to_disk(directory.parent)


def _hidden(directory: Path, kind: str) -> Path:
    name = f".{directory.name}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}.{kind}"
    _own_names.add(name)
    return directory.with_name(name)


def _host() -> str:
    """Eight characters for this computer; names of computers can be long and differ only at the end."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _is_left(path: Path, host: str, process: int) -> bool:
    if path.name in _own_names:
        return False
    if host == _host() and (process == os.getpid() or not is_running(process)):
        return True
    try:
        about = path.lstat()
    except OSError:
        return False
    return time.time() - max(about.st_mtime, about.st_ctime) > _DAY_S  # only the second knows of renames


def _delete(path: Path) -> None:
    """As far as that is possible: what stays has a hidden name, and a later sweep tries again."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
