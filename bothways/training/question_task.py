"""Extractive question answering: questions about texts to what the main job needs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bothways.data.squad import LoadedQuestions, QuestionExample, holdout_questions, load_questions
from bothways.errors import DataError
from bothways.evaluation.baseline import Predictions
from bothways.evaluation.overlap import BASELINE_NAME, fit_overlap
from bothways.metrics.question_answering import answer_exact
from bothways.progress import progress_bar
from bothways.tasks.answer_spans import NULL_THRESHOLD, Answers, find_answers, learn_null_threshold, null_threshold_of
from bothways.tasks.question_answering import training_features
from bothways.tasks.question_windows import MAX_LENGTH, QuestionEncoder, QuestionWindows
from bothways.training.features import Features
from bothways.training.holdout import HOLDOUT, MOST_HELD_OUT
from bothways.training.task import (
    Defaults,
    JudgedBaseline,
    Split,
    TrainingSet,
    TrainingTask,
    digest_of,
    without_text_options,
)

MANY_QUESTIONS = 50_000
ANSWERED_AT_ONCE = 512


class QuestionTask(TrainingTask):
    """The part of a text that answers a question, or that there is none."""

    name = "question-answering"
    model_task = "question-answering"
    items = "questions"
    kind = "answers"
    label_names = ()

    def __init__(self, split: Split, *, may_be_impossible: bool, threshold: float | None = None) -> None:
        """``threshold`` of "no answer"; None learns it from the evaluation part."""
        self.split = split
        self.may_be_impossible = may_be_impossible
        self.threshold = threshold
        self.found: list[Answers] = []

    @classmethod
    def load(cls, files: list[Path], evaluation: Path | None, *, seed: int, **reading: Any) -> QuestionTask:
        reading = without_text_options(cls.name, reading)
        read = load_questions(files, **reading)
        if evaluation is not None:
            train, held = read.examples, load_questions(evaluation, **reading).examples
        else:
            train, held = cls.divide(read.examples, seed)
        split = _split(read, train, held, held_out=evaluation is None)
        return cls(split, may_be_impossible=any(example.is_impossible for example in (*train, *held)))

    @classmethod
    def load_evaluation(cls, file: Path, config: Any, **reading: Any) -> QuestionTask:
        reading = without_text_options(cls.name, reading)
        read = load_questions(file, **reading)
        return cls(
            _split(read, [], read.examples, held_out=False),
            may_be_impossible=hasattr(config, NULL_THRESHOLD),
            threshold=null_threshold_of(config),
        )

    @classmethod
    def divide(
        cls, examples: Sequence[QuestionExample], seed: int
    ) -> tuple[list[QuestionExample], list[QuestionExample]]:
        return holdout_questions(examples, min(HOLDOUT, MOST_HELD_OUT / len(examples)), seed)

    def defaults(self) -> Defaults:
        return Defaults(epochs=1 if len(self.split.train) > MANY_QUESTIONS else 2, learning_rate=1e-4)

    def baseline(self, seed: int) -> JudgedBaseline:
        start = time.perf_counter()
        fitted = fit_overlap(self.split.train)
        trained = time.perf_counter()
        answers = fitted.predict(self.split.evaluation)
        return JudgedBaseline(
            name=BASELINE_NAME,
            predictions=Predictions(labels=tuple(answers)),
            majority="",
            train_seconds=trained - start,
            predict_seconds=time.perf_counter() - trained,
            megabytes=sum(len(word) + 8 for word in fitted.weights) / 1e6,
        )

    def limit(self, asked: int | None, most: int | None) -> int:
        return asked or min(MAX_LENGTH, most or MAX_LENGTH)

    def training_set(self, tokenizer: Any, limit: int, config: Any) -> TrainingSet:
        found = training_features(tokenizer, self.split.train, limit)
        if not found.input_ids:
            raise DataError(
                f"none of the {len(self.split.train):,} questions to train on has its answer in its context, so that "
                "nothing can be learned. Check that the answers are copied from the contexts, letter by letter."
            )
        lengths = np.bincount(found.owner, [len(ids) for ids in found.input_ids], len(self.split.train))
        notes = []
        if found.n_unaligned:
            notes.append(f"{found.n_unaligned:,} questions were left out: their answer is not in their text.")
        windows = len(found.owner) - len(np.unique(found.owner))
        if windows:
            notes.append(f"Long texts made {windows:,} more windows than questions.")
        return TrainingSet(
            features=Features(found.input_ids, found.token_type_ids, torch.from_numpy(found.positions)),
            n_tokens=tuple(lengths.astype(int).tolist()),
            notes=tuple(notes),
        )

    def encode_evaluation(self, tokenizer: Any, most: int | None) -> list[QuestionWindows]:
        encoder = QuestionEncoder(tokenizer, max_length=self.limit(None, most))
        parts = []
        for i in range(0, len(self.split.evaluation), ANSWERED_AT_ONCE):
            chunk = self.split.evaluation[i : i + ANSWERED_AT_ONCE]
            parts.append(encoder.encode([e.question for e in chunk], [e.context for e in chunk], first=i))
        return parts

    def answer(self, runner: Any, encoded: list[QuestionWindows]) -> Predictions:
        self.found = []
        with progress_bar("Answering", len(self.split.evaluation)) as advance:
            for windows in encoded:
                logits = runner.token_logits(windows.input_ids, windows.token_type_ids)
                self.found += find_answers(windows, logits)
                advance(len(windows))
        threshold = self._threshold() or 0.0
        texts, sureness = [], []
        for example, found in zip(self.split.evaluation, self.found, strict=True):
            best = found.spans[0] if found.spans else None
            if best is None or (self.may_be_impossible and found.null_odds > threshold):
                texts.append("")
                sureness.append(found.no_answer)
            else:
                texts.append(example.context[best.start : best.end])
                sureness.append(best.score)
        return Predictions(labels=tuple(texts), probabilities=np.array(sureness)[:, None])

    def confidences(self, predictions: Predictions) -> tuple[str, list[float], list[bool]]:
        assert predictions.probabilities is not None
        right = [answer_exact(said, gold) == 1 for said, gold in zip(predictions.labels, self.gold(), strict=True)]
        return "answers", predictions.probabilities[:, 0].tolist(), right

    def windowed(self, encoded: list[QuestionWindows]) -> int:
        return sum(n > 1 for windows in encoded for n in windows.n_windows)

    def gold(self) -> list[Any]:
        return [example.answer_texts or ("",) for example in self.split.evaluation]

    def train_labels(self) -> None:
        return None

    def shown_texts(self) -> tuple[list[str], list[str | None] | None]:
        examples = self.split.evaluation
        return [example.question for example in examples], [example.context for example in examples]

    def digest(self, examples: Sequence[QuestionExample]) -> str:
        return digest_of([example.question, example.context, example.answers] for example in examples)

    def learned(self, predictions: Predictions) -> dict[str, Any]:
        threshold = self._threshold()
        return {} if threshold is None else {NULL_THRESHOLD: threshold}

    def _threshold(self) -> float | None:
        if self.threshold is not None:
            return self.threshold
        return learn_null_threshold(self.found, self.split.evaluation) if self.may_be_impossible else None


def _split(
    read: LoadedQuestions, train: list[QuestionExample], held: list[QuestionExample], *, held_out: bool
) -> Split:
    return Split.of(train, held, _content, held_out=held_out, problems=asdict(read.problems))


def _content(example: QuestionExample) -> tuple[str, str]:
    return example.question, example.context
