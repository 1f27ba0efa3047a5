"""Steps of a ``Trainer``: rows in an order by counters, collated with a seed by counters.

What a data set or a collator draws at random depends on the epoch and the number of the batch alone, so that a run goes
on after a resume as if it had never stopped, and the number of workers changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from bothways.engine.order import shard
from bothways.engine.processes import Processes
from bothways.engine.seeds import epoch_order, seed_for, set_seed
from bothways.engine.steps import MicroBatch
from bothways.errors import InputError

DATA = 1
"""Counter that keeps the seeds of data apart from those of dropout."""

Collate = Callable[[list[Any]], Any]


@dataclass(frozen=True)
class BatchKey:
    """A batch by its seed and its rows."""

    seed: int
    rows: tuple[int, ...]


class KeyedBatches(Dataset):
    """Collated batches of a data set, by key."""

    def __init__(self, rows: Any, collate: Collate) -> None:
        self.rows = rows
        self.collate = collate

    def __getitem__(self, key: BatchKey) -> Any:
        set_seed(key.seed % 2**32)
        return self.collate([self.rows[i] for i in key.rows])


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How rows become batches.

    Attributes:
        batch_size: rows of a process.
        drop_last: leave out a last batch that is not full.
        workers, prefetch, pin: of torch's ``DataLoader``.
    """

    batch_size: int
    collate: Collate
    seed: int
    drop_last: bool = False
    workers: int = 0
    prefetch: int | None = None
    pin: bool = False

    def loader(self, dataset: Any, keys: Sequence[BatchKey]) -> DataLoader:
        """Batches in the order of their keys."""
        return DataLoader(
            KeyedBatches(dataset, self.collate),
            batch_size=None,
            sampler=keys,
            num_workers=self.workers,
            prefetch_factor=self.prefetch if self.workers else None,
            pin_memory=self.pin,
        )

    def keys(self, order: Sequence[int], epoch: int, group: Processes) -> list[BatchKey]:
        """The keys of this process, one for each global batch; those of the last one may have no rows."""
        own = shard(order, group.rank, group.count, self.batch_size, last="drop" if self.drop_last else "spread")
        return [
            BatchKey(
                seed_for(self.seed, DATA, epoch, number, group.rank),
                tuple(own[number * self.batch_size : (number + 1) * self.batch_size].tolist()),
            )
            for number in range(self.batches(len(order), group))
        ]

    def batches(self, rows: int, group: Processes) -> int:
        """Global batches that so many rows make."""
        wide = self.batch_size * group.count
        return rows // wide if self.drop_last else -(-rows // wide)


class RowSteps:
    """Steps over a data set whose rows have numbers.

    Args:
        order: from the epoch to the order of the rows.
        items: from a batch to how many things its loss is the mean of.
    """

    def __init__(
        self,
        dataset: Any,
        loading: Loading,
        order: Callable[[int], Sequence[int]],
        *,
        accumulation: int,
        items: Callable[[Any], float],
        group: Processes,
    ) -> None:
        self.dataset, self.loading, self.order = dataset, loading, order
        self.accumulation, self.items, self.group = accumulation, items, group
        self.batches = loading.batches(len(dataset), group)
        self.steps_per_epoch: int | None = -(-self.batches // accumulation)

    def steps(self, epoch: int, first: int) -> Iterator[list[MicroBatch]]:
        keys = self.loading.keys(self.order(epoch), epoch, self.group)[first * self.accumulation :]
        filled = [key for key in keys if key.rows]
        loaded = iter(self.loading.loader(self.dataset, filled))
        for start in range(0, len(keys), self.accumulation):
            yield [
                micro_batch(next(loaded), self.items, key.rows)
                for key in keys[start : start + self.accumulation]
                if key.rows  # a process may have none of the last rows
            ]


class LoaderSteps:
    """Steps over batches that a loader gives in an order of its own; a resumed epoch begins by passing over batches."""

    def __init__(
        self,
        loader: Any,
        *,
        accumulation: int,
        items: Callable[[Any], float],
        seed: int,
        group: Processes,
        shared: bool = True,
    ) -> None:
        """``shared``: every process sees all batches, and takes every ``count``-th."""
        self.loader, self.accumulation, self.items = loader, accumulation, items
        self.seed, self.group, self.shared = seed, group, shared and group.count > 1
        try:
            self.batches: int | None = len(loader)
        except (TypeError, NotImplementedError):
            self.batches = None
        wide = accumulation * (group.count if self.shared else 1)
        self.steps_per_epoch = None if self.batches is None else -(-self.batches // wide)

    def steps(self, epoch: int, first: int) -> Iterator[list[MicroBatch]]:
        for part in (self.loader, getattr(self.loader, "dataset", None), getattr(self.loader, "sampler", None)):
            if part is not None and hasattr(part, "set_epoch"):
                part.set_epoch(epoch)
        set_seed(seed_for(self.seed, DATA, epoch) % 2**32)  # what a sampler draws when it begins
        batches = iter(self.loader)
        for number in range(2**62):
            step: list[MicroBatch] = []
            whole = list(islice(self._seeded(batches, epoch, number), self._wide))
            if not whole:
                return
            if number < first:
                continue
            own = whole[self.group.rank :: self.group.count] if self.shared else whole
            step.extend(micro_batch(batch, self.items) for batch in own)
            yield step

    @property
    def _wide(self) -> int:
        return self.accumulation * (self.group.count if self.shared else 1)

    def _seeded(self, batches: Iterator[Any], epoch: int, step: int) -> Iterator[Any]:
        for i in range(self._wide):
            set_seed(seed_for(self.seed, DATA, epoch, step, i) % 2**32)
            try:
                yield next(batches)
            except StopIteration:
                return


class IterableRows(IterableDataset):
    """Batches of rows that come one after the other."""

    def __init__(self, dataset: Any, collate: Collate, batch_size: int, drop_last: bool) -> None:
        self.dataset, self.collate, self.batch_size, self.drop_last = dataset, collate, batch_size, drop_last

    def __iter__(self) -> Iterator[Any]:
        rows = iter(self.dataset)
        while batch := list(islice(rows, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield self.collate(batch)

    def set_epoch(self, epoch: int) -> None:
        """Tell the data set which epoch begins, if it wants to know."""
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)


def micro_batch(inputs: Any, items: Callable[[Any], float], rows: Sequence[int] | None = None) -> MicroBatch:
    """A collated batch with what a step must know of it."""
    return MicroBatch(
        inputs=inputs, items=items(inputs), count=rows_in(inputs), tokens=tokens_in(inputs), examples=rows
    )


def rows_in(inputs: Any) -> int:
    """How many examples a collated batch has.

    Raises:
        InputError: nothing in it has a length.
    """
    if isinstance(inputs, Tensor):
        return inputs.shape[0] if inputs.ndim else 1
    values = inputs.values() if isinstance(inputs, Mapping) or hasattr(inputs, "values") else inputs
    if isinstance(values, (str, bytes)):
        raise InputError(f"a batch is {type(inputs).__name__}; expected a dictionary of tensors.")
    for value in values:
        if isinstance(value, Tensor) and value.ndim:
            return value.shape[0]
        if isinstance(value, (list, tuple)):
            return len(value)
    raise InputError(f"a batch has no tensor; it is {inputs!r:.200}. Does the data_collator return tensors?")


def tokens_in(inputs: Any) -> int:
    """Tokens that are not padding, as far as the batch tells."""
    if not hasattr(inputs, "get"):
        return 0
    mask, ids = inputs.get("attention_mask"), inputs.get("input_ids")
    if isinstance(mask, Tensor):
        return int(mask.sum())
    return ids.numel() if isinstance(ids, Tensor) else 0


def columns_in(inputs: Any) -> int:
    """Tokens of the rectangle, padding included."""
    ids = inputs.get("input_ids") if hasattr(inputs, "get") else None
    return ids.numel() if isinstance(ids, Tensor) else 0


def items_in(inputs: Any, *, causal: bool) -> float:
    """How many things a model's mean loss is the mean of: labels that count, or rows.

    Args:
        causal: the label of a row's first token is not used.
    """
    labels = inputs.get("labels") if hasattr(inputs, "get") else None
    if not isinstance(labels, Tensor) or labels.is_floating_point() or not labels.ndim:
        return rows_in(inputs)
    if causal and labels.ndim == 2:
        labels = labels[:, 1:]
    return int((labels != -100).sum())


def random_rows(count: int, seed: int) -> Callable[[int], np.ndarray]:
    """From an epoch to a new order of the rows."""
    return lambda epoch: epoch_order(count, seed, epoch + 1)
