"""``past_key_values`` for programs that feed a decoder token by token themselves.

Shapes: B rows, S columns, G key/value heads, L tokens of a row, D head_dim.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bothways.batching import Layout, SeqLens
from bothways.errors import InputError
from bothways.models.inputs import ModelInputs
from bothways.nn.attention_rows import packed_keys
from bothways.nn.kv_cache import KeyValueCache, SourceCache

Pairs = tuple[Tensor, ...]


class DynamicCache:
    """What a decoder has read: give it back with the next tokens. It grows in place.

    ``past[layer]`` is ``(keys, values)``, (B, G, L, D) each, and with a source also its keys and values.

    Args:
        own: of the decoder's tokens; without it an empty one, which a model fills that is given it.
        source: of the encoded source, if there is one.
        columns: columns of the rectangle read so far, padding included.
        config: no effect.
    """

    own: KeyValueCache

    def __init__(
        self, own: KeyValueCache | None = None, source: SourceCache | None = None, columns: int = 0, config: Any = None
    ) -> None:
        if own is not None:
            self.own = own
        self.source = source
        self.columns = columns
        self._kept: Tensor | None = None  # bool (B, columns), once a mask has left out tokens
        self._after: Tensor | None = None

    @classmethod
    def from_legacy_cache(cls, past_key_values: Sequence[Pairs] | None = None) -> DynamicCache:
        """From the older form: for each layer (keys, values), and with a source also its keys and values."""
        if past_key_values is None:
            return cls()
        layers = past_key_values
        keys = layers[0][0]
        rows, heads, length, dim = keys.shape
        own = KeyValueCache(
            layers=len(layers),
            rows=rows,
            heads=heads,
            head_dim=dim,
            capacity=length + 1,
            dtype=keys.dtype,
            device=keys.device,
        )
        own.begin([length] * rows)
        for i, layer in enumerate(layers):
            own.extend(i, *(t.transpose(1, 2).flatten(0, 1) for t in layer[:2]))
        own.finish()
        source = None
        if len(layers[0]) == 4:
            lens = SeqLens.from_lengths([layers[0][2].shape[2]] * rows, keys.device)
            source = SourceCache(lens)
            for i, layer in enumerate(layers):
                source.put(i, *(packed_keys(t, lens) for t in layer[2:]))
        return cls(own, source, length)

    def begin(self, model: Any, lens: SeqLens) -> DynamicCache:
        """Make room for the rows of a first call, if there is none."""
        if not hasattr(self, "own"):
            self.own = new_cache(model, lens.batch_size, lens.max_seqlen)
        return self

    def placed(self, inputs: ModelInputs) -> ModelInputs:
        """The inputs of the next call with the columns of their tokens, where a mask left out tokens in between.

        For blocks that count columns: a window, and scores by distance. The cache is told the columns of all keys.
        """
        layout = inputs.layout
        assert layout is not None
        self._after = self.own.places = None  # an earlier call may have failed half-way
        mask = torch.ones(layout.shape, dtype=torch.bool, device=inputs.batch.input_ids.device)
        if layout.kept is not None:
            mask = layout.unpack(mask.new_ones(len(layout.kept)))
        elif self._kept is None:  # nothing was left out before, nor is now
            return inputs
        before = mask.new_ones(len(mask), self.columns) if self._kept is None else self._kept
        self._after = torch.cat((before, mask), 1)
        whole = (len(mask), self.columns + mask.shape[1])
        places = Layout.of_mask(self._after, whole, mask.device).seqlens.places
        self.own.places = places
        if places is None:
            return inputs
        columns = torch.arange(self.columns, whole[1], device=mask.device)
        own = layout.pack(columns.expand(layout.shape))
        lens = SeqLens.from_lengths(inputs.batch.seqlens.lengths, mask.device, places=own)
        return replace(inputs, batch=replace(inputs.batch, seqlens=lens))

    def finish(self, columns: int) -> None:
        """So many columns more were read."""
        self.columns += columns
        self._kept, self._after, self.own.places = self._after, None, None

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Columns read so far."""
        return self.columns

    def crop(self, max_length: int) -> None:
        """Forget all but the first columns; a negative number is how many to forget.

        Raises:
            InputError: rows with padding, whose columns are not those of their tokens.
        """
        length = self.columns + max_length if max_length < 0 else max_length
        if length >= self.columns:
            return
        if set(self.own.lengths) != {self.columns}:
            raise InputError("crop: these rows have padding. Read them anew up to that column.")
        self.own.shorten([length] * self.own.rows)
        self.columns = length

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Go on with each row so many times."""
        self.reorder_cache(torch.arange(self.own.rows, device=self.own.memory.device).repeat_interleave(repeats))

    def reorder_cache(self, beam_idx: Tensor) -> DynamicCache:
        """Go on with these rows, int64 (B',)."""
        self.own.select(beam_idx)
        if self._kept is not None:
            self._kept = self._kept.index_select(0, beam_idx)
        if self.source is not None:
            self.source.select(beam_idx)
        return self

    def to_legacy_cache(self) -> tuple[Pairs, ...]:
        """The older form."""
        return tuple(self)

    def __len__(self) -> int:
        return self.own.memory.shape[0] if hasattr(self, "own") else 0

    def __iter__(self) -> Iterator[Pairs]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, layer: int) -> Pairs:
        longest = max(self.own.lengths, default=0)
        pairs = tuple(t[:, :, :longest] for t in self.own.memory[layer])
        return pairs if self.source is None else pairs + (self.source.get(layer) or ())


def past_of(given: Any) -> DynamicCache | None:
    """What a caller passed as ``past_key_values``.

    Raises:
        InputError: neither ours nor tuples of tensors.
    """
    if given is None or isinstance(given, DynamicCache):
        return given
    if isinstance(given, (tuple, list)) and given and isinstance(given[0], (tuple, list)):
        return DynamicCache.from_legacy_cache(given)
    raise InputError(
        f"past_key_values is a {type(given).__name__}, expected what an earlier call returned, or for each layer a "
        "tuple of keys and values."
    )


def new_cache(model: Any, rows: int, capacity: int, dtype: torch.dtype | None = None) -> KeyValueCache:
    """An empty cache for the decoder of a model.

    Args:
        model: a body with ``writer``, its stack of causal blocks.
        rows, capacity: rows, and tokens of each to begin with.
        dtype: of keys and values; by default that in which the blocks compute.
    """
    stack = model.writer
    specs = stack.specs()
    spec = specs[0] if specs else None
    return KeyValueCache(
        layers=len(specs),
        rows=rows,
        heads=spec.key_value_heads if spec else 1,
        head_dim=spec.head_dim if spec else 1,
        capacity=capacity,
        dtype=dtype or stack.compute_dtype or model.dtype,
        device=model.device,
    )
