"""``bothways compare``: models side by side, measured on this machine and on the user's data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bothways.cli.answers import check_file_output

if TYPE_CHECKING:
    from bothways.comparing.compare import ModelTable


def compare_command(
    what: Annotated[list[str], typer.Argument(help="Models (directories or names), and last the labelled file.")],
    task: Annotated[str | None, typer.Option(help="As for train; by default that of the first model.")] = None,
    train: Annotated[Path | None, typer.Option(help="Labelled data on which to train the baseline.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="JSON file for all numbers.")] = None,
    html: Annotated[Path | None, typer.Option(help="Page with the table and the Pareto front.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text; 'a,b' for pairs.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    encoding: Annotated[str | None, typer.Option(help="Encoding of the files, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the files, if the names do not tell.")
    ] = None,
) -> None:
    """Measure size, memory, speed, latency and score of models in one run, beside the baseline (--train)."""
    from dataclasses import asdict

    from bothways.comparing.compare import compare_models
    from bothways.errors import UsageError
    from bothways.files import write_json, write_text

    if len(what) < 2:
        raise UsageError("compare needs one model or more, and then a labelled file: bothways compare MODEL… FILE.")
    *models, file = what
    for option in (json_file, html):
        check_file_output(option, file, *([train] if train else []))
    table = compare_models(
        models,
        file,
        task=task,
        train=train,
        text_column=text_column,
        label_column=label_column,
        precision=precision,
        encoding=encoding,
        format=file_format,
    )
    _show(table)
    if json_file is not None:
        write_json(json_file, asdict(table))
    if html is not None:
        from bothways.comparing.page import render_table

        write_text(html, render_table(table))


def _show(table: ModelTable) -> None:
    from rich.console import Console

    from bothways.comparing.chart import terminal_chart

    console = Console()
    console.print(_scores(table))
    console.print(_costs(table))
    if len(table.rows) > 1:
        title = table.rows[0].scores[0].title
        print("\n".join([f"{title} against speed; · is the Pareto front:", *terminal_chart(table.rows), ""]))
    print("\n".join((*table.sentences, *table.left_out)))


def _scores(table: ModelTable) -> Any:
    from rich.table import Table
    from rich.text import Text

    from bothways.comparing.chart import letter
    from bothways.comparing.page import shown_scores

    title = f"{Path(table.data).name}: {table.n:,} {table.items}, with 95 % intervals"
    shown = Table(title=Text(title), title_justify="left")
    shown.add_column("")
    shown.add_column("model", overflow="fold")
    for score in table.rows[0].scores:
        shown.add_column(score.title, justify="right")
    for i, row in enumerate(table.rows):
        cells = [f"{cell['value']}\n{cell['range']}" for cell in shown_scores(row)]
        shown.add_row(letter(i), Text(row.name), *cells)
    return shown


def _costs(table: ModelTable) -> Any:
    from rich.table import Table
    from rich.text import Text

    from bothways.comparing.chart import letter
    from bothways.comparing.page import COLUMNS, measured_cells

    shown = Table(title=Text("Costs on this machine, tokenisation included"), title_justify="left")
    shown.add_column("")
    for column in COLUMNS:
        shown.add_column(column, justify="right")
    for i, row in enumerate(table.rows):
        shown.add_row(letter(i), *measured_cells(row))
    return shown
