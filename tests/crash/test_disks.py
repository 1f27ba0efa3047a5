"""Disks that are full, not writable or damaged: what is said, what the exit code is, and what can be gone on from."""

from __future__ import annotations

import shutil
import signal

import pytest

from tests.crash.conftest import last_line, weights


@pytest.fixture(scope="module")
def left(train, tmp_path_factory):
    output = tmp_path_factory.mktemp("left") / "model"
    assert train(output, "step-6", signal.SIGTERM).returncode == 143
    names = sorted(path.name for path in output.with_name("model.unfinished").glob("checkpoint-*"))
    assert names == ["checkpoint-4", "checkpoint-6"]
    return output.parent


@pytest.fixture
def stopped(left, tmp_path):
    """A run that was left with checkpoint-4 and checkpoint-6."""
    shutil.copytree(left, tmp_path, dirs_exist_ok=True)
    return tmp_path / "model"


def test_a_disk_without_room_for_the_next_checkpoint(stopped, train, whole):
    full = train(stopped, "full-60000")
    assert full.returncode == 1
    said = last_line(full)
    assert "checkpoint-8 could not be written: File too large." in said
    assert "The last good one is checkpoint-6 of" in said and "a new start goes on from it." in said
    names = sorted(path.name for path in stopped.with_name("model.unfinished").iterdir())
    assert names == [".lock", "checkpoint-4", "checkpoint-6", "run.json"]
    freed = train(stopped)
    assert freed.returncode == 0 and "Going on from step 6" in freed.stderr and weights(stopped) == whole


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    return content[:-100] + bytes([content[-100] ^ 4]) + content[-99:]


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("optimizer.safetensors", _cut, "optimizer.safetensors has 37,250 bytes"),
        ("trained.safetensors", _flip, "the content of trained.safetensors is not what was written (sha256"),
        ("fit.json", _flip, "the content of fit.json is not what was written (sha256"),
        ("checkpoint.json", _cut, "checkpoint.json is not JSON"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_passed_over(name, damage, reason, stopped, train, whole):
    file = stopped.with_name("model.unfinished") / "checkpoint-6" / name
    content = file.read_bytes()
    file.write_bytes(damage(content))
    reason = reason.replace("37,250", f"{len(content) // 2:,}")
    done = train(stopped)
    assert done.returncode == 0 and weights(stopped) == whole
    assert f"checkpoint-6 was skipped: {reason}" in done.stderr and "Going on from step 4 " in done.stderr


def test_without_any_good_checkpoint_it_begins_again_and_says_so(stopped, train, whole):
    for step in (4, 6):
        (stopped.with_name("model.unfinished") / f"checkpoint-{step}" / "fit.json").unlink()
    done = train(stopped)
    assert done.returncode == 0 and weights(stopped) == whole and "Going on" not in done.stderr
    assert "checkpoint-6 was skipped: fit.json is missing." in done.stderr
    assert "checkpoint-4 was skipped: fit.json is missing." in done.stderr


def test_a_place_that_cannot_be_written(train, tmp_path):
    (tmp_path / "file").write_text("")
    for output, said in [
        ("/proc/bothways/model", "cannot write in /proc ("),
        (tmp_path / "file" / "model", f"{tmp_path / 'file'} is a file; give a directory for the model."),
        (tmp_path / "file", f"{tmp_path / 'file'} is a file; give a directory for the model."),
    ]:
        done = train(output)
        assert done.returncode == 2 and said in last_line(done)


def test_a_run_without_a_checkpoint_is_not_in_the_way_of_a_corrected_command(train, tmp_path):
    wrong = train(tmp_path / "model", "step-1000", 0, 1, "--text-column", "nothing")
    assert wrong.returncode == 2 and "column 'nothing' not found" in last_line(wrong)
    assert list(tmp_path.iterdir()) == []
    killed = train(tmp_path / "model", "step-1", signal.SIGKILL)
    assert killed.returncode == 137 and (tmp_path / "model.unfinished").is_dir()
    assert train(tmp_path / "model", "step-1000", 0, 1, "--seed", "7").returncode == 0
