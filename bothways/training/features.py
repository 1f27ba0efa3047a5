"""Encoded examples, and the steps of an epoch over them: packed, by counters, within a budget of tokens.

Shapes: n examples, C labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.batching import collate
from bothways.engine.processes import Processes
from bothways.engine.seeds import epoch_order
from bothways.engine.steps import MicroBatch

MAX_TOKENS = {"cpu": 2048}
MAX_TOKENS_ELSEWHERE = 65536
"""Tokens that go through the model at once.

CPU: measured with 6 layers of 384 on questions of 170 tokens, one AVX2 core, 14 steps of 16: 46.8 s of processor time
and 1.4 GB with 1,024 tokens, 47.4 s and 1.6 GB with 2,048, 51.9 s and 2.3 GB with 4,096, 48.8 s and 2.5 GB unlimited.
"""


@dataclass
class Features:
    """Encoded examples.

    Attributes:
        input_ids: the sequences, lists or arrays of ids; those of one example side by side.
        token_type_ids: the same shape; None when all of them are 0.
        labels: a row for each example, (n,) or (n, C); or for each example an array with a label for every token.
        sequences: how many belong to one example: 1, or the number of choices.
    """

    input_ids: Sequence[Any]
    token_type_ids: Sequence[Any] | None
    labels: Tensor | Sequence[np.ndarray]
    sequences: int = 1

    def __len__(self) -> int:
        return len(self.labels)

    def length(self, example: int) -> int:
        """Tokens of an example, all its sequences together."""
        start = example * self.sequences
        return sum(len(self.input_ids[start + k]) for k in range(self.sequences))

    def batch(self, indices: Sequence[int]) -> Any:
        """The examples as one packed batch, in that order."""
        rows = [i * self.sequences + k for i in indices for k in range(self.sequences)]
        types = None if self.token_type_ids is None else [self.token_type_ids[row] for row in rows]
        packed = collate([self.input_ids[row] for row in rows], types)
        if isinstance(self.labels, Tensor):
            return replace(packed, labels=self.labels[torch.as_tensor(indices)])
        return replace(packed, labels=torch.from_numpy(np.concatenate([self.labels[i] for i in indices])))


@dataclass(frozen=True)
class Portion:
    """What goes through the model at once.

    Attributes:
        batch: a ``PackedBatch``, or what else the features make of some examples.
        examples: their numbers in the training set.
    """

    batch: Any
    examples: Sequence[int]


class FeatureSteps:
    """Steps over features. The inputs of a micro-batch are a ``Portion``.

    Args:
        batch_size: examples a step, of one process.
        max_tokens: most tokens that go through the model at once; a step of more is divided. The gradient is the same.
        items: from a batch to how many things its loss is the mean of.
    """

    def __init__(
        self,
        features: Features,
        batch_size: int,
        *,
        seed: int,
        max_tokens: int,
        items: Callable[[Any], float],
        group: Processes,
    ) -> None:
        self.features, self.batch_size, self.seed = features, batch_size, seed
        self.max_tokens, self.items, self.group = max_tokens, items, group
        self.steps_per_epoch: int | None = -(-len(features) // (batch_size * group.count))

    def steps(self, epoch: int, first: int) -> Iterator[list[MicroBatch]]:
        order = epoch_order(len(self.features), self.seed, epoch + 1)
        whole = self.batch_size * self.group.count
        for step in range(first, self.steps_per_epoch or 0):
            members = order[step * whole : (step + 1) * whole].tolist()
            own = balanced(members, self.features.length, self.group.count)[self.group.rank]
            yield [self._micro_batch(part) for part in self.divide(own)]

    def divide(self, indices: Sequence[int]) -> list[list[int]]:
        """Examples sorted by length, since equal lengths share one attention call, in parts within the budget."""
        parts: list[list[int]] = []
        room = 0
        for i in sorted(indices, key=self.features.length):
            need = self.features.length(i)
            if not parts or need > room:
                parts.append([])
                room = self.max_tokens
            parts[-1].append(i)
            room -= need
        return parts

    def _micro_batch(self, indices: list[int]) -> MicroBatch:
        batch = self.features.batch(indices)
        return MicroBatch(
            inputs=Portion(batch, indices),
            items=self.items(batch),
            count=len(indices),
            tokens=batch.total_tokens,
            examples=indices,
        )


def balanced(members: Sequence[int], length: Callable[[int], int], count: int) -> list[list[int]]:
    """Examples of a step dealt to processes, about as many tokens for each, since all wait for the slowest."""
    if count == 1:
        return [list(members)]
    parts: list[list[int]] = [[] for _ in range(count)]
    tokens = [0] * count
    for i in sorted(members, key=lambda i: (-length(i), i)):
        lightest = tokens.index(min(tokens))
        parts[lightest].append(i)
        tokens[lightest] += length(i)
    return parts


def labelled_items(batch: Any) -> float:
    """What a mean loss is the mean of: labels of tokens that count, or examples."""
    labels = batch.labels
    if labels.ndim == 1 and not labels.is_floating_point():
        return int((labels != -100).sum())
    return len(labels)
