"""What a task adds to the main job: its data, its baseline, its features, and how its answers are judged."""

from __future__ import annotations

import copy
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from bothways.errors import DataError, UsageError
from bothways.evaluation.analysis import shown_answer
from bothways.evaluation.baseline import Predictions
from bothways.training.features import Features
from bothways.training.scoring import all_scores, selection_score

TEXT_OPTIONS = ("kind", "text_column", "label_column")
FURTHER = ("target", "prefix")
"""Options of reading that only some tasks take: files of targets, and what goes before each source."""

CHUNK = 1_024
"""Examples that are encoded or answered at once, between two steps of a progress bar."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """The examples of a run.

    Attributes:
        train, evaluation: examples of the task's type.
        held_out: whether the evaluation part was taken from the data.
        leaked: numbers of the evaluation examples that are also in the training part.
        columns: of the files, by what they hold.
        problems: what is unusual about the rows: name and count.
    """

    train: Sequence[Any]
    evaluation: Sequence[Any]
    held_out: bool
    leaked: tuple[int, ...] = ()
    columns: dict[str, str | None] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, train: Sequence[Any], evaluation: Sequence[Any], key: Callable[[Any], Hashable], **facts: Any) -> Split:
        """A split of which the evaluation examples leak that have the key of one in the training part."""
        known = {key(example) for example in train}
        leaked = tuple(i for i, example in enumerate(evaluation) if key(example) in known)
        return cls(train=train, evaluation=evaluation, leaked=leaked, **facts)

    @property
    def leaks(self) -> int:
        """How many evaluation examples are also in the training part."""
        return len(self.leaked)


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """Epochs, highest rate of the body, and the rate of the head as a multiple of it."""

    epochs: int
    learning_rate: float = 5e-5
    head_factor: float = 20.0


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """What the loop trains on, and what became of long texts.

    Attributes:
        n_tokens: length of each training example before any cut.
        cut: how many examples were cut.
        notes: further sentences for the user.
    """

    features: Features
    n_tokens: tuple[int, ...]
    cut: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JudgedBaseline:
    """A baseline with its answers to the evaluation examples and what they cost.

    ``majority`` is the one answer that is best without looking at the text.
    """

    name: str
    predictions: Predictions
    majority: Any
    train_seconds: float
    predict_seconds: float
    megabytes: float


class TrainingTask(ABC):
    """One task of ``bothways train``.

    Attributes:
        name: as on the command line.
        model_task: the head that is trained.
        items: what an example is called in sentences.
        kind: how answers are scored (``evaluation.scores.METRICS``).
        label_names: classes in the order of their ids; empty where there are none.
        taught: what an example of the training set is called, where it is not one of the ``items``.
        further: options of reading (``FURTHER``) that it takes beside the usual ones.
    """

    name: ClassVar[str]
    model_task: ClassVar[str]
    items: ClassVar[str] = "texts"
    kind: Any
    label_names: tuple[str, ...]
    taught: ClassVar[str | None] = None
    further: ClassVar[tuple[str, ...]] = ()
    split: Split

    @classmethod
    @abstractmethod
    def load(cls, files: list[Path], evaluation: Path | None, *, seed: int, **reading: Any) -> TrainingTask:
        """Read the files; without an evaluation file hold a part out, the same for the same seed.

        Args:
            reading: ``kind``, ``text_column`` and ``label_column`` of texts; ``encoding`` and ``format``; of
                ``FURTHER`` what it takes.

        Raises:
            DataError, UsageError: data or options that cannot be used.
        """

    @classmethod
    @abstractmethod
    def load_evaluation(cls, file: Path, config: Any, **reading: Any) -> TrainingTask:
        """Read a file to judge a model of that configuration; the training part is empty.

        Raises:
            DataError, UsageError: data or options that cannot be used, labels that the model does not know.
        """

    @classmethod
    @abstractmethod
    def divide(cls, examples: Sequence[Any], seed: int) -> tuple[list[Any], list[Any]]:
        """A training part and a held-out fifth, at most 5,000, the same for the same seed; equal ones on one side.

        Raises:
            DataError: too few examples.
        """

    def within_training(self, seed: int) -> TrainingTask:
        """This task on its training part alone, which is divided again; no evaluation example is in it.

        Raises:
            DataError: too few examples.
        """
        examples = self.split.train
        try:
            train, held = self.divide(examples, seed)
        except DataError:
            train, held = [], []
        if not train or not held:
            raise DataError(
                f"{len(examples):,} {self.items} to train on are too few to hold a part out on which settings could be "
                f"compared. Leave --tune out, or give more {self.items}."
            )
        inner = copy.copy(self)
        inner.split = replace(self.split, train=train, evaluation=held, held_out=True, leaked=())
        return inner

    @abstractmethod
    def defaults(self) -> Defaults:
        """Settings that suit the data."""

    def configuration(self) -> dict[str, Any]:
        """Fields of the model's configuration."""
        return {"id2label": dict(enumerate(self.label_names))} if self.label_names else {}

    @abstractmethod
    def baseline(self, seed: int) -> JudgedBaseline:
        """Train the baseline and let it answer the evaluation examples."""

    def limit(self, asked: int | None, most: int | None) -> int:
        """Tokens of a training example, from what the user asked and what the model reads."""
        return asked or most or 512

    @abstractmethod
    def training_set(self, tokenizer: Any, limit: int, config: Any) -> TrainingSet:
        """Encode the training part."""

    @abstractmethod
    def encode_evaluation(self, tokenizer: Any, most: int | None) -> Any:
        """Encode the evaluation part once for all epochs, as ``answer`` takes it; ``most`` tokens are read at once."""

    @abstractmethod
    def answer(self, runner: Any, encoded: Any) -> Predictions:
        """The model's answers to the evaluation examples."""

    def quick_score(self, runner: Any, encoded: Any) -> float:
        """The number by which the best epoch is chosen, higher is better; from fewer examples if all take long."""
        return selection_score(self.kind, self.gold(), self.answer(runner, encoded).labels, self.label_names)

    def windowed(self, encoded: Any) -> int:
        """How many evaluation examples are read in several windows."""
        return sum(n > 1 for n in encoded.n_windows)

    def gold(self) -> list[Any]:
        """The right answers to the evaluation examples, as they are scored."""
        return [example.label for example in self.split.evaluation]

    def train_labels(self) -> list[Any] | None:
        """The answers in the training part, in the form of ``gold``; None where counting them says nothing."""
        return [example.label for example in self.split.train]

    @abstractmethod
    def shown_texts(self) -> tuple[list[str], list[str | None] | None]:
        """The evaluation texts, and their second texts if there are any, for the report."""

    def show(self, number: int, answer: Any) -> str:
        """An answer to evaluation example ``number`` in words."""
        return shown_answer(self.kind, answer)

    def metrics(self, predictions: Predictions) -> dict[str, Any]:
        """Every score of the evaluation examples, as plain numbers."""
        return all_scores(self.kind, self.gold(), predictions.labels, self.label_names)

    def confidences(self, predictions: Predictions) -> tuple[str, list[float], list[bool]] | None:
        """What the model is more or less sure of, in a word, its probabilities, and whether each answer is right.

        None where there are no such numbers, or a table of probabilities tells more. ``predictions`` are the last.
        """
        return None

    def remarks(self, metrics: dict[str, Any]) -> tuple[str, ...]:
        """What the scores say beyond the table, a sentence each."""
        return ()

    @abstractmethod
    def digest(self, examples: Sequence[Any]) -> str:
        """SHA-256 (hex) over the content of examples in their order; see ``digest_of``."""

    def learned(self, predictions: Predictions) -> dict[str, Any]:
        """Fields of the configuration that prediction needs and only the finished model can tell."""
        return {}


def digest_of(contents: Iterable[Sequence[Any]]) -> str:
    """SHA-256 (hex) over what makes each example: texts, numbers, or lists of them."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(json.dumps(content).encode("ascii") + b"\n")
    return digest.hexdigest()


def without_text_options(task: str, reading: dict[str, Any]) -> dict[str, Any]:
    """The options of reading that are left when those of labelled texts are taken away.

    Raises:
        UsageError: one of those was given.
    """
    given = [name for name in TEXT_OPTIONS if reading.get(name) is not None]
    if given:
        option = f"--{given[0].replace('_', '-')}"
        raise UsageError(f"{option} is for text classification; the data of {task} has fixed names. Drop it.")
    return {name: value for name, value in reading.items() if name not in TEXT_OPTIONS}


def without_kind(task: str, reading: dict[str, Any]) -> dict[str, Any]:
    """The options of reading without the kind of labels.

    Raises:
        UsageError: it was given.
    """
    if reading.get("kind") is not None:
        raise UsageError(f"--kind is for text classification; the data of {task} has no labels. Drop it.")
    return {name: value for name, value in reading.items() if name != "kind"}


def check_further(task: type[TrainingTask], options: Mapping[str, Any]) -> None:
    """Refuse options of reading that a task does not take.

    Raises:
        UsageError: naming the option and the task.
    """
    for name in FURTHER:
        if options.get(name) is not None and name not in task.further:
            raise UsageError(
                f"--{name} is for tasks that write a text from another one (translation, summarization), not for "
                f"{task.name}. Drop it."
            )
