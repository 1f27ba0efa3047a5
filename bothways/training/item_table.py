"""Numbers that were computed once for every item of a training set: vectors of a frozen encoder, answers of a teacher.

An item is what has a label: an example, one of its sequences, or a token. Shapes: n examples, R items, W numbers each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.errors import UsageError
from bothways.progress import progress_bar
from bothways.training.features import Features

CHUNK = 1_024
"""Examples that are computed at once, between two steps of a progress bar."""
IN_MEMORY = 10**9
"""Bytes; a larger table lies in a temporary file."""
IGNORED = -100


@dataclass(frozen=True, kw_only=True)
class ItemTable:
    """Attributes:
    values: float32 (R, W), the items of each example side by side; in memory or mapped from a file without a name.
    starts: int64 (n + 1,), where the items of each example begin.
    """

    values: np.ndarray
    starts: np.ndarray

    def count(self, example: int) -> int:
        """Items of an example."""
        return int(self.starts[example + 1] - self.starts[example])

    def rows(self, examples: Sequence[int]) -> Tensor:
        """float32 (items of these examples, W), in their order."""
        places = [np.arange(self.starts[i], self.starts[i + 1]) for i in examples]
        return torch.from_numpy(self.values[np.concatenate(places)])


def empty_table(counts: Sequence[int] | np.ndarray, width: int, *, in_memory: int = IN_MEMORY) -> ItemTable:
    """A table to be filled, for examples with so many items each.

    Raises:
        UsageError: a table that does not fit into memory, and not into the directory of temporary files either.
    """
    starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    shape = (int(starts[-1]), width)
    size = shape[0] * width * 4
    if size <= in_memory:
        return ItemTable(values=np.empty(shape, dtype=np.float32), starts=starts)
    try:
        with tempfile.TemporaryFile() as file:  # the mapping keeps it; it goes with the process
            file.truncate(size)
            values = np.memmap(file, dtype=np.float32, mode="r+", shape=shape)
    except OSError as problem:
        raise UsageError(
            f"{shape[0]:,} vectors need {size / 1e6:,.0f} MB in {tempfile.gettempdir()} ({problem.strerror}). "
            "Make room there, or name another directory in the variable TMPDIR."
        ) from None
    return ItemTable(values=values, starts=starts)


def sequence_table(features: Features, compute: Callable[..., np.ndarray], width: int, what: str) -> ItemTable:
    """A row for each sequence.

    Args:
        compute: from sequences of ids and their token types, or None, to float32 (sequences, W).
        what: for the progress bar.
    """
    table = empty_table(np.full(len(features), features.sequences), width)
    for part, rows, ids, types in _chunks(features, table, what):
        del part
        table.values[rows] = compute(ids, types)
    return table


def token_table(
    features: Features,
    compute: Callable[..., list[np.ndarray]],
    width: int,
    what: str,
    labels: Sequence[Any] | None = None,
) -> ItemTable:
    """A row for each token that has a label.

    Args:
        compute: from sequences of ids and their token types, or None, to float32 (length, W) for each sequence.
    """
    chosen = [np.asarray(own) != IGNORED for own in (features.labels if labels is None else labels)]
    table = empty_table([int(own.sum()) for own in chosen], width)
    for part, rows, ids, types in _chunks(features, table, what):
        found = compute(ids, types)
        table.values[rows] = np.concatenate([vectors[own] for vectors, own in zip(found, chosen[part], strict=True)])
    return table


def _chunks(features: Features, table: ItemTable, what: str) -> Any:
    """Slices of examples and of rows, with the sequences."""
    with progress_bar(what, len(features)) as advance:
        for i in range(0, len(features), CHUNK):
            part = slice(i, min(i + CHUNK, len(features)))
            own = slice(part.start * features.sequences, part.stop * features.sequences)
            types = None if features.token_type_ids is None else features.token_type_ids[own]
            yield part, slice(table.starts[part.start], table.starts[part.stop]), features.input_ids[own], types
            advance(part.stop - part.start)


__all__ = ["ItemTable", "empty_table", "sequence_table", "token_table"]
