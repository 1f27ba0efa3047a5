"""The table that tutorials print from memory, measured: size, memory, speed, latency and score on one file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bothways.comparing.entrants import Entrant, Field, open_entrants
from bothways.comparing.pareto import Point, dominators
from bothways.comparing.speed import Speed, measure_speeds
from bothways.comparing.told import told
from bothways.errors import UsageError
from bothways.evaluation.intervals import Difference
from bothways.evaluation.scores import METRICS, Outcomes, count_outcomes, score, score_difference
from bothways.evaluation.verdict import Score
from bothways.training.known_tasks import find_task
from bothways.training.manifest import hardware
from bothways.training.task import JudgedBaseline

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ComparedModel:
    """One line of the table; None where a number was not measured.

    Attributes:
        name: of the model or the baseline. model: as it was asked for; empty for the baseline.
        scores: the first decides.
        parameters, megabytes, memory_megabytes: see ``Entrant``.
        speed: see ``Speed``; of the baseline ``texts_per_second`` alone is known.
        texts_per_second: tokenisation included.
        behind: first score of the best line minus this one's, on the same examples; None for the best.
        dominated_by: the name of a line that is at least as good and as fast, and better in one.
        below: first score of that line minus this one's.
    """

    name: str
    model: str
    scores: tuple[Score, ...]
    megabytes: float
    texts_per_second: float
    parameters: int | None = None
    memory_megabytes: float | None = None
    speed: Speed | None = None
    behind: Difference | None = None
    dominated_by: str | None = None
    below: Difference | None = None

    @property
    def is_baseline(self) -> bool:
        """Whether this is what the models have to beat."""
        return not self.model


@dataclass(frozen=True, kw_only=True)
class ModelTable:
    """Models side by side, measured in one run.

    Attributes:
        task, kind: what was answered, and how it is scored.
        data: the file. n: examples in it. items: what an example is called.
        rows: best first score first.
        sentences: what the numbers say. left_out: a sentence for each model that could not take part.
        hardware: the machine. precision: as asked.
    """

    task: str
    kind: str
    data: str
    n: int
    items: str
    rows: tuple[ComparedModel, ...]
    sentences: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    hardware: dict[str, Any] = field(default_factory=dict)
    precision: str = "auto"


def compare_models(
    models: Sequence[str | os.PathLike[str]],
    data: str | os.PathLike[str],
    *,
    task: str | None = None,
    train: str | os.PathLike[str] | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    precision: str = "auto",
    encoding: str | None = None,
    format: str | None = None,
    seed: int = 0,
    say: Say = lambda line: None,
) -> ModelTable:
    """Measure models on this machine and on the user's data, in turns, beside the baseline where it can be trained.

    Args:
        models: directories or names; those that are made for another task are left out, with a sentence.
        data: labelled examples, which none of the models should have seen in training.
        task: as for ``train``; by default that of the first model.
        train: labelled examples for the baseline.
        text_column, label_column, encoding, format: of the files, as for ``train``.
        precision: ``"auto"``, ``"float32"`` or ``"bfloat16"``.
        seed: of the bootstrap and the baseline.
        say: called with a line of news now and then.

    Raises:
        UsageError: no model, an unknown task, a file that is not there. ModelNotFoundError: a name leads nowhere.
        BothwaysError: no model can be judged on the data.
    """
    if not models:
        raise UsageError("no model was given; name one or more, and then the file.")
    reading = {"text_column": text_column, "label_column": label_column, "encoding": encoding, "format": format}
    known = {name: value for name, value in reading.items() if value is not None}
    field_ = open_entrants([os.fspath(m) for m in models], Path(data), task=task, precision=precision, reading=known)
    judged = field_.entrants[0].job
    baseline, leaks = (None, 0) if train is None else _baseline(field_, Path(train), Path(data), known, seed)
    say(f"{len(judged.split.evaluation):,} {judged.items}, {len(field_.entrants)} models.")
    answers = [entrant.answer().labels for entrant in field_.entrants]
    speeds = measure_speeds(field_.entrants)
    if baseline is not None:
        answers.append(baseline.predictions.labels)
    outcomes = count_outcomes(judged.kind, judged.gold(), *answers, label_names=_names(judged))
    rows = [_row(entrant, i, outcomes, speeds[i], seed) for i, entrant in enumerate(field_.entrants)]
    if baseline is not None:
        rows.append(_baseline_row(baseline, len(rows), outcomes, seed))
    ranked = _ranked(rows, outcomes, seed)
    notes = _notes(leaks, len(judged.split.evaluation), judged.items)
    return ModelTable(
        task=field_.task,
        kind=judged.kind,
        data=str(data),
        n=outcomes.n,
        items=judged.items,
        rows=ranked,
        sentences=(*told(ranked), *notes),
        left_out=field_.left_out,
        hardware=hardware(),
        precision=precision,
    )


def _baseline(found: Field, train: Path, data: Path, reading: dict[str, Any], seed: int) -> tuple[JudgedBaseline, int]:
    """The baseline with its answers to the same examples, and how many of these are in its training data."""
    judged = found.entrants[0].job
    options = dict(reading)
    if judged.name == "text-classification":
        options["kind"] = judged.kind
    job = find_task(found.task).load([train], data, seed=seed, **options)
    if len(job.split.evaluation) != len(judged.split.evaluation):
        raise UsageError(
            f"beside {train} the file {data} has {len(job.split.evaluation):,} usable {job.items}, and "
            f"{len(judged.split.evaluation):,} for the models: do the columns of both files have the same names?"
        )
    return job.baseline(seed), job.split.leaks


def _row(entrant: Entrant, which: int, outcomes: Outcomes, speed: Speed, seed: int) -> ComparedModel:
    return ComparedModel(
        name=entrant.name,
        model=entrant.model,
        scores=_scores(outcomes, which, seed),
        parameters=entrant.parameters,
        megabytes=entrant.megabytes,
        memory_megabytes=entrant.memory_megabytes,
        speed=speed,
        texts_per_second=speed.texts_per_second,
    )


def _baseline_row(baseline: JudgedBaseline, which: int, outcomes: Outcomes, seed: int) -> ComparedModel:
    return ComparedModel(
        name=baseline.name,
        model="",
        scores=_scores(outcomes, which, seed),
        megabytes=baseline.megabytes,
        texts_per_second=outcomes.n / max(baseline.predict_seconds, 1e-9),
    )


def _scores(outcomes: Outcomes, which: int, seed: int) -> tuple[Score, ...]:
    return tuple(
        Score(name=m.name, title=m.title, percent=m.percent, interval=score(m, outcomes, which, seed=seed))
        for m in METRICS[outcomes.kind]
    )


def _ranked(rows: Sequence[ComparedModel], outcomes: Outcomes, seed: int) -> tuple[ComparedModel, ...]:
    """Best score first; each told how far it is behind the best, and which other one dominates it."""
    metric = METRICS[outcomes.kind][0]
    points = [Point(name=r.name, score=r.scores[0].interval.estimate, speed=r.texts_per_second) for r in rows]
    order = sorted(range(len(rows)), key=lambda i: (-points[i].score, -points[i].speed))
    over = dominators(points)
    found = []
    for i in order:
        better = over[i]
        row = rows[i]
        if i != order[0]:
            row = replace(row, behind=score_difference(metric, outcomes, order[0], i, seed=seed))
        if better is not None:
            below = score_difference(metric, outcomes, better, i, seed=seed)
            row = replace(row, dominated_by=points[better].name, below=below)
        found.append(row)
    return tuple(found)


def _names(job: Any) -> tuple[str, ...]:
    return job.label_names if job.kind != "regression" else ()


def _notes(leaks: int, n: int, items: str) -> list[str]:
    notes = []
    if leaks:
        notes.append(
            f"{leaks:,} of the {n:,} {items} are also in the training data of the baseline, which flatters it and any "
            "model that was trained on them."
        )
    if n < 100:
        notes.append(f"Only {n:,} {items} were judged; with fewer than 100 most intervals are too wide to decide.")
    return notes


__all__ = ["ComparedModel", "ModelTable", "compare_models"]
