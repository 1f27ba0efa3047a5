"""Training in two processes with one thread each, against one process with two threads: the same steps.

python -m benchmarks.two_processes --data DIR
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._common import Table, add_common_options, at_least, fail, median_ratio, spread, write_result
from benchmarks._models import Maker
from benchmarks._processes import run_measured
from benchmarks._texts import sentences
from benchmarks._workers import Worker
from bothways.errors import BothwaysError, UsageError
from bothways.files import read_json, write_json

WANTED = 0.9
"""Share of the throughput of one process that several with the same threads in all are to reach."""
GLOBAL_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Arm:
    """So many processes, each with so many threads."""

    processes: int
    threads: int

    @property
    def title(self) -> str:
        """Example: ``2 × 1``."""
        return f"{self.processes} × {self.threads}"


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    args = parse(arguments)
    arms = [Arm(processes=1, threads=args.threads), Arm(processes=args.threads, threads=1)]
    readings: dict[str, list[dict[str, Any]]] = {arm.title: [] for arm in arms}
    with tempfile.TemporaryDirectory(prefix="bothways-bench-") as name:
        folder = Path(name)
        prepare(args, folder)
        for repetition in range(args.repeats):
            for arm in arms if repetition % 2 == 0 else reversed(arms):
                readings[arm.title].append(train(args, arm, folder))
    return write_result("two-processes", args, [processes_table(args, arms, readings)], {"steps": readings})


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.two_processes", description=(__doc__ or "").split("\n")[0]
    )
    add_common_options(parser, data=True)
    parser.add_argument("--steps", type=at_least(1), default=60, help="steps of a repetition")
    parser.add_argument("--warm-up", type=at_least(0), default=5, help="steps before them that do not count")
    parser.add_argument("--texts", type=at_least(8), help="only the first of the training sentences")
    parser.add_argument("--model", default="minilm-l6", help="encoder: a name or a directory with vocab.txt")
    args = parser.parse_args(arguments)
    if args.threads < 2 or GLOBAL_BATCH % args.threads:
        fail(UsageError(f"--threads is {args.threads}; expected 2 or more, and a divisor of {GLOBAL_BATCH}."))
    return args


def prepare(args: argparse.Namespace, folder: Path) -> None:
    """Rows and starting weights."""
    from bothways.resolver import resolve_model

    texts, labels = sentences(args.data)
    needed = GLOBAL_BATCH * (args.warm_up + args.steps + 1)
    if len(texts[: args.texts]) < needed:
        raise UsageError(
            f"{args.warm_up} + {args.steps} + 1 steps need {needed:,} sentences, and there are "
            f"{len(texts[: args.texts]):,}: fewer --steps, or more --texts."
        )
    with Worker("preparation", Maker, args.threads) as maker:
        maker.ask("classifier", resolve_model(args.model), folder / "start", 0)
        maker.ask("encode_sentences", folder / "start", texts[: args.texts], labels[: args.texts], folder / "rows.json")


def train(args: argparse.Namespace, arm: Arm, folder: Path) -> dict[str, Any]:
    """One repetition in new processes; the clock's reading."""
    job, answer = folder / "job.json", folder / "answer.json"
    paths = {"rows": str(folder / "rows.json"), "start": str(folder / "start")}
    times = {"warm_up": args.warm_up, "steps": args.steps}
    write_json(job, {**paths, **times, "threads": arm.threads, "global_batch": GLOBAL_BATCH})
    command = [sys.executable, "-m"]
    if arm.processes > 1:
        command += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(arm.processes), "-m"]
    run_measured([*command, "benchmarks._fit_process", str(job), str(answer)], arm.threads)
    return read_json(answer)


def processes_table(args: argparse.Namespace, arms: Sequence[Arm], readings: dict[str, list[dict[str, Any]]]) -> Table:
    """Tokens a second of both arms, and the share that several processes reach."""
    per_token = {title: [sum(one["step_seconds"]) / one["tokens"] for one in own] for title, own in readings.items()}
    alone = per_token[arms[0].title]
    rows = []
    for arm in arms:
        own, found = per_token[arm.title], readings[arm.title]
        share = median_ratio(own, alone)
        rows.append(
            (
                arm.title,
                spread([1 / t for t in own]),
                f"{1000 * statistics.median(s for one in found for s in one['step_seconds']):,.0f}",
                f"{max(one['peak_megabytes'] for one in found):,.0f}",
                f"{share:.2f}",
                "–" if arm is arms[0] else f"{WANTED}: {'yes' if share >= WANTED else 'no'}",
            )
        )
    return Table(
        title="Training in several processes",
        columns=("processes × threads", "tokens/s", "ms/step", "peak of all, MB", "÷ one process", "wanted"),
        rows=tuple(rows),
        notes=(
            f"Sentences of SST-2, {GLOBAL_BATCH} a step in all, fp32: the same steps. {args.steps} steps after "
            f"{args.warm_up}; medians (range) of real tokens a second over {args.repeats} repetitions in turns; the "
            "share is the median over repetitions.",
        ),
    )


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)
