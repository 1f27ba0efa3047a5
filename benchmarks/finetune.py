"""Fine-tuning: the training loop and the reference Trainer, from the same weights with the same settings.

    python -m benchmarks.finetune --data DIR              # speed, in turns
    python -m benchmarks.finetune --data DIR --accuracy   # whole runs with several seeds

Sentences of SST-2 in batches of 32. Real tokens a second: padding does not count.
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

from benchmarks._common import (
    BF16_HELP,
    Table,
    add_common_options,
    at_least,
    fail,
    is_installed,
    median_ratio,
    spread,
    write_result,
)
from benchmarks._models import Maker
from benchmarks._texts import sentences
from benchmarks._trainers import Job, OurTraining, ReferenceTraining
from benchmarks._workers import Worker, interleaved
from bothways.errors import BothwaysError, UsageError


@dataclass(frozen=True, kw_only=True)
class System:
    """A trainer in one precision. ``grouped`` is for speed only: it changes the order of the examples."""

    name: str
    title: str
    ours: bool = False
    bfloat16: bool = False
    grouped: bool = False


SYSTEMS = (
    System(name="bothways", title="bothways, fp32", ours=True),
    System(name="bothways-bf16", title="bothways, bf16", ours=True, bfloat16=True),
    System(name="trainer", title="transformers Trainer, fp32"),
    System(name="trainer-bf16", title="transformers Trainer, bf16", bfloat16=True),
    System(name="trainer-grouped", title="transformers Trainer, group_by_length, fp32", grouped=True),
    System(
        name="trainer-grouped-bf16", title="transformers Trainer, group_by_length, bf16", grouped=True, bfloat16=True
    ),
)
PROMISES = (("bothways", "trainer", 3.0), ("bothways-bf16", "trainer-bf16", 1.5))


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    args = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="bothways-bench-") as folder:
        return measure(args, Path(folder))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetune", description=(__doc__ or "").split("\n")[0])
    add_common_options(parser, data=True)
    parser.add_argument("--steps", type=at_least(1), default=60, help="steps of a repetition")
    parser.add_argument("--warm-up", type=at_least(0), default=5, help="steps before them that do not count")
    parser.add_argument("--accuracy", action="store_true", help="whole runs: accuracy on dev in place of speed")
    parser.add_argument("--seeds", type=at_least(1), default=3, help="runs of each trainer with --accuracy")
    parser.add_argument("--epochs", type=at_least(1), help="of a whole run; by default those of the library")
    parser.add_argument("--texts", type=at_least(8), help="only the first of the training sentences")
    parser.add_argument("--model", default="minilm-l6", help="encoder: a name or a directory with vocab.txt")
    parser.add_argument("--bf16", choices=("auto", "yes", "no"), default="auto", help=BF16_HELP)
    return parser.parse_args(arguments)


def measure(args: argparse.Namespace, folder: Path) -> Path:
    """Make the starting weights, start the trainers, and run them in turns."""
    from bothways.resolver import resolve_model

    if not is_installed("transformers", "accelerate"):
        raise UsageError("the reference Trainer needs transformers and accelerate. Install bothways[bench].")
    seeds = args.seeds if args.accuracy else 1
    directories = [folder / f"seed-{seed}" for seed in range(seeds)]
    with Worker("preparation", Maker, args.threads) as maker:
        for seed, directory in enumerate(directories):
            maker.ask("classifier", resolve_model(args.model), directory, seed)
        bfloat16 = args.bf16 == "yes" or (args.bf16 == "auto" and maker.ask("has_fast_bfloat16"))
    systems = [s for s in SYSTEMS if (bfloat16 or not s.bfloat16) and not (args.accuracy and s.grouped)]
    workers = [start(system, args) for system in systems]
    try:
        for worker in workers:
            worker.wait_until_ready()
        if args.accuracy:
            return compare_accuracy(args, systems, workers, directories)
        return compare_speed(args, systems, workers, directories[0])
    finally:
        for worker in workers:
            worker.close()


def start(system: System, args: argparse.Namespace) -> Worker:
    """A worker with the system and its texts."""
    texts, labels = sentences(args.data)
    held_texts, held_labels = sentences(args.data, "dev")
    job = Job(
        texts=texts[: args.texts],
        labels=labels[: args.texts],
        held_texts=held_texts,
        held_labels=held_labels,
        label_count=2,
        max_length=128,  # no sentence of SST-2 is longer
        bfloat16=system.bfloat16,
        thread_count=args.threads,
        # one rate for all parameters: the Trainer has no other for the head
        settings={"batch_size": 32, "head_factor": 1.0} | ({} if args.epochs is None else {"epochs": args.epochs}),
    )
    if system.ours:
        return Worker(system.name, OurTraining, args.threads, job=job)
    return Worker(system.name, ReferenceTraining, args.threads, job=job, group_by_length=system.grouped)


def compare_speed(
    args: argparse.Namespace, systems: Sequence[System], workers: Sequence[Worker], directory: Path
) -> Path:
    """Time the steps of every trainer in turns and write the table."""
    readings = interleaved(workers, args.repeats, lambda w: w.ask("timed_steps", directory, args.warm_up, args.steps))
    per_token = {
        name: [sum(one["step_seconds"]) / one["tokens"] for one in own if one["tokens"]]
        for name, own in readings.items()
    }
    if not all(per_token.values()):
        raise UsageError(f"training ended before step {args.warm_up + 2}: fewer --warm-up steps, or more --texts.")
    ours = [system for system in systems if system.ours]
    rows = []
    for system in systems:
        times = per_token[system.name]
        steps = [1000 * second for one in readings[system.name] for second in one["step_seconds"]]
        ratios = (f"{median_ratio(per_token[own.name], times):.2f}" for own in ours)
        rows.append((system.title, spread([1 / t for t in times]), f"{statistics.median(steps):,.0f}", *ratios))
    note = (
        f"SST-2 sentences in batches of 32, the same weights, settings and, but for group_by_length, the same batches. "
        f"{args.steps} steps after {args.warm_up}; medians (range) of real tokens a second over {args.repeats} "
        "repetitions in turns; ratios are medians over repetitions."
    )
    columns = ("system", "tokens/s", "ms/step", *(f"{own.title} ÷ it" for own in ours))
    speed = Table(title="Fine-tuning, speed", columns=columns, rows=tuple(rows), notes=(note,))
    return write_result("finetune", args, [speed, targets_table(per_token)], {"steps": readings})


def targets_table(per_token: dict[str, list[float]]) -> Table:
    """What the library promises, and what was measured."""
    rows = []
    for own, peer, wanted in PROMISES:
        if own in per_token and peer in per_token:
            ratio = median_ratio(per_token[own], per_token[peer])
            reached = "yes" if ratio >= wanted else "no"
            rows.append((f"{own} against {peer}", f"{wanted:.1f} ×", f"{ratio:.2f} ×", reached))
    return Table(title="Targets", columns=("what", "wanted", "measured", "reached"), rows=tuple(rows))


def compare_accuracy(
    args: argparse.Namespace, systems: Sequence[System], workers: Sequence[Worker], directories: Sequence[Path]
) -> Path:
    """Whole runs from the same starting weights for each seed, in turns, and the table."""
    runs: dict[str, list[dict[str, Any]]] = {worker.name: [] for worker in workers}
    for seed, directory in enumerate(directories):
        one = interleaved(workers, 1, lambda w, d=directory, s=seed: w.ask("full_run", d, s))  # type: ignore[misc]
        for name, answers in one.items():
            runs[name] += answers
    rows = []
    for system in systems:
        own = runs[system.name]
        last = [run["accuracy"][-1] for run in own]
        best = [max(run["accuracy"]) for run in own]
        rows.append(
            (system.title, mean_and_deviation(last), mean_and_deviation(best), spread([r["seconds"] for r in own]))
        )
    note = (
        f"Accuracy on the 872 sentences of SST-2 dev, mean ± standard deviation over {len(directories)} seeds, each "
        "seed with one starting head for all. Last: after the last epoch. Best: of the epoch that is best on dev, "
        "which flatters both. One standard error of a single run is about 1.1 points."
    )
    table = Table(
        title="Fine-tuning, accuracy",
        columns=("system", "last epoch", "best epoch", "training seconds"),
        rows=tuple(rows),
        notes=(note,),
    )
    return write_result("finetune-accuracy", args, [table], {"runs": runs})


def mean_and_deviation(values: Sequence[float]) -> str:
    """Example: ``0.8753 ± 0.0031``; one value has no deviation."""
    mean = f"{statistics.mean(values):.4f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.4f}"


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)
