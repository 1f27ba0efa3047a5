"""The report of any model, or of another tool's predictions, on a labelled file; only a baseline is trained."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bothways.data import TextExample, load_labelled
from bothways.data.examples import text_key
from bothways.data.rows import read_rows
from bothways.errors import InputError, UsageError
from bothways.evaluation.baseline import Predictions
from bothways.evaluation.constants import best_constant
from bothways.evaluation.report import build_report, write_report
from bothways.evaluation.verdict import Comparison, Contender, compare, compare_with_constant
from bothways.pipelines.registry import find_pipeline
from bothways.resolver import resolve_model
from bothways.tasks.encoded import position_limit
from bothways.training.findings import calibration_of, label_errors_of, learning_of, marked_of, slices_of, token_lengths
from bothways.training.foreign import predicted_names, read_predictions
from bothways.training.further_columns import further_columns
from bothways.training.known_tasks import find_task
from bothways.training.loaded import load_pipe, load_runner, made_for_task
from bothways.training.manifest import now, versions
from bothways.training.report import facts_of, leak_warnings
from bothways.training.task import JudgedBaseline, Split, TrainingTask, check_further
from bothways.training.text_task import TextTask, split_of

WITHOUT_TRAINING = ("zero-shot-classification", "fill-mask")
"""Tasks that have a report and no training: their files are texts with the right label, or the right word."""


@dataclass(frozen=True, kw_only=True)
class ModelReport:
    """What ``report`` returns.

    Attributes:
        page: ``report.html``; ``report.json`` lies beside it.
        comparison: the scores, and the sentence about them.
        warnings: what a reader must not miss.
    """

    page: Path
    comparison: Comparison
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A file's examples with a model's answers.

    Attributes:
        complete: whether the probabilities are those of all labels.
        n_tokens: of each example. limit: tokens that the model reads at once.
        seconds: for all answers. megabytes: of the model's weights.
        told: sentences that a reader must not miss.
    """

    job: TrainingTask
    predictions: Predictions
    name: str
    complete: bool = True
    n_tokens: tuple[int, ...] | None = None
    limit: int | None = None
    seconds: float | None = None
    megabytes: float | None = None
    told: tuple[str, ...] = ()


def report(
    model: str,
    file: str | Path,
    output: str | Path,
    *,
    task: str | None = None,
    predictions: str | Path | None = None,
    train: str | Path | None = None,
    template: str | None = None,
    precision: str = "auto",
    seed: int = 0,
    command: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    **reading: Any,
) -> ModelReport:
    """Write ``report.html`` and ``report.json`` about a model's answers to a labelled file.

    Args:
        model: a directory or name; with ``predictions`` only what the other tool is called.
        file: labelled data, as for ``evaluate``.
        output: directory for the report.
        task: by default what the model was made for; with ``predictions`` text classification.
        predictions: JSONL of another tool, see ``foreign.read_predictions``.
        train: labelled data to train the baseline on; without it there is no baseline but the most frequent answer.
        template: of zero-shot hypotheses.
        precision: ``"auto"``, ``"float32"`` or ``"bfloat16"``.
        seed: of the baseline and the resampling.
        command: that makes the report again, for the page.
        say: called with a line of news now and then.
        reading: ``text_column``, ``label_column``, ``kind``, ``encoding``, ``format`` and ``target``.

    Raises:
        UsageError, DataError, InputError: options or data that cannot be used.
    """
    file, reading = Path(file), {name: value for name, value in reading.items() if value is not None}
    if Path(output).exists() and not Path(output).is_dir():
        raise UsageError(f"--output {output} is a file; give a directory for report.html and report.json.")
    if predictions is not None:
        found = _foreign(model, Path(predictions), file, task or TextTask.name, train, seed, reading)
    else:
        found = _answered(model, file, task, train, template, precision, reading)
    job = found.job
    baseline = job.baseline(seed) if len(job.split.train) else None
    if baseline is not None:
        say(f"{baseline.name}: trained on {len(job.split.train):,} {job.items} in {baseline.train_seconds:,.1f} s.")
    comparison = _compare(found, baseline, seed)
    warnings = (*found.told, *leak_warnings(job, found.predictions, baseline))
    texts, pairs = job.shown_texts()
    data = build_report(
        title=f"{found.name} on {file.name}",
        comparison=comparison,
        texts=texts,
        pairs=pairs,
        gold=job.gold(),
        predictions=found.predictions,
        label_names=job.label_names if job.kind != "regression" else (),
        train_labels=job.train_labels() if baseline is not None else None,
        token_lengths=found.n_tokens,
        max_tokens=found.limit,
        show=job.show,
        marked=marked_of(job, found.predictions),
        slices=slices_of(job, found.predictions, found.n_tokens, _columns(job, file, reading)),
        label_errors=label_errors_of(job, _for_labels(found), seed),
        learning=learning_of(job, baseline, seed) if baseline is not None else None,
        calibration=calibration_of(job, found.predictions, seed) if found.complete else None,
        facts=facts_of(job),
        warnings=warnings,
        versions=versions(),
        data_hash=job.digest(job.split.evaluation),
        command=command,
        created=now(),
    )
    return ModelReport(page=write_report(output, data), comparison=comparison, warnings=warnings)


def _answered(
    model: str,
    file: Path,
    task: str | None,
    train: str | Path | None,
    template: str | None,
    precision: str,
    reading: dict[str, Any],
) -> Answered:
    directory = resolve_model(model)
    name = find_pipeline(task)[0] if task is not None else made_for_task(directory)
    if name in WITHOUT_TRAINING:
        return _by_pipeline(model, name, file, train, template, precision, reading)
    task_class = find_task(name)
    check_further(task_class, reading)
    runner, tokenizer = load_runner(directory, name, precision)
    config = runner.model.config
    loading = {key: value for key, value in reading.items() if key != "kind"}
    job = task_class.load_evaluation(file, config, **loading)
    if train is not None:
        job = _with_training(job, task_class.load_evaluation(Path(train), config, **loading).split.evaluation)
    most = position_limit(config)
    encoded = job.encode_evaluation(tokenizer, most)
    start = time.perf_counter()
    predictions = job.answer(runner, encoded)
    return Answered(
        job=job,
        predictions=predictions,
        name=Path(model).name,
        n_tokens=token_lengths(encoded),
        limit=most,
        seconds=time.perf_counter() - start,
        megabytes=sum(p.stat().st_size for p in directory.glob("*.safetensors")) / 1e6 or None,
    )


def _by_pipeline(
    model: str,
    name: str,
    file: Path,
    train: str | Path | None,
    template: str | None,
    precision: str,
    reading: dict[str, Any],
) -> Answered:
    """Zero-shot with the labels of the file, or words in gaps."""
    job = _single_labels(file, train, reading)
    texts, pairs = job.shown_texts()
    if pairs is not None:
        raise UsageError(f"{name} judges single texts; name one column: --text-column NAME.")
    pipe = load_pipe(name, model, precision)
    start = time.perf_counter()
    if name == "fill-mask":
        results = pipe([text or " " for text in texts], top_k=1)
        firsts = [result[0] for result in results]
        predictions = Predictions(labels=tuple(first["token_str"].strip() for first in firsts))
    else:
        names = job.label_names
        options = {} if template is None else {"hypothesis_template": template}
        results = pipe([text or " " for text in texts], candidate_labels=list(names), **options)
        predictions = _zero_shot(results, names)
    seconds = time.perf_counter() - start
    job.label_names = tuple(dict.fromkeys([*job.label_names, *predictions.labels]))
    return Answered(
        job=job,
        predictions=predictions,
        name=f"{Path(model).name} ({name})",
        seconds=seconds,
        complete=name != "fill-mask",
    )


def _zero_shot(results: Sequence[Any], names: Sequence[str]) -> Predictions:
    index = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(results), len(names)))
    for row, result in zip(table, results, strict=True):
        row[[index[label] for label in result["labels"]]] = result["scores"]
    return Predictions(labels=tuple(result["labels"][0] for result in results), probabilities=table)


def _foreign(
    name: str,
    predictions: Path,
    file: Path,
    task: str,
    train: str | Path | None,
    seed: int,
    reading: dict[str, Any],
) -> Answered:
    task_class = find_task(task)
    check_further(task_class, reading)
    job: TrainingTask
    if issubclass(task_class, TextTask):
        job = _single_labels(file, train, reading)
    else:
        job = task_class.load([Path(train or file)], file, seed=seed, **reading)
        job = job if train is not None else _with_training(job, [])
    if job.kind in ("single", "multi"):
        job.label_names = tuple(dict.fromkeys([*job.label_names, *predicted_names(predictions)]))
    examples = job.split.evaluation
    matched = read_predictions(predictions, job.kind, examples, job.label_names, _ids(job, file, reading))
    leaked = set(job.split.leaked)
    job.split = replace(
        job.split,
        evaluation=[examples[i] for i in matched.kept],
        leaked=tuple(number for number, i in enumerate(matched.kept) if i in leaked),
    )
    return Answered(
        job=job,
        predictions=matched.predictions,
        name=Path(name).name or name,
        complete=matched.complete,
        told=matched.sentences(str(predictions), job.items),
    )


def _single_labels(file: Path, train: str | Path | None, reading: dict[str, Any]) -> TextTask:
    """Labelled texts whose labels are their own, not those of a model."""
    reading = dict(reading)
    kind = reading.pop("kind", None)
    if train is not None:
        return TextTask.load([Path(train)], file, seed=0, kind=kind, **reading)
    read = load_labelled(file, task_kind=kind, purpose="evaluate", **reading)
    names = read.label_names if read.kind != "regression" else ("score",)
    return TextTask(split_of(read, [], read.examples, held_out=False), read.kind, names)


def _with_training(job: TrainingTask, examples: Sequence[Any]) -> TrainingTask:
    """With a training part for the baseline, and the evaluation examples that are also in it counted."""
    split = job.split
    job.split = Split.of(
        examples,
        split.evaluation,
        _content_of(job),
        held_out=split.held_out,
        columns=split.columns,
        problems=split.problems,
    )
    return job


def _content_of(job: TrainingTask) -> Callable[[Any], Any]:
    """What an example says, its label left out where that is told apart."""
    if isinstance(job, TextTask):
        return text_key
    return lambda example: (
        getattr(example, "question", ""),
        getattr(example, "text", getattr(example, "context", example)),
    )


def _compare(found: Answered, baseline: JudgedBaseline | None, seed: int) -> Comparison:
    job, gold = found.job, found.job.gold()
    if not gold:
        raise InputError("there are no labelled examples to judge; expected 1 or more.")
    thousands = len(gold) / 1000
    model = Contender(
        name=found.name,
        predictions=found.predictions,
        seconds_per_1000=None if found.seconds is None else found.seconds / thousands,
        megabytes=found.megabytes,
    )
    about: dict[str, Any] = {
        "kind": job.kind,
        "label_names": job.label_names if job.kind != "regression" else (),
        "seed": seed,
        "items": job.items,
    }
    if baseline is None:
        return compare_with_constant(gold, model, best_constant(job.kind, gold), **about)
    other = Contender(
        name=baseline.name,
        predictions=baseline.predictions,
        train_seconds=baseline.train_seconds,
        seconds_per_1000=baseline.predict_seconds / thousands,
        megabytes=baseline.megabytes,
    )
    return compare(gold, model, other, baseline.majority, **about)


def _for_labels(found: Answered) -> Predictions:
    """Predictions whose probabilities, if there are any, are those of all labels."""
    return found.predictions if found.complete else Predictions(labels=found.predictions.labels)


def _columns(job: TrainingTask, file: Path, reading: dict[str, Any]) -> dict[str, list[Any]]:
    examples = job.split.evaluation
    if not examples or not isinstance(examples[0], TextExample):
        return {}
    chosen = {name: reading.get(name) for name in ("format", "encoding")}
    return further_columns([file], [example.row for example in examples], job.split.columns.values(), **chosen)


def _ids(job: TrainingTask, file: Path, reading: dict[str, Any]) -> dict[str, int]:
    """The data's own names of examples: of questions, or of a column ``id``."""
    examples = job.split.evaluation
    if examples and hasattr(examples[0], "id"):
        return {str(example.id): i for i, example in enumerate(examples)}
    if not examples or not isinstance(examples[0], TextExample):
        return {}
    place = {example.row: i for i, example in enumerate(examples)}
    rows = enumerate(read_rows(file, format=reading.get("format"), encoding=reading.get("encoding")), 1)
    return {str(row.values["id"]): place[n] for n, row in rows if n in place and row.values.get("id") is not None}
