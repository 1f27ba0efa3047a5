"""A stack of blocks.

Shapes: T total tokens, R kept tokens, N hidden_size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bothways.batching import SeqLens
from bothways.nn.block import BlockSpec, Rows, SelfAttention, TransformerBlock
from bothways.nn.linear import Linear, PreparedLinear, is_plain


@dataclass(frozen=True)
class StackOutput:
    """Attributes:
    hidden: (T, N), or (R, N) when only some rows were asked for.
    all_hidden: input of the first block and output of each, (T, N) each; or None.
    all_weights: for each block, for each sequence (H, L, L); or None.
    """

    hidden: Tensor
    all_hidden: tuple[Tensor, ...] | None = None
    all_weights: tuple[list[Tensor], ...] | None = None


class TransformerStack(nn.Module):
    """``num_layers`` blocks of one specification, as ``layer.0`` and so on."""

    compute_dtype: torch.dtype | None = None
    gradient_checkpointing = False
    _versions: tuple[tuple[int, int], ...] = ()

    def __init__(self, spec: BlockSpec, num_layers: int) -> None:
        super().__init__()
        self.layer = nn.ModuleList(TransformerBlock(spec) for _ in range(num_layers))

    def forward(
        self,
        hidden: Tensor,
        lens: SeqLens,
        *,
        rows: Rows | None = None,
        want_hidden: bool = False,
        want_weights: bool = False,
    ) -> StackOutput:
        """Run the blocks.

        Args:
            hidden: (T, N).
            lens: boundaries of the sequences.
            rows: the last block computes only these rows; ignored when hidden states or weights are wanted in full.
            want_hidden, want_weights: collect what ``output_hidden_states`` and ``output_attentions`` show.
        """
        if self.compute_dtype is not None and (torch.is_grad_enabled() or not self.is_prepared):
            self.unprepare()  # copies have no gradients, and may no longer be what the parameters say
        dtype = hidden.dtype
        hidden = hidden.to(self.compute_dtype or dtype)
        collected, weights = [hidden], []
        kept = None if want_hidden or want_weights else rows
        for number, block in enumerate(self.layer, start=1):
            last = number == len(self.layer)
            arguments = (hidden, lens, kept if last else None, want_weights)
            if self.gradient_checkpointing and self.training:
                hidden, block_weights = checkpoint(block, *arguments, use_reentrant=False)
            else:
                hidden, block_weights = block(*arguments)
            if want_hidden:
                collected.append(hidden)
            weights.append(block_weights)
        if rows is not None and (kept is None or not self.layer):
            hidden = hidden.index_select(0, rows.index)
        return StackOutput(
            hidden=hidden.to(dtype),
            all_hidden=tuple(h.to(dtype) for h in collected) if want_hidden else None,
            all_weights=tuple(weights) if want_weights else None,
        )

    def prepare(self, dtype: torch.dtype) -> None:
        """Take the form for inference: joined projections in ``dtype``, laid out as this machine multiplies fastest."""
        wrapped = [m for m in self.modules() if isinstance(m, nn.Linear) and not is_plain(m)]
        if wrapped:
            return  # adapters and hooks want to be called; without them nothing is lost but speed
        self.compute_dtype = dtype
        self._versions = self._current_versions()
        for block in self.layer:
            assert isinstance(block, TransformerBlock)
            attention = block.attention.self
            projections = [attention.query, attention.key, attention.value]
            attention.prepared = PreparedLinear(projections, dtype)
            alone = [block.attention.output.dense, block.intermediate.dense, block.output.dense]
            if block is self.layer[-1]:
                alone += projections  # the last layer may compute queries of some tokens only
            for linear in alone:  # a parameter in this dtype is as good as a copy
                linear.prepared = None if linear.weight.dtype == dtype else PreparedLinear([linear], dtype)

    @property
    def is_prepared(self) -> bool:
        """Whether the form for inference is there and still says what the parameters say."""
        return self.compute_dtype is not None and self._versions == self._current_versions()

    def unprepare(self) -> None:
        """Forget the form for inference."""
        self.compute_dtype = None
        for module in self.modules():
            if isinstance(module, (SelfAttention, Linear)):
                module.prepared = None

    def _current_versions(self) -> tuple[tuple[int, int], ...]:
        """Changes when a parameter is replaced, moved, cast or written to."""
        return tuple((p.data_ptr(), p._version) for p in self.parameters())
