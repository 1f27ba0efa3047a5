"""ckpt-chaos kills training at its file events; the same command goes on to the same bytes, and loses no checkpoint.

Here an even sample of the points; ``benchmarks/crash.py`` takes all, and the reference's Trainer beside ours.
"""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from benchmarks.crash import CASES, PROGRAMS, crash


@pytest.mark.parametrize(
    ("case", "points", "modes"),
    [
        ("command", 6, "before,torn,term"),
        ("job", 6, "before,torn,term"),
        ("last", 6, "before,torn,term"),
        ("newest", 2, "torn"),
        ("first-of-two", 2, "before"),
    ],
)
def test_killed_anywhere_the_same_command_goes_on_to_the_same_weights(case, points, modes, python, inputs, tmp_path):
    found = crash(CASES[case], tmp_path / "work", inputs, python, points=points, modes=modes, jobs=2)
    assert [point["verdict"] for point in found] == ["PASS"] * (points + 1), found
    assert any(point["resumed_from_step"] for point in found[1:])  # else nothing was gone on with, nothing is proved
    if CASES[case].checkpoints:
        assert any(point["newest_complete_step"] for point in found[1:])


def test_of_two_processes_only_the_first_changes_files(python, inputs, tmp_path):
    assert crash(CASES["second-of-two"], tmp_path / "work", inputs, python, points=2) == []


def test_when_the_second_process_dies_both_go_on_together(python, tmp_path):
    def both(output: Path, **environment: str) -> list[tuple[int, str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        ranks = [
            {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
            for rank in range(2)
        ]
        words = [*python, str(PROGRAMS / "own_script.py"), "bothways", str(output)]
        started = [
            subprocess.Popen(
                words,
                env={**os.environ, "MASTER_PORT": port, **rank, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in ranks
        ]
        said = [process.communicate()[0] for process in started]
        return [(process.returncode, text) for process, text in zip(started, said, strict=True)]

    whole = both(tmp_path / "whole")
    assert [code for code, _ in whole] == [0, 0], whole
    (first, said), (second, _) = both(tmp_path / "one", DIES="1:6")
    assert first != 0 and second == 137
    again = both(tmp_path / "one")
    assert all(code == 0 and "training begins at step 4" in said for code, said in again), again
    files = [tmp_path / name / "final" / "model.safetensors" for name in ("whole", "one")]
    assert files[0].read_bytes() == files[1].read_bytes()
