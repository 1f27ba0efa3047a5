"""Features of models that write: pairs of sequences, and blocks of several sequences.

Shapes: n pairs, N blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from bothways.batching import PackedBatch, collate
from bothways.tasks.causal_lm import TokenBlocks
from bothways.tasks.text_pairs import EncodedPairs
from bothways.training.features import Features


@dataclass(frozen=True)
class PairBatch:
    """Sources and targets, packed each; the ids of the targets are the labels, and the model moves them by one place.

    Attributes:
        source: what the encoder reads.
        target: what the decoder is to write; its ids and its labels are the same.
    """

    source: PackedBatch
    target: PackedBatch

    @property
    def labels(self) -> Tensor:
        """int64 (T,) of the targets' tokens."""
        assert self.target.labels is not None
        return self.target.labels

    @property
    def total_tokens(self) -> int:
        return self.source.total_tokens + self.target.total_tokens

    def to(self, device: torch.device | str) -> PairBatch:
        return PairBatch(self.source.to(device), self.target.to(device))

    def output(self, model: Any, *, with_loss: bool) -> Any:
        """What an encoder-decoder model says of the batch: packed logits, and its loss if that is wanted."""
        target = self.target
        ids = model.base_model.moved_right_packed(target.input_ids, target.seqlens)
        read = replace(target, input_ids=ids, labels=target.labels if with_loss else None)
        return model(input_ids=self.source, decoder_input_ids=read)


class PairFeatures(Features):
    """n encoded pairs."""

    def __init__(self, pairs: EncodedPairs) -> None:
        super().__init__(pairs.input_ids, None, pairs.labels)

    def length(self, example: int) -> int:
        return len(self.input_ids[example]) + len(self.labels[example])

    def batch(self, indices: Sequence[int]) -> PairBatch:
        target = collate([cast(Any, self.labels[i]) for i in indices])
        return PairBatch(collate([self.input_ids[i] for i in indices]), replace(target, labels=target.input_ids))


class BlockFeatures(Features):
    """N blocks; an example is a block, whose sequences do not see each other."""

    def __init__(self, blocks: TokenBlocks) -> None:
        super().__init__(blocks.input_ids, None, blocks.labels)
        self.blocks = blocks

    def __len__(self) -> int:
        return len(self.blocks)

    def length(self, example: int) -> int:
        return sum(len(self.input_ids[i]) for i in self.blocks.block(example))

    def batch(self, indices: Sequence[int]) -> PackedBatch:
        rows = [i for index in indices for i in self.blocks.block(index)]
        labels = torch.from_numpy(np.concatenate([np.asarray(self.labels[i]) for i in rows]))
        return replace(collate([self.input_ids[i] for i in rows]), labels=labels)
