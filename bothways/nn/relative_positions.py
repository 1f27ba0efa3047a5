"""Attention scores that depend on how far two tokens are apart.

Shapes: H heads, Lq queries, Lk keys, M the longest sequence.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bothways.nn.embeddings import embedding


class RelativeBias:
    """What is added to the scores of a query and a key, by their distance. Made once for all layers of a forward.

    Args:
        table: (H, 2 M - 1), for the distances (key minus query) from ``1 - M`` to ``M - 1``.
    """

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self._made: dict[tuple[object, ...], Tensor] = {}

    def square(self, q_start: int, q_len: int, k_len: int) -> Tensor:
        """The bias of queries that stand at ``q_start`` and after it and of keys from 0: (H, Lq, Lk). Remembered."""
        key = (q_start, q_len, k_len)
        if key not in self._made:
            device = self.table.device
            places = torch.arange(q_start, q_start + q_len, device=device)
            self._made[key] = self.at(places, torch.arange(k_len, device=device))
        return self._made[key]

    def ragged(self, q_starts: tuple[int, ...], q_len: int, k_len: int) -> Tensor:
        """The same for several rows of queries, each with a start of its own: (rows, H, Lq, Lk). Remembered."""
        key = (q_starts, q_len, k_len)
        if key not in self._made:
            self._made[key] = torch.stack([self.square(start, q_len, k_len) for start in q_starts])
        return self._made[key]

    def at(self, q_places: Tensor, k_places: Tensor) -> Tensor:
        """The bias of queries and keys at these places, int64 (Lq,) and (Lk,): (H, Lq, Lk)."""
        distance = k_places[None] - q_places[:, None]
        return self.table[:, distance + self.table.shape[1] // 2]


class RelativePositions(nn.Module):
    """Learned scores for buckets of distances: near ones exactly, far ones by their logarithm.

    Args:
        num_buckets: rows of the table.
        max_distance: from here on all distances share the last bucket.
        num_heads: columns of the table.
        bidirectional: keys after the query have half of the buckets; otherwise they share that of distance 0.

    Source: Raffel et al. 2020, section 2.1, and its published code.
    """

    def __init__(self, num_buckets: int, max_distance: int, num_heads: int, bidirectional: bool) -> None:
        super().__init__()
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.relative_attention_bias = embedding(num_buckets, num_heads)
        self._remembered: tuple[tuple[int, int], Tensor] | None = None

    def forward(self, longest: int) -> RelativeBias:
        """The bias of sequences up to ``longest`` tokens. Without gradients the table is made once."""
        weight = self.relative_attention_bias.weight
        if torch.is_grad_enabled():
            return RelativeBias(self._table(longest))
        version = (weight.data_ptr(), weight._version)
        known = self._remembered
        if known is None or known[0] != version or known[1].shape[1] < 2 * longest - 1:
            self._remembered = known = version, self._table(max(2 * longest, 64))
        return RelativeBias(known[1])

    def _table(self, longest: int) -> Tensor:
        weight = self.relative_attention_bias.weight
        distances = torch.arange(1 - longest, longest, device=weight.device)
        return weight[self.buckets(distances)].t()  # (H, 2 M - 1)

    def buckets(self, distances: Tensor) -> Tensor:
        """The bucket of each distance (key minus query), both int64 (n,)."""
        count = self.num_buckets
        found = torch.zeros_like(distances)
        if self.bidirectional:
            count //= 2
            found = (distances > 0).long() * count
            distances = distances.abs()
        else:
            distances = -distances.clamp(max=0)
        exact = count // 2
        ratio = torch.log(distances.float().clamp(min=1) / exact) / math.log(self.max_distance / exact)
        far = (exact + (ratio * (count - exact)).long()).clamp(max=count - 1)
        return found + torch.where(distances < exact, distances, far)
