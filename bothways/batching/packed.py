"""The packed batch: sequences laid end to end, without padding.

Shapes: T total tokens, B sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class SeqLens:
    """Where each sequence of a packed batch begins and ends.

    Attributes:
        cu_seqlens: int32 (B + 1,), starts at 0, ends at T.
        max_seqlen: length of the longest sequence, on the host, so that no layer has to ask the device.
        places: int64 (T,), the column of each token in the padded row, where a mask has left out tokens in between; a
            window counts columns. None where the tokens of every sequence stood side by side.
    """

    cu_seqlens: Tensor
    max_seqlen: int
    places: Tensor | None = None

    @classmethod
    def from_lengths(
        cls, lengths: Sequence[int], device: torch.device | str | None = None, places: Tensor | None = None
    ) -> SeqLens:
        """Example: lengths [3, 2] give cu_seqlens [0, 3, 5] and max_seqlen 3."""
        lengths = tuple(int(n) for n in lengths)
        ends = torch.tensor((0, *lengths), dtype=torch.int32).cumsum(0, dtype=torch.int32)
        ends = ends.to(device) if device is not None else ends
        lens = cls(cu_seqlens=ends, max_seqlen=max(lengths, default=0), places=places)
        lens.__dict__["lengths"] = lengths  # fills the cached property: the host already knows
        return lens

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Length of each sequence, on the host. Reading it from a device tensor costs one synchronisation."""
        return tuple(self.cu_seqlens.diff().tolist())

    @property
    def batch_size(self) -> int:
        return self.cu_seqlens.shape[0] - 1

    @property
    def total_tokens(self) -> int:
        return sum(self.lengths)

    @cached_property
    def first_tokens(self) -> Tensor:
        """int64 (B,): index of the first token of each sequence."""
        return self.cu_seqlens[:-1].long()

    @cached_property
    def last_tokens(self) -> Tensor:
        """int64 (B,): index of the last token of each sequence."""
        return self.cu_seqlens[1:].long() - 1

    def to(self, device: torch.device | str) -> SeqLens:
        places = None if self.places is None else self.places.to(device, non_blocking=True)
        moved = replace(self, cu_seqlens=self.cu_seqlens.to(device, non_blocking=True), places=places)
        moved.__dict__["lengths"] = self.lengths
        return moved


@dataclass(frozen=True)
class PackedBatch:
    """A batch of B sequences with T tokens in all.

    Attributes:
        input_ids: int64 (T,).
        position_ids: int64 (T,). Explicit, so that left padding and holes agree with the padded form.
        seqlens: boundaries of the sequences.
        token_type_ids: int64 (T,) or None.
        labels: (B, ...) or (T,), as the task has it; -100 is ignored.
    """

    input_ids: Tensor
    position_ids: Tensor
    seqlens: SeqLens
    token_type_ids: Tensor | None = None
    labels: Tensor | None = None

    @property
    def batch_size(self) -> int:
        return self.seqlens.batch_size

    @property
    def total_tokens(self) -> int:
        return self.input_ids.shape[0]

    def to(self, device: torch.device | str) -> PackedBatch:
        moved = {f.name: value.to(device) for f in fields(self) if (value := getattr(self, f.name)) is not None}
        return PackedBatch(**moved)
