"""Start-up: how long an import and ``--help`` take, in fresh processes.

python -m benchmarks.startup
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._common import Table, at_least, fail, is_installed, spread, write_result
from bothways.errors import BothwaysError

EMPTY = "python -c pass"
IMPORT = "import bothways"
HELP = "bothways --help"
LIMITS = {IMPORT: 150, HELP: 300}
"""Milliseconds promised: of the import itself, and of the whole command."""

TIMED_IMPORT = """
import sys, time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start, int("torch" in sys.modules))
"""


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=at_least(1), default=10, help="processes of each kind")
    parser.add_argument("--out", type=Path, help="JSON file; by default one in benchmarks/results with the hardware")
    args = parser.parse_args(arguments)
    tasks = commands()
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in tasks}
    for repetition in range(args.repeats + 1):
        for name, command in tasks.items():
            one = run(command)
            if repetition:  # the first one fills the disk cache and writes the byte code
                measured[name].append(one)
    return write_result("startup", args, [startup_table(measured)], {"runs": measured})


def commands() -> dict[str, list[str]]:
    """The commands by what the table calls them."""
    script = Path(sys.executable).with_name("bothways")
    call = [str(script)] if script.is_file() else [sys.executable, "-c", "from bothways.cli import main; main()"]
    found = {
        EMPTY: [sys.executable, "-c", "pass"],
        IMPORT: [sys.executable, "-c", TIMED_IMPORT.format(module="bothways")],
        HELP: [*call, "--help"],
        "import torch": [sys.executable, "-c", TIMED_IMPORT.format(module="torch")],
    }
    if is_installed("transformers"):
        found["import transformers"] = [sys.executable, "-c", TIMED_IMPORT.format(module="transformers")]
    return found


def run(command: Sequence[str]) -> dict[str, Any]:
    """Seconds of the whole process; for an import also of itself, and whether torch came with it.

    Raises:
        BothwaysError: the command failed.
    """
    start = time.perf_counter()
    process = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise BothwaysError(f"{' '.join(command)} ended with code {process.returncode}:\n{process.stderr[-2000:]}")
    words = process.stdout.split()
    if command[-1].lstrip().startswith("import sys, time"):
        return {"seconds": seconds, "import_seconds": float(words[-2]), "with_torch": words[-1] == "1"}
    return {"seconds": seconds}


def startup_table(measured: dict[str, list[dict[str, Any]]]) -> Table:
    """Milliseconds, and what was promised."""
    rows = []
    for name, runs in measured.items():
        whole = [1000 * one["seconds"] for one in runs]
        inside = [1000 * one["import_seconds"] for one in runs if "import_seconds" in one]
        limit = LIMITS.get(name)
        reached = "–"
        if limit is not None:
            reached = "yes" if statistics.median(inside or whole) < limit else "no"
        torch = {one.get("with_torch") for one in runs}
        rows.append(
            (
                name,
                spread(whole),
                spread(inside) if inside else "–",
                "–" if torch == {None} else "yes" if True in torch else "no",
                "–" if limit is None else f"< {limit}",
                reached,
            )
        )
    return Table(
        title="Start-up",
        columns=("command", "whole process, ms", "import, ms", "loads torch", "wanted, ms", "reached"),
        rows=tuple(rows),
        notes=(f"Medians (range) of {len(next(iter(measured.values())))} fresh processes of each kind, in turns.",),
    )


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)
