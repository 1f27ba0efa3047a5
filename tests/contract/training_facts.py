"""What the programs in ``trainer_programs/`` report of a trained model, and a table like those of ``datasets``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MEASURED = ("_runtime", "_per_second", "total_flos")
DROPPED = ("_model_preparation_time",)
"""The reference adds it to the first evaluation of a model that was not trained before."""


def numbers(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics; of what depends on the machine only the key."""
    kept = {key: value for key, value in metrics.items() if not key.endswith(DROPPED)}
    return {key: None if key.endswith(MEASURED) else value for key, value in kept.items()}


def log(trainer: Any) -> list[dict[str, Any]]:
    """The log of a run. Learning rates are shares of the highest, so that they compare as all other numbers do."""
    entries = [numbers(entry) for entry in trainer.state.log_history]
    rate = trainer.args.learning_rate
    return [{k: v / rate if k == "learning_rate" else v for k, v in entry.items()} for entry in entries]


def log_keys(trainer: Any) -> list[tuple[int, float, list[str]]]:
    """Step, epoch and keys of each entry: for runs whose numbers depend on the order of the rows."""
    history = trainer.state.log_history
    return [(entry["step"], float(entry.get("epoch", -1)), sorted(numbers(entry))) for entry in history]


def counters(trainer: Any) -> dict[str, Any]:
    state = trainer.state
    return {
        "global_step": state.global_step,
        "epoch": float(state.epoch),
        "max_steps": state.max_steps,
        "num_train_epochs": state.num_train_epochs,
        "logging_steps": state.logging_steps,
        "eval_steps": state.eval_steps,
        "save_steps": state.save_steps,
        "train_batch_size": state.train_batch_size,
    }


def checkpoints(directory: str) -> list[str]:
    """Names of the checkpoints in a directory, each with whether it can be read and resumed."""
    needed = {"config.json", "model.safetensors", "trainer_state.json"}
    found = sorted(Path(directory).glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    return [f"{path.name}: {needed <= {file.name for file in path.iterdir()}}" for path in found]


def weights(model: Any) -> dict[str, list[float]]:
    """Norm and first elements of each parameter; without biases of keys, whose gradient is zero but for rounding."""
    named = [(n, p.detach()) for n, p in model.named_parameters() if not n.endswith(("key.bias", "k_lin.bias"))]
    return {name: [float(p.norm()), *p.flatten()[:3].tolist()] for name, p in named}


def shape(value: Any) -> Any:
    """Shapes of an array, or of each of a tuple of arrays, with the kind of number."""
    if isinstance(value, (tuple, list)):
        return [shape(part) for part in value]
    return value if value is None else [value.dtype.kind, *map(int, value.shape)]


class Table:
    """Stands for ``datasets.Dataset``, which need not be installed: named columns, rows and slices, lazy formats."""

    def __init__(self, columns: Mapping[str, list]) -> None:
        self.columns = dict(columns)
        self.format: list[str] | None = None

    @property
    def column_names(self) -> list[str]:
        return list(self.columns)

    @property
    def features(self) -> dict[str, str]:
        return {name: type(values[0]).__name__ for name, values in self.columns.items()}

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key: int | slice | str) -> Any:
        if isinstance(key, str):
            return self.columns[key]
        names = self.format or list(self.columns)
        row = {name: self.columns[name][key] for name in names}
        if self.format is None or isinstance(key, slice):
            return row
        import torch

        return {name: torch.tensor(value) for name, value in row.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))

    def map(self, function: Any, batched: bool = False, remove_columns: list[str] | None = None) -> Table:
        if batched:
            new = dict(function(self.columns))
        else:
            rows = [function(row) for row in self]
            new = {name: [row[name] for row in rows] for name in rows[0]}
        return Table({**self.columns, **new}).remove_columns(remove_columns or [])

    def remove_columns(self, names: str | list[str]) -> Table:
        drop = [names] if isinstance(names, str) else names
        return Table({name: values for name, values in self.columns.items() if name not in drop})

    def rename_column(self, old: str, new: str) -> Table:
        return Table({new if name == old else name: values for name, values in self.columns.items()})

    def select(self, indices: Any) -> Table:
        return Table({name: [values[i] for i in indices] for name, values in self.columns.items()})

    def shuffle(self, seed: int | None = None) -> Table:
        import random

        return self.select(random.Random(seed).sample(range(len(self)), len(self)))

    def set_format(self, type: str, columns: list[str]) -> None:
        assert type == "torch", type
        self.format = columns
