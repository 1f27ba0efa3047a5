"""Quality: ``bothways train`` with default settings, against its baseline and, if asked, the reference Trainer.

python -m benchmarks.quality --data DIR --reference
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks._common import Table, add_common_options, at_least, data_file, fail, is_installed, write_result
from benchmarks._processes import Cost, bothways_command, run_measured
from benchmarks._trainers import Job, ReferenceTraining
from benchmarks._workers import Worker
from bothways.errors import BothwaysError, UsageError
from bothways.files import read_json


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set, its file for scoring if it has one, what the command is told, and the score that is promised."""

    name: str
    train: tuple[str, ...]
    evaluation: tuple[str, ...] | None
    wanted: float
    metric: str = "accuracy"
    words: tuple[str, ...] = ()


DATA_SETS = (
    DataSet(name="sst2", train=("sst2", "train_sentences.jsonl.gz"), evaluation=("sst2", "dev.jsonl.gz"), wanted=0.875),
    DataSet(name="banking77", train=("banking77", "train.jsonl.gz"), evaluation=None, wanted=0.91),
    DataSet(
        name="sick",
        train=("nli", "sick_train.jsonl.gz"),
        evaluation=("nli", "sick_trial.jsonl.gz"),
        wanted=0.84,
        words=("--text-column", "text_a,text_b", "--label-column", "label"),
    ),
    DataSet(
        name="stsb",
        train=("stsb", "train.jsonl.gz"),
        evaluation=("stsb", "dev.jsonl.gz"),
        wanted=0.875,
        metric="Spearman",
    ),
    DataSet(
        name="conll2003",
        train=("conll2003", "eng.train.gz"),
        evaluation=("conll2003", "eng.testa.gz"),
        wanted=0.895,
        metric="entity F1",
        words=("--task", "token-classification"),
    ),
    DataSet(
        name="squad",
        train=("squad", "train-v1.1.json.gz"),
        evaluation=("squad", "dev-v1.1-part.json.gz"),
        wanted=0.76,
        metric="answer F1",
        words=("--task", "question-answering", "--epochs", "1"),
    ),
)
WITH_REFERENCE = ("sst2", "banking77")  # single texts with one label: what the side-by-side Trainer is written for


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    args = parse(arguments)
    rows: list[tuple[str, ...]] = []
    raw: dict[str, Any] = {}
    for data_set in DATA_SETS:
        if data_set.name not in args.sets:
            continue
        with tempfile.TemporaryDirectory(prefix="bothways-bench-") as folder:
            manifest, cost = train(args, data_set, Path(folder) / "model")
            raw[data_set.name] = {"manifest": manifest, "cost": asdict(cost)}
            rows += our_rows(data_set, manifest, cost)
            if args.reference and data_set.name in WITH_REFERENCE:
                run = train_reference(args, data_set, manifest, Path(folder))
                raw[data_set.name]["reference"] = run
                rows.append(reference_row(data_set, manifest, run))
    return write_result("quality", args, [quality_table(rows)], raw)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    names = [data_set.name for data_set in DATA_SETS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=(__doc__ or "").split("\n")[0])
    add_common_options(parser, repeats=None, data=True)
    parser.add_argument("--sets", nargs="+", choices=names, default=names, help="data sets")
    parser.add_argument("--model", default="minilm-l6", help="encoder: a name or a directory with vocab.txt")
    parser.add_argument("--epochs", type=at_least(1), help="passes over the data; by default those of the library")
    parser.add_argument("--reference", action="store_true", help="also train with transformers (sst2, banking77)")
    args = parser.parse_args(arguments)
    if args.reference and not is_installed("transformers", "accelerate"):
        fail(UsageError("--reference needs transformers and accelerate. Install bothways[bench]."))
    return args


def train(args: argparse.Namespace, data_set: DataSet, output: Path) -> tuple[dict[str, Any], Cost]:
    """Run ``bothways train`` in a process of its own; its ``bothways.json`` and what it cost."""
    words = ["train", str(data_file(args.data, *data_set.train)), "--output", str(output), "--model", args.model]
    words += data_set.words
    if data_set.evaluation is not None:
        words += ["--eval", str(data_file(args.data, *data_set.evaluation))]
    if args.epochs is not None:
        words += ["--epochs", str(args.epochs)]
    cost = run_measured(bothways_command(*words), args.threads)
    manifest = read_json(output / "bothways.json")
    manifest.pop("evidence", None)  # holds texts of the data, which the results must not
    return manifest, cost


def train_reference(
    args: argparse.Namespace, data_set: DataSet, manifest: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Train with the reference Trainer on the same split, with the settings that our run had."""
    made_of = {
        "files": [data_file(args.data, *data_set.train)],
        "evaluation": None if data_set.evaluation is None else data_file(args.data, *data_set.evaluation),
        "model": args.model,
        "manifest": manifest,
        "thread_count": args.threads,
    }
    with Worker(f"reference on {data_set.name}", ReferenceRun, args.threads, **made_of) as worker:
        return worker.ask("run", folder / "start")


class ReferenceRun:
    """The reference Trainer on the split of a run of ours; lives in a worker."""

    def __init__(
        self, files: list[Path], evaluation: Path | None, model: str, manifest: dict[str, Any], thread_count: int
    ) -> None:
        from bothways.training.text_task import TextTask, label_tensor

        self.model = model
        self.seed = manifest["settings"]["seed"]
        task = TextTask.load(files, evaluation, seed=self.seed, kind=manifest["kind"])
        split = task.split
        ids = {name: i for i, name in enumerate(task.label_names)}
        self.job = Job(
            texts=[example.text for example in split.train],
            labels=label_tensor("single", [example.label for example in split.train], ids).tolist(),
            held_texts=[example.text for example in split.evaluation],
            held_labels=label_tensor("single", [example.label for example in split.evaluation], ids).tolist(),
            label_count=len(ids),
            max_length=manifest["data"]["max_length"],
            bfloat16=manifest["training"]["precision"] == "bfloat16",
            thread_count=thread_count,
            settings=manifest["settings"],
        )

    def run(self, start: Path) -> dict[str, Any]:
        """Accuracy after each epoch, and seconds of training."""
        from benchmarks._models import Maker
        from bothways.resolver import resolve_model

        Maker().classifier(resolve_model(self.model), start, self.seed, self.job.label_count)
        return ReferenceTraining(self.job).full_run(start, self.seed)


def our_rows(data_set: DataSet, manifest: dict[str, Any], cost: Cost) -> list[tuple[str, ...]]:
    """The lines of the comparison that the run itself made: majority, baseline, model."""
    lines = manifest["comparison"]["rows"]
    rows: list[tuple[str, ...]] = []
    for line in lines:
        interval = line["scores"][0]["interval"]
        accuracy = interval["estimate"]
        is_model = line is lines[-1]
        rows.append(
            (
                f"{data_set.name}: {'bothways, ' if is_model else ''}{line['name']}",
                f"{accuracy:.4f}",
                f"{interval['low']:.3f} to {interval['high']:.3f}",
                f"{line['train_seconds']:,.1f}",
                f"{cost.seconds:,.0f}" if is_model else "–",
                f"{cost.peak_megabytes:,.0f}" if is_model else "–",
                f"{data_set.metric} {data_set.wanted}: {'yes' if accuracy >= data_set.wanted else 'no'}"
                if is_model
                else "–",
            )
        )
    return rows


def reference_row(data_set: DataSet, manifest: dict[str, Any], run: dict[str, Any]) -> tuple[str, ...]:
    """The line of the reference Trainer, by the same rule: its best epoch on the evaluation texts."""
    precision = "bf16" if manifest["training"]["precision"] == "bfloat16" else "fp32"
    name = f"{data_set.name}: transformers Trainer, {precision}"
    return (name, f"{max(run['accuracy']):.4f}", "–", f"{run['seconds']:,.1f}", "–", "–", "–")


def quality_table(rows: Sequence[tuple[str, ...]]) -> Table:
    """One line for each contender of each data set."""
    return Table(
        title="Quality",
        columns=("system", "score", "95 % interval", "training s", "whole run s", "peak, MB", "wanted"),
        rows=tuple(rows),
        notes=(
            "One command with default settings each. sst2: train_sentences, scored on dev. banking77: a fifth held "
            "out. squad: one epoch. The reference has the same weights, split and settings; both keep the epoch that "
            "is best on the evaluation texts.",
        ),
    )


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)
