"""Data collators: a list of examples becomes one batch of tensors, under the ecosystem's names.

Where examples make no tensor, the message names the column and the example.

Shapes: B examples, S columns of the padded rectangle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bothways.errors import InputError
from bothways.trainer.uneven import shape_of, why_not

FILLED = ("input_ids", "attention_mask", "token_type_ids", "special_tokens_mask")
"""The columns that ``tokenizer.pad`` fills up."""
LABELS = ("label", "label_ids", "labels")
DataCollator = Callable[[list[Any]], dict[str, Any]]
"""From examples to a batch; anything that can be called so is a collator."""


def default_data_collator(features: Sequence[Any], return_tensors: str = "pt") -> dict[str, Any]:
    """Put examples of equal sizes one below the other. ``label`` and ``label_ids`` become ``labels``.

    Args:
        features: mappings, or objects whose attributes are the columns. The first says which columns there are: those
            that are None or a text in it are left out.
        return_tensors: ``"pt"`` or ``"np"``.

    Returns:
        (B, ...) by name. Whole numbers become int64 and others float32, or float64 with ``"np"`` where they are no
        labels; tensors and arrays keep their dtype.

    Raises:
        InputError: examples that make no rectangle of numbers, or whose columns differ.
    """
    kind = check_kind(return_tensors)
    rows = rows_of(features)
    batch: dict[str, Any] = {}
    for key in ("label", "label_ids"):
        if rows[0].get(key) is not None:
            batch["labels"] = _column(key, rows, kind)
            break
    for key, value in rows[0].items():
        if key not in ("label", "label_ids") and value is not None and (key == "labels" or not isinstance(value, str)):
            batch[key] = _column(key, rows, kind)
    return batch


@dataclass
class DefaultDataCollator:
    """``default_data_collator`` as an object that remembers ``return_tensors``."""

    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> dict[str, Any]:
        return default_data_collator(features, return_tensors or self.return_tensors)


@dataclass
class DataCollatorWithPadding:
    """Fills up examples to one length. ``label`` and ``label_ids`` become ``labels``.

    Attributes:
        tokenizer: whose ``pad`` is used.
        padding: True or ``"longest"`` fills up to the longest example, ``"max_length"`` to ``max_length``; False does
            not fill up.
        max_length: in tokens; by default what the model reads.
        pad_to_multiple_of: round the length up.
        return_tensors: ``"pt"``, ``"np"``, or None for lists.
    """

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> Any:
        """A ``BatchEncoding`` of (B, S) tensors, and (B, ...) for what is not filled up."""
        batch = padded(self, features, self.return_tensors)
        for key in ("label", "label_ids"):
            if key in batch:
                batch["labels"] = batch[key]
                del batch[key]
        return batch


@dataclass
class DataCollatorForTokenClassification:
    """Fills up examples and, with ``label_pad_token_id``, their labels, one for each token.

    Attributes: those of ``DataCollatorWithPadding``; ``label_pad_token_id`` is ignored by the loss.
    """

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = -100
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Mapping[str, Any]], return_tensors: str | None = None) -> Any:
        kind = check_kind(return_tensors or self.return_tensors)
        return self.torch_call(features) if kind == "pt" else self.numpy_call(features)

    def torch_call(self, features: Sequence[Mapping[str, Any]]) -> Any:
        """A ``BatchEncoding`` of int64 (B, S) tensors; the labels keep their name."""
        batch, name, labels = self._with_labels(features, "pt")
        if labels is not None:
            batch[name] = torch.tensor(labels, dtype=torch.int64)
        return batch

    def numpy_call(self, features: Sequence[Mapping[str, Any]]) -> Any:
        """Arrays; with labels a plain dictionary, in which they are called ``labels``, as in the reference."""
        batch, _, labels = self._with_labels(features, "np")
        if labels is None:
            return batch
        arrays = {key: value.astype(np.int64) if value.dtype.kind in "bui" else value for key, value in batch.items()}
        return {**arrays, "labels": np.array(labels, dtype=np.int64)}

    def _with_labels(self, features: Sequence[Any], kind: str) -> tuple[Any, str, list[list[int]] | None]:
        name, labels, rest = _split_labels(features)
        batch = padded(self, rest, kind)
        if labels is None:
            return batch, name, None
        return batch, name, _filled(self, name, labels, batch["input_ids"].shape[1])


@dataclass
class DataCollatorForSeq2Seq:
    """Fills up examples and their labels, which have a length of their own.

    Attributes: those of ``DataCollatorForTokenClassification``;
        model: if it has ``prepare_decoder_input_ids_from_labels``, the batch gets ``decoder_input_ids``.
    """

    tokenizer: Any
    model: Any = None
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = -100
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Mapping[str, Any]], return_tensors: str | None = None) -> Any:
        """A ``BatchEncoding``; ``labels`` are int64 (B, longest labels), or None where there are none."""
        kind = return_tensors or self.return_tensors
        name, labels, rest = _split_labels(features)
        if labels is not None and all(label is None for label in labels):
            labels = None
        batch = padded(self, rest, kind)
        batch["labels"] = None
        if labels is None:
            return batch
        target = self.max_length if self.padding == "max_length" else None
        if target is None:
            target = max((len(label) for label in labels if label is not None), default=0)
        if self.pad_to_multiple_of and _pads(self):
            target += -target % self.pad_to_multiple_of
        filled = _filled(self, name, labels, target)
        batch["labels"] = torch.tensor(filled, dtype=torch.int64) if kind == "pt" else np.array(filled, dtype=np.int64)
        if hasattr(self.model, "prepare_decoder_input_ids_from_labels"):
            batch["decoder_input_ids"] = self.model.prepare_decoder_input_ids_from_labels(labels=batch["labels"])
        return batch


@dataclass
class DataCollatorForMultipleChoice:
    """Fills up questions with their choices: every column of an example is a list with a row for each choice.

    Attributes: those of ``DataCollatorWithPadding``.
    """

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Mapping[str, Any]], return_tensors: str | None = None) -> dict[str, Any]:
        """(B, choices, S) by name, and ``labels`` int64 (B,) if there are any.

        Raises:
            InputError: examples with different numbers of choices.
        """
        kind = check_kind(return_tensors or self.return_tensors)
        _, labels, rest = _split_labels(features)
        n_choices = len(rest[0]["input_ids"])
        for index, row in enumerate(rest):
            for name, rows in row.items():
                if len(rows) != n_choices:
                    raise InputError(
                        f"{name} has {len(rows)} choices in example {index}, but input_ids has {n_choices} in example "
                        "0. All examples of a batch need the same number of choices."
                    )
        flat = [{name: rows[i] for name, rows in row.items()} for row in rest for i in range(n_choices)]
        batch: dict[str, Any] = {
            name: value.reshape(len(rest), n_choices, -1) for name, value in padded(self, flat, kind).items()
        }
        if labels is not None:
            batch["labels"] = torch.tensor(labels, dtype=torch.int64) if kind == "pt" else np.array(labels, np.int64)
        return batch


def check_kind(kind: str) -> str:
    if kind not in ("pt", "np"):
        raise InputError(f"return_tensors is {kind!r}, expected 'pt' (PyTorch) or 'np' (NumPy).")
    return kind


def rows_of(features: Sequence[Any]) -> list[Mapping[str, Any]]:
    """The examples as mappings that all have the same keys."""
    if not len(features):
        raise InputError("there are no examples to collate. Does the data set, or the sampler, give empty batches?")
    rows = []
    for index, feature in enumerate(features):
        if isinstance(feature, str):
            raise InputError(
                f"example {index} is a text (str): {feature[:30]!r}. Tokenise the texts first: the data set holds what "
                "the tokeniser returns, with a label, for example {**tokenizer(text), 'label': 0}."
            )
        if not isinstance(feature, Mapping) and not hasattr(feature, "__dict__"):
            raise InputError(
                f"example {index} is a {type(feature).__name__}, expected a mapping from names of columns to values. "
                "Give the data set such examples, or pass a data_collator of your own."
            )
        rows.append(feature if isinstance(feature, Mapping) else vars(feature))
    keys = set(rows[0])
    for index, row in enumerate(rows):
        if set(row) != keys:
            lacking, more = sorted(map(str, keys - set(row))), sorted(map(str, set(row) - keys))
            what = [f"lacks {', '.join(lacking)}, which example 0 has"] if lacking else []
            what += [f"has {', '.join(more)}, which example 0 lacks"] if more else []
            raise InputError(f"example {index} {' and '.join(what)}. All examples need the same columns.")
    return rows


def _column(key: str, rows: Sequence[Mapping[str, Any]], kind: str) -> Any:
    """One column as a tensor or an array; labels of plain numbers are int64 or float32, as the first says."""
    values = [row[key] for row in rows]
    first = values[0]
    own = torch.Tensor if kind == "pt" else np.ndarray
    try:
        if key == "label":
            return _typed(values, first.item() if isinstance(first, own) else first, kind)
        if key == "label_ids" and not isinstance(first, own):
            return _typed(values, first[0], kind)
        if isinstance(first, torch.Tensor) and kind == "pt":
            return torch.stack(values)
        if isinstance(first, np.ndarray):
            stacked = np.stack(values)
            return torch.from_numpy(stacked) if kind == "pt" else stacked
        return torch.tensor(values) if kind == "pt" else np.array(values)
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as problem:
        advice = (
            "DataCollatorForTokenClassification(tokenizer) fills labels up with -100."
            if key in LABELS
            else "Pass padding=True and truncation=True when tokenising, or use DataCollatorWithPadding(tokenizer)."
        )
        raise InputError(why_not(key, values, advice) or f"{key} makes no tensor: {problem}") from problem


def _typed(values: list[Any], sample: Any, kind: str) -> Any:
    whole = isinstance(sample, int)
    if kind == "pt":
        return torch.tensor(values, dtype=torch.int64 if whole else torch.float32)
    return np.array(values, dtype=np.int64 if whole else np.float32)


def _split_labels(features: Sequence[Any]) -> tuple[str, list[Any] | None, list[dict[str, Any]]]:
    """The name of the column of labels, the labels if there are any, and the examples without them."""
    rows = rows_of(features)
    name = "label" if "label" in rows[0] else "labels"
    labels = [row[name] for row in rows] if name in rows[0] else None
    return name, labels, [{key: value for key, value in row.items() if key != name} for row in rows]


def padded(collator: Any, features: Sequence[Any], kind: str) -> Any:
    """What ``tokenizer.pad`` makes of the examples."""
    rows = rows_of(features)
    try:
        return collator.tokenizer.pad(
            rows,
            padding=collator.padding,
            max_length=collator.max_length,
            pad_to_multiple_of=collator.pad_to_multiple_of,
            return_tensors=kind,
        )
    except (TypeError, ValueError, RuntimeError, AttributeError) as problem:
        reason = _why_not_padded(collator, rows)
        if reason is None:
            raise
        raise InputError(reason) from problem


def _why_not_padded(collator: Any, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Which column of which example makes no rectangle after filling up."""
    if "input_ids" not in rows[0]:
        return None
    for key in rows[0]:
        values = [row[key] for row in rows]
        if key not in FILLED or not _pads(collator):
            advice = f"Only {', '.join(FILLED)} are filled up. Remove the column, or make its rows equally long."
            if key in LABELS:
                advice = "For a label for each token use DataCollatorForTokenClassification, which fills labels up."
            elif key in FILLED:
                advice = "Give the collator padding=True."
            if reason := why_not(key, values, advice):
                return reason
            continue
        if reason := why_not(key, values, None):
            return reason
        for index, row in enumerate(rows):
            found, expected = len(row[key]), len(row["input_ids"])
            if found != expected:
                return f"{key} has {found} values in example {index}, but input_ids has {expected}. They must agree."
        longest = max(range(len(rows)), key=lambda i: len(values[i]))
        if collator.padding == "max_length" and collator.max_length and len(values[longest]) > collator.max_length:
            return (
                f"{key} has {len(values[longest])} values in example {longest}, more than max_length "
                f"({collator.max_length}). Pass truncation=True with this max_length when tokenising."
            )
    return None


def _filled(collator: Any, name: str, labels: Sequence[Any], target: int) -> list[list[Any]]:
    """Labels filled up to ``target`` on the tokeniser's side."""
    if reason := why_not(name, labels, None):
        raise InputError(reason)
    rows = []
    for index, label in enumerate(labels):
        shape = shape_of(label)
        if shape is None or len(shape) != 1:
            raise InputError(
                f"{name} is {label!r:.40} in example {index}, expected a list with a label for each token. For one "
                "label use DataCollatorWithPadding."
            )
        if shape[0] > target:
            raise InputError(
                f"{name} has {shape[0]} values in example {index}, but the batch has {target} columns. Truncate labels "
                "together with their tokens."
            )
        row = label.tolist() if hasattr(label, "tolist") else list(label)
        missing = [collator.label_pad_token_id] * (target - len(row))
        rows.append(row + missing if collator.tokenizer.padding_side == "right" else missing + row)
    return rows


def _pads(collator: Any) -> bool:
    return collator.padding not in (False, "do_not_pad")


__all__ = [
    "DataCollator",
    "DataCollatorForMultipleChoice",
    "DataCollatorForSeq2Seq",
    "DataCollatorForTokenClassification",
    "DataCollatorWithPadding",
    "DefaultDataCollator",
    "default_data_collator",
]
