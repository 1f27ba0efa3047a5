"""One run at a time in a directory: a lock that the system takes back however the process ends."""

from __future__ import annotations

import datetime
import errno
import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any

from bothways.directories import is_running
from bothways.errors import UsageError

LOCK_FILE = ".lock"

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)  # from network file systems
_WINDOWS_PLACE = 2**30  # Windows locks bytes and then nobody reads them: one far behind the text is locked

_held: set[int] = set()  # open files of locks; a forked child lets go of them, else it would go on with the lock


class RunLock:
    """Hold ``<directory>/.lock`` in a ``with`` block. The directory is made; the file stays, empty, at the end.

    Attributes:
        note: what the user should know, if the file system has no locks; else None.

    Raises:
        UsageError: another run has the lock, or the directory cannot be written.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self.note: str | None = None
        self._handle: int | None = None

    def __enter__(self) -> RunLock:
        handle = self._open()
        try:
            locked = _lock(handle)
            holder = _read_holder(handle)
            if locked is None:
                self.note = (
                    f"The file system of {self.directory} has no locks: that no second run writes there is known only "
                    f"from {LOCK_FILE} in it."
                )
                locked = not _may_run(holder)
            if not locked:
                raise UsageError(self._taken(holder))
            _write_holder(handle)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        _held.add(handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        handle, self._handle = self._handle, None
        if handle is not None and handle in _held:
            _held.discard(handle)
            os.ftruncate(handle, 0)
            _unlock(handle)
            os.close(handle)

    def _open(self) -> int:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            return os.open(self.directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as problem:
            if isinstance(problem, (FileExistsError, NotADirectoryError)):
                what = "it, or a part of its path, is a file"
            else:
                what = problem.strerror or str(problem)
            raise UsageError(f"No run can write in {self.directory}: {what}. Choose another directory.") from None

    def _taken(self, holder: dict[str, Any]) -> str:
        if not holder:
            return (
                f"Another run is writing in {self.directory}; which one, {LOCK_FILE} in it does not say. Wait for its "
                "end, or choose another directory."
            )
        process, host, since = holder["process"], holder["host"], holder["since"]
        who = f"process {process} on {host}, since {since}"
        if host != socket.gethostname():
            end = f"wait for its end, or choose another directory. If {host} does not run it any more"
            end += f", delete {self.directory / LOCK_FILE}." if self.note else ", its system has not noticed yet."
        elif process == os.getpid():
            end = "that is this process: leave the first run's block before the second begins."
        elif not is_running(process):
            end = "it has ended, but a process that it started still holds the lock: end that one."
        else:
            end = f"wait for its end, end it (kill {process}), or choose another directory."
        return f"Another run is writing in {self.directory} ({who}): {end}"


def _lock(handle: int) -> bool | None:
    """True if the lock is ours now, False if another process has it, None where the file system has none."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(handle, _WINDOWS_PLACE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in _NO_LOCKS:
            return None
        if isinstance(problem, (BlockingIOError, PermissionError)):
            return False
        raise
    return True


def _unlock(handle: int) -> None:
    """Elsewhere closing the file is enough, if no child has it; Windows may take its time then."""
    if os.name == "nt":
        import msvcrt

        os.lseek(handle, _WINDOWS_PLACE, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]


def _read_holder(handle: int) -> dict[str, Any]:
    """Who wrote the file last and did not leave in peace; empty if nobody, or if the text is of another kind."""
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        holder = json.loads(os.read(handle, 4_096))
    except ValueError:
        return {}
    known = isinstance(holder, dict) and {"process", "host", "since"} <= set(holder)
    return holder if known and type(holder["process"]) is int else {}


def _write_holder(handle: int) -> None:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    holder = {"process": os.getpid(), "host": socket.gethostname(), "since": now}
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, json.dumps(holder).encode() + b"\n")


def _may_run(holder: dict[str, Any]) -> bool:
    """Whether the process that wrote the file may run still; of another computer's nobody can tell."""
    return bool(holder) and (holder["host"] != socket.gethostname() or is_running(holder["process"]))


def _let_go_in_child() -> None:
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
