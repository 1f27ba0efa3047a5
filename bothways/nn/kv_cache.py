"""What a decoder remembers of the tokens that it has read: their keys and values, in every layer.

The memory is laid out once and grows by doubling; a step writes its own places and copies nothing else.

Shapes: L layers, R rows, G key/value heads, S places of a row, D head_dim, T tokens of a step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bothways.batching import SeqLens
from bothways.errors import InputError


class KeyValueCache:
    """Keys and values of R rows of tokens, each with a length of its own.

    A step is ``begin(new)``, then ``extend`` in every layer, then ``finish()``.

    Args:
        layers, rows, heads, head_dim: L, R, G and D.
        capacity: places of a row to begin with.
        dtype, device: of keys and values.

    Attributes:
        places: int64 (T,), the columns of all keys of the rows after the next step, where they do not stand side by
            side; see ``SeqLens.places``. To be set before each step.
    """

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        heads: int,
        head_dim: int,
        capacity: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.memory = torch.zeros(layers, 2, rows, heads, max(capacity, 1), head_dim, dtype=dtype, device=device)
        self.lengths: tuple[int, ...] = (0,) * rows
        self.places: Tensor | None = None
        self._new: tuple[int, ...] = ()
        self._roots = list(range(rows))
        self._shared = [0] * rows

    @property
    def rows(self) -> int:
        return self.memory.shape[2]

    def begin(self, new: Sequence[int]) -> SeqLens:
        """Make room for so many tokens of each row; returns the boundaries of all keys, these included.

        Raises:
            InputError: another number of rows than the cache has.
        """
        if len(new) != self.rows:
            raise InputError(f"the step has tokens for {len(new)} rows, but the cache has {self.rows} rows.")
        self._new = tuple(new)
        after = [old + n for old, n in zip(self.lengths, self._new, strict=True)]
        if max(after, default=0) > self.memory.shape[4]:
            self._grow(max(after))
        device = self.memory.device
        self._places = self._slice_or_index(device)
        return SeqLens.from_lengths(after, device, places=self.places)

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Remember keys and values of the step's tokens, (T, G, D) each, and return all of the rows.

        In the first step they come back as they are; later as rows (R, G, S, D), views of the memory.
        """
        memory = self.memory[layer]
        for own, given in ((memory[0], k), (memory[1], v)):
            if isinstance(self._places, slice) and given.shape[0] == own.shape[0]:
                own.select(2, self._places.start).copy_(given.detach())
            elif isinstance(self._places, slice):
                own[:, :, self._places] = given.detach().unflatten(0, (self.rows, -1)).transpose(1, 2)
            else:
                rows, columns = self._places
                own[rows, :, columns] = given.detach().to(own.dtype)
        if not any(self.lengths):
            return k, v
        return memory[0], memory[1]

    def finish(self) -> None:
        """The step is over: its tokens count."""
        self.lengths = tuple(old + n for old, n in zip(self.lengths, self._new, strict=True))

    def select(self, rows: Tensor) -> None:
        """Keep these rows, int64 (R',), in this order; a row may be left out or come twice."""
        chosen = [int(row) for row in rows.tolist()]
        if chosen == list(range(self.rows)):
            return
        lengths = tuple(self.lengths[row] for row in chosen)
        roots = [self._roots[row] for row in chosen]
        if roots == self._roots and len(chosen) == self.rows:
            self._copy_tails(chosen, max(lengths, default=0))
        else:
            if len(set(chosen)) < len(chosen):  # rows that come twice are equal up to here, whatever follows
                self._shared = [self.lengths[row] if chosen.count(row) > 1 else self._shared[row] for row in chosen]
                roots = list(chosen)
            else:
                self._shared = [self._shared[row] for row in chosen]
            self.memory = self.memory.index_select(2, rows.to(self.memory.device))
            self._roots = roots
        self.lengths = lengths

    def shorten(self, lengths: Sequence[int]) -> None:
        """Forget the last tokens of each row, so that so many are left.

        Raises:
            InputError: more than there are.
        """
        if len(lengths) != self.rows or any(n > old for n, old in zip(lengths, self.lengths, strict=True)):
            raise InputError(f"rows of {self.lengths} tokens cannot be shortened to {tuple(lengths)}.")
        self.lengths = tuple(lengths)
        self._shared = [min(old, n) for old, n in zip(self._shared, lengths, strict=True)]

    def _copy_tails(self, chosen: list[int], end: int) -> None:
        """Rows of the same root change places: what they have in common stays where it is."""
        changed = [i for i, row in enumerate(chosen) if i != row]
        start = min(self._shared[i] for i in changed)
        sources = [chosen[i] for i in changed]
        # advanced indexing reads all sources before it writes
        self.memory[:, :, changed, :, start:end] = self.memory[:, :, sources, :, start:end]

    def _slice_or_index(self, device: torch.device) -> slice | tuple[Tensor, Tensor]:
        """Where the step's tokens go: the same places of every row, or (rows, columns), int64 (T,) each."""
        if len(set(self.lengths)) == 1 and len(set(self._new)) == 1:
            return slice(self.lengths[0], self.lengths[0] + self._new[0])
        rows = [row for row, n in enumerate(self._new) for _ in range(n)]
        columns = [old + i for old, n in zip(self.lengths, self._new, strict=True) for i in range(n)]
        return torch.tensor(rows, device=device), torch.tensor(columns, device=device)

    def _grow(self, needed: int) -> None:
        old = self.memory
        layers, two, rows, heads, capacity, dim = old.shape
        self.memory = old.new_zeros(layers, two, rows, heads, max(needed, 2 * capacity), dim)
        self.memory[:, :, :, :, :capacity] = old


class SourceCache:
    """Keys and values of encoded sources, made once; rows of the decoder that read one source share them.

    Args:
        lens: boundaries of the sources in the packed encoder output.
    """

    def __init__(self, lens: SeqLens) -> None:
        self.lens = lens
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}
        self._readers = list(range(lens.batch_size))
        self._asked: tuple[tuple[int, ...], SeqLens] | None = None

    def queries(self, new: tuple[int, ...]) -> SeqLens:
        """Boundaries of the queries of each source, when the decoder's rows have so many new tokens."""
        if self._asked is not None and self._asked[0] == new:  # every layer asks
            return self._asked[1]
        counts = [0] * self.lens.batch_size
        for source, n in zip(self._readers, new, strict=True):
            counts[source] += n
        self._asked = new, SeqLens.from_lengths(counts, self.lens.cu_seqlens.device)
        return self._asked[1]

    def get(self, layer: int) -> tuple[Tensor, Tensor] | None:
        """(B, G, S, D) each, or None before ``put``."""
        return self._layers.get(layer)

    def put(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Remember packed keys and values, (Ts, G, D) each, as rows; returns the rows."""
        self._layers[layer] = (_in_rows(k, self.lens), _in_rows(v, self.lens))
        return self._layers[layer]

    def select(self, rows: Tensor) -> None:
        """The decoder goes on with these of its rows, int64 (R',)."""
        self._asked = None
        readers = [self._readers[row] for row in rows.tolist()]
        if readers == sorted(readers):
            kept = sorted(set(readers))
            self._readers = [kept.index(source) for source in readers]
        else:  # rows of one source no longer stand side by side: each gets a copy
            kept, self._readers = readers, list(range(len(readers)))
        if kept == list(range(self.lens.batch_size)):
            return
        index = torch.tensor(kept, device=self.lens.cu_seqlens.device)
        self._layers = {i: (k.index_select(0, index), v.index_select(0, index)) for i, (k, v) in self._layers.items()}
        self.lens = SeqLens.from_lengths([self.lens.lengths[i] for i in kept], self.lens.cu_seqlens.device)


def _in_rows(packed: Tensor, lens: SeqLens) -> Tensor:
    """(Ts, G, D) to (B, G, S, D)."""
    if len(set(lens.lengths)) == 1:
        return packed.unflatten(0, (lens.batch_size, -1)).transpose(1, 2).contiguous()
    padded = torch.nn.utils.rnn.pad_sequence(list(packed.split(lens.lengths)), batch_first=True)
    return padded.transpose(1, 2).contiguous()
