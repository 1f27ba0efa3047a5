"""The honest report on many rows: its time beside that of the training, and its memory.

python -m benchmarks.report --data DIR --rows 1000 10000 100000

Phrases of SST-2 and sentences of IMDB reviews, as many to train on as to judge. The answers are drawn, so that only the
report is measured: baseline, intervals, slices, learning curve, suspected labels, calibration and page. How long a
training of as many rows takes follows from the tokens a second of a training of one minute on the same rows.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks._common import Table, add_common_options, at_least, data_file, fail, write_result
from benchmarks._processes import Cost, bothways_command, run_measured
from benchmarks._texts import labelled_texts
from bothways.errors import BothwaysError

MOST_SHARE, MOST_MEGABYTES = 0.05, 2_000
EPOCHS = 2
"""Of a training of so many rows, as ``bothways train`` chooses."""
LABELS = ("negative", "positive")
SHORTEST, LONGEST = 20, 300  # characters of a sentence


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    args = parse(arguments)
    rows = labelled_sentences(args.data)
    costs: dict[int, Cost] = {}
    with tempfile.TemporaryDirectory(prefix="bothways-bench-") as name:
        folder = Path(name)
        for count in sorted(set(args.rows)):
            train, judged, answers = write_inputs(folder, rows, count)
            words = ["other", str(judged), "--predictions", str(answers), "--train", str(train)]
            costs[count] = run_measured(
                bothways_command("report", *words, "-o", str(folder / f"report-{count}")), args.threads
            )
        rate = training_rate(folder / "train.csv", folder, args)
    raw = {"costs": {str(count): asdict(cost) for count, cost in costs.items()}, "training": rate}
    return write_result("report", args, [report_table(costs, rate)], raw)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=(__doc__ or "").split("\n")[0])
    add_common_options(parser, repeats=None, data=True)
    parser.add_argument("--rows", type=at_least(200), nargs="+", default=[1000, 10_000, 100_000], help="to judge")
    parser.add_argument("--model", default="minilm-l6", help="whose training is the measure")
    parser.add_argument("--minutes", type=float, default=1.0, help="of that training")
    return parser.parse_args(arguments)


def labelled_sentences(data: Path | None) -> list[tuple[str, str]]:
    """Sentences with their label, in an order that is always the same."""
    texts, labels = labelled_texts(data_file(data, "sst2", "train.jsonl.gz"))
    rows = [(text, LABELS[label]) for text, label in zip(texts, labels, strict=True)]
    reviews, labels = labelled_texts(data_file(data, "imdb", "train.jsonl.gz"))
    for review, label in zip(reviews, labels, strict=True):
        parts = re.split(r"(?<=[.!?])\s+", review.replace("<br />", " "))
        rows += [(part, LABELS[label]) for part in parts if SHORTEST < len(part) < LONGEST]
    random.Random(0).shuffle(rows)
    return rows


def write_inputs(folder: Path, rows: Sequence[tuple[str, str]], count: int) -> tuple[Path, Path, Path]:
    """As many rows to train on as to judge, and answers of which most are right."""
    train, judged, answers = (folder / name for name in ("train.csv", "judged.csv", "answers.jsonl"))
    if len(rows) < 2 * count:
        raise BothwaysError(f"there are {len(rows):,} sentences; expected {2 * count:,} for --rows {count}.")
    for path, part in ((train, rows[:count]), (judged, rows[count : 2 * count])):
        with path.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([("text", "label"), *part])
    chance = random.Random(1)
    with answers.open("w", encoding="utf-8") as out:
        for number, (_, label) in enumerate(rows[count : 2 * count], 1):
            sure = chance.betavariate(6, 2)
            scores = dict(zip(LABELS, (sure, 1 - sure) if label == LABELS[0] else (1 - sure, sure), strict=True))
            answer = {"row": number, "label": max(scores, key=scores.__getitem__), "scores": scores}
            out.write(json.dumps(answer) + "\n")
    return train, judged, answers


def training_rate(file: Path, folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """Tokens a second of a short training, and the tokens of a row."""
    words = ["train", str(file), "-o", str(folder / "model"), "--model", args.model, "--minutes", str(args.minutes)]
    run_measured(bothways_command(*words), args.threads)
    found: dict[str, Any] = json.loads((folder / "model" / "bothways.json").read_text(encoding="utf-8"))
    training, batch = found["training"], found["settings"]["batch_size"]
    tokens = training["tokens"]
    return {
        "tokens_per_second": tokens / training["seconds"],
        "tokens_per_row": tokens / (training["steps"] * batch),
    }


def report_table(costs: dict[int, Cost], rate: dict[str, float]) -> Table:
    """Time and memory by the number of rows."""
    rows = []
    for count, cost in costs.items():
        training = EPOCHS * count * rate["tokens_per_row"] / rate["tokens_per_second"]
        share = cost.seconds / training
        reached = "yes" if share <= MOST_SHARE and cost.peak_megabytes <= MOST_MEGABYTES else "no"
        rows.append(
            (
                f"{count:,}",
                f"{cost.seconds:,.0f}",
                f"{training:,.0f}",
                f"{100 * share:.1f} %",
                f"{cost.peak_megabytes:,.0f}",
                reached,
            )
        )
    return Table(
        title="The report on many rows",
        columns=("rows", "seconds", "training, s", "share", "peak, MB", "≤ 5 %, ≤ 2,000 MB"),
        rows=tuple(rows),
        notes=(
            f"As many rows to train the baseline on as to judge. Training: {EPOCHS} epochs at "
            f"{rate['tokens_per_second']:,.0f} tokens a second, {rate['tokens_per_row']:.0f} tokens a row.",
        ),
    )


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)
