"""The main job: labelled examples in, an honest model directory out.

read ─► split ─► baseline ─► encode ─► fit ─► score both ─► compare ─► directory (model, bothways.json, report)

What differs between tasks is in a ``TrainingTask``.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from bothways.engine.seeds import seed_for
from bothways.errors import UsageError, nearest
from bothways.evaluation.baseline import Predictions
from bothways.models.auto import AutoConfig, model_class
from bothways.models.runner import PackedRunner
from bothways.pipelines.tokenizer_fit import check_tokenizer
from bothways.resolver import DEFAULT_MODEL, resolve_model
from bothways.tasks.encoded import position_limit
from bothways.tokenizers import AutoTokenizer
from bothways.training.arguments import check_arguments
from bothways.training.loop import PRECISIONS, FitSettings, fit, resolve_precision
from bothways.training.manifest import model_identity
from bothways.training.publish import check_output
from bothways.training.results import Run, TrainOutcome, write_results
from bothways.training.scoring import selection_score
from bothways.training.task import Defaults, TrainingTask

TASKS: dict[str, str] = {
    "text-classification": "bothways.training.text_task:TextTask",
    "token-classification": "bothways.training.entity_task:EntityTask",
    "question-answering": "bothways.training.question_task:QuestionTask",
    "multiple-choice": "bothways.training.choice_task:ChoiceTask",
    "next-sentence-prediction": "bothways.training.sentence_task:NextSentenceTask",
}
TASK_ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
OPTION_NAMES = {"evaluation": "eval"}  # where the command line has another word

Say = Callable[[str], None]


def train(
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    evaluation: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    task: str = "text-classification",
    kind: str | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    max_length: int | None = None,
    seed: int = 42,
    minutes: float | None = None,
    precision: str = "auto",
    encoding: str | None = None,
    format: str | None = None,
    say: Say = lambda line: None,
) -> TrainOutcome:
    """Train a model for a task, compare it with honest baselines, and write it with its report.

    Args:
        data: files with labelled examples.
        output: directory to write; an earlier result there is replaced when the new one is complete.
        text_column, label_column: recognised if not given; ``"a,b"`` names a pair of texts.
        evaluation: file to score on; by default a fifth of the data is held out.
        model: a name or directory to start from.
        task: one of ``TASKS``.
        kind: of text labels: ``"single"``, ``"multi"`` or ``"regression"``; recognised if not given.
        epochs: passes over the data; None takes what suits the task and their number.
        learning_rate, batch_size: see ``FitSettings``; None takes what suits the task.
        max_length: tokens of a text that training reads; by default all that the model can.
        seed: of the split, the new head, the order and dropout.
        minutes: stop training after this time and keep the best epoch.
        precision: ``"auto"``, ``"float32"`` or ``"bfloat16"``.
        encoding, format: of the files, where they do not tell.
        say: called with a line of news now and then.

    Raises:
        UsageError: a wrong option. DataError: data that cannot be used. ModelNotFoundError, ConfigError,
        CheckpointError: about the model. KeyboardInterrupt: stopped before an epoch was finished; nothing is written.
    """
    options = dict(locals())
    check_arguments(options)
    start = time.perf_counter()
    directory, files = Path(output).resolve(), [data] if isinstance(data, (str, os.PathLike)) else list(data)
    task_class = find_task(task)
    settings = _settings(
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=seed,
        minutes=minutes,
        precision=precision,
    )
    check_output(directory, [Path(file) for file in (*files, *([evaluation] if evaluation else []))])
    reading = {"text_column": text_column, "label_column": label_column, "encoding": encoding, "format": format}
    held = None if evaluation is None else Path(evaluation)
    job = task_class.load([Path(file) for file in files], held, seed=seed, kind=kind, **reading)
    settings = _with_defaults(settings, job.defaults(), learning_rate=learning_rate, epochs=epochs)
    say(_about(job))
    source = resolve_model(model)
    most = position_limit(AutoConfig.from_pretrained(source))
    limit = job.limit(_checked_limit(max_length, most), most)
    baseline = job.baseline(seed)
    learner, tokenizer = _load(source, job, seed)
    training_set = job.training_set(tokenizer, limit, learner.config)
    judge = _Judge(learner, job, job.encode_evaluation(tokenizer, most), settings)
    say(_plan(settings, len(training_set.features), job.items, judge.runner.dtype))
    result = fit(learner, training_set.features, settings, judge.score)
    predictions, seconds = judge.timed()
    for field, value in job.learned(predictions).items():
        setattr(learner.config, field, value)
    run = Run(
        options={OPTION_NAMES.get(k, k): value for k, value in options.items() if k not in ("data", "output", "say")},
        files=tuple(str(file) for file in files),
        task=job,
        settings=settings,
        result=result,
        model=model_identity(str(model), source),
        limit=limit,
        training_set=training_set,
        windowed=job.windowed(judge.encoded),
        predictions=predictions,
        baseline=baseline,
        predict_seconds=seconds,
        total_seconds=time.perf_counter() - start,
    )
    return write_results(directory, run, learner, tokenizer)


def find_task(name: str) -> type[TrainingTask]:
    """The class of a task that can be trained.

    Raises:
        UsageError: an unknown name; the message lists the known ones.
    """
    full = TASK_ALIASES.get(name, name)
    if full not in TASKS:
        like = nearest(name, [*TASKS, *TASK_ALIASES], most=1)
        hint = f" Did you mean {like[0]!r}?" if like else ""
        raise UsageError(f"unknown task {name!r}. Known tasks: {', '.join([*TASKS, *TASK_ALIASES])}.{hint}")
    module, _, cls = TASKS[full].partition(":")
    return getattr(import_module(module), cls)


class _Judge:
    """Scores a model on the evaluation examples, by the way that predicts."""

    def __init__(self, model: Any, job: TrainingTask, encoded: Any, settings: FitSettings) -> None:
        self.job = job
        self.encoded = encoded
        self.gold = job.gold()
        self.runner = PackedRunner(model, dtype=resolve_precision(settings.precision, model.device))

    def score(self) -> float:
        """The number by which the best epoch is chosen; higher is better."""
        answers = self.job.answer(self.runner, self.encoded)
        return selection_score(self.job.kind, self.gold, answers.labels, self.job.label_names)

    def timed(self) -> tuple[Predictions, float]:
        """The answers, and the seconds that they took without tokenisation."""
        start = time.perf_counter()
        return self.job.answer(self.runner, self.encoded), time.perf_counter() - start


def _settings(**given: Any) -> FitSettings:
    if given["precision"] not in PRECISIONS:
        raise UsageError(f"precision is {given['precision']!r}; expected one of {', '.join(PRECISIONS)}.")
    return FitSettings(**{name: value for name, value in given.items() if value is not None})


def _with_defaults(settings: FitSettings, task: Defaults, *, learning_rate: float | None, epochs: int | None) -> Any:
    return replace(
        settings,
        epochs=epochs or task.epochs,
        learning_rate=learning_rate or task.learning_rate,
        head_factor=task.head_factor,
    )


def _load(source: Path, job: TrainingTask, seed: int) -> tuple[Any, Any]:
    """The model to train, with the labels of the data, and its tokeniser. A head for other labels is not kept."""
    torch.manual_seed(seed_for(seed))
    config = AutoConfig.from_pretrained(source, **job.configuration())
    quiet = logging.getLogger("bothways")
    level, quiet.level = quiet.level, logging.ERROR  # that the head is new is the point here
    try:
        cls = model_class(config.model_type, job.model_task)
        model = cls.from_pretrained(source, config=config, ignore_mismatched_sizes=True)
    finally:
        quiet.setLevel(level)
    tokenizer = AutoTokenizer.from_pretrained(source)
    check_tokenizer(model, tokenizer)
    return model, tokenizer


def _checked_limit(asked: int | None, most: int | None) -> int | None:
    if asked is not None and (asked < 4 or (most is not None and asked > most)):
        raise UsageError(f"max_length is {asked}; this model reads from 4 to {most} tokens.")
    return asked


PROBLEMS = {
    "blank_texts": "blank texts were skipped",
    "missing_labels": "rows without a label were skipped",
    "conflicts": "texts occur again with another label",
}


def _about(job: TrainingTask) -> str:
    split = job.split
    where = "held out" if split.held_out else "in the evaluation file"
    labels = f", {len(job.label_names)} labels ({job.kind})" if len(job.label_names) > 1 else f" ({job.kind})"
    lines = [f"{len(split.train):,} {job.items} to train on, {len(split.evaluation):,} {where}{labels}."]
    for name, count in split.problems.items():
        if count and name != "duplicates":
            lines.append(f"{count:,} {PROBLEMS.get(name, name.replace('_', ' '))}.")
    if split.leaks:
        lines.append(
            f"{split.leaks:,} evaluation {job.items} are also in the training data: the scores are too good by that "
            "much."
        )
    return " ".join(lines)


def _plan(settings: FitSettings, count: int, items: str, dtype: torch.dtype | None) -> str:
    steps = -(-count // settings.batch_size) * settings.epochs
    precision = str(dtype or torch.float32).removeprefix("torch.")
    epochs = f"{settings.epochs} epoch{'' if settings.epochs == 1 else 's'}"
    return f"Training {epochs}, {steps:,} steps of {settings.batch_size} {items}, in {precision}."
