"""What goes through a model at once in pretraining, with what is asked about it.

Shapes: B rows, T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bothways.batching import PackedBatch
from bothways.pretraining.rows import part_of


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """Attributes:
    batch: what is read; its labels (T,) are -100 where nothing is asked.
    target: what an encoder-decoder model is to write; its labels are its ids.
    relation: int64 (B,), what is asked about the two texts of each row.
    asked_share: how much of what is asked for in its step stands here, 0 to 1.
    step_rows, step_tokens: of the whole step that this is a part of.
    """

    batch: PackedBatch
    target: PackedBatch | None = None
    relation: Tensor | None = None
    asked_share: float = 1.0
    step_rows: int = 0
    step_tokens: int = 0

    @property
    def n_rows(self) -> int:
        return self.batch.batch_size

    @property
    def total_tokens(self) -> int:
        return self.batch.total_tokens + (0 if self.target is None else self.target.total_tokens)

    def part(self, first: int, last: int) -> Exercise:
        """Its rows from ``first`` to before ``last``."""
        return replace(
            self,
            batch=part_of(self.batch, first, last),
            target=None if self.target is None else part_of(self.target, first, last),
            relation=None if self.relation is None else self.relation[first:last],
        )

    def parts(self, count: int) -> list[Exercise]:
        """In ``count`` parts of neighbouring rows with about as many tokens each; there may be fewer."""
        lengths = torch.tensor(self.batch.seqlens.lengths)
        if self.target is not None:
            lengths = lengths + torch.tensor(self.target.seqlens.lengths)
        # a row belongs where its middle lies
        middle = lengths.cumsum(0) * 2 - lengths
        owner = (middle * count).div(2 * int(lengths.sum()), rounding_mode="floor")
        edges = [0, *((owner[1:] != owner[:-1]).nonzero().flatten() + 1).tolist(), len(lengths)]
        return [self.part(first, last) for first, last in zip(edges, edges[1:], strict=False)]

    def to(self, device: torch.device | str) -> Exercise:
        moved = {
            name: value.to(device)
            for name in ("batch", "target", "relation")
            if (value := getattr(self, name)) is not None
        }
        return replace(self, **moved)
