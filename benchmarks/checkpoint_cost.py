"""Checkpoints: seconds of one, and their share of a run of ``bothways train`` at the default interval.

python -m benchmarks.checkpoint_cost --data DIR

Two runs on SST-2. A short one with a checkpoint every few steps gives the seconds of one, and from the rule for the
default interval the share that they would take. A whole one at the default interval gives the share that they took.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks._common import Table, add_common_options, at_least, data_file, fail, spread, write_result
from benchmarks._texts import first_rows
from benchmarks._workers import Worker
from bothways.errors import BothwaysError, UsageError

WANTED = 0.02
"""Share of a run that checkpoints may cost."""


class TimedRun:
    """Trains in this process and times what the store of checkpoints does; lives in a worker."""

    def __init__(self, thread_count: int) -> None:
        import torch

        torch.set_num_threads(thread_count)

    def train(self, file: Path, held: Path, output: Path, options: dict[str, Any]) -> dict[str, Any]:
        """Call ``bothways.train`` with ``options``.

        Returns:
            ``save_seconds`` of each checkpoint, removal of older ones included; ``checkpoint_bytes`` of each;
            ``seconds`` of the whole call; and the default ``interval`` in seconds that the last save led to.
        """
        import bothways
        from bothways.engine.saving import SAVE_AFTER, SAVE_SHARE

        with timed_saves() as saves:
            start = time.perf_counter()
            bothways.train(file, output, evaluation=held, **options)
            seconds = time.perf_counter() - start
        took = [save["seconds"] for save in saves]
        return {
            "save_seconds": took,
            "checkpoint_bytes": [save["bytes"] for save in saves],
            "seconds": seconds,
            "interval": max(SAVE_AFTER, took[-1] / SAVE_SHARE) if took else SAVE_AFTER,
        }


@contextmanager
def timed_saves() -> Iterator[list[dict[str, float]]]:
    """Note seconds and bytes of every checkpoint that is saved inside."""
    from bothways.engine.checkpoint_store import CheckpointStore

    saves: list[dict[str, float]] = []
    save, prune = CheckpointStore.save, CheckpointStore.prune

    def timed_save(store: CheckpointStore, step: int, write: Callable[[Path], None]) -> Path:
        start = time.perf_counter()
        path = save(store, step, write)
        seconds = time.perf_counter() - start
        saves.append({"seconds": seconds, "bytes": sum(file.stat().st_size for file in path.iterdir())})
        return path

    def timed_prune(store: CheckpointStore, protected: Sequence[int] = ()) -> tuple[int, ...]:
        start = time.perf_counter()
        removed = prune(store, protected)
        if saves:
            saves[-1]["seconds"] += time.perf_counter() - start
        return removed

    with patch.object(CheckpointStore, "save", timed_save), patch.object(CheckpointStore, "prune", timed_prune):
        yield saves


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    args = parse(arguments)
    held = data_file(args.data, "sst2", "dev.jsonl.gz")
    whole = data_file(args.data, "sst2", "train_sentences.jsonl.gz")
    raw: dict[str, dict[str, Any]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="bothways-bench-", dir=args.folder) as name,
        Worker("bothways", TimedRun, args.threads, thread_count=args.threads) as worker,
    ):
        folder = Path(name)
        # 16 texts a step: the last checkpoint is not in the last step, which needs none
        first_rows(whole, folder / "few.jsonl", 16 * (args.every * args.saves + 1))
        few = {"model": args.model, "epochs": 1, "checkpoint_steps": args.every, "batch_size": 16}
        raw["few"] = worker.ask("train", folder / "few.jsonl", held, folder / "few", few)
        if args.epochs:
            if args.texts is not None:
                first_rows(whole, folder / "train.jsonl", args.texts)
                whole = folder / "train.jsonl"
            options = {"model": args.model, "epochs": args.epochs}
            raw["whole"] = worker.ask("train", whole, held, folder / "whole", options)
    if not raw["few"]["save_seconds"]:
        raise UsageError("no checkpoint was written: fewer steps between them (--every).")
    return write_result("checkpoints", args, [checkpoint_table(raw)], raw)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.checkpoint_cost", description=(__doc__ or "").split("\n")[0]
    )
    add_common_options(parser, repeats=None, data=True)
    parser.add_argument("--every", type=at_least(1), default=4, help="steps between checkpoints of the short run")
    parser.add_argument("--saves", type=at_least(1), default=5, help="checkpoints of the short run")
    parser.add_argument("--epochs", type=at_least(0), default=3, help="of the whole run; 0 leaves it out")
    parser.add_argument("--texts", type=at_least(8), help="only the first of the sentences, in the whole run")
    parser.add_argument("--model", default="minilm-l6", help="encoder: a name or a directory")
    parser.add_argument("--folder", type=Path, help="on the disk that is measured; by default that of temporary files")
    return parser.parse_args(arguments)


def checkpoint_table(raw: dict[str, dict[str, Any]]) -> Table:
    """Seconds of a checkpoint and the share of the time, computed and, of a whole run, measured."""
    few = raw["few"]
    one = statistics.median(few["save_seconds"])
    rows = [_row("computed from a short run", few, few["interval"], one / (few["interval"] + one))]
    if "whole" in raw:
        whole = raw["whole"]
        share = sum(whole["save_seconds"]) / whole["seconds"]
        rows.append(_row("measured in a whole run", whole, whole["interval"], share))
    return Table(
        title="Checkpoints",
        columns=("share of a run", "checkpoints", "s each", "MB each", "run, s", "interval, s", "share", "wanted"),
        rows=tuple(rows),
        notes=(
            "bothways train on sentences of SST-2. A checkpoint has model, optimizer, progress and, after the first "
            "epoch, the best weights; it is flushed to the disk and hashed. Computed: seconds of one by those of one "
            "and the default interval after it, which the rule makes about 1 %; few texts have few words, so that "
            "these checkpoints are smaller. Measured: seconds of all in a run at the default interval by those of "
            "the whole call; a run that is shorter than the interval has none.",
        ),
    )


def _row(what: str, run: dict[str, Any], interval: float, share: float) -> tuple[str, ...]:
    saves = run["save_seconds"]
    size = max(run["checkpoint_bytes"], default=0) / 1e6
    return (
        what,
        str(len(saves)),
        spread(saves, 2) if saves else "–",
        f"{size:,.0f}" if saves else "–",
        f"{run['seconds']:,.0f}",
        f"{interval:,.0f}",
        f"{100 * share:.2f} %",
        f"< {100 * WANTED:.0f} %: {'yes' if share < WANTED else 'no'}",
    )


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)
