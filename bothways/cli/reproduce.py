"""``bothways reproduce``: a run trained again from its own record, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def reproduce_command(
    run: Annotated[Path, typer.Argument(help="The --output of a finished training.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Keep the new run here; by default nothing of it is kept.")
    ] = None,
) -> None:
    """Train a run again with the options, data and model of its record, and compare what comes out.

    Exit code 1 if data, model or scores are not confirmed.
    """
    import sys

    from rich.console import Console
    from rich.table import Table

    from bothways.cli.train import ending
    from bothways.training.reproduce import reproduce

    with ending():
        found = reproduce(run, output, say=lambda line: print(line, file=sys.stderr))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "then", "now", ""):
        table.add_column(title)
    for fact in found.compared:
        table.add_row(
            fact.what, fact.then, fact.now, "identical" if fact.exact else "confirmed" if fact.holds else "differs"
        )
    console = Console()
    console.print(table)
    console.print(found.sentence, markup=False, highlight=False)
    if not found.holds:
        raise typer.Exit(1)
