"""Multiple choice: questions with choices to what the main job needs.

Shapes: n questions, K choices of each.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bothways.data.choices import ChoiceExample, LabelledChoices, load_choices
from bothways.errors import DataError
from bothways.evaluation.baseline import Predictions, train_baseline
from bothways.progress import progress_bar
from bothways.tasks.crossed import CrossedText, crossed_logits, encode_crossed
from bothways.tasks.encoded import EncodedTexts, encode, joined
from bothways.tasks.multiple_choice import choice_scores
from bothways.training.features import Features
from bothways.training.holdout import hold_out
from bothways.training.scoring import predictions_from
from bothways.training.task import (
    CHUNK,
    Defaults,
    JudgedBaseline,
    Split,
    TrainingSet,
    TrainingTask,
    digest_of,
    without_text_options,
)

FEW_QUESTIONS = 5_000


class ChoiceTask(TrainingTask):
    """Which of several texts fits. A label is the number of the right choice, from 0."""

    name = "multiple-choice"
    model_task = "multiple-choice"
    items = "questions"
    kind = "single"

    def __init__(self, split: Split, choices: int) -> None:
        self.split = split
        self.choices = choices
        self.label_names = tuple(str(number) for number in range(choices))

    @classmethod
    def load(cls, files: list[Path], evaluation: Path | None, *, seed: int, **reading: Any) -> ChoiceTask:
        reading = without_text_options(cls.name, reading)
        read = load_choices(files, **reading)
        if evaluation is not None:
            train, held = read.examples, load_choices(evaluation, purpose="evaluate", **reading).examples
        else:
            train, held = cls.divide(read.examples, seed)
        return cls(_split(read, train, held, held_out=evaluation is None), _choices([*train, *held]))

    @classmethod
    def load_evaluation(cls, file: Path, config: Any, **reading: Any) -> ChoiceTask:
        reading = without_text_options(cls.name, reading)
        read = load_choices(file, purpose="evaluate", **reading)
        return cls(_split(read, [], read.examples, held_out=False), _choices(read.examples))

    @classmethod
    def divide(cls, examples: Sequence[ChoiceExample], seed: int) -> tuple[list[ChoiceExample], list[ChoiceExample]]:
        return hold_out(examples, seed, key=_side_by(examples), items=cls.items)

    def defaults(self) -> Defaults:
        return Defaults(epochs=4 if len(self.split.train) < FEW_QUESTIONS else 3)

    def configuration(self) -> dict[str, Any]:
        return {}  # one output a choice, whatever their number

    def baseline(self, seed: int) -> JudgedBaseline:
        """TF-IDF of text and choice, and a line between right and wrong ones."""
        texts, pairs = _pairs(self.split.train)
        right = ["right" if k == e.label else "wrong" for e in self.split.train for k in range(self.choices)]
        model = train_baseline(texts, pairs, right, kind="single", label_names=("wrong", "right"), seed=seed)
        start = time.perf_counter()
        found = model.predict(*_pairs(self.split.evaluation)).probabilities
        assert found is not None
        shares = found[:, 1].reshape(-1, self.choices)
        shares = shares / np.maximum(shares.sum(1, keepdims=True), 1e-12)
        counts = np.bincount([e.label for e in self.split.train], minlength=self.choices)
        return JudgedBaseline(
            name=model.name,
            predictions=self._predictions(shares),
            majority=str(int(counts.argmax())),
            train_seconds=model.seconds,
            predict_seconds=time.perf_counter() - start,
            megabytes=model.megabytes,
        )

    def training_set(self, tokenizer: Any, limit: int, config: Any) -> TrainingSet:
        encoded = _encoded(tokenizer, self.split.train, limit)
        labels = torch.tensor([example.label for example in self.split.train])
        return TrainingSet(
            features=Features(encoded.input_ids, encoded.token_type_ids, labels, sequences=self.choices),
            n_tokens=tuple(np.array(encoded.n_tokens).reshape(-1, self.choices).max(1).tolist()),
            cut=int(np.array(encoded.truncated).reshape(-1, self.choices).any(1).sum()),
        )

    def encode_evaluation(self, tokenizer: Any, most: int | None) -> list[CrossedText]:
        texts, seconds = [e.text for e in self.split.evaluation], [e.second_texts for e in self.split.evaluation]
        return list(encode_crossed(tokenizer, texts, seconds, max_length=most, what="choice"))

    def answer(self, runner: Any, encoded: list[CrossedText]) -> Predictions:
        scores = []
        with progress_bar("Scoring", len(encoded)) as advance:
            for crossed, logits in crossed_logits(iter(encoded), runner.sequence_logits):
                scores.append(choice_scores(crossed, logits))
                advance()
        return self._predictions(np.array(scores))

    def windowed(self, encoded: list[CrossedText]) -> int:
        return sum(text.n_windows > 1 for text in encoded)

    def gold(self) -> list[Any]:
        return [str(example.label) for example in self.split.evaluation]

    def train_labels(self) -> list[Any]:
        return [str(example.label) for example in self.split.train]

    def shown_texts(self) -> tuple[list[str], list[str | None] | None]:
        examples = self.split.evaluation
        return [f"{e.text} {e.stem}".strip() for e in examples], [" | ".join(e.choices) for e in examples]

    def show(self, number: int, answer: Any) -> str:
        return self.split.evaluation[number].choices[int(answer)]

    def digest(self, examples: Sequence[ChoiceExample]) -> str:
        return digest_of([*_content(example), example.label] for example in examples)

    def _predictions(self, scores: np.ndarray) -> Predictions:
        return predictions_from(scores, "single", dict(enumerate(self.label_names)))


def _content(example: ChoiceExample) -> tuple[Any, ...]:
    return example.text, example.stem, example.choices


def _side_by(examples: Sequence[ChoiceExample]) -> Callable[[ChoiceExample], Hashable]:
    """What is on one side of the split: questions about one text, or, where all are about one, equal questions."""
    if len({example.text for example in examples}) > 1:
        return lambda example: example.text
    return _content


def _split(read: LabelledChoices, train: list[ChoiceExample], held: list[ChoiceExample], *, held_out: bool) -> Split:
    return Split.of(train, held, _content, held_out=held_out, problems={"missing_labels": read.missing_labels})


def _choices(examples: Sequence[ChoiceExample]) -> int:
    counts = Counter(len(example.choices) for example in examples)
    (usual, most), *others = counts.most_common()
    if others:
        odd = next(example for example in examples if len(example.choices) != usual)
        raise DataError(
            f"questions have from {min(counts)} to {max(counts)} choices; expected as many for each. {most:,} have "
            f"{usual}; {sum(counts.values()) - most:,} have not, the first in row {odd.row} with {len(odd.choices)}. "
            "Leave those out, or put them in a file of their own."
        )
    return usual


def _pairs(examples: Sequence[ChoiceExample]) -> tuple[list[str], list[str | None]]:
    return [e.text for e in examples for _ in e.choices], [second for e in examples for second in e.second_texts]


def _encoded(tokenizer: Any, examples: Sequence[ChoiceExample], limit: int | None) -> EncodedTexts:
    """All pairs of text and choice, the text cut where it is too long."""
    texts, pairs = _pairs(examples)
    parts = []
    with progress_bar("Tokenising", len(texts)) as advance:
        for i in range(0, len(texts), CHUNK):
            chunk = slice(i, i + CHUNK)
            how: dict[str, Any] = {"long_input": "truncate", "truncation": "only_first", "first": i}
            parts.append(encode(tokenizer, texts[chunk], pairs[chunk], max_length=limit, **how))
            advance(len(texts[chunk]))
    return joined(parts)
