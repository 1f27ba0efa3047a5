"""``bothways evaluate``: how good a trained model is on other labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bothways.cli.answers import check_file_output, chosen_dtype
from bothways.cli.predict_tasks import made_for

PER_LABEL = {"per_label": ("label", "texts"), "per_type": ("type", "entities")}
"""Tables among the scores: what their rows are, and what is counted."""


def evaluate_command(
    model: Annotated[str, typer.Argument(help="A trained model: a directory or a name.")],
    file: Annotated[Path, typer.Argument(help="Labelled data, as for train.")],
    task: Annotated[str | None, typer.Option(help="As for train; by default what the model was made for.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text; 'a,b' for pairs.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    target: Annotated[
        Path | None, typer.Option(help="For a file with a source a line: the file with their targets.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file for all scores.")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the file, if the name does not tell.")
    ] = None,
) -> None:
    """Score a trained model on labelled data, with 95 % intervals and a line for every label."""
    from bothways.evaluation.scores import METRICS, count_outcomes, score
    from bothways.files import write_json
    from bothways.tasks.encoded import position_limit
    from bothways.training.known_tasks import find_task
    from bothways.training.task import check_further

    check_file_output(output, file)
    runner, tokenizer, made_for = _load(model, task, precision)
    config = runner.model.config
    reading: dict[str, Any] = {
        "text_column": text_column,
        "label_column": label_column,
        "format": file_format,
        "encoding": encoding,
    }
    task_class = find_task(made_for)
    check_further(task_class, {"target": target})
    if target is not None:
        reading["target"] = target
    job = task_class.load_evaluation(file, config, **reading)
    _compare_columns(model, job.split.columns)
    found = job.answer(runner, job.encode_evaluation(tokenizer, position_limit(config)))
    names = job.label_names if job.kind != "regression" else ()
    outcomes = count_outcomes(job.kind, job.gold(), found.labels, label_names=names)
    intervals = {metric.title: (metric, score(metric, outcomes)) for metric in METRICS[job.kind]}
    metrics = job.metrics(found)
    count = len(job.split.evaluation)
    _show(f"{Path(model).name} on {count:,} {job.items}", intervals, metrics)
    if output is not None:
        shown = {metric.name: vars(interval) for metric, interval in intervals.values()}
        write_json(output, {"model": model, "file": str(file), "count": count, "intervals": shown, "metrics": metrics})


def _load(model: str, task: str | None, precision: str) -> tuple[Any, Any, str]:
    """A runner, the tokeniser and the name of the task."""
    from bothways.engine.precision import best_device
    from bothways.models.runner import PackedRunner
    from bothways.pipelines.build import load_model
    from bothways.pipelines.registry import find_pipeline
    from bothways.pipelines.tokenizer_fit import check_tokenizer
    from bothways.resolver import resolve_model
    from bothways.tokenizers import AutoTokenizer

    device = best_device()
    dtype = chosen_dtype(precision, device)
    directory = resolve_model(model)
    name, pipeline_class = find_pipeline(task or made_for(str(directory)))
    loaded = load_model(directory, pipeline_class).to(device)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    check_tokenizer(loaded, tokenizer)
    return PackedRunner(loaded, dtype=dtype), tokenizer, name


def _compare_columns(model: str, columns: dict[str, str | None]) -> None:
    """Say so when a model that learned pairs of texts is asked about single ones, or the other way round."""
    import sys

    from bothways.errors import BothwaysError
    from bothways.files import read_json
    from bothways.training.publish import MANIFEST

    manifest = Path(model) / MANIFEST
    if not manifest.is_file() or "text_pair" not in columns:
        return
    try:
        learned_pairs = read_json(manifest)["data"]["columns"].get("text_pair") is not None
    except (BothwaysError, AttributeError, KeyError, TypeError):
        return  # changed by hand: the scores do not depend on it
    if learned_pairs != (columns["text_pair"] is not None):
        learned, asked = ("pairs of texts", "single texts") if learned_pairs else ("single texts", "pairs of texts")
        print(f"The model was trained on {learned} and is asked about {asked}: mind the scores.", file=sys.stderr)


def _show(title: str, intervals: dict[str, Any], metrics: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for column in ("score", "value", "95 % interval"):
        table.add_column(column, justify="left" if column == "score" else "right")
    for name, (metric, interval) in intervals.items():
        low, high = _shown(metric, interval.low), _shown(metric, interval.high)
        table.add_row(name, _shown(metric, interval.estimate), f"{low} to {high}")
    console = Console()
    console.print(table)
    for key, (row, counted) in PER_LABEL.items():
        if key in metrics:
            console.print(_label_table(metrics[key], row, counted))


def _label_table(rows: dict[str, dict[str, Any]], what: str, counted: str) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{what.capitalize()}s", title_justify="left")
    for column in (what, "precision", "recall", "F1", counted):
        table.add_column(column, justify="left" if column == what else "right")
    for label, scores in rows.items():
        numbers = [f"{scores[k]:.3f}" for k in ("precision", "recall", "f1")]
        table.add_row(Text(label), *numbers, f"{scores['support']:,}")
    return table


def _shown(metric: Any, value: float) -> str:
    return f"{value * 100:.1f} %" if metric.percent else f"{value:.3f}"
