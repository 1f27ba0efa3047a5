"""A process that starts programs quickly, and what they train on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("ckpt_chaos")
if not hasattr(os, "pidfd_open"):
    pytest.skip("programs are started and killed by means of Linux", allow_module_level=True)

from benchmarks import crash


@pytest.fixture(scope="session")
def python(tmp_path_factory) -> Iterator[tuple[str, ...]]:
    with crash.preloaded(tmp_path_factory.mktemp("crash") / "socket", crash.PRELOADED) as command:
        yield command


@pytest.fixture(scope="session")
def inputs(tmp_path_factory) -> crash.Inputs:
    return crash.make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def train(python, inputs) -> Callable[..., subprocess.CompletedProcess]:
    """Run ``bothways train`` with the signal at the place, and say how it ended."""

    def run(output: Path, place: str = "step-1000", signal: int = 0, times: int = 1, *more: str):
        return subprocess.run(
            words(python, inputs, output, place, signal, times, *more), capture_output=True, text=True
        )

    return run


def words(python, inputs, output: Path, place: str = "step-1000", signal: int = 0, times: int = 1, *more: str):
    started = [*python, str(crash.PROGRAMS / "signalled.py"), place, str(int(signal)), str(times)]
    return [*started, "train", inputs.data, "-o", output, "--model", inputs.model, *crash.TRAINING, *more]


@pytest.fixture(scope="session")
def whole(train, tmp_path_factory) -> bytes:
    """The weights of a run that nothing disturbed."""
    output = tmp_path_factory.mktemp("whole") / "model"
    done = train(output)
    assert done.returncode == 0, done.stderr
    return weights(output)


def weights(output: Path) -> bytes:
    return (output / "model.safetensors").read_bytes()


def last_line(done: subprocess.CompletedProcess) -> str:
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]
