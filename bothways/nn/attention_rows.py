"""Attention over keys that lie in rows of a cache: what a token that is being written does in every step.

Shapes: B rows, n queries of each, H heads, G key/value heads, S places of a cache row, L longest row, D head_dim.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from bothways.batching import SeqLens
from bothways.nn.dropout import dropout
from bothways.nn.relative_positions import RelativeBias


def rows_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_lens: SeqLens,
    k_lens: SeqLens,
    *,
    causal: bool,
    window: int | None,
    bias: RelativeBias | None,
    scale: float,
    dropout_p: float,
) -> Tensor:
    """See ``attention``. q: (B * n, H, D), k and v: (B, G, S, D) of which ``k_lens`` places are keys.

    Every row has equally many queries; returns (B * n, H, D).
    """
    rows, heads = k.shape[:2]
    n, longest = q_lens.max_seqlen, k_lens.max_seqlen
    shared = q.shape[1] // heads
    if k_lens.lengths.count(longest) == rows:
        k_lens = SeqLens.from_lengths([longest], k_lens.cu_seqlens.device)  # one mask for all rows
    # queries of one key head lie side by side, so that grouped heads need no copies of their keys
    q = q.view(rows, n, heads, shared, -1).permute(0, 2, 3, 1, 4).reshape(rows, heads, shared * n, -1)
    scores = torch.matmul(q * scale, k[:, :, :longest].mT).view(rows, heads, shared, n, longest)
    if bias is not None:
        scores = scores + _bias(bias, k_lens.lengths, n, longest).unflatten(1, (heads, shared)).to(scores.dtype)
    if len(k_lens.lengths) > 1 or (causal and n > 1) or window is not None:
        hidden = _hidden(k_lens.lengths, n, longest, causal, window, q.device)  # (B or 1, n, L)
        scores = scores.masked_fill(hidden[:, None, None], float("-inf"))
    weights = dropout(scores.softmax(-1), dropout_p).view(rows, heads, shared * n, longest)
    out = torch.matmul(weights, v[:, :, :longest])  # (B, G, shared * n, D)
    return out.view(rows, heads, shared, n, -1).permute(0, 3, 1, 2, 4).reshape(rows * n, heads * shared, -1)


def packed_keys(rows: Tensor, lens: SeqLens) -> Tensor:
    """Keys in rows of a cache, (B, G, S, D), end to end: (Tk, G, D)."""
    return torch.cat([row[:, :length].transpose(0, 1) for row, length in zip(rows, lens.lengths, strict=True)])


def _bias(bias: RelativeBias, k_lengths: tuple[int, ...], n: int, longest: int) -> Tensor:
    """(B or 1, H, n, L)."""
    return bias.ragged(tuple(length - n for length in k_lengths), n, longest)


@lru_cache(maxsize=4)  # all layers of a step ask for the same
def _hidden(
    k_lengths: tuple[int, ...], n: int, longest: int, causal: bool, window: int | None, device: torch.device
) -> Tensor:
    """Which places a query does not see, bool (B or 1, n, L). The last query of a row stands at its last key."""
    ends = torch.tensor(k_lengths, device=device)[:, None, None]
    places = torch.arange(longest, device=device)
    own = ends - n + torch.arange(n, device=device)[:, None]  # (B, n, 1): where each query stands
    hidden = places >= ends
    if causal:
        hidden = hidden | (places > own)
    if window is not None:
        hidden = hidden | (places < own - window)
        if not causal:
            hidden = hidden | (places > own + window)
    return hidden.expand(len(k_lengths), n, longest)
