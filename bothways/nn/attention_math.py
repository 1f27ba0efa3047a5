"""The formulas that every attention backend shares.

Shapes: N independent heads, Lq queries, Lk keys, D head_dim.
"""

from __future__ import annotations

import torch
from torch import Tensor


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None, scale: float, bias: Tensor | None = None) -> Tensor:
    """softmax(scale * q kᵀ + bias) over the visible keys.

    Args:
        q: (N, Lq, D).
        k: (N, Lk, D).
        mask: bool, broadcastable to (N, Lq, Lk), True where the key is visible; every query sees at least one.
        bias: (N, Lq, Lk) or None.

    Returns:
        (N, Lq, Lk), rows add up to 1.
    """
    # baddbmm scales inside the product: no pass over the scores for the factor, nor for the bias
    added = q.new_empty(1).expand(q.shape[0], q.shape[1], k.shape[1]) if bias is None else bias.to(q.dtype)
    scores = torch.baddbmm(added, q, k.mT, beta=0 if bias is None else 1, alpha=scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(-1)


def visible_mask(q_places: Tensor, k_places: Tensor, causal: bool, window: int | None) -> Tensor:
    """Which keys a query sees.

    Args:
        q_places, k_places: int64 (Lq,) and (Lk,), the place of each token in its sequence.
        causal: no key after the query.
        window: no key farther away than so many places, on either side.

    Returns:
        bool (Lq, Lk), True where the key is visible.
    """
    distance = q_places[:, None] - k_places
    if window is None:
        return distance >= 0 if causal else torch.ones_like(distance, dtype=torch.bool)
    return (distance <= window) & (distance >= (0 if causal else -window))
