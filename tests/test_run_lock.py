"""A second run is refused and told by whom; a run that is killed holds nothing."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from bothways.errors import UsageError
from bothways.run_lock import RunLock

fcntl = pytest.importorskip("fcntl")

HOLD = """
import os, sys
from bothways.run_lock import RunLock
with RunLock(sys.argv[1]) as lock:
    if sys.argv[2] == "fork":
        begun, begins = os.pipe()
        if os.fork() == 0:
            os.write(begins, b"1")
            sys.stdin.read()  # goes on when the process that made it is killed
            os._exit(0)
        os.read(begun, 1)  # a child that has not run yet could not have let go of the lock
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holder(directory, way="alone"):
    """Another process that holds the lock, until a line is written to it or it is killed."""
    words = [sys.executable, "-c", HOLD, str(directory), way]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()
            process.stdin.close()


def test_a_second_run_is_told_which_one_is_first(tmp_path):
    with holder(tmp_path) as first:
        with pytest.raises(UsageError) as problem, RunLock(tmp_path):
            pass
        said = rf"Another run is writing in {tmp_path} \(process {first.pid} on {socket.gethostname()}, since (.*)\): "
        said += rf"wait for its end, end it \(kill {first.pid}\), or choose another directory\."
        assert re.fullmatch(said, str(problem.value))
        assert re.search(r"since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\)", str(problem.value))
        first.stdin.write("\n")
        first.stdin.flush()
        assert first.wait(30) == 0
        with RunLock(tmp_path) as lock:
            assert lock.note is None
        assert (tmp_path / ".lock").read_bytes() == b""


@pytest.mark.parametrize("way", ["alone", "fork"])  # a worker that outlives the run by a moment keeps no lock
def test_kill_9_frees_the_lock(tmp_path, way):
    with holder(tmp_path, way) as first:
        os.kill(first.pid, signal.SIGKILL)
        first.wait(30)
        assert json.loads((tmp_path / ".lock").read_text())["process"] == first.pid
        with RunLock(tmp_path):
            assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()


def test_other_directories_are_free_and_made(tmp_path):
    with RunLock(tmp_path / "a" / "one"), RunLock(tmp_path / "two"):
        assert (tmp_path / "a" / "one").is_dir()
    with RunLock(tmp_path / "two"):
        pass


def test_one_process_twice(tmp_path):
    with RunLock(tmp_path):
        with pytest.raises(UsageError, match="that is this process: leave the first run's block"), RunLock(tmp_path):
            pass
        with pytest.raises(UsageError), RunLock(tmp_path):  # and the refusal has not freed it
            pass
    with RunLock(tmp_path):
        pass


def test_an_error_in_the_block_frees_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), RunLock(tmp_path):
        raise ZeroDivisionError
    with RunLock(tmp_path):
        pass


def hold_with_text(directory, text):
    handle = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT)
    os.write(handle, text.encode())
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def written_by(process: int, host: str) -> str:
    return json.dumps({"process": process, "host": host, "since": "2026-03-04T05:06:07+00:00"})


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"process": "x", "host": 1, "since": 2}', "x" * 10_000, "\udcff"])
def test_a_lock_file_of_any_text(tmp_path, text):
    handle = hold_with_text(tmp_path, text.encode("utf-8", "replace").decode())
    with pytest.raises(UsageError, match="which one, .lock in it does not say"), RunLock(tmp_path):
        pass
    os.close(handle)
    with RunLock(tmp_path):
        pass


def test_the_system_of_another_computer_has_not_noticed_an_end(tmp_path):
    os.close(hold_with_text(tmp_path, ""))
    handle = hold_with_text(tmp_path, written_by(5, "elsewhere"))
    said = r"process 5 on elsewhere, since 2026-03-04T05:06:07\+00:00\): wait for its end.*has not noticed yet\."
    with pytest.raises(UsageError, match=said), RunLock(tmp_path):
        pass
    os.close(handle)


def test_a_child_that_holds_what_its_parent_left(tmp_path):
    handle = hold_with_text(tmp_path, written_by(ended_process(), socket.gethostname()))
    with pytest.raises(UsageError, match="a process that it started still holds the lock"), RunLock(tmp_path):
        pass
    os.close(handle)


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(30)
    return process.pid


# File systems without locks


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def no_locks(request, monkeypatch):
    def flock(handle, how):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


def test_without_locks_the_file_is_believed(tmp_path, no_locks):
    with RunLock(tmp_path) as lock:
        assert "has no locks" in lock.note and ".lock" in lock.note
        with pytest.raises(UsageError, match="that is this process"), RunLock(tmp_path):
            pass
    with RunLock(tmp_path):
        pass


def test_without_locks_a_running_process_is_respected_and_a_dead_one_is_not(tmp_path, no_locks):
    with holder(tmp_path) as first:
        with pytest.raises(UsageError, match=rf"end it \(kill {first.pid}\)"), RunLock(tmp_path):
            pass
        first.kill()
        first.wait(30)
        with RunLock(tmp_path):
            pass


def test_without_locks_another_computer_is_respected(tmp_path, no_locks):
    (tmp_path / ".lock").write_text(written_by(5, "elsewhere"))
    with pytest.raises(UsageError) as problem, RunLock(tmp_path):
        pass
    assert f"If elsewhere does not run it any more, delete {tmp_path / '.lock'}." in str(problem.value)


# Places where no run can write


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_place_of_the_directory(tmp_path, below):
    (tmp_path / "run").write_text("")
    said = "No run can write in .*run.*: it, or a part of its path, is a file. Choose another directory"
    with pytest.raises(UsageError, match=said), RunLock(tmp_path / "run" / below):
        pass


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_directory_that_cannot_be_written(tmp_path, monkeypatch, code):
    def refuse(path, *rest):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UsageError, match=f"No run can write in {tmp_path}: {os.strerror(code)}"), RunLock(tmp_path):
        pass


def test_another_trouble_with_the_lock_is_said(tmp_path, monkeypatch):
    def flock(handle, how):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error"), RunLock(tmp_path):
        pass
