"""The report of a training run, from what the run knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bothways.data import TextExample
from bothways.errors import BothwaysError
from bothways.evaluation.baseline import Predictions
from bothways.evaluation.formats import score_text
from bothways.evaluation.report import CurvePoint, build_report, write_report
from bothways.evaluation.scores import METRICS, count_outcomes, score
from bothways.evaluation.verdict import Comparison, Score
from bothways.training.findings import label_errors_of, learning_of, marked_of, slices_of
from bothways.training.further_columns import further_columns
from bothways.training.results import Run, notes
from bothways.training.scoring import SELECTION
from bothways.training.task import JudgedBaseline, TrainingTask


def write_training_report(directory: Path, run: Run, comparison: Comparison, manifest: dict[str, Any]) -> None:
    """Write ``report.html`` and ``report.json`` into the directory."""
    task = run.task
    texts, pairs = task.shown_texts()
    report = build_report(
        title=f"{Path(run.files[0]).name}: {comparison.rows[-1].name} against {run.baseline.name}",
        comparison=comparison,
        texts=texts,
        pairs=pairs,
        gold=task.gold(),
        predictions=run.predictions,
        label_names=task.label_names if task.kind != "regression" else (),
        train_labels=task.train_labels(),
        token_lengths=run.evaluation_tokens,
        max_tokens=run.limit,
        show=task.show,
        marked=marked_of(task, run.predictions),
        slices=slices_of(task, run.predictions, run.evaluation_tokens, _columns(run)),
        label_errors=label_errors_of(task, run.predictions, run.settings.seed, run.watched),
        learning=learning_of(task, run.baseline, run.settings.seed),
        calibration=run.calibrated,
        facts=facts_of(task),
        warnings=(*leak_warnings(task, run.predictions, run.baseline), *notes(run)),
        curve=tuple(
            CurvePoint(epoch=record.epoch, train_loss=record.train_loss, eval_score=record.score)
            for record in run.result.history
        ),
        curve_metric=SELECTION[task.kind].replace("_", " "),
        settings={
            **{name: value for name, value in manifest["settings"].items() if value is not None},
            "precision": run.result.precision,
            "model": run.model["name"],
            "max_length": run.limit,
        },
        versions=manifest["versions"],
        data_hash=manifest["data"]["train"]["sha256"],
        command=manifest["command"],
        created=manifest["created"],
    )
    write_report(directory, report)


def _columns(run: Run) -> dict[str, list[Any]]:
    """Further columns of the evaluation examples, where rows are texts."""
    examples = run.task.split.evaluation
    if not examples or not isinstance(examples[0], TextExample):
        return {}
    held = run.options.get("eval")
    reading = {name: run.options.get(name) for name in ("format", "encoding")}
    try:
        return further_columns(
            run.files if held is None else [held],
            [example.row for example in examples],
            run.task.split.columns.values(),
            **reading,
        )
    except (BothwaysError, OSError):
        return {}  # moved or changed since the training began: the report is about what was read then


FACTS = {
    "blank_texts": "blank texts",
    "missing_labels": "rows without a label",
    "duplicates": "repeated texts",
    "conflicts": "repeated texts with another label",
}


def facts_of(task: TrainingTask) -> dict[str, int]:
    """Counts about the data of a task."""
    split, items = task.split, task.items
    return {
        **({f"training {items}": len(split.train)} if len(split.train) else {}),
        f"evaluation {items}": len(split.evaluation),
        **{FACTS.get(name, name.replace("_", " ")): count for name, count in split.problems.items()},
        **({f"evaluation {items} that are also in training": split.leaks} if len(split.train) else {}),
    }


def leak_warnings(task: TrainingTask, predictions: Predictions, baseline: JudgedBaseline | None) -> tuple[str, ...]:
    """That scores flatter, where evaluation examples are also in the training part; and those on the other examples."""
    split, items = task.split, task.items
    if not split.leaks:
        return ()
    told = (
        f"{split.leaks:,} of {len(split.evaluation):,} evaluation {items} are also in the training data; "
        "the scores are too good by what was learned by heart."
    )
    clean = sorted(set(range(len(split.evaluation))).difference(split.leaked))
    if not clean:
        return (told,)
    answers = [predictions] if baseline is None else [predictions, baseline.predictions]
    gold = task.gold()
    metric = METRICS[task.kind][0]
    outcomes = count_outcomes(task.kind, [gold[i] for i in clean], *([one.labels[i] for i in clean] for one in answers))
    names = ("the model", "the baseline")
    scores = [
        Score(name=metric.name, title=metric.title, percent=metric.percent, interval=score(metric, outcomes, i))
        for i in range(len(answers))
    ]
    said = " and ".join(f"{name} {_with_interval(one)}" for name, one in zip(names, scores, strict=False))
    return (f"{told} On the other {len(clean):,}, {metric.title} is: {said}.",)


def _with_interval(found: Score) -> str:
    """``91.2 % (90.1 % to 92.2 %)``."""
    low, high = (score_text(found, end) for end in (found.interval.low, found.interval.high))
    return f"{score_text(found)} ({low} to {high})"
