"""The part of a ``Trainer`` that turns its data sets into batches and steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from bothways.engine.order import length_grouped_order
from bothways.engine.processes import Processes
from bothways.errors import UsageError
from bothways.trainer.arguments import TrainingArguments
from bothways.trainer.batches import IterableRows, LoaderSteps, Loading, RowSteps, items_in, random_rows
from bothways.trainer.datasets import as_dataset, dropping_unused, has_length, taken_columns, without_unused

ENDLESS = 10**9
"""Epochs of a run over a stream, which ends after ``max_steps``."""


class LoadsData:
    """Batches of a trainer's data sets. What a subclass overrides here is used as it is."""

    args: TrainingArguments
    group: Processes
    model: nn.Module
    train_dataset: Any
    eval_dataset: Any
    data_collator: Callable[[list[Any]], Any]
    label_names: list[str]
    _train_batch_size: int

    def get_train_dataloader(self) -> DataLoader:
        """Batches of an epoch. A subclass may return a loader of its own; it is then iterated once an epoch."""
        if self.train_dataset is None:
            raise UsageError("Trainer has no train_dataset to train on. Pass one.")
        dataset, loading = self._loading(self.train_dataset, self._train_batch_size)
        if not has_length(dataset) or isinstance(dataset, IterableDataset):
            return DataLoader(self._stream(dataset, loading), batch_size=None)
        keys = loading.keys(self._order(dataset)(0), 0, self.group)
        return loading.loader(dataset, [key for key in keys if key.rows])

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Batches of an evaluation set, in order; by name if there are several."""
        chosen = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(chosen, str):
            chosen = self.eval_dataset[chosen]
        if chosen is None:
            raise UsageError("Trainer has no eval_dataset to evaluate on. Pass one to evaluate() or to Trainer.")
        return self._in_order(chosen)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader:
        """Batches of a data set to predict, in order."""
        return self._in_order(test_dataset)

    def num_examples(self, dataloader: Any) -> int:
        """Rows behind a loader."""
        dataset = getattr(dataloader, "dataset", None)
        rows = getattr(dataset, "rows", dataset)
        return len(rows) if has_length(rows) else len(dataloader) * self.args.per_device_train_batch_size

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """The order of the rows in an epoch, as a sampler. A subclass may return one of its own."""
        return None

    def _in_order(self, dataset: Any) -> DataLoader:
        rows, loading = self._loading(as_dataset(dataset), self.args.eval_batch_size)
        if not has_length(rows) or isinstance(rows, IterableDataset):
            return DataLoader(self._stream(rows, loading), batch_size=None)
        return loading.loader(rows, loading.keys(range(len(rows)), 0, Processes()))

    def _loading(self, dataset: Any, batch_size: int) -> tuple[Any, Loading]:
        """A data set without the columns that the model does not take, and how its rows become batches."""
        args = self.args
        collate = self.data_collator
        if args.remove_unused_columns:
            taken = taken_columns(self.model, self.label_names)
            if taken is not None:
                dataset = without_unused(dataset, taken)
                collate = dropping_unused(collate, taken)
        return dataset, Loading(
            batch_size=batch_size,
            collate=collate,
            seed=args.seed if args.data_seed is None else args.data_seed,
            drop_last=args.dataloader_drop_last,
            workers=args.dataloader_num_workers,
            prefetch=args.dataloader_prefetch_factor,
            pin=args.dataloader_pin_memory and args.device.type == "cuda",
        )

    def _stream(self, dataset: Any, loading: Loading) -> IterableRows:
        return IterableRows(dataset, loading.collate, loading.batch_size, loading.drop_last)

    def _order(self, dataset: Any) -> Callable[[int], Any]:
        """From the epoch to the order of the rows, by counters."""
        args = self.args
        seed = args.seed if args.data_seed is None else args.data_seed
        if args.train_sampling_strategy == "sequential":
            return lambda epoch: np.arange(len(dataset))
        if args.train_sampling_strategy == "group_by_length":
            lengths = self._lengths(dataset)
            wide = self._train_batch_size * args.gradient_accumulation_steps * self.group.count
            return lambda epoch: length_grouped_order(lengths, wide, seed, epoch + 1)
        return random_rows(len(dataset), seed)

    def _lengths(self, dataset: Any) -> list[int]:
        name = self.args.length_column_name
        if name in (getattr(dataset, "column_names", None) or ()):
            return list(dataset[name])
        first = dataset[0]
        main = getattr(self.model, "main_input_name", "input_ids")
        if not isinstance(first, Mapping) or main not in first:
            raise UsageError(
                f"group_by_length needs the length of each row: a column {name!r} or {main!r}, and rows have "
                f"{', '.join(map(str, first)) if isinstance(first, Mapping) else type(first).__name__}."
            )
        return [len(dataset[i][main]) for i in range(len(dataset))]

    def _train_steps(self) -> RowSteps | LoaderSteps:
        args = self.args
        accumulation = args.gradient_accumulation_steps
        seed = args.seed if args.data_seed is None else args.data_seed
        if self._has_own_loader():
            own = self.get_train_dataloader()
            return LoaderSteps(own, accumulation=accumulation, items=self._items, seed=seed, group=self.group)
        dataset, loading = self._loading(self.train_dataset, self._train_batch_size)
        sampler = self._get_train_sampler()
        if has_length(dataset) and not len(dataset):
            raise UsageError("train_dataset is empty: there is nothing to train on.")
        if sampler is not None or not has_length(dataset) or isinstance(dataset, IterableDataset):
            loader: Any = DataLoader(self._stream(dataset, loading), batch_size=None)
            if sampler is not None:
                loader = DataLoader(
                    dataset, batch_size=loading.batch_size, sampler=sampler, collate_fn=loading.collate,
                    drop_last=loading.drop_last,
                )  # fmt: skip
            return LoaderSteps(loader, accumulation=accumulation, items=self._items, seed=seed, group=self.group)
        return RowSteps(
            dataset, loading, self._order(dataset), accumulation=accumulation, items=self._items, group=self.group
        )

    def _length_of_run(self, source: RowSteps | LoaderSteps) -> tuple[int, int]:
        """Epochs and steps.

        Raises:
            UsageError: a stream without ``max_steps``, or too little data for one step.
        """
        args, per_epoch = self.args, source.steps_per_epoch
        if per_epoch == 0:
            raise UsageError("train_dataset gives no batch: it is empty, or smaller than a batch that may be dropped.")
        if args.max_steps > 0:
            return (ENDLESS if per_epoch is None else math.ceil(args.max_steps / per_epoch)), args.max_steps
        if per_epoch is None:
            raise UsageError("the length of train_dataset is not known: say how long to train with max_steps.")
        return math.ceil(args.num_train_epochs), math.ceil(args.num_train_epochs * per_epoch)

    def _items(self, inputs: Any) -> float:
        return items_in(inputs, causal=self._is_causal())

    def _is_causal(self) -> bool:
        return type(self.model).__name__.endswith(("ForCausalLM", "LMHeadModel"))

    def _has_own_loader(self) -> bool:
        return type(self).get_train_dataloader is not LoadsData.get_train_dataloader

    def _has_own_eval_loader(self) -> bool:
        return type(self).get_eval_dataloader is not LoadsData.get_eval_dataloader
