"""``bothways audit``: what is wrong with data, before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bothways.cli.answers import check_file_output

LEAKAGE = 3
"""Exit code where evaluation texts are in training too, so that a script can stop there."""


def audit_command(
    files: Annotated[list[Path], typer.Argument(help="Training data, as for train.")],
    evaluation: Annotated[
        list[Path] | None, typer.Option("--eval", help="Evaluation data; may be given several times.")
    ] = None,
    task: Annotated[
        str, typer.Option(help="text-classification (also of pairs), token-classification (ner) or question-answering.")
    ] = "text-classification",
    text_column: Annotated[str | None, typer.Option(help="Column of the text; 'a,b' for pairs.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Kind of label: single, multi or regression; recognised if not given.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Whose tokens are counted; by default minilm-l6, if it is on this machine.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Tokens that training is to read; by default all the model can.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="JSON file for everything that was found.")] = None,
    examples: Annotated[int, typer.Option(min=0, max=20, help="Examples shown of each finding.")] = 3,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the files, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the files, if the name does not tell.")
    ] = None,
) -> int:
    """Find leaks, duplicates, conflicting labels, lack of balance, long, odd and foreign texts.

    The exit code is 3 if texts of evaluation are in training too, and 0 if not, whatever else was found.
    """
    from rich.console import Console

    from bothways.evaluation.audit import audit
    from bothways.evaluation.audit_findings import audit_as_json
    from bothways.evaluation.audit_table import audit_view
    from bothways.files import write_json

    check_file_output(json_file, *files, *(evaluation or ()))
    found = audit(
        files,
        evaluation or None,
        task=task,
        text_column=text_column,
        label_column=label_column,
        kind=kind,  # type: ignore[arg-type]  # load_labelled refuses other words
        model=model,
        max_length=max_length,
        format=file_format,
        encoding=encoding,
    )
    Console().print(audit_view(found, examples))
    if json_file is not None:
        write_json(json_file, audit_as_json(found))
    return LEAKAGE if found.has_leakage else 0
