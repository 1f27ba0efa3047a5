"""Text generation: documents to what the main job needs.

Shapes: n documents, S sequences.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bothways.data.documents import Document, LoadedDocuments, load_documents
from bothways.errors import DataError, UsageError
from bothways.evaluation.baseline import Predictions
from bothways.evaluation.writing_baselines import fit_bigrams
from bothways.evaluation.written_scores import BITS_OF_A_BYTE
from bothways.progress import progress_bar
from bothways.tasks.causal_lm import TokenBlocks, boundary_ids, token_blocks
from bothways.training.holdout import hold_out
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
from bothways.training.writing import token_nats
from bothways.training.writing_features import BlockFeatures

MOST_TOKENS = 1024
"""Of a block, unless the user says otherwise."""
HELD_OUT = 0.05
MANY_BYTES = 10_000_000


class LanguageTask(TrainingTask):
    """The next word of a text."""

    name = "text-generation"
    model_task = "causal-lm"
    items = "documents"
    taught = "blocks"
    kind = "language"
    label_names = ()

    def __init__(self, split: Split) -> None:
        self.split = split
        self.block_size: int | None = None
        self.n_predicted = 0

    @classmethod
    def load(cls, files: list[Path], evaluation: Path | None, *, seed: int, **reading: Any) -> LanguageTask:
        reading = cls._reading(reading)
        read = load_documents(files, **reading)
        if evaluation is not None:
            train, held = read.examples, load_documents(evaluation, **reading).examples
        else:
            train, held = cls.divide(read.examples, seed)
        return cls(_split(read, train, held, held_out=evaluation is None))

    @classmethod
    def load_evaluation(cls, file: Path, config: Any, **reading: Any) -> LanguageTask:
        read = load_documents(file, **cls._reading(reading))
        return cls(_split(read, [], read.examples, held_out=False))

    @classmethod
    def divide(cls, examples: Sequence[Document], seed: int) -> tuple[list[Document], list[Document]]:
        try:
            return hold_out(examples, seed, key=_text, items=cls.items, share=HELD_OUT, least=1)
        except DataError as problem:
            raise DataError(f"{problem} In plain text a document ends at a blank line.") from None

    def defaults(self) -> Defaults:
        size = sum(_bytes(document) for document in self.split.train)
        return Defaults(epochs=1 if size > MANY_BYTES else 3, learning_rate=1e-4, head_factor=1.0)

    def configuration(self) -> dict[str, Any]:
        return {}

    def baseline(self, seed: int) -> JudgedBaseline:
        start = time.perf_counter()
        counts = fit_bigrams([document.text for document in self.split.train])
        trained = time.perf_counter()
        rates = counts.rates([document.text for document in self.split.evaluation])
        return JudgedBaseline(
            name=counts.name,
            predictions=Predictions(labels=tuple(rates)),
            majority=BITS_OF_A_BYTE,
            train_seconds=trained - start,
            predict_seconds=time.perf_counter() - trained,
            megabytes=counts.bits.nbytes / 1e6,
        )

    def limit(self, asked: int | None, most: int | None) -> int:
        self.block_size = asked or min(MOST_TOKENS, most or MOST_TOKENS)
        return self.block_size

    def training_set(self, tokenizer: Any, limit: int, config: Any) -> TrainingSet:
        documents = _encoded(tokenizer, self.split.train)
        start, end = boundary_ids(tokenizer)
        blocks = token_blocks(documents, limit, start_id=start, end_id=end)
        pieces = len(blocks.input_ids) - len(np.unique(blocks.owner))
        notes = (
            [f"Documents longer than {limit} tokens made {pieces:,} more sequences than documents."] if pieces else []
        )
        return TrainingSet(features=BlockFeatures(blocks), n_tokens=tuple(map(len, documents)), notes=tuple(notes))

    def encode_evaluation(self, tokenizer: Any, most: int | None) -> TokenBlocks:
        """Long documents in windows that begin with a quarter of what was read before, for the model to look at."""
        size = min(self.block_size or MOST_TOKENS, most or MOST_TOKENS)
        start, end = boundary_ids(tokenizer)
        documents = _encoded(tokenizer, self.split.evaluation)
        blocks = token_blocks(documents, size, start_id=start, end_id=end, context=max(1, size // 4))
        self.n_predicted = blocks.n_predicted
        return blocks

    def answer(self, runner: Any, encoded: TokenBlocks) -> Predictions:
        nats = token_nats(runner, encoded.input_ids, encoded.labels)
        of_documents = np.bincount(encoded.owner, nats, encoded.n_documents)
        rates = of_documents / math.log(2) / np.array(self.gold())
        return Predictions(labels=tuple(rates.tolist()))

    def windowed(self, encoded: TokenBlocks) -> int:
        return int((np.bincount(encoded.owner, minlength=encoded.n_documents) > 1).sum())

    def gold(self) -> list[Any]:
        return [float(_bytes(document)) for document in self.split.evaluation]

    def train_labels(self) -> None:
        return None

    def shown_texts(self) -> tuple[list[str], list[str | None] | None]:
        return [document.text for document in self.split.evaluation], None

    def metrics(self, predictions: Predictions) -> dict[str, Any]:
        found = super().metrics(predictions)
        nats = math.log(2) * sum(a * b for a, b in zip(predictions.labels, self.gold(), strict=True))
        mean = nats / max(1, self.n_predicted)
        return {**found, "perplexity": math.exp(min(mean, 700.0)), "tokens": self.n_predicted}

    def remarks(self, metrics: dict[str, Any]) -> tuple[str, ...]:
        return (
            f"{metrics['bits_per_byte']:.3f} bits per byte, perplexity {metrics['perplexity']:,.2f} of "
            f"{metrics['tokens']:,} tokens; the perplexity depends on the tokeniser, the bits per byte do not.",
        )

    def digest(self, examples: Sequence[Document]) -> str:
        return digest_of([document.text] for document in examples)

    @classmethod
    def _reading(cls, reading: dict[str, Any]) -> dict[str, Any]:
        plain = without_kind(cls.name, reading)
        if plain.pop("label_column", None) is not None:
            raise UsageError(f"--label-column is for labelled texts; {cls.name} learns from the texts alone. Drop it.")
        return plain


def _encoded(tokenizer: Any, documents: Sequence[Document]) -> list[np.ndarray]:
    """Ids without special ones, int32."""
    found: list[np.ndarray] = []
    with progress_bar("Tokenising", len(documents)) as advance:
        for i in range(0, len(documents), CHUNK):
            texts = [document.text for document in documents[i : i + CHUNK]]
            found += [np.array(e.ids, dtype=np.int32) for e in tokenizer.encode_texts(texts, add_special_tokens=False)]
            advance(len(texts))
    return found


def _split(read: LoadedDocuments, train: list[Document], held: list[Document], *, held_out: bool) -> Split:
    return Split.of(
        train, held, _text, held_out=held_out, columns={"text": read.column}, problems={"blank_texts": read.blank}
    )


def _text(document: Document) -> str:
    return document.text


def _bytes(document: Document) -> int:
    return len(document.text.encode("utf-8"))


__all__ = ["LanguageTask"]
