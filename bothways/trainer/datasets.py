"""Training sets as people have them: lists of dictionaries, torch datasets, ``datasets``, a ``BatchEncoding``.

Every set becomes rows, dictionaries of one example each; what a model's ``forward`` does not take is left out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence, Sized
from typing import Any, TypeGuard

from torch import nn
from torch.utils.data import Dataset

from bothways.errors import InputError

LABEL_COLUMNS = ("label", "label_ids", "labels")


class ColumnRows(Dataset):
    """Rows of a dictionary of columns, such as a tokeniser's ``BatchEncoding`` to which labels were added."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        """Raises:
        InputError: no columns, or columns of different lengths.
        """
        self.columns = dict(columns)
        lengths = {name: len(values) for name, values in self.columns.items()}
        if len(set(lengths.values())) != 1:
            shown = ", ".join(f"{name}: {length}" for name, length in lengths.items()) or "no columns"
            raise InputError(f"the columns of a data set need one length; found {shown}.")
        self.length = next(iter(lengths.values()))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {name: values[i] for name, values in self.columns.items()}


def as_dataset(dataset: Any) -> Any:
    """The data set itself, or its rows if it is a dictionary of columns."""
    if isinstance(dataset, Mapping) or isinstance(getattr(dataset, "data", None), Mapping):
        return ColumnRows(dataset)
    return dataset


def has_length(dataset: Any) -> TypeGuard[Sized]:
    """Whether ``len(dataset)`` works."""
    try:
        return len(dataset) is not None
    except (TypeError, NotImplementedError, AttributeError):
        return False


def taken_columns(model: nn.Module, label_names: Sequence[str]) -> list[str] | None:
    """Names that the model's ``forward`` takes, and those of labels; None if it takes any name."""
    names = argument_names(model)
    if not names:
        return None
    return [*names, *label_names, *LABEL_COLUMNS]


def label_names_of(model: nn.Module) -> list[str]:
    """Arguments of ``forward`` that are labels."""
    names = argument_names(model)
    if "QuestionAnswering" in type(model).__name__:
        return [n for n in names if "label" in n or n in ("start_positions", "end_positions")]
    return [n for n in names if "label" in n]


def argument_names(model: nn.Module) -> list[str]:
    """What ``forward`` takes by name, without ``*args`` and ``**kwargs``."""
    parameters = inspect.signature(model.forward).parameters.values()
    return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def without_unused(dataset: Any, taken: list[str]) -> Any:
    """A ``datasets.Dataset`` without the columns that the model does not take; another data set as it is.

    Raises:
        InputError: no column is left.
    """
    columns = getattr(dataset, "column_names", None)
    if not isinstance(columns, list) or not hasattr(dataset, "remove_columns"):
        return dataset
    unused = [name for name in columns if name not in taken]
    if unused and _only_labels(set(columns) - set(unused)):
        raise InputError(_nothing_left(unused, taken))
    return dataset.remove_columns(unused) if unused else dataset


def dropping_unused(collate: Callable[[list[Any]], Any], taken: list[str]) -> Callable[[list[Any]], Any]:
    """``collate`` for rows whose other entries are dropped first."""

    def clean(rows: list[Any]) -> Any:
        return collate([_only(row, taken) for row in rows])

    return clean


def _only(row: Any, taken: list[str]) -> Any:
    if not isinstance(row, Mapping):
        return row
    kept = {name: value for name, value in row.items() if name in taken}
    if len(kept) < len(row) and _only_labels(kept):
        raise InputError(_nothing_left([name for name in row if name not in kept], taken))
    return kept


def _only_labels(names: Collection[str]) -> bool:
    """Whether nothing is there that a model could read."""
    return set(names) <= set(LABEL_COLUMNS)


def _nothing_left(columns: list[str], taken: list[str]) -> str:
    hint = " Tokenise the texts first: tokenizer(text) gives input_ids." if "input_ids" in taken else ""
    return (
        f"none of the columns {', '.join(map(str, columns))} is taken by the model, which takes "
        f"{', '.join(dict.fromkeys(taken))}.{hint} Or set remove_unused_columns=False and let your data_collator "
        "make the model's inputs."
    )
