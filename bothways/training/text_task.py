"""Text classification, scores and next sentences: labelled texts, or pairs of texts, to what the main job needs.

Shapes: n texts, C labels.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.data import (
    LabelledTexts,
    TextExample,
    check_labels,
    data_hash,
    holdout_split,
    load_labelled,
)
from bothways.data.examples import text_key
from bothways.errors import DataError
from bothways.evaluation.baseline import Predictions, train_baseline
from bothways.progress import progress_bar
from bothways.tasks.encoded import EncodedTexts, encode, joined
from bothways.tasks.text_classification import decode, default_function
from bothways.training.features import Features
from bothways.training.holdout import HOLDOUT, MOST_HELD_OUT
from bothways.training.scoring import predictions_from
from bothways.training.task import (
    CHUNK,
    Defaults,
    JudgedBaseline,
    Split,
    TrainingSet,
    TrainingTask,
)

FEW_TEXTS = 500  # for each label
MANY_TEXTS = 100_000

PROBLEM_TYPES = {
    "single": "single_label_classification",
    "multi": "multi_label_classification",
    "regression": "regression",
}


class TextTask(TrainingTask):
    """One class, several classes or a number for each text or pair of texts."""

    name = "text-classification"
    model_task = "sequence-classification"

    def __init__(self, split: Split, kind: Any, label_names: tuple[str, ...]) -> None:
        self.split = split
        self.kind = kind
        self.label_names = label_names

    @classmethod
    def load(
        cls, files: list[Path], evaluation: Path | None, *, seed: int, kind: str | None = None, **reading: Any
    ) -> TextTask:
        """Raises DataError for labels that training never saw, or too few rows to hold any out."""
        read = load_labelled(list(files), task_kind=kind, **reading)  # type: ignore[arg-type]
        if evaluation is not None:
            other = load_labelled(evaluation, task_kind=read.kind, purpose="evaluate", **reading)
            check_labels(other, read.label_names)
            train, held = read.examples, other.examples
        else:
            train, held = cls.divide(read.examples, seed)
            if not held or not train:
                raise DataError(
                    f"{len(read.examples)} labelled texts are too few to hold a part out. Give a file with --eval, "
                    "or at least 5 texts of each label."
                )
        split = split_of(read, train, held, held_out=evaluation is None)
        return cls(split, read.kind, read.label_names if read.kind != "regression" else ("score",))

    @classmethod
    def load_evaluation(cls, file: Path, config: Any, **reading: Any) -> TextTask:
        kind = next((k for k, name in PROBLEM_TYPES.items() if name == config.problem_type), "single")
        read = load_labelled(file, task_kind=kind, purpose="evaluate", **reading)  # type: ignore[arg-type]
        names = tuple(config.id2label[i] for i in range(config.num_labels))
        if kind != "regression":
            check_labels(read, names)
        return cls(split_of(read, [], read.examples, held_out=False), kind, names)

    @classmethod
    def divide(cls, examples: Sequence[TextExample], seed: int) -> tuple[list[TextExample], list[TextExample]]:
        return holdout_split(examples, min(HOLDOUT, MOST_HELD_OUT / len(examples)), seed)

    def defaults(self) -> Defaults:
        return defaults_for(len(self.split.train), len(self.label_names))

    def configuration(self) -> dict[str, Any]:
        return {**super().configuration(), "problem_type": PROBLEM_TYPES[self.kind]}

    def baseline(self, seed: int) -> JudgedBaseline:
        texts, pairs = text_columns(self.split.train)
        labels = [e.label for e in self.split.train]
        names = self.label_names if self.kind != "regression" else ()
        model = train_baseline(texts, pairs, labels, kind=self.kind, label_names=names, seed=seed)
        start = time.perf_counter()
        return JudgedBaseline(
            name=model.name,
            predictions=model.predict(*text_columns(self.split.evaluation)),
            majority=model.majority_prediction,
            train_seconds=model.seconds,
            predict_seconds=time.perf_counter() - start,
            megabytes=model.megabytes,
        )

    def training_set(self, tokenizer: Any, limit: int, config: Any) -> TrainingSet:
        encoded = encode_examples(tokenizer, self.split.train, limit, "truncate")
        labels = label_tensor(self.kind, [example.label for example in self.split.train], config.label2id)
        return TrainingSet(
            features=Features(encoded.input_ids, encoded.token_type_ids, labels),
            n_tokens=tuple(encoded.n_tokens),
            cut=sum(encoded.truncated),
        )

    def encode_evaluation(self, tokenizer: Any, most: int | None) -> EncodedTexts:
        return encode_examples(tokenizer, self.split.evaluation, most, "window")

    def answer(self, runner: Any, encoded: EncodedTexts) -> Predictions:
        logits = sequence_logits(runner, encoded.input_ids, encoded.token_type_ids)
        scores = decode(logits, encoded, default_function(runner.model.config))
        return predictions_from(scores, self.kind, dict(enumerate(self.label_names)))

    def shown_texts(self) -> tuple[list[str], list[str | None] | None]:
        return text_columns(self.split.evaluation)

    def digest(self, examples: Sequence[Any]) -> str:
        return data_hash(examples)


def defaults_for(texts: int, labels: int) -> Defaults:
    """From 4 to 2 passes, as Devlin et al. 2019 (appendix A.3) found to work.

    More of them for few texts a label, where the head has to learn faster too (measured on Banking77, 104 texts for
    each of 77 labels: accuracy 0.911 with 20 times the body's rate, 0.919 with 100).
    """
    if texts / labels < FEW_TEXTS:
        return Defaults(epochs=4, head_factor=100.0)
    return Defaults(epochs=3 if texts <= MANY_TEXTS else 2)


def split_of(read: LabelledTexts, train: list[TextExample], held: list[TextExample], *, held_out: bool) -> Split:
    """The two parts of a run, with what is known of the files."""
    columns = read.columns
    return Split.of(
        train,
        held,
        text_key,
        held_out=held_out,
        columns={"text": columns.text, "text_pair": columns.text_pair, "label": columns.label},
        problems=asdict(read.problems),
    )


def sequence_logits(runner: Any, ids: Sequence[Any], types: Sequence[Any] | None) -> np.ndarray:
    """Logits of all sequences, with a progress bar."""
    parts = []
    with progress_bar("Scoring", len(ids)) as advance:
        for i in range(0, len(ids), CHUNK):
            chunk = slice(i, i + CHUNK)
            parts.append(runner.sequence_logits(ids[chunk], None if types is None else types[chunk]))
            advance(len(ids[chunk]))
    return np.concatenate(parts)


def text_columns(examples: Sequence[TextExample]) -> tuple[list[str], list[str | None] | None]:
    """Texts, and second texts if any example has one."""
    paired = any(example.text_pair is not None for example in examples)
    return [e.text for e in examples], [e.text_pair for e in examples] if paired else None


def encode_examples(
    tokenizer: Any, examples: Sequence[TextExample], max_length: int | None, long_input: str
) -> EncodedTexts:
    """Texts, or pairs of texts, as ids; in chunks, since the tokeniser's own results are a hundred times larger."""
    paired = any(example.text_pair is not None for example in examples)

    def parts() -> Iterator[EncodedTexts]:
        with progress_bar("Tokenising", len(examples)) as advance:
            for i in range(0, len(examples), CHUNK):
                chunk = examples[i : i + CHUNK]
                pairs = [example.text_pair for example in chunk] if paired else None
                texts = [example.text for example in chunk]
                yield encode(tokenizer, texts, pairs, max_length=max_length, long_input=long_input, first=i)
                advance(len(chunk))

    return joined(parts())


def label_tensor(kind: str, labels: Sequence[Any], label2id: dict[str, int]) -> Tensor:
    """int64 (n,) for single labels, float32 (n, C) of zeros and ones for several, float32 (n,) for scores."""
    if kind == "regression":
        return torch.tensor(labels, dtype=torch.float32)
    if kind == "single":
        return torch.tensor([label2id[label] for label in labels])
    marks = torch.zeros(len(labels), len(label2id))
    for row, own in enumerate(labels):
        for label in own:
            marks[row, label2id[label]] = 1.0
    return marks
