"""Filling up rows that are already encoded, for data collators: lists of examples become one rectangle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bothways.errors import TokenizerError
from bothways.tokenizers.options import Limits

Row = dict[str, Any]


def as_columns(encoded: Any, main: str) -> tuple[dict[str, Any], str | None]:
    """Bring a list of examples, a dict of rows or a single example into ``{name: list}``, tensors become lists.

    Returns:
        The columns and the tensor type (``"pt"``, ``"np"`` or None) that came in.

    Raises:
        TokenizerError: no examples with the main input, or examples whose keys differ.
    """
    if isinstance(encoded, (list, tuple)) and encoded and isinstance(encoded[0], Mapping):
        keys = list(encoded[0])
        for index, example in enumerate(encoded):
            if missing := [key for key in keys if key not in example]:
                raise TokenizerError(f"example {index} lacks {missing}, which example 0 has.")
        encoded = {key: [example[key] for example in encoded] for key in keys}
    if not isinstance(encoded, Mapping) or main not in encoded:
        found = list(encoded) if isinstance(encoded, Mapping) else type(encoded).__name__
        raise TokenizerError(f"pad() takes encoded examples that include {main!r}; it got {found}.")
    first = encoded[main]
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    kind = None
    if hasattr(first, "dtype") and hasattr(first, "tolist"):
        kind = "np" if type(first).__module__.startswith("numpy") else "pt"
    return {key: _to_lists(value) for key, value in encoded.items()}, kind


def pad_columns(
    columns: dict[str, list], limits: Limits, *, main: str, pad_id: int, pad_type_id: int, mask: bool
) -> Row:
    """Fill up every row of a batch. Only the columns that the ecosystem knows are filled; others stay as they are."""
    sizes = {key: len(rows) for key, rows in columns.items()}
    if len(set(sizes.values())) > 1:
        raise TokenizerError(f"the columns have different numbers of rows: {sizes}.")
    lengths = [len(row) for row in columns[main]]
    target = max(lengths, default=0) if limits.padding == "longest" else limits.max_length
    padded = [
        _pad_row({k: v[i] for k, v in columns.items()}, n, target, limits, main, pad_id, pad_type_id, mask)
        for i, n in enumerate(lengths)
    ]
    return {key: [row[key] for row in padded] for key in padded[0]} if padded else dict(columns)


def pad_one(row: Row, limits: Limits, *, main: str, pad_id: int, pad_type_id: int, mask: bool) -> Row:
    """Fill up one row."""
    size = len(row[main])
    target = size if limits.padding == "longest" else limits.max_length
    return _pad_row(row, size, target, limits, main, pad_id, pad_type_id, mask)


def _pad_row(
    row: Row, size: int, target: int | None, limits: Limits, main: str, pad_id: int, pad_type_id: int, mask: bool
) -> Row:
    if mask and "attention_mask" not in row:
        row["attention_mask"] = [1] * size
    if not limits.pads or target is None:
        return row
    if limits.pad_to_multiple_of:
        target += -target % limits.pad_to_multiple_of
    missing = max(0, target - size)
    fill = {main: pad_id, "token_type_ids": pad_type_id, "special_tokens_mask": 1}
    if mask:
        fill["attention_mask"] = 0
    for key, value in fill.items():
        if key in row:
            added = [value] * missing
            row[key] = list(row[key]) + added if limits.padding_side == "right" else added + list(row[key])
    return row


def _to_lists(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_to_lists(v) if hasattr(v, "tolist") else v for v in value]
    return value
