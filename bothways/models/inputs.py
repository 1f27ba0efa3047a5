"""The arguments of a ``forward``, from rectangles to packed batches and back.

Shapes: B rows, S columns, T packed tokens, N hidden_size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bothways.batching import Layout, PackedBatch, SeqLens, pack
from bothways.checkpoints.config import PretrainedConfig
from bothways.errors import InputError
from bothways.families import Family


@dataclass(frozen=True)
class ModelInputs:
    """The arguments of a ``forward`` in packed form.

    Attributes:
        layout: undoes the packing; None when the caller gave a ``PackedBatch`` and gets packed outputs.
        inputs_embeds: (T, N) or None.
    """

    batch: PackedBatch
    layout: Layout | None
    inputs_embeds: Tensor | None

    @classmethod
    def of(
        cls,
        input_ids: Tensor | PackedBatch | None,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        inputs_embeds: Tensor | None,
    ) -> ModelInputs:
        """Pack what everybody's code passes: (B, S) tensors, or (B, S, N) for ``inputs_embeds``.

        Raises:
            InputError: neither or both of ids and embeddings, or a shape that is not (batch, sequence).
        """
        if isinstance(input_ids, PackedBatch):
            return cls(input_ids, None, inputs_embeds)
        if (input_ids is None) == (inputs_embeds is None):
            raise InputError("pass either input_ids or inputs_embeds (one of them, not both).")
        if input_ids is None:
            assert inputs_embeds is not None
            if inputs_embeds.ndim != 3:
                raise InputError(
                    f"the vectors have shape {tuple(inputs_embeds.shape)}, expected (batch, sequence, hidden_size). "
                    "For one text add a batch dimension: vectors[None]."
                )
            input_ids = torch.zeros(inputs_embeds.shape[:2], dtype=torch.int64, device=inputs_embeds.device)
        if input_ids.ndim != 2 or input_ids.shape[1] == 0:
            raise InputError(
                f"input_ids has shape {tuple(input_ids.shape)}, expected (batch, sequence) with at least one token. "
                "For one text add a batch dimension: return_tensors='pt' does."
            )
        for name, tensor in (("token_type_ids", token_type_ids), ("position_ids", position_ids)):
            if tensor is not None and tensor.shape[-1] != input_ids.shape[1]:
                raise InputError(f"{name} has shape {tuple(tensor.shape)}, input_ids {tuple(input_ids.shape)}.")
        batch, layout = pack(input_ids, attention_mask, token_type_ids, position_ids)
        return cls(batch, layout, None if inputs_embeds is None else layout.pack(inputs_embeds))

    @classmethod
    def with_positions(
        cls,
        family: Family,
        config: PretrainedConfig,
        input_ids: Tensor | PackedBatch | None,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        inputs_embeds: Tensor | None,
    ) -> ModelInputs:
        """As ``of``, with the positions that the family gives to tokens.

        Where positions follow from ids, those of a ``PackedBatch`` are counted anew.
        """
        positions = family.positions
        if position_ids is not None:
            position_ids = position_ids - config.first_position
        inputs = cls.of(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        if positions is None or position_ids is not None or inputs_embeds is not None:
            return inputs
        batch, layout = inputs.batch, inputs.layout
        if layout is None:
            counted = positions(config, batch.input_ids, batch.seqlens)
        else:  # tokens that the mask leaves out count too
            assert isinstance(input_ids, Tensor)
            rows = SeqLens.from_lengths([layout.shape[1]] * layout.shape[0], input_ids.device)
            counted = layout.pack(positions(config, input_ids.flatten(), rows).view(layout.shape))
        return replace(inputs, batch=replace(batch, position_ids=counted))

    def unpack(self, tokens: Tensor, fill: float = 0.0) -> Tensor:
        """(T, ...) to (B, S, ...), or unchanged for a packed caller."""
        return tokens if self.layout is None else self.layout.unpack(tokens, fill)

    def unpack_weights(self, weights: list[Tensor]) -> Tensor:
        """Attention weights of each sequence, (H, L, L), to (B, H, S, S) with zeros at padding.

        With a past there are more keys than tokens, and they stand at the end: (H, L, P + L) to (B, H, S, P + S).
        """
        keys = [own.shape[2] for own in weights]
        if keys == list(self.batch.seqlens.lengths):
            return unpack_cross_weights(weights, self, self)
        width = max(keys)
        padded = weights[0].new_zeros(len(keys), weights[0].shape[0], self._rectangle().shape[1], width)
        for row, (own, columns) in enumerate(zip(weights, self._columns(), strict=True)):
            padded[row, :, columns, width - own.shape[2] :] = own
        return padded

    def _rectangle(self) -> Layout:
        return self.layout or Layout.padded(self.batch.seqlens)

    def _columns(self) -> list[Tensor]:
        """The columns of each row's tokens in the rectangle."""
        layout = self._rectangle()
        batch, seq = layout.shape
        device = self.batch.input_ids.device
        places = layout.kept if layout.kept is not None else torch.arange(batch * seq, device=device)
        return [own - row * seq for row, own in enumerate(places.split(layout.seqlens.lengths))]


def unpack_cross_weights(weights: list[Tensor], queries: ModelInputs, keys: ModelInputs) -> Tensor:
    """Attention weights of each target over its source, (H, L, Ls), to (B, H, L, S) with zeros at padding."""
    rows, width = queries._rectangle().shape[1], keys._rectangle().shape[1]
    padded = weights[0].new_zeros(len(weights), weights[0].shape[0], rows, width)
    for row, (own, own_rows, own_columns) in enumerate(zip(weights, queries._columns(), keys._columns(), strict=True)):
        padded[row, :, own_rows[:, None], own_columns[None, :]] = own
    return padded
