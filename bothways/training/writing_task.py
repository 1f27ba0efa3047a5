"""Summarisation and translation: pairs of texts to what the main job needs.

Shapes: n pairs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bothways.data.opening import FORMATS, unpacked_suffix
from bothways.data.text_pairs import LoadedPairs, PairKind, TextPair, load_pairs, target_beside
from bothways.errors import UsageError
from bothways.evaluation.baseline import Predictions
from bothways.evaluation.writing_baselines import fit_lead
from bothways.evaluation.written_scores import written_scores
from bothways.progress import progress_bar
from bothways.tasks.summarize_windows import summarize_long, text_windows
from bothways.tasks.text_pairs import EncodedPairs, encode_pairs, source_ids, task_prefix
from bothways.training.holdout import hold_out
from bothways.training.scoring import selection_score
from bothways.training.task import (
    CHUNK,
    Defaults,
    JudgedBaseline,
    Split,
    TrainingSet,
    TrainingTask,
    digest_of,
    without_kind,
)
from bothways.training.writing import written_ids
from bothways.training.writing_features import PairFeatures

MOST_TOKENS = 512
"""Of a source and of a target in training, unless the user says otherwise."""
MOST_HELD_OUT = 1_000
MOST_WRITTEN = 200
"""Evaluation texts that are written after each epoch to choose the best one; at the end all of them are."""
LONGEST = 256
"""Tokens of a text to write where training has not shown how long they are."""


@dataclass(frozen=True)
class Sources:
    """Evaluation sources as ids; those that are longer than the model reads are divided when they are answered."""

    texts: list[str]
    input_ids: list[list[int]]
    limit: int
    tokenizer: Any
    prefix: str = ""
    n_windows: dict[int, int] = field(default_factory=dict)

    @property
    def long(self) -> list[int]:
        """Numbers of the sources that are divided."""
        return [i for i, ids in enumerate(self.input_ids) if len(ids) > self.limit]

    def first(self, most: int) -> Sources:
        """The first of them, as few as are asked for."""
        return Sources(self.texts[:most], self.input_ids[:most], self.limit, self.tokenizer, self.prefix)


class WritingTask(TrainingTask):
    """Texts that are written from texts."""

    model_task = "seq2seq-lm"
    items = "texts"
    label_names = ()
    further = ("target", "prefix")
    pair_kind: ClassVar[PairKind]

    def __init__(self, split: Split, *, prefix: str | None = None) -> None:
        """``prefix`` before each source; None takes that of the model's configuration."""
        self.split = split
        self.prefix = prefix
        self.longest = LONGEST

    @classmethod
    def load(
        cls,
        files: list[Path],
        evaluation: Path | None,
        *,
        seed: int,
        target: Any = None,
        prefix: str | None = None,
        **reading: Any,
    ) -> WritingTask:
        """``target`` has the files whose lines belong to those of ``files``; ``prefix`` goes before each source."""
        cls._check_scores()
        reading = cls._reading(reading)
        targets = None if target is None else _paths(target)
        read = load_pairs(files, cls.pair_kind, targets=targets, **reading)
        if evaluation is not None:
            train, held = read.examples, cls._evaluation(evaluation, files[0], targets, reading).examples
        else:
            train, held = cls.divide(read.examples, seed)
        return cls(_split(read, train, held, held_out=evaluation is None), prefix=prefix)

    @classmethod
    def load_evaluation(
        cls, file: Path, config: Any, *, target: Any = None, prefix: str | None = None, **reading: Any
    ) -> WritingTask:
        cls._check_scores()
        targets = None if target is None else _paths(target)
        read = load_pairs(file, cls.pair_kind, targets=targets, **cls._reading(reading))
        task = cls(_split(read, [], read.examples, held_out=False), prefix=prefix)
        task._prefix_for(config)
        return task

    @classmethod
    def divide(cls, examples: Sequence[TextPair], seed: int) -> tuple[list[TextPair], list[TextPair]]:
        return hold_out(examples, seed, key=_source, items=cls.items, most=MOST_HELD_OUT)

    def defaults(self) -> Defaults:
        return Defaults(epochs=3, learning_rate=1e-4, head_factor=1.0)

    def limit(self, asked: int | None, most: int | None) -> int:
        return asked or min(MOST_TOKENS, most or MOST_TOKENS)

    def training_set(self, tokenizer: Any, limit: int, config: Any) -> TrainingSet:
        prefix = self._prefix_for(config)
        pairs = _encoded(tokenizer, self.split.train, prefix, limit)
        self.longest = min(limit, int(1.25 * pairs.n_target_tokens.max()) + 8)
        notes = []
        for what, cut in (("sources", pairs.source_cut), ("targets", pairs.target_cut)):
            if cut.any():
                notes.append(
                    f"{int(cut.sum()):,} of {len(cut):,} {what} to train on are longer than {limit} tokens: training "
                    "read their beginning."
                )
        return TrainingSet(
            features=PairFeatures(pairs), n_tokens=tuple(pairs.n_source_tokens.tolist()), notes=tuple(notes)
        )

    def encode_evaluation(self, tokenizer: Any, most: int | None) -> Sources:
        texts = [example.source for example in self.split.evaluation]
        prefix = self.prefix or ""
        ids: list[list[int]] = []
        for i in range(0, len(texts), CHUNK):
            ids += source_ids(tokenizer, texts[i : i + CHUNK], prefix=prefix)
        return Sources(texts, ids, min(most or MOST_TOKENS, max(MOST_TOKENS, self.longest)), tokenizer, prefix)

    def answer(self, runner: Any, encoded: Sources) -> Predictions:
        long = set(encoded.long)
        short = [i for i in range(len(encoded.texts)) if i not in long]
        found = dict(zip(short, self._write(runner, encoded, [encoded.input_ids[i] for i in short]), strict=True))
        for i, text in zip(sorted(long), self._write_long(runner, encoded, sorted(long)), strict=True):
            found[i] = text
        return Predictions(labels=tuple(found[i] for i in range(len(encoded.texts))))

    def quick_score(self, runner: Any, encoded: Sources) -> float:
        answers = self.answer(runner, encoded.first(MOST_WRITTEN)).labels
        return selection_score(self.kind, self.gold()[:MOST_WRITTEN], answers, ())

    def windowed(self, encoded: Sources) -> int:
        return len(encoded.long)

    def gold(self) -> list[Any]:
        return [example.target for example in self.split.evaluation]

    def train_labels(self) -> None:
        return None

    def shown_texts(self) -> tuple[list[str], list[str | None] | None]:
        return [example.source for example in self.split.evaluation], None

    def digest(self, examples: Sequence[TextPair]) -> str:
        return digest_of([example.source, example.target] for example in examples)

    def config_tasks(self) -> tuple[str, ...]:
        """The names of the task in ``task_specific_params``, the most exact one first."""
        return (self.name,)

    def configuration(self) -> dict[str, Any]:
        return {}

    def learned(self, predictions: Predictions) -> dict[str, Any]:
        if not self.prefix:
            return {}
        return {"task_specific_params": {name: {"prefix": self.prefix} for name in self.config_tasks()}}

    def _write(self, runner: Any, encoded: Sources, rows: Sequence[Sequence[int]]) -> list[str]:
        ids = written_ids(runner, rows, max_new_tokens=self.longest)
        return [text.strip() for text in encoded.tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def _write_long(self, runner: Any, encoded: Sources, numbers: list[int]) -> list[str]:
        raise NotImplementedError

    def _prefix_for(self, config: Any) -> str:
        if self.prefix is None:
            self.prefix = next(filter(None, (task_prefix(config, name) for name in self.config_tasks())), "")
        return self.prefix

    @classmethod
    def _reading(cls, reading: dict[str, Any]) -> dict[str, Any]:
        """Options of ``load_pairs``: the text's column is the source, and the label's is the target."""
        plain = without_kind(cls.name, reading)
        return {
            **{name: value for name, value in plain.items() if name not in ("text_column", "label_column")},
            "source_column": plain.get("text_column"),
            "target_column": plain.get("label_column"),
        }

    @classmethod
    def _evaluation(cls, file: Path, source: Path, targets: list[Path] | None, reading: dict[str, Any]) -> LoadedPairs:
        """The evaluation file; one of lines with the file that lies beside it as the targets lie beside the sources."""
        if targets is None or FORMATS.get(unpacked_suffix(file), "txt") != "txt":
            return load_pairs(file, cls.pair_kind, **reading)
        return load_pairs(file, cls.pair_kind, targets=target_beside(file, source, targets[0]), **reading)

    @classmethod
    def _check_scores(cls) -> None:
        """Refuse before any work what could not be scored at its end."""
        written_scores(cls.kind, ["a"], ["a"])


class TranslationTask(WritingTask):
    """Sentences in another language."""

    name = "translation"
    kind = "translations"
    pair_kind = "translation"

    def baseline(self, seed: int) -> JudgedBaseline:
        start = time.perf_counter()
        return JudgedBaseline(
            name="untranslated source",
            predictions=Predictions(labels=tuple(example.source for example in self.split.evaluation)),
            majority="",
            train_seconds=0.0,
            predict_seconds=time.perf_counter() - start,
            megabytes=0.0,
        )

    def config_tasks(self) -> tuple[str, ...]:
        source, target = self.split.columns.get("source"), self.split.columns.get("target")
        return f"translation_{source}_to_{target}", self.name

    def _write_long(self, runner: Any, encoded: Sources, numbers: list[int]) -> list[str]:
        """Window after window, each of whole sentences."""
        count, room = _counting(encoded)
        windows = {i: text_windows(encoded.texts[i], count, room) for i in numbers}
        parts = [encoded.prefix + encoded.texts[i][w.start : w.end] for i in numbers for w in windows[i]]
        written = iter(self._write(runner, encoded, source_ids(encoded.tokenizer, parts)))
        return [" ".join(next(written) for _ in windows[i]) for i in numbers]


class SummarizationTask(WritingTask):
    """Texts in fewer words."""

    name = "summarization"
    kind = "summaries"
    pair_kind = "summarization"

    def baseline(self, seed: int) -> JudgedBaseline:
        start = time.perf_counter()
        train = self.split.train
        lead = fit_lead([example.source for example in train], [example.target for example in train])
        trained = time.perf_counter()
        answers = lead.predict([example.source for example in self.split.evaluation])
        return JudgedBaseline(
            name=lead.name,
            predictions=Predictions(labels=tuple(answers)),
            majority="",
            train_seconds=trained - start,
            predict_seconds=time.perf_counter() - trained,
            megabytes=0.0,
        )

    def _write_long(self, runner: Any, encoded: Sources, numbers: list[int]) -> list[str]:
        """Summaries of windows, and of their summaries."""
        count, room = _counting(encoded)

        def write(texts: list[str]) -> list[str]:
            return self._write(runner, encoded, source_ids(encoded.tokenizer, texts, prefix=encoded.prefix))

        found = summarize_long([encoded.texts[i] for i in numbers], count=count, write=write, limit=room)
        return [summary.text for summary in found]


def _counting(encoded: Sources) -> tuple[Any, int]:
    """A function from texts to their tokens, and the tokens that the model reads beside prefix and special ones."""
    tokenizer = encoded.tokenizer

    def count(texts: list[str]) -> list[int]:
        return [len(e) for e in tokenizer.encode_texts(texts, add_special_tokens=False)] if texts else []

    around = len(source_ids(tokenizer, [""], prefix=encoded.prefix)[0])
    return count, encoded.limit - around - 1  # a space after the prefix may be a token of its own


def _encoded(tokenizer: Any, examples: Sequence[TextPair], prefix: str, limit: int) -> EncodedPairs:
    """Pairs as ids, in chunks."""
    parts = []
    with progress_bar("Tokenising", len(examples)) as advance:
        for i in range(0, len(examples), CHUNK):
            chunk = examples[i : i + CHUNK]
            sources, targets = [e.source for e in chunk], [e.target for e in chunk]
            parts.append(encode_pairs(tokenizer, sources, targets, prefix=prefix, max_source=limit, max_target=limit))
            advance(len(chunk))
    return EncodedPairs(
        input_ids=[row for part in parts for row in part.input_ids],
        labels=[row for part in parts for row in part.labels],
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("n_source_tokens", "n_target_tokens", "source_cut", "target_cut")
        },
    )


def _split(read: LoadedPairs, train: list[TextPair], held: list[TextPair], *, held_out: bool) -> Split:
    return Split.of(
        train,
        held,
        _source,
        held_out=held_out,
        columns={"source": read.source, "target": read.target},
        problems=asdict(read.problems),
    )


def _source(example: TextPair) -> str:
    return example.source


def _paths(files: Any) -> list[Path]:
    found = [Path(files)] if isinstance(files, (str, Path)) else [Path(file) for file in files]
    if not found:
        raise UsageError("target names no file; expected one for each file of sources.")
    return found


__all__ = ["SummarizationTask", "TranslationTask", "WritingTask"]
