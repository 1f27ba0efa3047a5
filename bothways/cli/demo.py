"""``bothways demo``: the main job on the examples that the library ships."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

NEW_TEXTS = (
    "Will anybody be there to let me in on Boxing Day?",
    "My login stopped working after I lost my card.",
    "It is freezing upstairs and the lift is stuck again.",
)


def demo_command(
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the model and its report.")] = Path(
        "bothways-demo"
    ),
    seed: Annotated[int, typer.Option(help="Seed of the split and the training.")] = 42,
) -> None:
    """Train, evaluate and predict on 540 messages to a library, in six classes, which come with this package."""
    import sys

    from bothways.cli.evaluate import evaluate_command
    from bothways.cli.train import show_outcome
    from bothways.data import holdout_split, load_labelled
    from bothways.pipelines import pipeline
    from bothways.training import train
    from bothways.training.holdout import HOLDOUT

    messages = Path(__file__).parent.parent / "demo" / "messages.csv"
    _show_command("train", str(messages), "--output", str(output))
    outcome = train(messages, output, seed=seed, say=lambda line: print(line, file=sys.stderr))
    show_outcome(outcome)

    held_out = output.parent / f"{output.name}-held-out.csv"  # beside: what lies in the directory is the run's own
    _, examples = holdout_split(load_labelled(messages).examples, HOLDOUT, seed)
    _write_examples(held_out, [(e.text, str(e.label)) for e in examples])
    _show_command("evaluate", str(output), str(held_out))
    evaluate_command(str(output), held_out)

    print(f"\n$ printf '%s\\n' {shlex.quote(NEW_TEXTS[0])} … | bothways predict {shlex.quote(str(output))} -")
    classify = pipeline("text-classification", model=output)
    for text, answer in zip(NEW_TEXTS, classify(list(NEW_TEXTS)), strict=True):
        print(f"{answer['label']:<18}{answer['score']:.2f}  {text}")


def _show_command(*words: str) -> None:
    print(f"\n$ {shlex.join(['bothways', *words])}")


def _write_examples(path: Path, rows: list[tuple[str, str]]) -> None:
    import csv

    from bothways.files import replacing

    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("text", "label"))
        writer.writerows(rows)
