"""``bothways predict``: any number of texts, in order, in constant memory."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer


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
    _check_options(top_k, long_input)
    texts = iter_texts(file, text_column=text_column, format=file_format, encoding=encoding)
    pipe = load_classifier(model, precision)
    several = pipe.model.config.problem_type == "multi_label_classification"
    asked = {"top_k": None} if several or top_k == 0 else {} if top_k is None else {"top_k": top_k}
    inputs = (t.text if t.text_pair is None else {"text": t.text, "text_pair": t.text_pair} for t in texts)
    count = windowed = truncated = 0
    watched = sys.stderr.isatty() and not (output is None and sys.stdout.isatty())
    with _writing(output) as out, progress_bar("Predicting", None, show=watched) as advance:
        for row, result in enumerate(pipe(inputs, details=True, long_input=long_input, **asked), start=1):
            line = _line(row, result, several and top_k is None)
            count, windowed, truncated = count + 1, windowed + (line["n_windows"] > 1), truncated + line["truncated"]
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
            advance()
    if windowed or truncated:
        what = f"{windowed:,} of {count:,} inputs were windowed" if windowed else ""
        cut = f"{truncated:,} of {count:,} inputs were truncated" if truncated else ""
        print("; ".join(part for part in (what, cut) if part) + ".", file=sys.stderr)


def check_file_output(output: Path | None) -> None:
    """Refuse a directory where a file is to be written, before any work."""
    from bothways.errors import UsageError

    if output is not None and output.is_dir():
        raise UsageError(f"--output {output} is a directory; give the name of a file.")


def _check_options(top_k: int | None, long_input: str) -> None:
    from bothways.errors import UsageError
    from bothways.tasks.encoded import LONG_INPUT

    if top_k is not None and top_k < 0:
        raise UsageError(f"--top-k is {top_k}; expected a number of labels, or 0 for all.")
    if long_input not in LONG_INPUT:
        raise UsageError(f"--long-input is {long_input!r}; expected one of {', '.join(LONG_INPUT)}.")


def load_classifier(model: str, precision: str) -> Any:
    """A classification pipeline that computes in ``precision``; auto is bfloat16 where the hardware has it."""
    import torch

    from bothways.errors import UsageError
    from bothways.pipelines import pipeline
    from bothways.training.loop import PRECISIONS, resolve_precision

    if precision not in PRECISIONS:
        raise UsageError(f"--precision is {precision!r}; expected one of {', '.join(PRECISIONS)}.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return pipeline("text-classification", model=model, device=device, dtype=resolve_precision(precision, device))


def _line(row: int, result: Any, above_half: bool) -> dict[str, Any]:
    """What is written for one text. A model of several labels shows those with a score of at least one half."""
    if not isinstance(result, list):
        return {"row": row, **result}
    account = {name: result[0][name] for name in ("n_tokens", "n_windows", "truncated")}
    labels = [{"label": r["label"], "score": r["score"]} for r in result if not above_half or r["score"] >= 0.5]
    return {"row": row, "labels": labels, **account}


@contextmanager
def _writing(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that is whole or not there."""
    if output is None:
        try:
            yield sys.stdout
            sys.stdout.flush()
        except BrokenPipeError:
            # whoever read the output has gone: that is no error, and nothing may be flushed at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    from bothways.files import replacing

    with replacing(output) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as out:
        yield out
