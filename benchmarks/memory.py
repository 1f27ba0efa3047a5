"""Memory: prediction over a file of a million short lines, against the same over a thousand.

python -m benchmarks.memory --lines 1000 100000 1000000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks._common import Table, add_common_options, at_least, fail, write_result
from benchmarks._models import Maker
from benchmarks._processes import Cost, bothways_command, run_measured
from benchmarks._texts import short_lines
from benchmarks._workers import Worker
from bothways.errors import BothwaysError

LIMIT = 1000
"""Megabytes above the model that prediction over a million short lines may take."""

GENERATOR = """
import sys
from bothways import pipeline

def texts():
    with open(sys.argv[2], encoding="utf-8") as lines:
        for line in lines:
            yield line.rstrip("\\n")

for answer in pipeline("text-classification", model=sys.argv[1])(texts()):
    pass
"""


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    args = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="bothways-bench-") as folder:
        model = make_model(args, Path(folder))
        costs = {count: predict_lines(args, model, Path(folder), count) for count in sorted(set(args.lines))}
    raw = {"costs": {str(count): asdict(cost) for count, cost in costs.items()}}
    return write_result("memory", args, [memory_table(args.route, costs)], raw)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=(__doc__ or "").split("\n")[0])
    add_common_options(parser, repeats=None)
    parser.add_argument(
        "--lines", type=at_least(1), nargs="+", default=[1000, 100_000, 1_000_000], help="numbers of lines"
    )
    parser.add_argument(
        "--model", default="minilm-l6", help="encoder, or with --as-is a classifier: a name or directory"
    )
    parser.add_argument("--as-is", action="store_true", help="--model has a head already")
    parser.add_argument(
        "--route", choices=("command", "pipeline"), default="command", help="bothways predict, or Python"
    )
    return parser.parse_args(arguments)


def make_model(args: argparse.Namespace, folder: Path) -> Path:
    """A directory with a classifier."""
    from bothways.resolver import resolve_model

    source = resolve_model(args.model)
    if args.as_is:
        return source
    with Worker("preparation", Maker, args.threads) as maker:
        maker.ask("classifier", source, folder / "classifier", 0)
    return folder / "classifier"


def predict_lines(args: argparse.Namespace, model: Path, folder: Path, count: int) -> Cost:
    """Answer ``count`` lines in a process of its own."""
    lines = folder / "lines.txt"
    short_lines(lines, count)
    if args.route == "command":
        command = bothways_command("predict", str(model), str(lines), "--output", str(folder / "answers.jsonl"))
    else:
        command = [sys.executable, "-c", GENERATOR, str(model), str(lines)]
    return run_measured(command, args.threads)


def memory_table(route: str, costs: dict[int, Cost]) -> Table:
    """Peak memory by the number of lines, and what is above that of the fewest, which the model and libraries take."""
    base = costs[min(costs)].peak_megabytes
    rows = []
    for count, cost in costs.items():
        above = cost.peak_megabytes - base
        reached = "–" if count == min(costs) else "yes" if above < LIMIT else "no"
        rate = f"{count / cost.seconds:,.0f}"
        rows.append(
            (f"{count:,}", f"{cost.peak_megabytes:,.0f}", f"{above:,.0f}", rate, f"{cost.seconds:,.0f}", reached)
        )
    what = "bothways predict" if route == "command" else "the pipeline over a generator"
    return Table(
        title="Memory of prediction",
        columns=("lines", "peak, MB", "above the first, MB", "lines/s", "seconds", f"below {LIMIT:,} MB"),
        rows=tuple(rows),
        notes=(f"Peak resident memory of a process of its own, by {what}; lines of three to twelve words.",),
    )


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)
