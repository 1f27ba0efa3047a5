"""Directories that are whole or not there, and which leftovers are swept away."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from bothways import directories
from bothways.directories import publishing, remove_directory, sweep

HERE = directories._host()


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(30)
    return process.pid


def left(parent, process, kind="tmp", host=HERE, name="run"):
    path = parent / f".{name}.{host}-{process}-0123abcd.{kind}"
    path.mkdir(parents=True)
    (path / "file").write_text(kind)
    return path


def names(parent):
    return sorted(path.name for path in parent.iterdir())


@pytest.mark.parametrize("exchange", [True, False])
def test_the_new_directory_takes_the_place_of_the_old_one(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(directories, "_exchange", lambda *paths: False)
    for content in ("1", "2"):
        with publishing(tmp_path / "a" / "run") as temporary:
            (temporary / content).write_text(content)
            assert temporary.parent == tmp_path / "a" and temporary.name.startswith(".run.")
    assert names(tmp_path / "a") == ["run"] and names(tmp_path / "a" / "run") == ["2"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_failure_leaves_the_old_one(tmp_path, monkeypatch, exchange):
    with publishing(tmp_path / "run") as temporary:
        (temporary / "1").write_text("1")
    with pytest.raises(ZeroDivisionError), publishing(tmp_path / "run"):
        raise ZeroDivisionError
    assert names(tmp_path) == ["run"]

    monkeypatch.setattr(directories, "_exchange", lambda *paths: False)
    plain = os.rename

    def rename(one, other):
        if str(one).endswith(".tmp"):
            raise PermissionError
        plain(one, other)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(PermissionError), publishing(tmp_path / "run"):
        pass
    assert names(tmp_path) == ["run"] and names(tmp_path / "run") == ["1"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no such call")
def test_two_names_are_exchanged_in_one_step(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").write_text("")
    if not directories._exchange(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this file system cannot")
    assert (tmp_path / "one").is_file() and (tmp_path / "other").is_dir()
    assert not directories._exchange(tmp_path / "one", tmp_path / "nowhere")


def test_the_longest_name_fits(tmp_path):
    with publishing(tmp_path / ("n" * directories.LONGEST_NAME)) as temporary:
        (temporary / "1").write_text("1")
    assert len(names(tmp_path)) == 1


def test_the_permissions_are_the_usual_ones(tmp_path):
    with publishing(tmp_path / "run"):
        pass
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "run").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_leftovers_of_dead_processes_go(tmp_path, dead):
    left(tmp_path, dead)
    (tmp_path / f".run.{HERE}-{dead}-0123abce.tmp").write_text("a file")
    left(tmp_path, os.getpid())  # of an earlier process that had this number: this one did not make it
    sweep(tmp_path, lambda name: name == "run")
    assert names(tmp_path) == []


def test_what_may_be_in_use_stays(tmp_path, dead):
    stay = [
        left(tmp_path, os.getppid()),
        left(tmp_path, dead, host="00000000"),
        left(tmp_path, dead, name="run.other"),
        left(tmp_path, dead, name="other"),
    ]
    (tmp_path / f".run.{HERE}-{dead}.tmp").mkdir()  # not a name of ours
    with publishing(tmp_path / "run") as temporary:
        sweep(tmp_path, lambda name: name == "run")
        assert temporary.is_dir()
    assert names(tmp_path) == sorted([path.name for path in stay] + [f".run.{HERE}-{dead}.tmp", "run"])


def test_what_is_older_than_a_day_goes(tmp_path, monkeypatch, dead):
    left(tmp_path, os.getppid())
    left(tmp_path, dead, host="00000000")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86_300)
    sweep(tmp_path, lambda name: True)
    assert len(names(tmp_path)) == 2
    monkeypatch.setattr(time, "time", lambda: now + 86_500)
    sweep(tmp_path, lambda name: True)
    assert names(tmp_path) == []


def test_what_stepped_aside_goes_back_if_its_place_is_empty(tmp_path, dead):
    left(tmp_path, dead, "old")
    left(tmp_path, dead, "tmp")
    sweep(tmp_path, lambda name: True)
    assert names(tmp_path) == ["run"] and (tmp_path / "run" / "file").read_text() == "old"
    left(tmp_path, dead, "old")
    (tmp_path / "run" / "file").write_text("new")
    sweep(tmp_path, lambda name: True)
    assert names(tmp_path) == ["run"] and (tmp_path / "run" / "file").read_text() == "new"


def test_a_directory_that_is_not_there_is_swept_in_silence(tmp_path):
    sweep(tmp_path / "nowhere", lambda name: True)


@pytest.mark.parametrize("name", ["run", "[a-z]*", "a b\n", "größe", ".hidden"])
def test_any_name_is_swept_and_removed(tmp_path, dead, name):
    left(tmp_path, dead, name=name)
    with publishing(tmp_path / name) as temporary:
        (temporary / "1").write_text("1")
    assert names(tmp_path) == [name]
    remove_directory(tmp_path / name)
    assert names(tmp_path) == []


def test_nothing_is_removed_before_the_name_is_hidden(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "1").write_text("1")
    monkeypatch.setattr(directories, "_delete", lambda path: None)
    remove_directory(tmp_path / "run")
    (hidden,) = tmp_path.iterdir()
    assert hidden.name.startswith(".run.") and hidden.name.endswith(".tmp") and (hidden / "1").exists()


def test_processes_run_or_not(dead):
    assert directories.is_running(os.getpid()) and directories.is_running(1)
    assert not directories.is_running(dead) and not directories.is_running(2**70)
