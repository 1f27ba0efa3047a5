"""``bothways calibrate``: how sure a model may be, measured on labelled data and stored with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bothways.evaluation.calibrated import Calibrated


def calibrate_command(
    model: Annotated[str, typer.Argument(help="A trained classifier: a directory, or with --output also a name.")],
    file: Annotated[Path, typer.Argument(help="Labelled data that the model did not learn from.")],
    evaluation: Annotated[
        Path | None, typer.Option("--eval", help="Further labelled data to measure on; by default halves of FILE.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="text-classification, or ner, whose confidences are only measured.")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text; 'a,b' for pairs.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New directory for a calibrated copy of the model.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="JSON file for all numbers.")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    encoding: Annotated[str | None, typer.Option(help="Encoding of the files, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the files, if the names do not tell.")
    ] = None,
) -> None:
    """Measure how sure a classifier may be, and store it with the model: its scores then mean what they say."""
    from dataclasses import asdict

    from bothways.cli.answers import check_file_output
    from bothways.files import write_json
    from bothways.training.calibrating import calibrate

    check_file_output(json_file, file, *([evaluation] if evaluation else []))
    found = calibrate(
        model,
        file,
        evaluation=evaluation,
        output=output,
        precision=precision,
        task=task,
        text_column=text_column,
        label_column=label_column,
        encoding=encoding,
        format=file_format,
    )
    _show(f"{Path(model).name} on {found.count:,} {found.items}", found)
    if found.calibration is not None:
        print(f"Stored in {(output or Path(model)) / 'config.json'}.")
    if json_file is not None:
        write_json(json_file, {"model": model, "file": str(file), **asdict(found)})


def _show(title: str, found: Calibrated) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if found.before is not None:
        table = Table(title=Text(title), title_justify="left")
        for column in ("", "calibration error", "with equal counts", "Brier score", "log loss"):
            table.add_column(column, justify="right" if column else "left")
        for name, row in (("as it is", found.before), ("calibrated", found.after)):
            if row is not None:
                loss = "" if row.log_loss is None else f"{row.log_loss:.4f}"
                table.add_row(name, _percent(row.error), _percent(row.adaptive_error), f"{row.brier:.4f}", loss)
        console.print(table)
    _print_rows(
        console,
        ("at most mistakes", "answered", "of these wrong", "confidence from"),
        [(_percent(a.asked), _percent(a.coverage), _percent(a.risk), f"{a.confidence:.4f}") for a in found.abstention],
    )
    size = "width" if found.kind == "regression" else "labels in a set"
    _print_rows(
        console,
        ("sets for", "hold the truth in", size),
        [(_percent(s.promised), _percent(s.coverage), f"{s.mean_size:.3g}") for s in found.sets],
    )
    for sentence in found.sentences:
        print(sentence)


def _print_rows(console: Any, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.table import Table

    if not rows:
        return
    table = Table()
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _percent(value: float) -> str:
    return f"{value * 100:.1f} %"
