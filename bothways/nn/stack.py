"""Stacks of blocks: each layer a block of its own, or several layers that share one.

Shapes: T total tokens, R kept tokens, N hidden_size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bothways.batching import SeqLens
from bothways.errors import InputError
from bothways.nn.block import BlockSpec, Rows, SelfAttention, Sight, Source, TransformerBlock, make_norm
from bothways.nn.dropout import Dropout
from bothways.nn.kv_cache import KeyValueCache
from bothways.nn.linear import Linear, Prepared, PreparedLinear, is_plain
from bothways.nn.lora import is_foldable
from bothways.nn.opened import Opened
from bothways.nn.relative_positions import RelativeBias, RelativePositions
from bothways.nn.rotary import Rotary

MOST_IN_BLOCKS = 2**29
"""Weights of a stack of which a second copy in blocks is made: 2 GB in fp32."""


@dataclass(frozen=True)
class StackOutput:
    """Attributes:
    hidden: (T, N), or (R, N) when only some rows were asked for.
    all_hidden: input of the first layer and output of each, (T, N) each; or None.
    all_weights: for each block, for each sequence (H, L, L); or None.
    all_cross_weights: for each block, for each sequence (H, L, Ls) over its source; or None.
    """

    hidden: Tensor
    all_hidden: tuple[Tensor, ...] | None = None
    all_weights: tuple[list[Tensor], ...] | None = None
    all_cross_weights: tuple[list[Tensor], ...] | None = None


class TransformerStack(Opened):
    """``num_layers`` blocks, as ``layer.0`` and so on; pre-norm blocks are followed by a ``final_norm``.

    Args:
        spec: of every block, and of the final norm.
        num_layers: number of blocks.
        layer_spec: of the block with that number, where blocks differ.
        relative_positions: scores by distance that all blocks add.
        final_dropout: behind the final norm.
        shows_final_norm: whether the last of all hidden states is the normed one, as in most pre-norm families.
    """

    compute_dtype: torch.dtype | None = None
    gradient_checkpointing = False
    _versions: tuple[tuple[int, int], ...] = ()

    def __init__(
        self,
        spec: BlockSpec,
        num_layers: int,
        layer_spec: Callable[[int], BlockSpec] | None = None,
        relative_positions: RelativePositions | None = None,
        final_dropout: float = 0.0,
        shows_final_norm: bool = True,
    ) -> None:
        super().__init__()
        self.shows_final_norm = shows_final_norm
        specs = [spec if layer_spec is None else layer_spec(i) for i in range(num_layers)]
        self.layer = nn.ModuleList(TransformerBlock(own) for own in specs)
        self.final_norm = make_norm(spec) if spec.pre_norm else nn.Identity()
        self.final_dropout = Dropout(final_dropout) if final_dropout else nn.Identity()
        self.relative_positions = relative_positions

    @property
    def counts_places(self) -> bool:
        """Whether what a token sees, or how it scores, depends on how far away a key stands."""
        return self.relative_positions is not None or any(spec.window is not None for spec in self.specs())

    def sequence(self) -> list[list[TransformerBlock]]:
        """The blocks of each layer, in the order they run. A block may stand in several layers."""
        return [[block] for block in self.layer]  # type: ignore[list-item]

    def specs(self) -> list[BlockSpec]:
        """What each block knows of its family, in the order they run; of a wrapped one, the one within."""
        return [spec_of(block) for blocks in self.sequence() for block in blocks]

    def forward(
        self,
        hidden: Tensor,
        lens: SeqLens,
        *,
        position_ids: Tensor | None = None,
        rows: Rows | None = None,
        cache: KeyValueCache | None = None,
        source: Source | None = None,
        want_hidden: bool = False,
        want_weights: bool = False,
    ) -> StackOutput:
        """Run the blocks.

        Args:
            hidden: (T, N).
            lens: boundaries of the sequences.
            position_ids: int64 (T,), for blocks with rotary positions.
            rows: the last block computes only these rows; ignored when hidden states or weights are wanted in full.
            cache: earlier tokens of the sequences, to which these are added.
            source: what blocks with cross-attention read.
            want_hidden, want_weights: collect what ``output_hidden_states`` and ``output_attentions`` show.
        """
        goes_on = cache is not None and any(cache.lengths)  # was looked at when the rows began: no look in every step
        if self.compute_dtype is not None and (torch.is_grad_enabled() or not (goes_on or self.is_prepared)):
            self.unprepare()  # copies have no gradients, and may no longer be what the parameters say
        dtype = hidden.dtype
        hidden = hidden.to(self.compute_dtype or dtype)
        rotary = self._rotary(position_ids, lens, hidden.dtype)
        k_lens = lens if cache is None else cache.begin(lens.lengths)
        sight = Sight(
            lens=lens, bias=self._bias(k_lens), cache=cache, k_lens=k_lens, source=source, want_weights=want_weights
        )
        collected, weights, cross_weights = [hidden], list[Any](), list[Any]()
        kept = None if want_hidden or want_weights else rows
        layers = self.sequence()
        remaining = sum(map(len, layers))
        for blocks in layers:
            for block in blocks:
                remaining -= 1
                angles, number = rotary.get(spec_of(block).rotary), len(weights)
                own = replace(sight, rows=None if remaining else kept, rotary=angles, layer=number)
                if self.gradient_checkpointing and self.training:
                    output = checkpoint(block, hidden, own, use_reentrant=False)
                else:
                    output = block(hidden, own)
                hidden, *seen = output if isinstance(output, tuple) else (output,)  # a hook may leave out the weights
                seen += [None, None]
                weights.append(seen[0])
                cross_weights.append(seen[1])
            if want_hidden:
                collected.append(hidden)
        if cache is not None:
            cache.finish()
        hidden = self.final_dropout(self.final_norm(hidden.to(dtype)))
        if want_hidden and self.shows_final_norm:
            collected[-1] = hidden
        if rows is not None and (kept is None or not layers):
            hidden = hidden.index_select(0, rows.index)
        return StackOutput(
            hidden=hidden,
            all_hidden=tuple(h.to(dtype) for h in collected) if want_hidden else None,
            all_weights=tuple(weights) if want_weights else None,
            all_cross_weights=tuple(cross_weights) if want_weights and source is not None else None,
        )

    def prepare(self, dtype: torch.dtype, *, make: Callable[..., Prepared] = PreparedLinear) -> None:
        """Take the form for inference: joined projections in ``dtype``, laid out as this machine multiplies fastest.

        Args:
            make: (layers, dtype, blocks=...) to their prepared form, with the arguments of ``PreparedLinear``.
        """
        wrapped = [m for m in self.modules() if isinstance(m, nn.Linear) and not is_foldable(m)]
        if wrapped:
            return  # adapters and hooks want to be called; without them nothing is lost but speed
        self.compute_dtype = dtype
        self._versions = self._current_versions()
        blocks = sum(m.weight.numel() for m in self.modules() if isinstance(m, nn.Linear)) <= MOST_IN_BLOCKS
        order = [block for blocks in self.sequence() for block in blocks]
        if not all(isinstance(block, TransformerBlock) for block in order):
            return  # a program's own around them: it is called as it is
        for block in dict.fromkeys(order):
            attention = block.attention.self
            projections = [attention.query, attention.key, attention.value]
            together = attention.has_plain_projections
            attention.prepared = make(projections, dtype, blocks=blocks) if together else None
            # the last layer may compute queries of some tokens only, and then uses its projections one by one
            joined = projections if together and block is not order[-1] else []
            alone = [m for m in block.modules() if isinstance(m, Linear) and m not in joined]
            for linear in alone:  # a parameter in this dtype is as good as a copy
                as_it_is = is_plain(linear) and linear.weight.dtype == dtype and not blocks
                linear.prepared = None if as_it_is else make([linear], dtype, blocks=blocks)

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

    def _rotary(self, position_ids: Tensor | None, lens: SeqLens, dtype: torch.dtype) -> dict[Any, Rotary]:
        """The angles for each ``BlockSpec.rotary`` of the blocks."""
        settings = {spec.rotary for spec in self.specs() if spec.rotary is not None}
        if settings and position_ids is None:
            raise InputError("position_ids are missing: these blocks have rotary positions. Pass int64 (T,).")
        return {
            (theta, scaling, dim): Rotary.of(position_ids, dim, theta, dtype, scaling=scaling, lens=lens)
            for theta, scaling, dim in settings
            if position_ids is not None
        }

    def _bias(self, lens: SeqLens) -> RelativeBias | None:
        if self.relative_positions is None:
            return None
        longest = lens.max_seqlen if lens.places is None else int(lens.places.max()) + 1
        return self.relative_positions(max(longest, 1))

    def _current_versions(self) -> tuple[tuple[int, int], ...]:
        """Changes when a parameter is replaced, moved, cast or written to, or a joined projection gets a hook."""
        blocks = [block for blocks in self.sequence() for block in blocks]
        asked = [
            id(b) for b in blocks if isinstance(b, TransformerBlock) and not b.attention.self.has_plain_projections
        ]
        return (*((p.data_ptr(), p._version) for p in _parameters(self)), *((one, 0) for one in asked))


class SharedStack(TransformerStack):
    """Layers that share their parameters by groups, as ``layer.{group}.{block}``. Source: Lan et al. 2020, section 3.1.

    Args:
        spec: of every block.
        num_layers: layers that run.
        num_groups: groups of parameters; each serves a run of neighbouring layers.
        blocks_per_group: blocks that one layer runs, one after the other.
    """

    def __init__(self, spec: BlockSpec, num_layers: int, num_groups: int, blocks_per_group: int = 1) -> None:
        super().__init__(spec, 0)
        self.layer = nn.ModuleList(
            nn.ModuleList(TransformerBlock(spec) for _ in range(blocks_per_group)) for _ in range(num_groups)
        )
        # divided as the reference divides, in floating point, so that uneven groups begin at the same layers
        self._group_of = [int(i / (num_layers / num_groups)) for i in range(num_layers)]

    def sequence(self) -> list[list[TransformerBlock]]:
        return [list(self.layer[group]) for group in self._group_of]  # type: ignore[call-overload]


def spec_of(block: nn.Module) -> BlockSpec:
    """What a block knows of its family, or the first one within a module that a program has put around it."""
    if isinstance(block, TransformerBlock):
        return block.spec
    within = next((module for module in block.modules() if isinstance(module, TransformerBlock)), None)
    if within is None:
        raise InputError(f"{type(block).__name__} stands in the place of a layer, and holds none of this library.")
    return within.spec


def _parameters(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of a module and of all modules in it, as they are now; those of a shared module come again.

    ``Module.parameters`` spends most of its time on names, and a short text asks twice. Measured for 6 layers between
    the large products of such calls, one AVX2 core: 0.7 ms a call against 0.4.
    """
    found: list[nn.Parameter] = []
    waiting: list[nn.Module | None] = [module]
    while waiting:
        one = waiting.pop()
        if one is not None:
            found += [p for p in one._parameters.values() if p is not None]
            waiting += one._modules.values()
    return found
