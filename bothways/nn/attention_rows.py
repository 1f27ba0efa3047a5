"""Attention over keys that lie in rows of a cache: what a token that is being written does in every step.

Shapes: B rows, n queries of each, H heads, G key/value heads, S places of a cache row, L longest row, D head_dim.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

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
    lengths = (longest,) if k_lens.lengths.count(longest) == rows else k_lens.lengths  # one mask for all rows
    k, v = k[:, :, :longest], v[:, :, :longest]
    hidden = added = None
    if len(lengths) > 1 or (causal and n > 1) or window is not None:
        hidden = _hidden(lengths, n, longest, causal, window, q.device)  # (B or 1, n, L)
    if bias is not None:
        added = bias.ragged(tuple(length - n for length in lengths), n, longest).to(q.dtype)  # (B or 1, H, n, L)
    if n == 1 and dropout_p == 0 and (added is None or q.shape[1] == heads):
        return _one_each(q, k, v, hidden, added, scale)
    shared = q.shape[1] // heads
    # queries of one key head lie side by side, so that grouped heads need no copies of their keys
    q = q.view(rows, n, heads, shared, -1).permute(0, 2, 3, 1, 4).reshape(rows, heads, shared * n, -1)
    scores = torch.matmul(q * scale, k.mT).view(rows, heads, shared, n, longest)
    if added is not None:
        scores = scores + added.unflatten(1, (heads, shared))
    if hidden is not None:
        scores = scores.masked_fill(hidden[:, None, None], float("-inf"))
    weights = dropout(scores.softmax(-1), dropout_p).view(rows, heads, shared * n, longest)
    out = torch.matmul(weights, v)  # (B, G, shared * n, D)
    return out.view(rows, heads, shared, n, -1).permute(0, 3, 1, 2, 4).reshape(rows * n, heads * shared, -1)


def _one_each(q: Tensor, k: Tensor, v: Tensor, hidden: Tensor | None, added: Tensor | None, scale: float) -> Tensor:
    """One query of each row, by the fused kernel: fewest calls, which is what a step of one token waits for."""
    rows, heads = k.shape[:2]
    mask = None if hidden is None else ~hidden[:, None]  # (B or 1, 1, 1, L)
    if added is not None:
        mask = added if mask is None else added.masked_fill(~mask, float("-inf"))
    out = scaled_dot_product_attention(q.view(rows, heads, -1, q.shape[-1]), k, v, attn_mask=mask, scale=scale)
    return out.reshape(q.shape)


def packed_keys(rows: Tensor, lens: SeqLens) -> Tensor:
    """Keys in rows of a cache, (B, G, S, D), end to end: (Tk, G, D)."""
    return torch.cat([row[:, :length].transpose(0, 1) for row, length in zip(rows, lens.lengths, strict=True)])


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
