"""A head on a frozen encoder: the encoder reads every text once, and epochs train the head on what it said.

The pooler counts as head: it reads one vector of each text, so that training it costs nothing beside the encoder.

Shapes: n examples, R rows that a head reads (sequences, or labelled tokens), N hidden_size, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.engine.processes import Processes
from bothways.engine.shared_runner import SharedRunner
from bothways.models.runner import Ids
from bothways.training.features import Features
from bothways.training.item_table import IGNORED, IN_MEMORY, ItemTable, sequence_table, token_table

READING = "Reading"


@dataclass(frozen=True)
class VectorBatch:
    """What a head reads of some examples.

    Attributes:
        vectors: float32 (R, N).
        labels: as a ``PackedBatch`` has them; of tokens only those that count.
        sequences: rows that have one label together: 1, or the number of choices.
    """

    vectors: Tensor
    labels: Tensor
    sequences: int = 1

    @property
    def total_tokens(self) -> int:
        return len(self.vectors)

    def to(self, device: torch.device | str) -> VectorBatch:
        return VectorBatch(self.vectors.to(device), self.labels.to(device), self.sequences)


class VectorFeatures(Features):
    """Features whose batches are vectors of a frozen encoder.

    Args:
        features: of the same examples.
        table: a row for each sequence, or for each labelled token.
    """

    def __init__(self, features: Features, table: ItemTable) -> None:
        super().__init__(features.input_ids, features.token_type_ids, features.labels, features.sequences)
        self.table = table
        if not isinstance(self.labels, Tensor):
            self.labels = [own[np.asarray(own) != IGNORED] for own in self.labels]

    def length(self, example: int) -> int:
        """Rows of an example."""
        return self.table.count(example)

    def batch(self, indices: Sequence[int]) -> Any:
        if isinstance(self.labels, Tensor):
            labels = self.labels[torch.as_tensor(indices)]
        else:
            labels = torch.from_numpy(np.concatenate([self.labels[i] for i in indices]))
        return VectorBatch(self.table.rows(indices), labels, self.sequences)


def freeze_body(model: Any) -> None:
    """Let only the head learn, and the pooler where the head reads it."""
    for name, part in model.base_model.named_children():
        part.requires_grad_(name == "pooler" and model.head.reads == "pooled")


def frozen_features(model: Any, features: Features, runner: SharedRunner) -> VectorFeatures:
    """Let the encoder read all examples once, without dropout."""
    width = model.config.hidden_size
    if model.head.reads == "tokens":
        return VectorFeatures(features, token_table(features, runner.hidden, width, READING))
    return VectorFeatures(features, sequence_table(features, read_by_head(model, runner), width, READING))


def read_by_head(model: Any, runner: SharedRunner) -> Callable[..., np.ndarray]:
    """From sequences to the one vector of each that the head, or its pooler, reads: float32 (sequences, N)."""
    pooling = "mean" if model.head.reads == "mean" else "cls"
    return lambda ids, types=None: runner.pooled(ids, types, pooling=pooling)


def vector_logits(model: Any, batch: VectorBatch) -> Tensor:
    """(n, C) or for labelled tokens (R, C); of choices (n, choices)."""
    logits = head_logits(model, batch.vectors)
    return logits if batch.sequences == 1 else logits.view(-1, batch.sequences)


def head_logits(model: Any, vectors: Tensor) -> Tensor:
    """(R, C): what pooler and head make of (R, N)."""
    head = model.head
    return head.logits(model, model.base_model.pooler(vectors) if head.reads == "pooled" else vectors)


class HeadRunner(SharedRunner):
    """Predicts again and again while only the head changes: the encoder reads a sequence at its first time only.

    Beyond ``in_memory`` bytes of vectors it reads what it could not keep anew.
    """

    def __init__(self, model: Any, group: Processes, *, in_memory: int = IN_MEMORY, **options: Any) -> None:
        super().__init__(model, group, **options)
        self.room = in_memory
        self.known: dict[tuple[bytes, ...], np.ndarray] = {}

    def sequence_logits(self, input_ids: Ids, token_type_ids: Ids | None = None) -> np.ndarray:
        model = self._with_head("a sequence")
        vectors = self._vectors(input_ids, token_type_ids, read_by_head(model, self))
        if not vectors:
            return np.zeros((0, model.config.num_labels), dtype=np.float32)
        return self._applied(np.stack(vectors))

    def token_logits(self, input_ids: Ids, token_type_ids: Ids | None = None) -> list[np.ndarray]:
        self._with_head("tokens")
        return [self._applied(vectors) for vectors in self._vectors(input_ids, token_type_ids, self.hidden)]

    def _vectors(self, input_ids: Ids, types: Ids | None, compute: Callable[..., Any]) -> list[np.ndarray]:
        columns = [column for column in (input_ids, types) if column is not None]
        keys = [tuple(np.asarray(own, dtype=np.int64).tobytes() for own in row) for row in zip(*columns, strict=True)]
        new = {key: i for i, key in enumerate(keys) if key not in self.known}
        found: dict[tuple[bytes, ...], np.ndarray] = {}
        if new:
            computed = compute(*([column[i] for i in new.values()] for column in columns))
            found = dict(zip(new, computed, strict=True))
        for key, vectors in found.items():
            if vectors.nbytes <= self.room:
                self.room -= vectors.nbytes
                self.known[key] = np.array(vectors)
        return [found[key] if key in found else self.known[key] for key in keys]

    @torch.no_grad()
    def _applied(self, vectors: np.ndarray) -> np.ndarray:
        self.model.eval()
        logits = head_logits(self.model, torch.from_numpy(vectors).to(self.model.device))
        return logits.float().cpu().numpy()


__all__ = ["HeadRunner", "VectorBatch", "VectorFeatures", "freeze_body", "frozen_features", "vector_logits"]
