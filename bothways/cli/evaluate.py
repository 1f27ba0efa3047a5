"""``bothways evaluate``: how good a trained model is on other labelled texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bothways.cli.answers import check_file_output, load_pipeline

if TYPE_CHECKING:
    from bothways.data import LabelKind

KINDS: dict[str, LabelKind] = {"regression": "regression", "multi_label_classification": "multi"}


def evaluate_command(
    model: Annotated[str, typer.Argument(help="A trained model: a directory or a name.")],
    file: Annotated[Path, typer.Argument(help="Labelled texts, as for train.")],
    text_column: Annotated[str | None, typer.Option(help="Column of the text; 'a,b' for pairs.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file for all scores.")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the file, if the name does not tell.")
    ] = None,
) -> None:
    """Score a trained model on labelled texts, with 95 % intervals and a line for every label."""
    from bothways.data import check_labels, load_labelled
    from bothways.evaluation.scores import METRICS, count_outcomes, score
    from bothways.files import write_json
    from bothways.training.scoring import all_scores

    check_file_output(output)
    pipe = load_pipeline("text-classification", model, precision)
    config = pipe.model.config
    kind: LabelKind = KINDS.get(config.problem_type, "single")
    read = load_labelled(
        file,
        text_column=text_column,
        label_column=label_column,
        task_kind=kind,
        purpose="evaluate",
        format=file_format,
        encoding=encoding,
    )
    _compare_columns(model, read.columns.text_pair is not None)
    if kind != "regression":
        check_labels(read, list(config.label2id))
    gold = [example.label for example in read.examples]
    predicted = _answers(pipe, read.examples, kind)
    names = [config.id2label[i] for i in range(config.num_labels)]
    outcomes = count_outcomes(kind, gold, predicted, label_names=names if kind != "regression" else ())
    intervals = {metric.title: (metric, score(metric, outcomes)) for metric in METRICS[kind]}
    metrics = all_scores(kind, gold, predicted, names)
    _show(Path(model).name, len(gold), intervals, metrics)
    if output is not None:
        shown = {metric.name: vars(interval) for metric, interval in intervals.values()}
        write_json(
            output, {"model": model, "file": str(file), "count": len(gold), "intervals": shown, "metrics": metrics}
        )


def _compare_columns(model: str, paired: bool) -> None:
    """Say so when a model that learned pairs of texts is asked about single ones, or the other way round."""
    import sys

    from bothways.files import read_json
    from bothways.training.publish import MANIFEST

    manifest = Path(model) / MANIFEST
    if not manifest.is_file():
        return
    learned_pairs = read_json(manifest)["data"]["columns"]["text_pair"] is not None
    if learned_pairs != paired:
        learned, asked = ("pairs of texts", "single texts") if learned_pairs else ("single texts", "pairs of texts")
        print(f"The model was trained on {learned} and is asked about {asked}: mind the scores.", file=sys.stderr)


def _answers(pipe: Any, examples: Any, kind: str) -> list[Any]:
    from bothways.progress import progress_bar
    from bothways.training.scoring import THRESHOLD

    inputs = (e.text if e.text_pair is None else {"text": e.text, "text_pair": e.text_pair} for e in examples)
    answers: list[Any] = []
    with progress_bar("Scoring", len(examples)) as advance:
        for result in pipe(inputs, **({"top_k": None} if kind == "multi" else {})):
            if kind == "multi":
                answers.append(tuple(r["label"] for r in result if r["score"] >= THRESHOLD))
            else:
                answers.append(result["score" if kind == "regression" else "label"])
            advance()
    return answers


def _show(name: str, count: int, intervals: dict[str, Any], metrics: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{name} on {count:,} texts", title_justify="left")
    for column in ("score", "value", "95 % interval"):
        table.add_column(column, justify="left" if column == "score" else "right")
    for title, (metric, interval) in intervals.items():
        low, high = _shown(metric, interval.low), _shown(metric, interval.high)
        table.add_row(title, _shown(metric, interval.estimate), f"{low} to {high}")
    console = Console()
    console.print(table)
    if "per_label" in metrics:
        console.print(_label_table(metrics["per_label"]))


def _label_table(per_label: dict[str, dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Labels", title_justify="left")
    for column in ("label", "precision", "recall", "F1", "texts"):
        table.add_column(column, justify="left" if column == "label" else "right")
    for label, scores in per_label.items():
        numbers = [f"{scores[k]:.3f}" for k in ("precision", "recall", "f1")]
        table.add_row(Text(label), *numbers, f"{scores['support']:,}")
    return table


def _shown(metric: Any, value: float) -> str:
    return f"{value * 100:.1f} %" if metric.percent else f"{value:.3f}"
