"""What a run leaves: the model directory, ``bothways.json`` and the report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bothways.checkpoints.weights import sha256_of
from bothways.data import data_hash
from bothways.evaluation.baseline import Baseline, Predictions
from bothways.evaluation.verdict import Comparison, Contender, compare
from bothways.files import write_json
from bothways.training.examples import Split
from bothways.training.loop import FitResult, FitSettings
from bothways.training.manifest import FORMAT, command_line, hardware, now, versions
from bothways.training.publish import MANIFEST, publishing
from bothways.training.scoring import SELECTION, all_scores


@dataclass(frozen=True)
class JudgedBaseline:
    """The baseline, its answers to the evaluation texts, and the seconds these took."""

    model: Baseline
    predictions: Predictions
    predict_seconds: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that is known of a finished run.

    Attributes:
        options: of the call that repeats it.
        files: the data.
        model: name and hash of the model it started from.
        limit: tokens of a text that training read; ``cut_texts`` were longer.
        windowed_texts: evaluation texts that were read in several windows.
        n_tokens: length of each training text, before any cut.
        predict_seconds: to answer all evaluation texts, tokenisation left out.
    """

    options: dict[str, Any]
    files: tuple[str, ...]
    split: Split
    settings: FitSettings
    result: FitResult
    model: dict[str, Any]
    limit: int
    cut_texts: int
    windowed_texts: int
    n_tokens: tuple[int, ...]
    predictions: Predictions
    baseline: JudgedBaseline
    predict_seconds: float
    total_seconds: float

    @property
    def gold(self) -> list[Any]:
        return [example.label for example in self.split.evaluation]


@dataclass(frozen=True, kw_only=True)
class TrainOutcome:
    """What ``train`` returns.

    Attributes:
        directory: an ordinary model directory with ``bothways.json`` and ``report.html``.
        comparison: the table against the baselines and the sentence that says whether the model is worth it.
        metrics: the model's scores on the evaluation texts.
        notes: what the user should know: texts that were cut, an early stop.
    """

    directory: Path
    comparison: Comparison
    metrics: dict[str, Any]
    notes: tuple[str, ...]


def write_results(directory: Path, run: Run, model: Any, tokenizer: Any) -> TrainOutcome:
    """Compare, and publish the directory: whole, or not at all."""
    from bothways.training.report import write_training_report

    names = run.split.label_names
    metrics = all_scores(run.split.kind, run.gold, run.predictions.labels, names)
    with publishing(directory) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        comparison = _compare(run, sum(p.stat().st_size for p in temporary.glob("*.safetensors")) / 1e6)
        manifest = make_manifest(run, directory, metrics, comparison, sha256_of(temporary / "model.safetensors"))
        write_training_report(temporary, run, comparison, manifest)
        manifest["files"] = sorted(path.name for path in temporary.iterdir())
        write_json(temporary / MANIFEST, manifest)
    return TrainOutcome(directory=directory, comparison=comparison, metrics=metrics, notes=notes(run))


def notes(run: Run) -> tuple[str, ...]:
    """What the user should know beyond the scores, a sentence each."""
    found = []
    if run.cut_texts:
        found.append(
            f"{run.cut_texts:,} of {len(run.n_tokens):,} training texts are longer than {run.limit} tokens: training "
            "read their beginning, predictions read all of them in windows."
        )
    if run.result.stopped:
        by_time = run.result.stopped == "time"  # then the epoch was cut short and still evaluated
        epoch = len(run.result.history) + (0 if by_time else 1)
        why = "The time was up" if by_time else "Training was interrupted"
        found.append(f"{why} in epoch {epoch} of {run.settings.epochs}; the best so far is kept.")
    if len(run.result.history) > 1:
        found.append(
            f"Epoch {run.result.best_epoch} of {len(run.result.history)} was kept, chosen by "
            f"{SELECTION[run.split.kind].replace('_', ' ')} on the evaluation texts; that flatters the score a little."
        )
    return tuple(found)


def make_manifest(
    run: Run, directory: Path, metrics: dict[str, Any], comparison: Comparison, weights_hash: str
) -> dict[str, Any]:
    """The run as JSON values."""
    split, result = run.split, run.result
    columns = split.data.columns
    return {
        "format": FORMAT,
        "created": now(),
        "task": "text-classification",
        "kind": split.kind,
        "labels": list(split.label_names),
        "command": command_line(run.files, {"output": directory, **run.options}),
        "model": {**run.model, "trained_sha256": weights_hash},
        "data": {
            "files": list(run.files),
            "columns": {"text": columns.text, "text_pair": columns.text_pair, "label": columns.label},
            "train": {"count": len(split.train), "sha256": data_hash(split.train)},
            "evaluation": {
                "count": len(split.evaluation),
                "sha256": data_hash(split.evaluation),
                "held_out": split.held_out,
                "also_in_training": split.leaks,
            },
            "problems": asdict(split.data.problems),
            "max_length": run.limit,
            "cut_training_texts": run.cut_texts,
            "windowed_evaluation_texts": run.windowed_texts,
        },
        "settings": asdict(run.settings),
        "training": {
            "history": [asdict(record) for record in result.history],
            "best_epoch": result.best_epoch,
            "steps": result.steps,
            "tokens": result.tokens,
            "seconds": result.seconds,
            "stopped": result.stopped,
            "precision": result.precision,
        },
        "metrics": metrics,
        "comparison": asdict(comparison),
        "total_seconds": run.total_seconds,
        "versions": versions(),
        "hardware": hardware(),
    }


def _compare(run: Run, megabytes: float) -> Comparison:
    split, baseline = run.split, run.baseline
    thousands = len(split.evaluation) / 1000
    return compare(
        run.gold,
        Contender(
            name=Path(run.model["name"]).name,
            predictions=run.predictions,
            train_seconds=run.result.seconds,
            seconds_per_1000=run.predict_seconds / thousands,
            megabytes=megabytes,
        ),
        Contender(
            name=baseline.model.name,
            predictions=baseline.predictions,
            train_seconds=baseline.model.seconds,
            seconds_per_1000=baseline.predict_seconds / thousands,
            megabytes=baseline.model.megabytes,
        ),
        baseline.model.majority_prediction,
        kind=split.kind,
        label_names=split.label_names if split.kind != "regression" else (),
        seed=run.settings.seed,
    )
