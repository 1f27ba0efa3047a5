"""What the verbs that answer texts share: where lines go, what is said of long texts, in which numbers to compute."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


def check_file_output(output: Path | None, *read: str | Path, option: str = "--output") -> None:
    """Refuse a place where no file can be written, or where one lies that is to be read, before any work."""
    from bothways.errors import UsageError

    if output is None:
        return
    if output.is_dir():
        raise UsageError(f"{option} {output} is a directory; give the name of a file.")
    parent = next(p for p in output.absolute().parents if p.exists())
    if not parent.is_dir():
        raise UsageError(f"{option} {output} cannot be written: {parent} is a file; give a place in a directory.")
    if output.is_file() and any(Path(file).exists() and output.samefile(file) for file in read):
        raise UsageError(f"{option} {output} is the file that is read; give another name.")


def check_long_input(long_input: str) -> None:
    """Refuse an unknown way with long texts, before any work."""
    from bothways.errors import UsageError
    from bothways.tasks.encoded import LONG_INPUT

    if long_input not in LONG_INPUT:
        raise UsageError(f"--long-input is {long_input!r}; expected one of {', '.join(LONG_INPUT)}.")


def load_pipeline(task: str | None, model: str | None, precision: str, **options: Any) -> Any:
    """A pipeline on the best device, computing in ``precision``; the task is the model's own if none is given, and the
    model the one in the box for the task.
    """
    from bothways.engine.precision import best_device
    from bothways.pipelines import pipeline

    device = best_device()
    return pipeline(task, model=model, device=device, dtype=chosen_dtype(precision, device), **options)


def chosen_dtype(precision: str, device: Any) -> str:
    """The dtype of ``--precision``; auto is bfloat16 where the hardware has it."""
    from bothways.engine.precision import PRECISIONS, resolve_precision
    from bothways.errors import UsageError

    if precision not in PRECISIONS:
        raise UsageError(f"--precision is {precision!r}; expected one of {', '.join(PRECISIONS)}.")
    return resolve_precision(precision, device)


@contextmanager
def writing(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that is whole or not there."""
    if output is None:
        try:
            yield sys.stdout
            sys.stdout.flush()
        except BrokenPipeError:
            # whoever read the output has gone: that is no error, and nothing may be flushed at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    from bothways.files import replacing

    with replacing(output) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as out:
        yield out


def report_long_inputs(count: int, windowed: int, truncated: int) -> None:
    """Say how many inputs were longer than the model reads, if any were."""
    parts = [
        f"{number:,} of {count:,} inputs were {what}"
        for number, what in ((windowed, "windowed"), (truncated, "truncated"))
        if number
    ]
    if parts:
        print("; ".join(parts) + ".", file=sys.stderr)
