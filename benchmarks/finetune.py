"""Fine-tuning: this library's loop and Trainer and the reference Trainer, from the same weights with the same settings.

    python -m benchmarks.finetune --data DIR              # speed and memory, in turns
    python -m benchmarks.finetune --data DIR --accuracy   # whole runs with several seeds

Sentences of SST-2 and tagged words of CoNLL-2003. Real tokens a second: padding does not count.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks._common import (
    BF16_HELP,
    Table,
    add_common_options,
    at_least,
    data_file,
    fail,
    is_installed,
    median_ratio,
    spread,
    write_result,
)
from benchmarks._models import Maker
from benchmarks._texts import sentences
from benchmarks._trainers import Job, OurTrainer, OurTraining, ReferenceTraining
from benchmarks._workers import Worker, interleaved
from bothways.errors import BothwaysError, UsageError


@dataclass(frozen=True, kw_only=True)
class System:
    """A trainer in one precision. ``grouped`` is for speed only: it changes the order of the examples."""

    name: str
    title: str
    kind: Literal["loop", "trainer", "reference"] = "reference"
    bfloat16: bool = False
    grouped: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is of this library."""
        return self.kind != "reference"


SYSTEMS = (
    System(name="bothways", title="bothways, fp32", kind="loop"),
    System(name="bothways-bf16", title="bothways, bf16", kind="loop", bfloat16=True),
    System(name="bothways-trainer", title="bothways.Trainer, fp32", kind="trainer"),
    System(name="bothways-trainer-bf16", title="bothways.Trainer, bf16", kind="trainer", bfloat16=True),
    System(name="trainer", title="transformers Trainer, fp32"),
    System(name="trainer-bf16", title="transformers Trainer, bf16", bfloat16=True),
    System(name="trainer-grouped", title="transformers Trainer, group_by_length, fp32", grouped=True),
    System(
        name="trainer-grouped-bf16", title="transformers Trainer, group_by_length, bf16", grouped=True, bfloat16=True
    ),
)
PROMISES = (
    ("bothways", "trainer", 5.0),
    ("bothways-trainer", "trainer", 5.0),
    ("bothways-bf16", "trainer-grouped-bf16", 3.0),
    ("bothways-trainer-bf16", "trainer-grouped-bf16", 3.0),
)
"""Ours, the reference, and how many times as fast we are to be."""

SETS = {"sst2": "Sentences of SST-2", "conll2003": "Tagged words of CoNLL-2003"}
BATCH_SIZE = 32


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    args = parse(arguments)
    if not is_installed("transformers", "accelerate"):
        raise UsageError("the reference Trainer needs transformers and accelerate. Install bothways[bench].")
    with tempfile.TemporaryDirectory(prefix="bothways-bench-") as folder:
        return (measure_accuracy if args.accuracy else measure_speed)(args, Path(folder))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetune", description=(__doc__ or "").split("\n")[0])
    add_common_options(parser, data=True)
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS), help="of speed; accuracy: sst2")
    parser.add_argument("--steps", type=at_least(1), default=60, help="steps of a repetition")
    parser.add_argument("--warm-up", type=at_least(0), default=5, help="steps before them that do not count")
    parser.add_argument("--accuracy", action="store_true", help="whole runs: accuracy on dev in place of speed")
    parser.add_argument("--seeds", type=at_least(1), default=3, help="runs of each trainer with --accuracy")
    parser.add_argument("--epochs", type=at_least(1), help="of a whole run; by default those of the library")
    parser.add_argument("--texts", type=at_least(8), help="only the first of the training examples")
    parser.add_argument("--model", default="minilm-l6", help="encoder: a name or a directory with vocab.txt")
    parser.add_argument("--bf16", choices=("auto", "yes", "no"), default="auto", help=BF16_HELP)
    return parser.parse_args(arguments)


def measure_speed(args: argparse.Namespace, folder: Path) -> Path:
    """Time the steps of every trainer in turns, one data set after the other, and write the tables."""
    tables: list[Table] = []
    raw: dict[str, Any] = {}
    for name in args.sets:
        with Worker("preparation", Maker, args.threads) as maker:
            bfloat16 = wants_bfloat16(args, maker)
            rows, directory = prepare(args, maker, name, folder)
        systems = [s for s in SYSTEMS if bfloat16 or not s.bfloat16]
        job = {"rows": rows, "labels_of_words": name == "conll2003"}
        workers = [start(system, args, **job) for system in systems]
        try:
            for worker in workers:
                worker.wait_until_ready()
            raw[name] = interleaved(
                workers,
                args.repeats,
                lambda w, d=directory: w.ask("timed_steps", d, args.warm_up, args.steps),  # type: ignore[misc]
            )
        finally:
            for worker in workers:
                worker.close()
        tables += [speed_table(args, name, systems, raw[name]), memory_table(name, systems, raw[name])]
    return write_result("finetune", args, [*tables, targets_table(raw)], {"steps": raw})


def measure_accuracy(args: argparse.Namespace, folder: Path) -> Path:
    """Whole runs from the same starting weights for each seed, in turns, and the table."""
    from bothways.resolver import resolve_model

    directories = [folder / f"seed-{seed}" for seed in range(args.seeds)]
    with Worker("preparation", Maker, args.threads) as maker:
        for seed, directory in enumerate(directories):
            maker.ask("classifier", resolve_model(args.model), directory, seed)
        bfloat16 = wants_bfloat16(args, maker)
    systems = [s for s in SYSTEMS if (bfloat16 or not s.bfloat16) and not s.grouped and s.kind != "trainer"]
    texts, labels = sentences(args.data)
    held_texts, held_labels = sentences(args.data, "dev")
    job = {
        "texts": texts[: args.texts],
        "labels": labels[: args.texts],
        "held_texts": held_texts,
        "held_labels": held_labels,
    }
    workers = [start(system, args, **job) for system in systems]
    try:
        return compare_accuracy(args, systems, workers, directories)
    finally:
        for worker in workers:
            worker.close()


def wants_bfloat16(args: argparse.Namespace, maker: Worker) -> bool:
    """Whether systems in bfloat16 are measured."""
    return args.bf16 == "yes" or (args.bf16 == "auto" and maker.ask("has_fast_bfloat16"))


def prepare(args: argparse.Namespace, maker: Worker, name: str, folder: Path) -> tuple[Path, Path]:
    """The encoded rows of a data set, and a directory with the starting weights."""
    from bothways.resolver import resolve_model

    source, rows, directory = resolve_model(args.model), folder / f"{name}.json", folder / name
    if name == "sst2":
        texts, labels = sentences(args.data)
        maker.ask("classifier", source, directory, 0)
        maker.ask("encode_sentences", directory, texts[: args.texts], labels[: args.texts], rows)
    else:
        train, held = (data_file(args.data, "conll2003", f"eng.{part}.gz") for part in ("train", "testa"))
        maker.ask("with_head", source, directory, "token-classification")
        maker.ask("encode_words", directory, train, held, rows, args.texts)
    return rows, directory


def start(system: System, args: argparse.Namespace, **examples: Any) -> Worker:
    """A worker with the system and its examples."""
    job = Job(
        bfloat16=system.bfloat16,
        thread_count=args.threads,
        # one rate for all parameters: the Trainer has no other for the head
        settings={"batch_size": BATCH_SIZE, "head_factor": 1.0}
        | ({} if args.epochs is None else {"epochs": args.epochs}),
        **examples,
    )
    if system.kind == "reference":
        return Worker(system.name, ReferenceTraining, args.threads, job=job, group_by_length=system.grouped)
    return Worker(system.name, OurTraining if system.kind == "loop" else OurTrainer, args.threads, job=job)


Readings = dict[str, list[dict[str, Any]]]
"""By the name of a system the readings of its repetitions."""


def speed_table(args: argparse.Namespace, name: str, systems: Sequence[System], readings: Readings) -> Table:
    """Tokens a second of every system, and how many times as fast each of ours is."""
    times = per_token(readings)
    if not all(times.values()):
        raise UsageError(f"training ended before step {args.warm_up + 2}: fewer --warm-up steps, or more --texts.")
    ours = [system for system in systems if system.ours]
    rows = []
    for system in systems:
        own = times[system.name]
        steps = [1000 * second for one in readings[system.name] for second in one["step_seconds"]]
        ratios = (f"{median_ratio(times[our.name], own):.2f}" for our in ours)
        rows.append((system.title, spread([1 / t for t in own]), f"{statistics.median(steps):,.0f}", *ratios))
    note = (
        f"{SETS[name]} in batches of {BATCH_SIZE}: the same rows, weights, settings and, but for "
        f"group_by_length, the same batches. {args.steps} steps after {args.warm_up}; medians (range) of real tokens a "
        f"second over {args.repeats} repetitions in turns; ratios are medians over repetitions."
    )
    columns = ("system", "tokens/s", "ms/step", *(f"{own.title} ÷ it" for own in ours))
    return Table(title=f"Fine-tuning, speed: {name}", columns=columns, rows=tuple(rows), notes=(note,))


def memory_table(name: str, systems: Sequence[System], readings: Readings) -> Table:
    """Peak memory of the process of every system, and whether ours is above the reference's of its precision."""
    peaks = {system.name: readings[system.name][0]["peak_megabytes"] for system in systems}
    rows = []
    for system in systems:
        verdict = "–"
        if system.ours:
            peer = "trainer-bf16" if system.bfloat16 else "trainer"
            verdict = f"{peaks[system.name] / peaks[peer]:.2f}: {reached(peaks[system.name] <= peaks[peer])}"
        last = readings[system.name][-1]["peak_megabytes"]
        rows.append((system.title, f"{peaks[system.name]:,.0f}", f"{last:,.0f}", verdict))
    return Table(
        title=f"Fine-tuning, memory: {name}",
        columns=("system", "peak, MB", "after all repetitions, MB", "÷ the Trainer of its precision: not above"),
        rows=tuple(rows),
        notes=(
            "Largest resident memory of the system's process, libraries included, after its first repetition: one "
            "training of a new model. Later repetitions add what the first left behind.",
        ),
    )


def targets_table(raw: dict[str, Readings]) -> Table:
    """What the library promises, and what was measured."""
    rows = []
    for name, readings in raw.items():
        times = per_token(readings)
        for own, peer, wanted in PROMISES:
            if own in times and peer in times:
                ratio = median_ratio(times[own], times[peer])
                what = f"{name}: {own} against {peer}"
                rows.append((what, f"{wanted:.1f} ×", f"{ratio:.2f} ×", reached(ratio >= wanted)))
    return Table(title="Targets", columns=("what", "wanted", "measured", "reached"), rows=tuple(rows))


def per_token(readings: Readings) -> dict[str, list[float]]:
    """By the name of a system its seconds a token in each repetition; fewer if training ended too early."""
    return {
        name: [sum(one["step_seconds"]) / one["tokens"] for one in own if one["tokens"]]
        for name, own in readings.items()
    }


def reached(what: bool) -> str:
    """``yes`` or ``no``."""
    return "yes" if what else "no"


def compare_accuracy(
    args: argparse.Namespace, systems: Sequence[System], workers: Sequence[Worker], directories: Sequence[Path]
) -> Path:
    """Whole runs of every worker in turns, and the table."""
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
