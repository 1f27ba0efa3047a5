"""Commands in processes of their own, with the time and the memory that they took."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._workers import thread_environment
from bothways.errors import BothwaysError


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of wall-clock time, and the largest resident memory, in 10^6 bytes."""

    seconds: float
    peak_megabytes: float


def run_measured(command: Sequence[str], threads: int, output: Path | None = None) -> Cost:
    """Run a command to its end.

    The system counts into the peak of a new process what its parent had in memory: a caller must have loaded little.

    Args:
        threads: of every thread pool.
        output: file for its standard output; None throws that away.

    Raises:
        BothwaysError: it failed; the message ends with what it said.
    """
    environment = {**os.environ, **thread_environment(threads)}
    with tempfile.TemporaryFile() as errors, open(output or os.devnull, "wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            said = errors.read()[-2000:].decode(errors="replace")
            raise BothwaysError(f"{' '.join(command)} ended with code {process.returncode}:\n{said}")
    # Linux counts KiB, macOS bytes
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds=seconds, peak_megabytes=usage.ru_maxrss * unit / 1e6)


def bothways_command(*arguments: str) -> list[str]:
    """The command line of this library, run by this Python."""
    return [sys.executable, "-c", "from bothways.cli import main; main()", *arguments]
