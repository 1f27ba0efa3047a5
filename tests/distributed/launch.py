"""Real processes of torchrun."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 240.0
"""Seconds after which a launch has hung. It is far more than one needs; nothing is asserted about the time."""


def start(*words: object, processes: int = 2) -> subprocess.Popen[str]:
    """``torchrun`` with ``words`` after its own options: ``-m module ...`` or a script."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [*command, *map(str, words)],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, standard output and error; a launch that hangs is ended and fails."""
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.terminate()
        out, err = process.communicate()
        raise AssertionError(f"torchrun hung for {LIMIT:.0f} s\n{out}\n{err}") from None
    return process.returncode, out, err
