"""``bothways report``: where a model can be trusted and where it fails, as a page to send on."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def report_command(
    model: Annotated[
        str, typer.Argument(help="A trained model: a directory or a name. With --predictions what the tool is called.")
    ],
    file: Annotated[Path, typer.Argument(help="Labelled data, as for train.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for report.html and report.json.")],
    predictions: Annotated[
        Path | None,
        typer.Option(help='JSONL of another tool: {"row": 1, "label": "spam", "score": 0.97}; id works as row does.'),
    ] = None,
    train: Annotated[
        Path | None, typer.Option(help="Labelled data for the baseline that the model has to beat.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="As for train; by default what the model was made for.")] = None,
    kind: Annotated[str | None, typer.Option(help="With --predictions: single, multi or regression.")] = None,
    template: Annotated[str | None, typer.Option(help="Zero-shot: sentence with {} in the place of the label.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text; 'a,b' for pairs.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    target: Annotated[
        Path | None, typer.Option(help="For a file with a source a line: the file with their targets.")
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    encoding: Annotated[str | None, typer.Option(help="Encoding of the files, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the files, if the names do not tell.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the baseline and of resampling.")] = 0,
) -> None:
    """Write a page about a model's answers to labelled data: scores against a baseline, weak spots, suspected labels.

    bothways report my-model test.csv --train train.csv -o report
    """
    from rich.console import Console

    from bothways.cli.answers import chosen_dtype
    from bothways.engine.precision import best_device
    from bothways.errors import UsageError
    from bothways.evaluation.table import comparison_table
    from bothways.training.model_report import report

    if kind is not None and predictions is None:
        raise UsageError("--kind is for --predictions; a model knows its own kind of labels. Drop it.")
    if template is not None and predictions is not None:
        raise UsageError("--template is for zero-shot models, and --predictions are there already. Drop one.")
    chosen_dtype(precision, best_device())
    found = report(
        model,
        file,
        output,
        task=task,
        predictions=predictions,
        train=train,
        template=template,
        precision=precision,
        seed=seed,
        command=shlex.join(["bothways", *sys.argv[1:]]) if sys.argv[1:2] == ["report"] else None,
        say=lambda line: print(line, file=sys.stderr),
        kind=kind,
        text_column=text_column,
        label_column=label_column,
        target=target,
        encoding=encoding,
        format=file_format,
    )
    console = Console()
    console.print(comparison_table(found.comparison))
    for sentence in (found.comparison.verdict, *found.warnings):
        print(sentence)
    print(f"Report: {found.page}")
