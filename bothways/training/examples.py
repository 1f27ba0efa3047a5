"""Labelled texts to what the loop trains on: the split, the label ids, the encoded features.

Shapes: n texts, C labels.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bothways.data import LabelKind, LabelledTexts, TextExample, check_labels, count_leaks, holdout_split, load_labelled
from bothways.errors import DataError
from bothways.progress import progress_bar
from bothways.tasks.encoded import EncodedTexts, encode, joined
from bothways.training.loop import Features

HOLDOUT = 0.2
MOST_HELD_OUT = 5_000
CHUNK = 1_024

PROBLEM_TYPES = {
    "single": "single_label_classification",
    "multi": "multi_label_classification",
    "regression": "regression",
}


@dataclass(frozen=True, kw_only=True)
class Split:
    """The texts of a run.

    Attributes:
        kind: single, multi or regression.
        label_names: classes in the order of their ids; one name for regression.
        train, evaluation: examples.
        data: the training data as read, with its columns and counts.
        leaks: evaluation texts that are also in the training part.
        held_out: whether the evaluation part was taken from the data.
    """

    kind: LabelKind
    label_names: tuple[str, ...]
    train: list[TextExample]
    evaluation: list[TextExample]
    data: LabelledTexts
    leaks: int
    held_out: bool


def load_split(
    data: Sequence[str | os.PathLike[str]],
    evaluation: str | os.PathLike[str] | None,
    *,
    seed: int,
    kind: str | None,
    **reading: Any,
) -> Split:
    """Read the data and its evaluation file, or hold a part out.

    Args:
        data: files with labelled texts.
        evaluation: file to score on; None holds out a fifth, at most 5,000, duplicates on one side.
        seed: of the split.
        kind: of the labels; None recognises it.
        **reading: as for ``load_labelled``.

    Raises:
        DataError, UsageError: see ``load_labelled``; labels that training never saw; too few rows to hold any out.
    """
    read = load_labelled(list(data), task_kind=kind, **reading)  # type: ignore[arg-type]
    if evaluation is not None:
        other = load_labelled(evaluation, task_kind=read.kind, purpose="evaluate", **reading)
        check_labels(other, read.label_names)
        train, held = read.examples, other.examples
    else:
        fraction = min(HOLDOUT, MOST_HELD_OUT / len(read.examples))
        train, held = holdout_split(read.examples, fraction, seed)
        if not held or not train:
            raise DataError(
                f"{len(read.examples)} labelled texts are too few to hold a part out. Give a file with --eval, "
                "or at least 5 texts of each label."
            )
    return Split(
        kind=read.kind,
        label_names=read.label_names if read.kind != "regression" else ("score",),
        train=train,
        evaluation=held,
        data=read,
        leaks=count_leaks(train, held),
        held_out=evaluation is None,
    )


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


def training_features(
    tokenizer: Any, split: Split, max_length: int, label2id: dict[str, int]
) -> tuple[Features, EncodedTexts]:
    """Features of the training part; texts above ``max_length`` tokens are cut, and the encoding says which."""
    encoded = encode_examples(tokenizer, split.train, max_length, "truncate")
    labels = label_tensor(split.kind, [example.label for example in split.train], label2id)
    return Features(encoded.input_ids, encoded.token_type_ids, labels), encoded


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
