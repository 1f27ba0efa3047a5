"""Token classification (named entities): tagged words to what the main job needs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bothways.data.tagged import TaggedText, TaggedTexts, check_types, load_tagged
from bothways.evaluation.baseline import Predictions
from bothways.evaluation.gazetteer import train_gazetteer
from bothways.metrics.entities import entity_scores, entity_spans, entity_surfaces
from bothways.metrics.tag_schemes import split_tag
from bothways.progress import progress_bar
from bothways.tasks.token_classification import EncodedTokens, decode_sure_words, encode_words, token_labels
from bothways.training.features import Features
from bothways.training.holdout import hold_out
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

FEW_SENTENCES = 1_000


class EntityTask(TrainingTask):
    """A tag for each word: entities and their types.

    Words are trained in their units (``data.words.word_spans``): the first piece of each unit of ``U.S.`` or ``1.`` has
    a label, because text that nobody divided into words may be divided there. They are judged as they are given.
    """

    name = "token-classification"
    model_task = "token-classification"
    items = "sentences"
    kind = "entities"

    def __init__(self, split: Split, label_names: tuple[str, ...], told: tuple[str, ...] = ()) -> None:
        self.split = split
        self.label_names = label_names
        self.told = told

    @classmethod
    def load(cls, files: list[Path], evaluation: Path | None, *, seed: int, **reading: Any) -> EntityTask:
        reading = without_text_options(cls.name, reading)
        read = load_tagged(files, **reading)
        if evaluation is not None:
            other = load_tagged(evaluation, purpose="evaluate", **reading)
            check_types(other, read.types)
            train, held = read.examples, other.examples
        else:
            train, held = cls.divide(read.examples, seed)
        return cls(_split(read, train, held, held_out=evaluation is None), read.label_names, _told(read))

    @classmethod
    def load_evaluation(cls, file: Path, config: Any, **reading: Any) -> EntityTask:
        reading = without_text_options(cls.name, reading)
        read = load_tagged(file, purpose="evaluate", **reading)
        names = tuple(config.id2label[i] for i in range(config.num_labels))
        check_types(read, {split_tag(name)[1] for name in names} - {""})
        return cls(_split(read, [], read.examples, held_out=False), names, _told(read))

    @classmethod
    def divide(cls, examples: Sequence[TaggedText], seed: int) -> tuple[list[TaggedText], list[TaggedText]]:
        return hold_out(examples, seed, key=_content, items=cls.items, types=_types)

    def defaults(self) -> Defaults:
        few = len(self.split.train) < FEW_SENTENCES
        return Defaults(epochs=8 if few else 3, learning_rate=1e-4)

    def baseline(self, seed: int) -> JudgedBaseline:
        start = time.perf_counter()
        gazetteer = train_gazetteer(self.split.train)
        trained = time.perf_counter()
        answers = [tuple(gazetteer.predict(example.surfaces)) for example in self.split.evaluation]
        return JudgedBaseline(
            name="list of training entities",
            predictions=Predictions(labels=tuple(answers)),
            majority=(),
            train_seconds=trained - start,
            predict_seconds=time.perf_counter() - trained,
            megabytes=gazetteer.megabytes,
        )

    def training_set(self, tokenizer: Any, limit: int, config: Any) -> TrainingSet:
        ids: list[np.ndarray] = []
        types: list[np.ndarray] = []
        labels: list[np.ndarray] = []
        lengths: list[int] = []
        in_units = [example.in_units() for example in self.split.train]
        for examples, tokens in _encoded(tokenizer, in_units, limit):
            own = [[config.label2id[tag] for tag in example.tags] for example in examples]
            ids += [np.array(row, dtype=np.int32) for row in tokens.encoded.input_ids]
            types += [np.array(row, dtype=np.int8) for row in tokens.encoded.token_type_ids or ()]
            labels += [np.array(row, dtype=np.int64) for row in token_labels(tokens, own)]
            lengths += tokens.encoded.n_tokens
        return TrainingSet(features=Features(ids, types or None, labels), n_tokens=tuple(lengths), notes=self.told)

    def encode_evaluation(self, tokenizer: Any, most: int | None) -> list[EncodedTokens]:
        return [tokens for _, tokens in _encoded(tokenizer, self.split.evaluation, most)]

    def answer(self, runner: Any, encoded: list[EncodedTokens]) -> Predictions:
        tags: list[tuple[str, ...]] = []
        self.sureness: list[list[float]] = []
        with progress_bar("Scoring", len(self.split.evaluation)) as advance:
            for tokens in encoded:
                logits = runner.token_logits(tokens.encoded.input_ids, tokens.encoded.token_type_ids)
                for own, sureness in decode_sure_words(logits, tokens, runner.model.config.id2label):
                    tags.append(tuple(own))
                    self.sureness.append(sureness)
                advance(len(tokens))
        return Predictions(labels=tuple(tags))

    def confidences(self, predictions: Predictions) -> tuple[str, list[float], list[bool]]:
        """Of the entities that were found last: the mean of their words, and whether words and type are right."""
        sure, right = [], []
        for tags, gold, words in zip(predictions.labels, self.gold(), self.sureness, strict=True):
            true = set(entity_spans(gold))
            for kind, start, end in entity_spans(tags):
                sure.append(sum(words[start:end]) / (end - start))
                right.append((kind, start, end) in true)
        return "entities", sure, right

    def windowed(self, encoded: list[EncodedTokens]) -> int:
        return sum(n > 1 for tokens in encoded for n in tokens.encoded.n_windows)

    def gold(self) -> list[Any]:
        return [example.tags for example in self.split.evaluation]

    def train_labels(self) -> list[Any]:
        return [example.tags for example in self.split.train]

    def metrics(self, predictions: Predictions) -> dict[str, Any]:
        gold, words = self.gold(), [example.surfaces for example in self.split.evaluation]
        train = self.split.train
        seen = entity_surfaces([e.tags for e in train], [e.surfaces for e in train]) if train else None
        scores = entity_scores(gold, predictions.labels, words=words if train else None, seen=seen)
        strict = entity_scores(gold, predictions.labels, mode="strict")
        return scores | {"strict": {name: strict[name] for name in ("precision", "recall", "f1")}}

    def remarks(self, metrics: dict[str, Any]) -> tuple[str, ...]:
        if "seen" not in metrics:
            return ()
        parts = [
            f"F1 {metrics[name]['f1'] * 100:.1f} % on the {metrics[name]['support']:,} entities {text}"
            for name, text in (("seen", "that the training data names"), ("unseen", "that are new"))
        ]
        return (" and ".join(parts) + ".",)

    def shown_texts(self) -> tuple[list[str], list[str | None] | None]:
        return [example.text for example in self.split.evaluation], None

    def show(self, number: int, answer: Any) -> str:
        words = self.split.evaluation[number].surfaces
        found = [f"{kind}: {' '.join(words[start:end])}" for kind, start, end in entity_spans(answer)]
        return "; ".join(found) or "(none)"

    def digest(self, examples: Sequence[TaggedText]) -> str:
        return digest_of([example.text, example.words, example.tags] for example in examples)


def _split(read: TaggedTexts, train: list[TaggedText], held: list[TaggedText], *, held_out: bool) -> Split:
    problems = asdict(read.problems) | {"misaligned": len(read.problems.misaligned)}
    return Split.of(train, held, _content, held_out=held_out, problems=problems)


def _told(read: TaggedTexts) -> tuple[str, ...]:
    return tuple(filter(None, [read.problems.sentence()]))


def _content(example: TaggedText) -> tuple[str, ...]:
    return tuple(example.surfaces)


def _types(example: TaggedText) -> list[str]:
    return [kind for kind, _, _ in entity_spans(example.tags)]


def _encoded(
    tokenizer: Any, examples: Sequence[TaggedText], most: int | None
) -> Iterator[tuple[Sequence[TaggedText], EncodedTokens]]:
    with progress_bar("Tokenising", len(examples)) as advance:
        for i in range(0, len(examples), CHUNK):
            chunk = examples[i : i + CHUNK]
            texts, words = [example.text for example in chunk], [example.words for example in chunk]
            yield chunk, encode_words(tokenizer, texts, words, max_length=most, first=i)
            advance(len(chunk))
