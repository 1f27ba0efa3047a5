"""Memory: prediction over a file of a million short lines, against the same over a thousand; and streams of tasks.

python -m benchmarks.memory --lines 1000 100000 1000000
python -m benchmarks.memory --cases questions entities --data DIR
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks._common import Table, add_common_options, at_least, fail, write_result
from benchmarks._models import Maker
from benchmarks._processes import Cost, bothways_command, run_measured
from benchmarks._task_inputs import questions, tagged_sentences
from benchmarks._texts import short_lines
from benchmarks._workers import Worker
from bothways.errors import BothwaysError
from bothways.files import read_json

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


STREAM_LIMIT = 100
"""Megabytes by which memory may grow between the first tenth of a stream and its end."""

CASES = {"lines": "text-classification", "questions": "question-answering", "entities": "token-classification"}
"""Names of the cases, and the tasks of their pipelines."""

STREAM = """
import json, resource, sys
from bothways import pipeline

task, model, rows, count = *sys.argv[1:4], int(sys.argv[4])
megabytes = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6

def stream():
    with open(rows, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)

pipe = pipeline(task, model=model)
peaks = {"start": megabytes()}
for number, answer in enumerate(pipe(stream()), 1):
    if number == max(1, count // 10):
        peaks["tenth"] = megabytes()
json.dump({"rows": number, **peaks, "end": megabytes()}, sys.stdout)
"""


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    args = parse(arguments)
    tables: list[Table] = []
    raw: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bothways-bench-") as folder:
        if "lines" in args.cases:
            model = make_model(args, Path(folder))
            costs = {count: predict_lines(args, model, Path(folder), count) for count in sorted(set(args.lines))}
            raw["costs"] = {str(count): asdict(cost) for count, cost in costs.items()}
            tables.append(memory_table(args.route, costs))
        streams = {case: answer_stream(args, case, Path(folder)) for case in args.cases if case != "lines"}
    if streams:
        raw["streams"] = streams
        tables.append(stream_table(streams))
    # streams alone are no new measurement of lines
    return write_result("memory" if "lines" in args.cases else "memory-streams", args, tables, raw)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=(__doc__ or "").split("\n")[0])
    add_common_options(parser, repeats=None, data=True)
    parser.add_argument("--cases", nargs="+", choices=tuple(CASES), default=["lines"], help="what is predicted")
    parser.add_argument("--rows", type=at_least(1), help="rows of a stream; by default all of the data set")
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


def answer_stream(args: argparse.Namespace, case: str, folder: Path) -> dict[str, float]:
    """Answer a stream in a process of its own.

    Returns:
        The number of rows, and the peak memory in 10^6 bytes when the model is there (``start``), after a tenth of the
        rows (``tenth``) and at the ``end``; and the seconds of all.
    """
    from bothways.resolver import resolve_model

    rows, model, said = folder / f"{case}.jsonl", folder / case, folder / f"{case}.json"
    count = write_rows(args, case, rows)
    with Worker("preparation", Maker, args.threads) as maker:
        maker.ask("with_head", resolve_model(args.model), model, CASES[case])
    command = [sys.executable, "-c", STREAM, CASES[case], str(model), str(rows), str(count)]
    cost = run_measured(command, args.threads, said)
    return {**read_json(said), "seconds": cost.seconds}


def write_rows(args: argparse.Namespace, case: str, path: Path) -> int:
    """Write the inputs of a case, one in JSON a line; their number."""
    inputs: list[Any]
    if case == "questions":
        inputs = [{"question": one.question, "context": one.context} for one in questions(args.data)]
    else:
        inputs = [one.text for one in tagged_sentences(args.data)]
    inputs = inputs[: args.rows]
    path.write_text("".join(json.dumps(one) + "\n" for one in inputs), encoding="utf-8")
    return len(inputs)


def stream_table(streams: dict[str, dict[str, float]]) -> Table:
    """Peak memory of each case above that of the model and the libraries."""
    rows = []
    for case, found in streams.items():
        tenth, end = found["tenth"] - found["start"], found["end"] - found["start"]
        rows.append(
            (
                f"{case}: {CASES[case]}",
                f"{found['rows']:,}",
                f"{found['start']:,.0f}",
                f"{tenth:,.0f}",
                f"{end:,.0f}",
                f"{found['seconds']:,.0f}",
                "yes" if end - tenth < STREAM_LIMIT else "no",
            )
        )
    return Table(
        title="Memory of streams",
        columns=("case", "rows", "start, MB", "+ after 1/10", "+ at the end", "seconds", f"grows < {STREAM_LIMIT} MB"),
        rows=tuple(rows),
        notes=(
            "Peak resident memory of a process of its own that reads a generator: with the model loaded, and above "
            "that after a tenth of the rows and at the end. SQuAD's development part, CoNLL-2003's part testa; random "
            "heads.",
        ),
    )


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)
