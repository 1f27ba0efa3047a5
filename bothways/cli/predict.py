"""``bothways predict``: any number of texts, in order, in constant memory."""

from __future__ import annotations

import json
import re
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bothways.cli.answers import check_file_output, check_long_input, load_pipeline, report_long_inputs, writing
from bothways.cli.predict_tasks import Asked, asking, made_for, row_task, rows_of_texts, single_texts
from bothways.cli.predict_words import read_words
from bothways.cli.show import Viewer, check_viewing


def predict_command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL] FILE|TEXT...",
            help="A trained model (a directory or a name), then one file as for train (a text a line in .txt, or - for "
            "standard input) or texts. What exists as a file is a file, all else is a text. With --task the model may "
            "be left out: then it is the one in the box (bothways models).",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The model; then all words are texts or a file.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; by default standard output.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="What to do: sentiment, ner, question-answering, zero-shot, fill-mask and others; by default what the "
            "model was made for. Zero-shot needs it."
        ),
    ] = None,
    question: Annotated[str | None, typer.Option(help="Question answering: what to ask each text.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text; 'a,b' for pairs.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Answers to show for each text, best first; 0 for all.")] = None,
    labels: Annotated[str | None, typer.Option(help="Zero-shot: the labels to choose from, as 'a,b,c'.")] = None,
    template: Annotated[str | None, typer.Option(help="Zero-shot: sentence with {} in the place of the label.")] = None,
    multi_label: Annotated[bool, typer.Option("--multi-label", help="Zero-shot: judge each label by itself.")] = False,
    aggregation: Annotated[
        str | None, typer.Option(help="Entities: none, simple, first, average or max.  [default: first]")
    ] = None,
    calibrated: Annotated[
        bool,
        typer.Option("--calibrated", help="Classification: scores that mean what they say (bothways calibrate)."),
    ] = False,
    abstain_at_risk: Annotated[
        float | None,
        typer.Option(help="Classification: no label where more than this share of answers would be wrong, as 0.02."),
    ] = None,
    conformal: Annotated[
        float | None,
        typer.Option(
            help="Classification: for each text the set of labels that misses the right one in at most this share of "
            "texts, as 0.1; of a model that answers with numbers an interval."
        ),
    ] = None,
    long_input: Annotated[
        str, typer.Option(help="Texts longer than the model reads: window, truncate or error.")
    ] = "window",
    show: Annotated[
        bool,
        typer.Option(
            "--show", help="Entities and answers: marked in their texts, in colours; lines only with --output."
        ),
    ] = False,
    why: Annotated[
        bool,
        typer.Option("--why", help="Classification: show the words that moved each label; lines only with --output."),
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Page to write with what --show or --why shows.")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the file, if the name does not tell.")
    ] = None,
) -> None:
    """Answer texts with a trained model: one JSON object a line, in the order of the texts.

    bothways predict MODEL reviews.csv    bothways predict --task sentiment "I loved it"
    """
    from bothways.errors import UsageError
    from bothways.progress import progress_bar

    given = read_words(words or [], task, model)
    check_file_output(output, *([] if given.file is None else [given.file]))
    if top_k is not None and top_k < 0:
        raise UsageError(f"--top-k is {top_k}; expected a number of answers, or 0 for all.")
    check_long_input(long_input)
    if given.file is None and (text_column or encoding or file_format):
        raise UsageError("--text-column, --encoding and --format are for a file, and texts were given.")
    if given.file is not None and given.file != "-":
        from bothways.data.opening import check_readable

        check_readable(Path(given.file))
    asked = Asked(
        top_k=top_k,
        labels=labels,
        template=template,
        multi_label=multi_label,
        aggregation=aggregation,
        question=question,
        calibrated=calibrated,
        abstain_at_risk=abstain_at_risk,
        conformal=conformal,
    )
    way = row_task(task or made_for(str(given.model)))
    asked.check(way)
    check_viewing(way, show=show, html=html, why=why, read=given.file)
    if given.file is None:
        rows = rows_of_texts(way, given.texts, asked)
    else:
        read = single_texts if question is not None else way.read
        rows = read(given.file, text_column=text_column, format=file_format, encoding=encoding)
    if question is not None:
        rows = asking(question, rows)
    if given.file is None and precision == "auto":
        precision = "float32"  # for a few texts the form for bfloat16 costs more than it saves
    # what was asked tells more of the nearest model in the box than what it is a kind of
    wanted = "sentiment-analysis" if task in ("sentiment", "sentiment-analysis") else way.task
    pipe = load_pipeline(wanted, given.model, precision)
    options = way.options(asked, pipe.model.config)
    if long_input == "window" and not way.divides:
        long_input = "error"
    known: deque[tuple[dict[str, Any], Any]] = deque()
    several = given.file is not None or len(given.texts) > 1
    viewer = Viewer(way, show=show or (why and output is None), html=html, why=why, several=several)
    count = windowed = truncated = 0
    watched = sys.stderr.isatty() and not (output is None and sys.stdout.isatty())
    with _rows_named(given.file), writing(output) as out, progress_bar("Predicting", None, show=watched) as advance:
        for result in pipe(_inputs(rows, known), details=True, long_input=long_input, **options):
            names, item = known.popleft()
            line = names | way.line(result, asked, pipe.model.config)
            viewer.add(pipe, item, line)
            count, windowed, truncated = count + 1, windowed + (line["n_windows"] > 1), truncated + line["truncated"]
            if output is not None or not viewer.show:
                out.write(json.dumps(line, ensure_ascii=False) + "\n")
            advance()
    viewer.finish()
    report_long_inputs(count, windowed, truncated)


@contextmanager
def _rows_named(file: str | None) -> Iterator[None]:
    """Let errors name rows as the answers do, from 1; pipelines count their inputs from 0."""
    from bothways.errors import InputError, PipelineException

    try:
        yield
    except (InputError, PipelineException) as problem:
        where = "" if file is None else f"{'standard input' if file == '-' else file}: "
        told = re.sub(r"\binput (\d+)", lambda found: f"row {int(found[1]) + 1}", str(problem))
        raise InputError(str(problem) if told == str(problem) else where + told) from None


def _inputs(rows: Iterator[tuple[dict[str, Any], Any]], known: deque[tuple[dict[str, Any], Any]]) -> Iterator[Any]:
    """The inputs; each is kept with what names it until its answer comes."""
    for names, item in rows:
        known.append((names, item))
        yield item
