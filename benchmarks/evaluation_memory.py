"""Memory of evaluation: ``Trainer.evaluate`` over lazy data sets and ``bothways evaluate`` over files, by their size.

python -m benchmarks.evaluation_memory --rows 1000 10000 100000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks._common import Table, add_common_options, at_least, fail, is_installed, write_result
from benchmarks._models import Maker
from benchmarks._processes import Cost, bothways_command, run_measured
from benchmarks._texts import labelled_lines
from benchmarks._workers import Worker
from bothways.errors import BothwaysError, UsageError

LIMIT = 100
"""Megabytes by which memory may grow from the smallest to the largest data set."""

EVALUATE = """
import sys, tempfile
import numpy as np
import bothways

kind, directory, count = sys.argv[1], sys.argv[2], int(sys.argv[3])

class Rows:
    def __len__(self):
        return count

    def __getitem__(self, i):
        if not 0 <= i < count:
            raise IndexError(i)
        chance = np.random.default_rng(i)
        ids = [2, *chance.integers(5, 25, chance.integers(3, 13)).tolist(), 3]
        labels = chance.integers(0, 2, len(ids)).tolist()
        return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels if kind == "words" else labels[0]}

def accuracy(found):
    asked = found.label_ids != -100
    return {"accuracy": float((found.predictions.argmax(-1) == found.label_ids)[asked].mean())}

tokenizer = bothways.AutoTokenizer.from_pretrained(directory)
words = kind == "words"
cls = bothways.AutoModelForTokenClassification if words else bothways.AutoModelForSequenceClassification
trainer = bothways.Trainer(
    model=cls.from_pretrained(directory),
    args=bothways.TrainingArguments(
        output_dir=tempfile.mkdtemp(), per_device_eval_batch_size=64, use_cpu=True, disable_tqdm=True, report_to=[]
    ),
    data_collator=bothways.DataCollatorForTokenClassification(tokenizer) if words else None,
    processing_class=tokenizer,
    compute_metrics=accuracy,
)
print(trainer.evaluate(Rows()))
"""

ROUTES = {
    "texts": "Trainer.evaluate, a label a text",
    "words": "Trainer.evaluate, a label a token",
    "command": "bothways evaluate, a CSV file",
}


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    args = parse(arguments)
    if not is_installed("transformers"):
        raise UsageError("the models are made by transformers. Install bothways[bench].")
    costs: dict[str, dict[int, Cost]] = {}
    with tempfile.TemporaryDirectory(prefix="bothways-bench-") as name:
        folder = Path(name)
        with Worker("preparation", Maker, args.threads) as maker:
            maker.ask("tiny", folder / "texts")
            maker.ask("tiny", folder / "words", "token-classification")
        for route in args.routes:
            costs[route] = {count: evaluate(args, route, count, folder) for count in sorted(set(args.rows))}
    raw = {route: {str(count): asdict(cost) for count, cost in own.items()} for route, own in costs.items()}
    return write_result("memory-evaluation", args, [evaluation_table(costs)], {"costs": raw})


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evaluation_memory", description=(__doc__ or "").split("\n")[0]
    )
    add_common_options(parser, repeats=None)
    parser.add_argument("--rows", type=at_least(1), nargs="+", default=[1000, 10_000, 100_000], help="of the sets")
    parser.add_argument("--routes", nargs="+", choices=tuple(ROUTES), default=list(ROUTES), help="what evaluates")
    return parser.parse_args(arguments)


def evaluate(args: argparse.Namespace, route: str, count: int, folder: Path) -> Cost:
    """Evaluate a tiny model on ``count`` rows in a process of its own."""
    if route != "command":
        return run_measured([sys.executable, "-c", EVALUATE, route, str(folder / route), str(count)], args.threads)
    rows = folder / "rows.csv"
    labelled_lines(rows, count)
    return run_measured(bothways_command("evaluate", str(folder / "texts"), str(rows)), args.threads)


def evaluation_table(costs: dict[str, dict[int, Cost]]) -> Table:
    """Peak memory by the number of rows, and what is above that of the fewest."""
    rows: list[tuple[str, ...]] = []
    for route, own in costs.items():
        base = own[min(own)].peak_megabytes
        for count, cost in own.items():
            above = cost.peak_megabytes - base
            verdict = "–" if count == min(own) else "yes" if above < LIMIT else "no"
            peak = f"{cost.peak_megabytes:,.0f}"
            rows.append((ROUTES[route], f"{count:,}", peak, f"{above:,.0f}", f"{cost.seconds:,.0f}", verdict))
    return Table(
        title="Memory of evaluation",
        columns=("what", "rows", "peak, MB", "above the fewest, MB", "seconds", f"grows < {LIMIT} MB"),
        rows=tuple(rows),
        notes=(
            "Peak resident memory of a process of its own. Rows of three to twelve words, made when they are asked for "
            "or read from a file; a model of two layers of 32; compute_metrics sees all predictions.",
        ),
    )


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)
