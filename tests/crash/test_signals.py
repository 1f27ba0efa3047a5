"""Whenever training is told to stop, it says so, leaves nothing half-written, and goes on to the same weights."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks import crash
from tests.crash.conftest import last_line, weights, words


def left_in(directory: Path) -> list[str]:
    """Unfinished files and directories."""
    return [path.name for path in directory.rglob(".*") if path.name != ".lock"]


@pytest.mark.parametrize(
    ("place", "said", "kept"),
    [
        ("reading", r"Stopped\. Nothing half-written is left\.", 0),
        ("encoding", r"Stopped\. Nothing half-written is left\.", 0),
        ("step-3", r"Stopped after step 3 of 9\. .*checkpoint-3 is saved.* Continue with: bothways train", 3),
        ("saving", r"Stopped after step [23] of 9\. .*checkpoint-[23] is saved.* Continue with: bothways train", 2),
        ("closing", r"Stopped after step 3 of 9\. .*checkpoint-3 is saved.* Continue with: bothways train", 3),
        ("evaluating", r"Stopped after step 3 of 9\. .*checkpoint-3 is saved.* Continue with: bothways train", 3),
        ("publishing", r"Stopped before the result was written\. Continue with: bothways train", 8),
    ],
)
def test_sigterm(place, said, kept, train, whole, tmp_path):
    output = tmp_path / "model"
    stopped = train(output, place, signal.SIGTERM)
    assert stopped.returncode == 143
    assert re.search(said, last_line(stopped))
    assert not left_in(tmp_path) and not output.exists()
    assert (tmp_path / "model.unfinished").exists() == bool(kept)
    done = train(output)
    assert done.returncode == 0
    assert weights(output) == whole
    began = re.search(r"Going on from step (\d+)", done.stderr)
    assert int(began[1] if began else 0) >= kept
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("place", ["step-3", "saving"])
def test_the_second_ctrl_c_does_not_wait(place, train, whole, tmp_path):
    output = tmp_path / "model"
    stopped = train(output, place, signal.SIGINT, 2)
    assert stopped.returncode == 130 and last_line(stopped).startswith("Stopped")
    assert not left_in(tmp_path) and not output.exists()
    assert train(output).returncode == 0 and weights(output) == whole


def test_kill_9_at_many_moments(inputs, train, tmp_path):
    """Of real processes, while they train and write; each goes on with what the one before it left."""
    command = [sys.executable, "-m", "bothways", "train", inputs.data, "--model", inputs.model, *crash.TRAINING]
    command += ["--epochs", "8", "-o"]  # 24 steps
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = tmp_path / "killed"
    for step in (4, 12):
        with subprocess.Popen(
            [*command, killed], stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        ) as run:
            while run.poll() is None and not (tmp_path / "killed.unfinished" / f"checkpoint-{step}").exists():
                with suppress(subprocess.TimeoutExpired):
                    run.wait(timeout=0.005)
            run.kill()
        assert run.returncode == -signal.SIGKILL
    again = train(killed, "step-1000", 0, 1, "--epochs", "8")
    assert again.returncode == 0 and int(re.search(r"Going on from step (\d+)", again.stderr)[1]) >= 12
    assert train(tmp_path / "whole", "step-1000", 0, 1, "--epochs", "8").returncode == 0
    assert weights(killed) == weights(tmp_path / "whole")
    assert sorted(os.listdir(tmp_path)) == ["killed", "whole"]


def test_two_runs_into_one_directory(python, inputs, train, whole, tmp_path):
    output = tmp_path / "model"
    first = subprocess.Popen(words(python, inputs, output, "step-5", signal.SIGSTOP), stderr=subprocess.PIPE, text=True)
    waiting = next(int(line.split()[1]) for line in first.stderr if line.endswith("waits\n"))
    second = train(output)
    assert second.returncode == 2
    said = last_line(second)
    assert re.search(
        rf"model\.unfinished \(process {waiting} on \S+, since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\)", said
    )
    assert f"wait for its end, end it (kill {waiting}), or choose another directory" in said
    os.kill(waiting, signal.SIGCONT)
    first.communicate()
    assert first.returncode == 0 and weights(output) == whole
