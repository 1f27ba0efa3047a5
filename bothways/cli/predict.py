"""``bothways predict``: any number of texts, in order, in constant memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bothways.cli.answers import check_file_output, check_long_input, load_pipeline, report_long_inputs, writing


def predict_command(
    model: Annotated[str, typer.Argument(help="A trained model: a directory or a name.")],
    file: Annotated[
        str, typer.Argument(help="Texts: a file as for train, a text a line in .txt, or - for standard input.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; by default standard output.")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text; 'a,b' for pairs.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Labels to show for each text, best first; 0 for all.")] = None,
    long_input: Annotated[
        str, typer.Option(help="Texts longer than the model reads: window, truncate or error.")
    ] = "window",
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the file, if the name does not tell.")
    ] = None,
) -> None:
    """Answer texts with a trained model: one JSON object a line, in the order of the texts."""
    from bothways.data import iter_texts
    from bothways.progress import progress_bar

    check_file_output(output)
    _check_top_k(top_k)
    check_long_input(long_input)
    texts = iter_texts(file, text_column=text_column, format=file_format, encoding=encoding)
    pipe = load_pipeline("text-classification", model, precision)
    several = pipe.model.config.problem_type == "multi_label_classification"
    asked = {"top_k": None} if several or top_k == 0 else {} if top_k is None else {"top_k": top_k}
    inputs = (t.text if t.text_pair is None else {"text": t.text, "text_pair": t.text_pair} for t in texts)
    count = windowed = truncated = 0
    watched = sys.stderr.isatty() and not (output is None and sys.stdout.isatty())
    with writing(output) as out, progress_bar("Predicting", None, show=watched) as advance:
        for row, result in enumerate(pipe(inputs, details=True, long_input=long_input, **asked), start=1):
            line = _line(row, result, several and top_k is None)
            count, windowed, truncated = count + 1, windowed + (line["n_windows"] > 1), truncated + line["truncated"]
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
            advance()
    report_long_inputs(count, windowed, truncated)


def _check_top_k(top_k: int | None) -> None:
    from bothways.errors import UsageError

    if top_k is not None and top_k < 0:
        raise UsageError(f"--top-k is {top_k}; expected a number of labels, or 0 for all.")


def _line(row: int, result: Any, above_half: bool) -> dict[str, Any]:
    """What is written for one text. A model of several labels shows those with a score of at least one half."""
    if not isinstance(result, list):
        return {"row": row, **result}
    account = {name: result[0][name] for name in ("n_tokens", "n_windows", "truncated")}
    labels = [{"label": r["label"], "score": r["score"]} for r in result if not above_half or r["score"] >= 0.5]
    return {"row": row, "labels": labels, **account}
