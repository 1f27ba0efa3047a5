"""What recipes share: their options, and the directory of a model that has learned nothing yet."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bothways.errors import UsageError
from bothways.files import read_json, write_text


def options(about: str, minutes: float) -> argparse.Namespace:
    """``--data``, ``--output`` and ``--minutes``."""
    parser = argparse.ArgumentParser(description=about)
    given = os.environ.get("BOTHWAYS_DATA")
    parser.add_argument("--data", type=Path, default=given, help="directory of data sets; or BOTHWAYS_DATA")
    parser.add_argument("--output", type=Path, required=True, help="directory for the model and its report")
    parser.add_argument("--minutes", type=float, default=minutes, help="time of the training")
    args = parser.parse_args()
    if args.data is None:
        parser.error("no data directory. Pass --data DIR or set BOTHWAYS_DATA.")
    return args


def data_file(directory: Path, *parts: str) -> Path:
    """A file of the data directory.

    Raises:
        UsageError: it is not there.
    """
    path = directory.joinpath(*parts)
    if not path.is_file():
        raise UsageError(f"there is no {'/'.join(parts)} in {directory}.")
    return path


def blank_model(directory: Path, tokenizer: Any, model: Callable[[], Any]) -> Path:
    """Write a tokeniser and random weights, unless an earlier call of the recipe has done so.

    Args:
        directory: beside the output, so that a stopped run finds the same beginning.
    """
    if not (directory / "config.json").is_file():
        tokenizer.save_pretrained(directory)
        model().save_pretrained(directory)
    return directory


def cost_of(directory: Path) -> str:
    """A line on what a training took, from its record."""
    run = read_json(directory / "bothways.json")
    took = run["training"]
    return (
        f"- {took['seconds'] / 60:,.0f} minutes of training on {place_of(run)}: "
        f"{took['steps']:,} steps, {took['tokens'] / 1e6:,.1f} million tokens; the best epoch was {took['best_epoch']}"
    )


def place_of(run: dict[str, Any]) -> str:
    """What a run was made on, from its record."""
    machine = run["hardware"]
    threads = f"{machine['threads']} thread{'s' if machine['threads'] > 1 else ''}"
    return machine["accelerator"] or f"{threads} of {machine['processor']}"


def write_results(directory: Path, lines: list[str]) -> None:
    """Print what came of the run, and write it to ``results.md``."""
    text = "\n".join(lines) + "\n"
    print(text)
    write_text(directory / "results.md", text)
