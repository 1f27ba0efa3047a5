"""The largest of many scores, found block by block.

torch finds maxima fast but their places slowly: over 50,000 scores the place takes ten times as long as the value on a
CPU. So blocks are compared by their maxima first, and places are looked for in the best blocks only.

Shapes: R rows, V scores of each, k how many are wanted.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 256
LEAST_BLOCKS = 32
"""With fewer blocks the detour is no faster."""


def likeliest(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The largest score of each row and the first place where it is, (R,) and int64 (R,); NaN counts as largest.

    Args:
        scores: (R, V).
    """
    if scores.shape[1] < BLOCK * LEAST_BLOCKS:
        return tuple(scores.max(dim=1))  # type: ignore[return-value]
    blocks, rest = _divided(scores)
    best = blocks.amax(dim=2).argmax(dim=1)  # (R,)
    rows = torch.arange(len(scores), device=scores.device)
    value, place = torch.cat([blocks[rows, best], rest], dim=1).max(dim=1)
    return value, torch.where(place < BLOCK, best * BLOCK + place, blocks.shape[1] * BLOCK + place - BLOCK)


def largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` largest scores of each row in order and their places, (R, k) and int64 (R, k).

    Args:
        scores: (R, V). Among equal scores any may come first, as with ``torch.topk``.
    """
    if scores.shape[1] < BLOCK * max(LEAST_BLOCKS, 4 * count):
        return tuple(scores.topk(count, dim=1))  # type: ignore[return-value]
    blocks, rest = _divided(scores)
    # The k largest scores are in the k blocks with the largest maxima, or in what is left over.
    best = blocks.amax(dim=2).topk(count, dim=1).indices  # (R, k)
    inside = blocks.gather(1, best[:, :, None].expand(-1, -1, BLOCK)).flatten(1)
    values, places = torch.cat([inside, rest], dim=1).topk(count, dim=1)
    held = count * BLOCK
    block = best.gather(1, (places // BLOCK).clamp(max=count - 1))
    left_over = places - held + blocks.shape[1] * BLOCK
    return values, torch.where(places < held, block * BLOCK + places % BLOCK, left_over)


def _divided(scores: Tensor) -> tuple[Tensor, Tensor]:
    """(R, blocks, BLOCK) without a copy, and what is left over, (R, V % BLOCK)."""
    blocks = scores.shape[1] // BLOCK
    return scores[:, : blocks * BLOCK].unflatten(1, (blocks, BLOCK)), scores[:, blocks * BLOCK :]
