"""In which order the examples of an epoch come, and which process gets which: functions of counters, without state.

Shapes: n examples, b examples a batch of one process, W processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from bothways.engine.seeds import epoch_order
from bothways.errors import InputError

LAST = ("spread", "wrap", "drop")


def length_grouped_order(
    lengths: Sequence[int] | np.ndarray | Any,
    batch_size: int,
    seed: int,
    epoch: int,
    mega_factor: int | None = None,
) -> np.ndarray:
    """An order in which neighbours have similar lengths, so that batches need little padding, and still random.

    The examples are permuted, cut into mega-batches, and sorted inside each, longest first. The longest of all changes
    places with the first, so that a batch too large for the memory is met at once. Source: the reference's
    ``LengthGroupedSampler``, whose random permutation becomes ``epoch_order``.

    Args:
        lengths: (n,) in any unit.
        batch_size: examples of one step: b, or W * b with several processes.
        mega_factor: batches in a mega-batch; None is 50, or fewer where that leaves less than four mega-batches.

    Returns:
        int64 (n,), a permutation.
    """
    sizes = np.asarray(lengths)
    if sizes.ndim != 1:
        raise InputError(f"lengths has shape {sizes.shape}, expected one number for each example: (n,).")
    if batch_size < 1 or (mega_factor is not None and mega_factor < 1):
        raise InputError(f"batch_size is {batch_size} and mega_factor {mega_factor}, expected whole numbers from 1.")
    count = len(sizes)
    mega = max(1, min(count // (batch_size * 4), 50)) if mega_factor is None else mega_factor
    drawn = epoch_order(count, seed, epoch)
    if count == 0:
        return drawn
    mega_batch = np.arange(count) // (mega * batch_size)
    order = drawn[np.lexsort((-sizes[drawn].astype(np.int64), mega_batch))]  # stable, as the reference's sort
    firsts = np.arange(0, count, mega * batch_size)
    longest = firsts[sizes[order[firsts]].argmax()]
    order[[0, longest]] = order[[longest, 0]]
    return order


def shard(
    indices: Sequence[int] | np.ndarray,
    rank: int,
    world_size: int,
    batch_size: int,
    last: Literal["spread", "wrap", "drop"] = "spread",
) -> np.ndarray:
    """What process ``rank`` of W trains on in one epoch: the ``rank``-th part of every global batch of W * b examples.

    So step s of W processes sees the same examples as step s of one process with batches of W * b. Cut the answer into
    pieces of b to have the process's batches. Example: 0 to 7, W = 2, b = 2 -> [0, 1, 4, 5] and [2, 3, 6, 7].

    Args:
        indices: (n,), the order of the epoch, the same in all processes.
        batch_size: b, of one process.
        last: what becomes of a last global batch with fewer than W * b examples. ``"spread"`` divides it into W
            contiguous parts that differ by at most one example, so that every example comes once; parts are empty where
            it has fewer than W. ``"wrap"`` fills it up with the first examples of the epoch, as the reference does, so
            that all processes have the same number; one process alone needs no filling. ``"drop"`` leaves it out.

    Returns:
        int64, from ``indices``.
    """
    _check_rank(rank, world_size)
    if batch_size < 1 or last not in LAST:
        raise InputError(f"batch_size is {batch_size} and last {last!r}, expected a number from 1 and one of {LAST}.")
    order = np.asarray(indices, dtype=np.int64)
    step = world_size * batch_size
    whole = len(order) // step * step
    tail = order[whole:]
    if last == "wrap" and len(tail) and world_size > 1:
        order = np.resize(order, whole + step)  # repeats the epoch from its beginning
        whole, tail = len(order), order[:0]
    parts = order[:whole].reshape(-1, world_size, batch_size)[:, rank].reshape(-1)
    if last == "drop" or not len(tail):
        return parts
    return np.concatenate([parts, tail[contiguous_shards(len(tail), world_size)[rank]]])


def contiguous_shards(n: int, world_size: int) -> list[slice]:
    """How n rows are divided for evaluation: W neighbouring slices, each row in one of them, in order.

    Their sizes differ by at most one, the larger first; results joined by rank are in the order of the rows.
    """
    _check_rank(0, world_size)
    if n < 0:
        raise InputError(f"n is {n}, expected a number of rows from 0.")
    size, more = divmod(n, world_size)
    ends = [size * (r + 1) + min(r + 1, more) for r in range(world_size)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def _check_rank(rank: int, world_size: int) -> None:
    if world_size < 1 or not 0 <= rank < world_size:
        raise InputError(
            f"rank {rank} of {world_size} processes: the number of processes is from 1, and ranks from 0 below it."
        )


__all__ = ["contiguous_shards", "length_grouped_order", "shard"]
