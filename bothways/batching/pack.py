"""From the padded rectangle of everybody's code to the packed form, and back. Both ways are differentiable.

Shapes: B rows, S columns, T tokens that the mask keeps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bothways.batching.packed import PackedBatch, SeqLens
from bothways.errors import InputError


@dataclass(frozen=True)
class Layout:
    """Where the T packed tokens stand in a (B, S) rectangle.

    Attributes:
        shape: (B, S).
        seqlens: boundaries of the rows in the packed form.
        kept: int64 (T,), flat indices into B * S; None when nothing is padded, and packing is a view.
    """

    shape: tuple[int, int]
    seqlens: SeqLens
    kept: Tensor | None

    @classmethod
    def of_mask(cls, attention_mask: Tensor | None, shape: tuple[int, int], device: torch.device) -> Layout:
        """The layout of a 0/1 mask (B, S). A row without any 1 keeps its first token, so that it has an answer.

        Raises:
            InputError: the mask does not have the shape of the input.
        """
        batch, seq = shape
        if attention_mask is not None and tuple(attention_mask.shape) != shape:
            raise InputError(
                f"attention_mask has shape {tuple(attention_mask.shape)}, expected (batch, sequence) = {shape}: "
                "one 0 or 1 for each token."
            )
        mask = None if attention_mask is None else attention_mask.to(device) != 0
        if mask is None or bool(mask.all()):
            return cls(shape=shape, seqlens=SeqLens.from_lengths([seq] * batch, device), kept=None)
        lengths = mask.sum(1)
        if bool((lengths == 0).any()):
            mask = mask.clone()
            mask[lengths == 0, 0] = True
            lengths = mask.sum(1)
        kept = mask.flatten().nonzero(as_tuple=True)[0]
        places, ends = kept % seq, lengths.cumsum(0)
        spans = places[ends - 1] - places[ends - lengths] + 1
        holes = bool((spans != lengths).any())
        seqlens = SeqLens.from_lengths(lengths.tolist(), device, places=places if holes else None)
        return cls(shape=shape, seqlens=seqlens, kept=kept)

    @classmethod
    def padded(cls, seqlens: SeqLens) -> Layout:
        """The layout of packed sequences in a rectangle padded on the right."""
        lengths = seqlens.cu_seqlens.diff()
        mask = torch.arange(seqlens.max_seqlen, device=lengths.device) < lengths[:, None]
        return cls.of_mask(mask, (seqlens.batch_size, seqlens.max_seqlen), lengths.device)

    def pack(self, padded: Tensor) -> Tensor:
        """(B, S, ...) to (T, ...)."""
        flat = padded.reshape(-1, *padded.shape[2:])
        return flat if self.kept is None else flat.index_select(0, self.kept)

    def unpack(self, packed: Tensor, fill: float = 0.0) -> Tensor:
        """(T, ...) to (B, S, ...), with ``fill`` where the mask is 0."""
        if self.kept is None:
            return packed.view(*self.shape, *packed.shape[1:])
        batch, seq = self.shape
        padded = packed.new_full((batch * seq, *packed.shape[1:]), fill).index_copy(0, self.kept, packed)
        return padded.view(batch, seq, *packed.shape[1:])


def pack(
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    token_type_ids: Tensor | None = None,
    position_ids: Tensor | None = None,
) -> tuple[PackedBatch, Layout]:
    """Remove the padding of (B, S) tensors.

    Args:
        input_ids: int64 (B, S).
        attention_mask: (B, S), 0 for padding; None keeps every token.
        token_type_ids: int64 (B, S).
        position_ids: int64 (B, S) or (1, S); by default the column, as the reference numbers them.

    Returns:
        The packed batch, and the layout that undoes it.
    """
    batch, seq = input_ids.shape
    layout = Layout.of_mask(attention_mask, (batch, seq), input_ids.device)
    if position_ids is None:
        position_ids = torch.arange(seq, device=input_ids.device)[None]
    return (
        PackedBatch(
            input_ids=layout.pack(input_ids),
            position_ids=layout.pack(position_ids.expand(batch, seq)),
            seqlens=layout.seqlens,
            token_type_ids=None if token_type_ids is None else layout.pack(token_type_ids.expand(batch, seq)),
        ),
        layout,
    )


def unpack(packed: Tensor, layout: Layout, fill: float = 0.0) -> Tensor:
    """(T, ...) to (B, S, ...); see ``Layout.unpack``."""
    return layout.unpack(packed, fill)
