"""``bothways diff``: whether a model may take the place of another one; the exit code is for CI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bothways.cli.answers import check_file_output

if TYPE_CHECKING:
    from bothways.comparing.diff import Flip, ModelDiff

SHOWN_GROUPS = 12


def diff_command(
    before: Annotated[str, typer.Argument(help="The model in use: a directory or a name.")],
    after: Annotated[str, typer.Argument(help="The model that is to take its place.")],
    file: Annotated[Path, typer.Argument(help="Labelled data, as for train.")],
    budget: Annotated[float, typer.Option(help="By how much the first score may fall; 0.01 is one point.")] = 0.01,
    max_regressions: Annotated[int | None, typer.Option(help="How many answers may become wrong.")] = None,
    examples: Annotated[int, typer.Option(help="Flips to show, of each direction.")] = 10,
    task: Annotated[str | None, typer.Option(help="As for train; by default that of the first model.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="JSON file for everything that was found.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text; 'a,b' for pairs.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the file, if the name does not tell.")
    ] = None,
) -> None:
    """Compare two models answer by answer: flips, parts that got worse, significance. Exit code 1 beyond the budget."""
    from dataclasses import asdict

    from bothways.comparing.diff import diff_models
    from bothways.files import write_json

    check_file_output(json_file, file)
    diff = diff_models(
        before,
        after,
        file,
        budget=budget,
        max_regressions=max_regressions,
        examples=examples,
        task=task,
        text_column=text_column,
        label_column=label_column,
        precision=precision,
        encoding=encoding,
        format=file_format,
    )
    _show(diff)
    if json_file is not None:
        write_json(json_file, asdict(diff))
    if not diff.passed:
        raise typer.Exit(1)


def _show(diff: ModelDiff) -> None:
    from rich.console import Console

    console = Console()
    console.print(_scores(diff))
    if diff.counts is not None:
        console.print(_flips("Newly wrong", diff.newly_wrong, diff.counts.newly_wrong, diff))
        console.print(_flips("Newly right", diff.newly_right, diff.counts.newly_right, diff))
        console.print(_groups(diff))
    lines = []
    if diff.agreement is not None:
        lines.append(f"The models agree on {diff.agreement * 100:.1f} % of {diff.n:,} {diff.items}.")
    if diff.p_value is not None:
        lines.append(f"McNemar's exact test on the flips: p = {diff.p_value:.2g}.")
    print("\n".join((*lines, *diff.notes, diff.verdict)))


def _scores(diff: ModelDiff) -> Any:
    from rich.table import Table
    from rich.text import Text

    from bothways.comparing.told import value_of

    table = Table(title=Text(f"{Path(diff.data).name}: {diff.n:,} {diff.items}"), title_justify="left")
    for column in ("score", diff.before, diff.after, "change", "95 % interval", "p"):
        table.add_column(Text(column), justify="left" if column == "score" else "right")
    for change in diff.scores:
        factor, digits = (100, 1) if change.after.percent else (1, 3)
        found = change.difference
        moved, low, high = (f"{value * factor:+.{digits}f}" for value in (found.estimate, found.low, found.high))
        cells = [value_of(change.before), value_of(change.after), moved, f"{low} to {high}", f"{found.p_value:.2g}"]
        table.add_row(change.after.title, *cells)
    return table


def _flips(title: str, flips: Sequence[Flip], total: int, diff: ModelDiff) -> Any:
    from rich.table import Table
    from rich.text import Text

    if not flips:
        return Text(f"{title}: {total:,}.")
    table = Table(title=Text(f"{title}: {total:,}, shown {len(flips):,}"), title_justify="left")
    for column in ("", "text", "right", diff.before, diff.after):
        table.add_column(Text(column), justify="right" if not column else "left", overflow="fold")
    for flip in flips:
        table.add_row(str(flip.number), *map(Text, (flip.text, flip.gold, flip.before, flip.after)))
    return table


def _groups(diff: ModelDiff) -> Any:
    from rich.table import Table
    from rich.text import Text

    title = f"Where it changed, most lost first ({min(SHOWN_GROUPS, len(diff.groups))} of {len(diff.groups)} parts)"
    table = Table(title=Text(title), title_justify="left")
    for column in ("part", "n", diff.before, diff.after, "newly wrong", "newly right", "p (Holm)"):
        table.add_column(Text(column), justify="left" if column == "part" else "right", overflow="fold")
    for part in diff.groups[:SHOWN_GROUPS]:
        shares = [f"{share * 100:.1f} %" for share in (part.before, part.after)]
        flips = [f"{part.newly_wrong:,}", f"{part.newly_right:,}"]
        table.add_row(Text(f"{part.group}: {part.value}"), f"{part.n:,}", *shares, *flips, f"{part.adjusted:.2g}")
    return table
