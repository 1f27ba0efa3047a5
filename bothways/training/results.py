"""What a run leaves: the model directory, ``bothways.json`` and the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.directories import publishing
from bothways.evaluation.baseline import Predictions
from bothways.evaluation.calibrated import Calibrated
from bothways.evaluation.verdict import Comparison, Contender, compare
from bothways.files import write_json, write_text
from bothways.training.card import card
from bothways.training.manifest import FORMAT, command_line, hardware, json_options, now, versions, weights_hash
from bothways.training.method import Method
from bothways.training.publish import MANIFEST
from bothways.training.scoring import SELECTION
from bothways.training.search import Search
from bothways.training.settings import FitResult, FitSettings
from bothways.training.task import JudgedBaseline, TrainingSet, TrainingTask

CARD = "README.md"


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that is known of a finished run.

    Attributes:
        options: of the call that repeats it.
        files: the data.
        model: name and hash of the model it started from.
        limit: tokens of an example that training read.
        windowed: evaluation examples that were read in several windows.
        method: how it learned. class_weights: what each class weighed; None where all weighed the same.
        processes: that trained together.
        search: for the settings, if there was one. advice: about settings that are not known to work.
        evidence: what the run measured of itself, see ``evidence.gather``.
        calibrated: how sure the model may be, and what is stored of that; None where it was not measured.
        watched: float32 (n, C), the mean probabilities that the model gave of each training example as it learned, see
            ``label_watch``; None for tasks where labels are not watched.
        evaluation_tokens: of each evaluation example; None where it is not told.
        predict_seconds: to answer all evaluation examples, tokenisation left out.
    """

    options: dict[str, Any]
    files: tuple[str, ...]
    task: TrainingTask
    settings: FitSettings
    method: Method
    class_weights: dict[str, float] | None
    result: FitResult
    model: dict[str, Any]
    limit: int
    training_set: TrainingSet
    windowed: int
    predictions: Predictions
    baseline: JudgedBaseline
    predict_seconds: float
    total_seconds: float
    processes: int = 1
    search: Search | None = None
    advice: tuple[str, ...] = ()
    evidence: dict[str, Any] | None = None
    calibrated: Calibrated | None = None
    evaluation_tokens: tuple[int, ...] | None = None
    watched: NDArray[np.float32] | None = None


@dataclass(frozen=True, kw_only=True)
class TrainOutcome:
    """What ``train`` returns.

    Attributes:
        directory: an ordinary model directory with ``bothways.json`` and ``report.html``.
        comparison: the table against the baselines and the sentence that says whether the model is worth it.
        metrics: the model's scores on the evaluation part.
        notes: what the user should know: examples that were cut, an early stop.
    """

    directory: Path
    comparison: Comparison
    metrics: dict[str, Any]
    notes: tuple[str, ...]


def write_results(directory: Path, run: Run, write_model: Callable[[Path], None]) -> TrainOutcome:
    """Compare, and publish the directory: whole, or not at all.

    Args:
        write_model: writes the files of model and tokeniser into a directory.
    """
    from bothways.training.report import write_training_report

    gold = run.task.gold()
    metrics = run.task.metrics(run.predictions)
    with publishing(directory) as temporary:
        write_model(temporary)
        comparison = _compare(run, gold, sum(p.stat().st_size for p in temporary.glob("*.safetensors")) / 1e6)
        manifest = make_manifest(run, directory, metrics, comparison, weights_hash(temporary))
        write_training_report(temporary, run, comparison, manifest)
        write_text(temporary / CARD, card(manifest, directory.name))
        manifest["files"] = sorted(path.name for path in temporary.iterdir())
        write_json(temporary / MANIFEST, manifest)
    sureness = run.calibrated.sentences if run.calibrated else ()
    return TrainOutcome(
        directory=directory,
        comparison=comparison,
        metrics=metrics,
        notes=(*run.task.remarks(metrics), *notes(run), *sureness),
    )


def notes(run: Run) -> tuple[str, ...]:
    """What the user should know beyond the scores, a sentence each."""
    found = [*run.advice, *(run.search.notes() if run.search else ()), *run.training_set.notes]
    cut, items = run.training_set.cut, run.task.items
    if cut:
        found.append(
            f"{cut:,} of {len(run.training_set.n_tokens):,} training {items} are longer than {run.limit} tokens: "
            "training read their beginning, predictions read all of them in windows."
        )
    if run.method.lora is not None:
        found.append(
            f"The directory is an adapter: it holds what was learned, and is loaded together with its encoder "
            f"{run.model['name']}, which must stay where it is."
        )
    if run.result.stopped:
        by_time = run.result.stopped == "time"  # then the epoch was cut short and still evaluated
        epoch = len(run.result.history) + (0 if by_time else 1)
        why = "The time was up" if by_time else "Training was interrupted"
        found.append(f"{why} in epoch {epoch} of {run.settings.epochs}; the best so far is kept.")
    if len(run.result.history) > 1:
        found.append(
            f"Epoch {run.result.best_epoch} of {len(run.result.history)} was kept, chosen by "
            f"{SELECTION[run.task.kind].replace('_', ' ')} on the evaluation {items}; that flatters the score a little."
        )
    return tuple(found)


def make_manifest(
    run: Run, directory: Path, metrics: dict[str, Any], comparison: Comparison, trained_sha256: str | None
) -> dict[str, Any]:
    """The run as JSON values."""
    task, split, result = run.task, run.task.split, run.result
    return {
        "format": FORMAT,
        "created": now(),
        "task": task.name,
        "kind": task.kind,
        "labels": list(task.label_names),
        "command": command_line(run.files, {"output": directory, **run.options}),
        "options": json_options(run.options),
        "model": {**run.model, "trained_sha256": trained_sha256},
        "data": {
            "files": list(run.files),
            "columns": split.columns,
            "train": {"count": len(split.train), "sha256": task.digest(split.train)},
            "evaluation": {
                "count": len(split.evaluation),
                "sha256": task.digest(split.evaluation),
                "held_out": split.held_out,
                "also_in_training": split.leaks,
            },
            "problems": split.problems,
            "max_length": run.limit,
            "cut_training_texts": run.training_set.cut,
            "windowed_evaluation_texts": run.windowed,
        },
        "settings": asdict(run.settings),
        "method": {**asdict(run.method), "class_weights": run.class_weights},
        "search": run.search.to_json() if run.search else None,
        "advice": list(run.advice),
        "training": {
            "history": [asdict(record) for record in result.history],
            "best_epoch": result.best_epoch,
            "steps": result.steps,
            "tokens": result.tokens,
            "seconds": result.seconds,
            "stopped": result.stopped,
            "precision": result.precision,
            "processes": run.processes,
            "digests": result.digests,
            "clock": result.clock,
        },
        "metrics": metrics,
        "comparison": asdict(comparison),
        "evidence": run.evidence,
        "calibration": run.calibrated.summary() if run.calibrated else None,
        "total_seconds": run.total_seconds,
        "versions": versions(),
        "hardware": hardware(),
    }


def _compare(run: Run, gold: list[Any], megabytes: float) -> Comparison:
    task, baseline = run.task, run.baseline
    thousands = len(gold) / 1000
    return compare(
        gold,
        Contender(
            name=Path(run.model["name"]).name,
            predictions=run.predictions,
            train_seconds=run.result.seconds,
            seconds_per_1000=run.predict_seconds / thousands,
            megabytes=megabytes,
        ),
        Contender(
            name=baseline.name,
            predictions=baseline.predictions,
            train_seconds=baseline.train_seconds,
            seconds_per_1000=baseline.predict_seconds / thousands,
            megabytes=baseline.megabytes,
        ),
        baseline.majority,
        kind=task.kind,
        label_names=task.label_names if task.kind != "regression" else (),
        seed=run.settings.seed,
        items=task.items,
    )
