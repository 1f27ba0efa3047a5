"""The report of a training run, from what the run knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bothways.evaluation.report import CurvePoint, build_report, write_report
from bothways.evaluation.verdict import Comparison
from bothways.training.results import Run, notes
from bothways.training.scoring import SELECTION


def write_training_report(directory: Path, run: Run, comparison: Comparison, manifest: dict[str, Any]) -> None:
    """Write ``report.html`` and ``report.json`` into the directory."""
    split = run.split
    paired = any(e.text_pair is not None for e in split.evaluation)
    report = build_report(
        title=f"{Path(run.files[0]).name}: {comparison.rows[-1].name} against a bag of words",
        comparison=comparison,
        texts=[e.text for e in split.evaluation],
        pairs=[e.text_pair for e in split.evaluation] if paired else None,
        gold=run.gold,
        predictions=run.predictions,
        label_names=split.label_names if split.kind != "regression" else (),
        train_labels=[e.label for e in split.train],
        token_lengths=run.n_tokens,
        max_tokens=run.limit,
        facts=_facts(run),
        warnings=(*_warnings(run), *notes(run)),
        curve=tuple(
            CurvePoint(epoch=record.epoch, train_loss=record.train_loss, eval_score=record.score)
            for record in run.result.history
        ),
        curve_metric=SELECTION[split.kind].replace("_", " "),
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


def _facts(run: Run) -> dict[str, int]:
    split, problems = run.split, run.split.data.problems
    return {
        "training texts": len(split.train),
        "evaluation texts": len(split.evaluation),
        "blank texts": problems.blank_texts,
        "rows without a label": problems.missing_labels,
        "repeated texts": problems.duplicates,
        "repeated texts with another label": problems.conflicts,
        "evaluation texts that are also in training": split.leaks,
    }


def _warnings(run: Run) -> tuple[str, ...]:
    if not run.split.leaks:
        return ()
    return (
        f"{run.split.leaks:,} of {len(run.split.evaluation):,} evaluation texts are also in the training data; "
        "the scores are too good by what was learned by heart.",
    )
