"""The main job: labelled texts in, an honest model directory out.

read ─► split ─► baseline ─► encode ─► fit ─► score both ─► compare ─► directory (model, bothways.json, report)
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bothways.data import TextExample
from bothways.errors import UsageError
from bothways.evaluation.baseline import Predictions, train_baseline
from bothways.models.auto import AutoConfig, AutoModelForSequenceClassification
from bothways.models.runner import PackedRunner
from bothways.progress import progress_bar
from bothways.resolver import DEFAULT_MODEL, resolve_model
from bothways.tasks.encoded import EncodedTexts, position_limit
from bothways.tasks.text_classification import decode, default_function
from bothways.tokenizers import AutoTokenizer
from bothways.training.examples import CHUNK, PROBLEM_TYPES, Split, encode_examples, load_split, training_features
from bothways.training.loop import PRECISIONS, FitSettings, fit, resolve_precision
from bothways.training.manifest import model_identity
from bothways.training.publish import check_output
from bothways.training.results import JudgedBaseline, Run, TrainOutcome, write_results
from bothways.training.scoring import predictions_from, selection_score
from bothways.training.seeds import seed_for

TASKS = ("text-classification",)
OPTION_NAMES = {"evaluation": "eval"}  # where the command line has another word
FEW_TEXTS = 500  # for each label
MANY_TEXTS = 100_000

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
    """Train a text classifier, compare it with honest baselines, and write it with its report.

    Args:
        data: files with labelled texts.
        output: directory to write; an earlier result there is replaced when the new one is complete.
        text_column, label_column: recognised if not given; ``"a,b"`` names a pair of texts.
        evaluation: file to score on; by default a fifth of the data is held out.
        model: a name or directory to start from.
        kind: ``"single"``, ``"multi"`` or ``"regression"``; recognised if not given.
        epochs: passes over the data; None takes what suits their number (``defaults_for``).
        learning_rate, batch_size: see ``FitSettings``; None takes its defaults.
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
    start = time.perf_counter()
    directory, files = Path(output).resolve(), [data] if isinstance(data, (str, os.PathLike)) else list(data)
    settings = _settings(
        task,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=seed,
        minutes=minutes,
        precision=precision,
    )
    check_output(directory, [Path(file) for file in (*files, *([evaluation] if evaluation else []))])
    reading = {"text_column": text_column, "label_column": label_column, "encoding": encoding, "format": format}
    split = load_split(files, evaluation, seed=seed, kind=kind, **reading)
    passes, head_factor = defaults_for(len(split.train), len(split.label_names))
    settings = replace(settings, epochs=epochs or passes, head_factor=head_factor)
    say(_about(split))
    source = resolve_model(model)
    most = position_limit(AutoConfig.from_pretrained(source))
    limit = _limit(max_length, most)
    baseline = _baseline(split, seed)
    classifier, tokenizer = _load(source, split, seed)
    features, read = training_features(tokenizer, split, limit, classifier.config.label2id)
    judge = _Judge(classifier, encode_examples(tokenizer, split.evaluation, most, "window"), split, settings)
    say(_plan(settings, len(features), judge.runner.dtype))
    result = fit(classifier, features, settings, judge.score)
    predictions, seconds = judge.timed()
    run = Run(
        options={OPTION_NAMES.get(k, k): value for k, value in options.items() if k not in ("data", "output", "say")},
        files=tuple(str(file) for file in files),
        split=split,
        settings=settings,
        result=result,
        model=model_identity(str(model), source),
        limit=limit,
        cut_texts=sum(read.truncated),
        windowed_texts=sum(n > 1 for n in judge.texts.n_windows),
        n_tokens=tuple(read.n_tokens),
        predictions=predictions,
        baseline=baseline,
        predict_seconds=seconds,
        total_seconds=time.perf_counter() - start,
    )
    return write_results(directory, run, classifier, tokenizer)


def defaults_for(texts: int, labels: int) -> tuple[int, float]:
    """Epochs, and the rate of the head as a multiple of the body's.

    From 4 to 2 passes, as Devlin et al. 2019 (appendix A.3) found to work: more of them for few texts a label, where
    the head has to learn faster too (measured on Banking77, 104 texts for each of 77 labels: accuracy 0.911 with 20
    times the body's rate, 0.919 with 100).
    """
    if texts / labels < FEW_TEXTS:
        return 4, 100.0
    return (3 if texts <= MANY_TEXTS else 2), 20.0


class _Judge:
    """Scores a model on the evaluation texts, by the way that predicts."""

    def __init__(self, model: Any, texts: EncodedTexts, split: Split, settings: FitSettings) -> None:
        self.texts = texts
        self.split = split
        self.gold = [example.label for example in split.evaluation]
        self.runner = PackedRunner(model, dtype=resolve_precision(settings.precision, model.device))

    def answer(self) -> Predictions:
        ids, types = self.texts.input_ids, self.texts.token_type_ids
        parts = []
        with progress_bar("Scoring", len(ids)) as advance:
            for i in range(0, len(ids), CHUNK):
                chunk = slice(i, i + CHUNK)
                parts.append(self.runner.sequence_logits(ids[chunk], None if types is None else types[chunk]))
                advance(len(ids[chunk]))
        logits = np.concatenate(parts)
        config = self.runner.model.config
        return predictions_from(decode(logits, self.texts, default_function(config)), self.split.kind, config.id2label)

    def score(self) -> float:
        """Accuracy, micro F1 or Spearman's correlation."""
        return selection_score(self.split.kind, self.gold, self.answer().labels, self.split.label_names)

    def timed(self) -> tuple[Predictions, float]:
        """The answers, and the seconds that they took without tokenisation."""
        start = time.perf_counter()
        return self.answer(), time.perf_counter() - start


def _settings(task: str, **given: Any) -> FitSettings:
    if task not in TASKS:
        raise UsageError(f"unknown task {task!r}. Known tasks: {', '.join(TASKS)}.")
    if given["precision"] not in PRECISIONS:
        raise UsageError(f"precision is {given['precision']!r}; expected one of {', '.join(PRECISIONS)}.")
    return FitSettings(**{name: value for name, value in given.items() if value is not None})


def _baseline(split: Split, seed: int) -> JudgedBaseline:
    texts, pairs = _columns(split.train)
    asked, asked_pairs = _columns(split.evaluation)
    names = split.label_names if split.kind != "regression" else ()
    model = train_baseline(
        texts, pairs, [e.label for e in split.train], kind=split.kind, label_names=names, seed=seed
    )  # fmt: skip
    start = time.perf_counter()
    return JudgedBaseline(model, model.predict(asked, asked_pairs), time.perf_counter() - start)


def _columns(examples: Sequence[TextExample]) -> tuple[list[str], list[str | None] | None]:
    paired = any(example.text_pair is not None for example in examples)
    return [e.text for e in examples], [e.text_pair for e in examples] if paired else None


def _load(source: Path, split: Split, seed: int) -> tuple[Any, Any]:
    """The classifier to train, with the labels of the data, and its tokeniser. A head for other labels is not kept."""
    torch.manual_seed(seed_for(seed))
    config = AutoConfig.from_pretrained(
        source, id2label=dict(enumerate(split.label_names)), problem_type=PROBLEM_TYPES[split.kind]
    )
    quiet = logging.getLogger("bothways")
    level, quiet.level = quiet.level, logging.ERROR  # that the head is new is the point here
    try:
        model = AutoModelForSequenceClassification.from_pretrained(source, config=config, ignore_mismatched_sizes=True)
    finally:
        quiet.setLevel(level)
    return model, AutoTokenizer.from_pretrained(source)


def _limit(asked: int | None, most: int | None) -> int:
    if asked is None:
        return most or 512
    if asked < 4 or (most is not None and asked > most):
        raise UsageError(f"max_length is {asked}; this model reads from 4 to {most} tokens.")
    return asked


def _about(split: Split) -> str:
    where = "held out" if split.held_out else "in the evaluation file"
    what = f"{len(split.label_names)} labels" if split.kind != "regression" else "scores"
    lines = [f"{len(split.train):,} texts to train on, {len(split.evaluation):,} {where}, {what} ({split.kind})."]
    problems = split.data.problems
    for count, sentence in (
        (problems.blank_texts, "blank texts were skipped"),
        (problems.missing_labels, "rows without a label were skipped"),
        (problems.conflicts, "texts occur again with another label"),
        (split.leaks, "evaluation texts are also in the training data: the scores are too good by that much"),
    ):
        if count:
            lines.append(f"{count:,} {sentence}.")
    return " ".join(lines)


def _plan(settings: FitSettings, count: int, dtype: torch.dtype | None) -> str:
    steps = -(-count // settings.batch_size) * settings.epochs
    precision = str(dtype or torch.float32).removeprefix("torch.")
    return f"Training {settings.epochs} epochs, {steps:,} steps of {settings.batch_size} texts, in {precision}."
