"""Batches limited by tokens, not by rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from bothways.batching.packed import PackedBatch, SeqLens

Ids = Sequence[int] | np.ndarray


def batches_by_tokens(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Group the indices of ``lengths`` into batches of at most ``max_tokens`` tokens, like lengths together.

    Every index occurs exactly once; a sequence longer than the budget has a batch of its own. Sorting puts equal
    lengths side by side, where they share one attention call.

    Example: lengths [5, 2, 5, 3], max_tokens 10 -> [1, 3, 0] (10 tokens), then [2].
    """
    batch: list[int] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and tokens + lengths[index] > max_tokens:
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += lengths[index]
    if batch:
        yield batch


def collate(input_ids: Sequence[Ids], token_type_ids: Sequence[Sequence[int]] | None = None) -> PackedBatch:
    """Lay sequences of ids end to end. Positions count from 0 in each.

    Args:
        input_ids: B sequences of ids, none empty.
        token_type_ids: the same shape, or None.
    """
    lengths = [len(ids) for ids in input_ids]
    return PackedBatch(
        input_ids=_concatenate(input_ids),
        position_ids=torch.from_numpy(np.concatenate([np.arange(n) for n in lengths])),
        seqlens=SeqLens.from_lengths(lengths),
        token_type_ids=None if token_type_ids is None else _concatenate(token_type_ids),
    )


def _concatenate(rows: Sequence[Ids]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([np.asarray(row, dtype=np.int64) for row in rows]))
