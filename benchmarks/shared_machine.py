"""Other work on the same cores: how long one command takes alone, and beside processes that are never idle.

python -m benchmarks.shared_machine
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._common import Table, add_common_options, at_least, fail, spread, write_result
from bothways.cli import SPINS
from bothways.errors import BothwaysError

BUSY = "while True: pass"
COMMAND = ("-m", "bothways", "demo", "--output")
SETTINGS = {
    "as it comes": {},
    "OpenMP's own": {"GOMP_SPINCOUNT": "300000"},
    "sleep at once": {"OMP_WAIT_POLICY": "passive"},
}
"""What is set in the environment: nothing, the default of GNU's OpenMP, and no active waiting."""


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.shared_machine", description=(__doc__ or "").split("\n")[0]
    )
    add_common_options(parser, repeats=3)
    parser.add_argument("--busy", type=at_least(1), default=os.cpu_count(), help="processes beside it")
    parser.add_argument("--limit", type=at_least(1), default=600, help="seconds after which a command is ended")
    args = parser.parse_args(arguments)
    measured: dict[str, dict[str, list[float]]] = {name: {"alone": [], "beside": []} for name in SETTINGS}
    for _ in range(args.repeats):
        for name, setting in SETTINGS.items():
            measured[name]["alone"].append(timed(setting, args.threads, args.limit))
            with busy(args.busy):
                measured[name]["beside"].append(timed(setting, args.threads, args.limit))
    return write_result("shared-machine", args, [table(measured, args)], {"seconds": measured})


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that are never idle."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def timed(setting: dict[str, str], threads: int, limit: float) -> float:
    """Seconds of ``bothways demo`` in a process of its own; ``limit`` if it did not end by then.

    Raises:
        BothwaysError: the command failed.
    """
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    environment |= {"OMP_NUM_THREADS": str(threads), **setting}
    with tempfile.TemporaryDirectory() as place:
        start = time.perf_counter()
        command = [sys.executable, *COMMAND, str(Path(place, "demo"))]
        try:
            ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            return limit
        if ended.returncode:
            raise BothwaysError(f"bothways demo ended with code {ended.returncode}:\n{ended.stderr[-2000:]}")
        return time.perf_counter() - start


def table(measured: dict[str, dict[str, list[float]]], args: Any) -> Table:
    """Seconds by how threads wait."""
    rows = tuple(
        (name, ", ".join(f"{k}={v}" for k, v in SETTINGS[name].items()) or f"GOMP_SPINCOUNT={SPINS}")
        + tuple(spread(runs[where]) for where in ("alone", "beside"))
        for name, runs in measured.items()
    )
    return Table(
        title="bothways demo on a shared machine",
        columns=("how threads wait", "environment", "alone, s", f"beside {args.busy} busy processes, s"),
        rows=rows,
        notes=(f"Medians (range) of {args.repeats}, in turns. A command that took longer counts as {args.limit} s.",),
    )


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)
