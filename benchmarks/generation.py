"""Writing: ``generate`` of Bothways and of transformers with the same weights, prompts and threads.

    python -m benchmarks.generation --threads 2

Random weights at the true sizes of GPT-2 small and T5-base; 128 new tokens a prompt, and no end token.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
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
    write_result,
)
from benchmarks._models import Maker
from benchmarks._workers import Worker, interleaved
from benchmarks._writers import CASES, MODELS, Case, ModelMaker, Writer
from bothways.errors import BothwaysError, UsageError

LIBRARIES = ("bothways", "transformers")


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    args = parse(arguments)
    if not is_installed("transformers"):
        raise UsageError("the other library is transformers. Install bothways[bench].")
    tables, raw = [], {}
    with Worker("preparation", Maker, args.threads) as maker:
        fast = maker.ask("has_fast_bfloat16")
    dtypes = ["float32", *(["bfloat16"] if args.bf16 == "yes" or (args.bf16 == "auto" and fast) else [])]
    with tempfile.TemporaryDirectory(prefix="bothways-bench-") as folder:
        for name in args.models:
            directory = Path(folder, name)
            with Worker("preparation", ModelMaker, args.threads) as maker:
                maker.ask("write", name, directory)
            for dtype in dtypes:
                found = measure(args, directory, dtype)
                tables.append(speed_table(name, dtype, found, args.new_tokens))
                raw[f"{name}, {dtype}"] = found
    return write_result("generation", args, tables, raw)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generation", description=(__doc__ or "").split("\n")[0])
    add_common_options(parser)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="sizes of models")
    parser.add_argument("--cases", nargs="+", choices=[c.name for c in CASES], default=[c.name for c in CASES])
    parser.add_argument("--new-tokens", type=at_least(1), default=128, help="tokens that every prompt gets")
    parser.add_argument("--bf16", choices=("auto", "yes", "no"), default="auto", help=BF16_HELP)
    return parser.parse_args(arguments)


def measure(args: argparse.Namespace, directory: Path, dtype: str) -> dict[str, Any]:
    """Seconds of every case for both libraries in turns, seconds to the first token, peak memory, equal ids."""
    options = {"directory": directory, "thread_count": args.threads, "new_tokens": args.new_tokens, "dtype": dtype}
    workers = [Worker(name, Writer, args.threads, library=name, **options) for name in LIBRARIES]
    found: dict[str, Any] = {}
    try:
        for case in [case for case in CASES if case.name in args.cases]:
            interleaved(workers, 1, lambda worker, c=case: worker.ask("seconds", c))  # type: ignore[misc]
            found[case.name] = {
                "seconds": interleaved(workers, args.repeats, lambda worker, c=case: worker.ask("seconds", c)),  # type: ignore[misc]
                "first_token_seconds": interleaved(workers, 3, lambda worker, c=case: worker.ask("seconds", c, 1)),  # type: ignore[misc]
            }
            ids = interleaved(workers, 1, lambda worker, c=case: (worker.ask("seconds", c), worker.ask("ids", c))[1])  # type: ignore[misc]
            found[case.name]["equal_ids"] = ids["bothways"] == ids["transformers"]
        found["peak_megabytes"] = {worker.name: worker.ask("peak_megabytes") for worker in workers}
    finally:
        for worker in workers:
            worker.close()
    return found


def speed_table(name: str, dtype: str, found: dict[str, Any], new_tokens: int) -> Table:
    """Tokens a second of both and their ratio, one case a row."""
    rows = []
    for case in CASES:
        if case.name in found:
            rows.append(_row(case, found[case.name], new_tokens))
    peaks = ", ".join(f"{library} {megabytes:,.0f} MB" for library, megabytes in found["peak_megabytes"].items())
    return Table(
        title=f"{name}, {dtype}",
        columns=("case", *(f"{x}, tokens/s" for x in LIBRARIES), "ratio", "wanted", "first token, ms", "same ids"),
        rows=tuple(rows),
        notes=(
            f"{new_tokens} new tokens a prompt; tokens of all prompts together a second, medians; ratios are medians "
            f"over repetitions in turns. First tokens: Bothways, then the other. Peak memory: {peaks}.",
        ),
    )


def _row(case: Case, found: dict[str, Any], new_tokens: int) -> tuple[str, ...]:
    seconds, first = found["seconds"], found["first_token_seconds"]
    ratio = median_ratio(seconds["bothways"], seconds["transformers"])
    rates = [len(case.lengths) * new_tokens / statistics.median(seconds[name]) for name in LIBRARIES]
    return (
        case.title,
        *(f"{rate:,.1f}" for rate in rates),
        f"{ratio:.2f} ×",
        f"{case.wanted:.1f} ×",
        " and ".join(f"{1000 * statistics.median(first[name]):,.0f}" for name in LIBRARIES),
        "yes" if found["equal_ids"] else "no",
    )


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)
