"""``bothways verify-resume``: the proof, on a run of one's own, that going on after a kill changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bothways.training.verify import ResumeProof

SHOWN = 12  # digits of a hash


def verify_resume_command(
    run: Annotated[Path, typer.Argument(help="The --output of a training, finished or not.")],
    at: Annotated[int, typer.Option(help="Step after which the process is killed.")],
    steps: Annotated[int, typer.Option(help="Steps after that, before everything is compared.")] = 20,
) -> None:
    """Train a run again with and without a kill -9 on the way, and compare every bit. The run itself is left alone."""
    import sys

    from bothways.training.verify import verify_resume

    proof = verify_resume(run, at, steps=steps, say=lambda line: print(line, file=sys.stderr))
    _show(proof)
    if not proof.holds:
        raise typer.Exit(1)


def _show(proof: ResumeProof) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(caption="sha256 of all numbers", caption_justify="left")
    for column in ("step", "tensors", "of", "without a stop", "with kill -9", "verdict"):
        table.add_column(column, justify="right" if column in ("step", "tensors") else "left")
    for part in proof.compared:
        verdict = f"{len(part.differing):,} differ" if part.differing else "identical"
        table.add_row(
            f"{part.step:,}", f"{part.tensors:,}", part.what, _short(part.whole), _short(part.resumed), verdict
        )
    for step, then, now in proof.own:
        tensors = f"{proof.compared[0].tensors:,}"
        verdict = "identical" if then == now else "differs"
        table.add_row(f"{step:,}", tensors, "your run", _short(now), _short(then), verdict)
    console = Console()
    console.print(table)
    console.print(proof.sentence, markup=False, highlight=False, soft_wrap=True)


def _short(digest: str) -> str:
    return f"{digest[:SHOWN]}…"
