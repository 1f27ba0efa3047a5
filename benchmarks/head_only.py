"""Head-only training: ``bothways train --freeze`` against the reference Trainer whose encoder is frozen.

python -m benchmarks.head_only --data DIR --epochs 4

Whole runs in processes of their own: from the command to the model on the disk, libraries, data and scoring included.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks._common import (
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
from benchmarks._processes import bothways_command, run_measured
from benchmarks._texts import first_rows
from benchmarks._workers import Worker
from bothways.errors import BothwaysError, UsageError
from bothways.files import read_json, write_json

WANTED = 20.0
"""How many times as fast as the reference a whole run is to be."""
OURS, REFERENCE = "bothways train --freeze", "transformers Trainer, frozen encoder"


@dataclass(frozen=True, kw_only=True)
class HeadRun:
    """Attributes:
    seconds: of the whole process.
    training_seconds: of training; of ours with the one time that the encoder reads the texts.
    peak_megabytes: of the process.
    accuracy: on the held texts, of the best epoch.
    """

    seconds: float
    training_seconds: float
    peak_megabytes: float
    accuracy: float


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    args = parse(arguments)
    if not is_installed("transformers", "accelerate"):
        raise UsageError("the reference Trainer needs transformers and accelerate. Install bothways[bench].")
    runs: dict[str, list[HeadRun]] = {OURS: [], REFERENCE: []}
    with tempfile.TemporaryDirectory(prefix="bothways-bench-") as name:
        folder = Path(name)
        prepare(args, folder)
        for repetition in range(args.repeats):
            turns = [(OURS, run_ours), (REFERENCE, run_reference)]
            for system, run in turns if repetition % 2 == 0 else reversed(turns):
                runs[system].append(run(args, folder))
    raw = {system: [asdict(one) for one in own] for system, own in runs.items()}
    return write_result("head-only", args, [head_table(args, runs)], {"runs": raw})


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.head_only", description=(__doc__ or "").split("\n")[0])
    add_common_options(parser, repeats=3, data=True)
    parser.add_argument("--texts", type=at_least(8), default=2000, help="training sentences of SST-2")
    parser.add_argument("--epochs", type=at_least(1), default=4, help="passes over them")
    parser.add_argument("--model", default="minilm-l6", help="encoder: a name or a directory with vocab.txt")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of both")
    return parser.parse_args(arguments)


def prepare(args: argparse.Namespace, folder: Path) -> None:
    """The texts, and the weights that the reference starts from."""
    from bothways.resolver import resolve_model

    first_rows(data_file(args.data, "sst2", "train_sentences.jsonl.gz"), folder / "train.jsonl", args.texts)
    with Worker("preparation", Maker, args.threads) as maker:
        maker.ask("classifier", resolve_model(args.model), folder / "start", 0)


def run_ours(args: argparse.Namespace, folder: Path) -> HeadRun:
    """One command."""
    held = data_file(args.data, "sst2", "dev.jsonl.gz")
    words = ["train", str(folder / "train.jsonl"), "--output", str(folder / "model"), "--eval", str(held), "--freeze"]
    words += ["--model", args.model, "--epochs", str(args.epochs), "--precision", args.precision]
    cost = run_measured(bothways_command(*words), args.threads)
    manifest = read_json(folder / "model" / "bothways.json")
    return HeadRun(
        training_seconds=manifest["training"]["seconds"], accuracy=manifest["metrics"]["accuracy"], **asdict(cost)
    )


def run_reference(args: argparse.Namespace, folder: Path) -> HeadRun:
    """The program ``_frozen_reference``."""
    job, answer = folder / "job.json", folder / "answer.json"
    write_json(
        job,
        {
            "start": str(folder / "start"),
            "train": str(folder / "train.jsonl"),
            "held": str(data_file(args.data, "sst2", "dev.jsonl.gz")),
            "epochs": args.epochs,
            "bfloat16": args.precision == "bfloat16",
            "threads": args.threads,
        },
    )
    cost = run_measured([sys.executable, "-m", "benchmarks._frozen_reference", str(job), str(answer)], args.threads)
    found = read_json(answer)
    return HeadRun(training_seconds=found["seconds"], accuracy=max(found["accuracy"]), **asdict(cost))


def head_table(args: argparse.Namespace, runs: dict[str, list[HeadRun]]) -> Table:
    """Both systems; how many times as fast ours is as a whole, and in training alone."""
    rows = []
    for system, own in runs.items():
        whole, training = (
            median_ratio([getattr(one, field) for one in runs[OURS]], [getattr(one, field) for one in own])
            for field in ("seconds", "training_seconds")
        )
        rows.append(
            (
                system,
                spread([one.seconds for one in own], 1),
                f"{whole:.1f}",
                spread([one.training_seconds for one in own], 1),
                f"{training:.1f}",
                f"{max(one.peak_megabytes for one in own):,.0f}",
                f"{statistics.median(one.accuracy for one in own):.3f}",
                "–" if system == OURS else f"{WANTED:.0f} ×: {'yes' if whole >= WANTED else 'no'}",
            )
        )
    return Table(
        title="Head-only training",
        columns=("system", "whole run, s", "÷ ours", "training, s", "÷ ours", "peak, MB", "accuracy", "wanted"),
        rows=tuple(rows),
        notes=(
            f"{args.texts:,} sentences of SST-2, {args.epochs} epochs with an evaluation on dev after each, "
            f"{args.precision}; pooler and classifier are trained. The whole run is a process from its start to the "
            "model on the disk; of ours also the baseline and the report. Training: without evaluations; of ours with "
            "the one time that the encoder reads the texts. Each has its own default rate.",
        ),
    )


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)
