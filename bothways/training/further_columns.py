"""Columns of the data beside text and label, for slices: read again, since examples do not carry them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from bothways.data.rows import read_rows
from bothways.evaluation.facets import MOST_VALUES

MOST_CHARS = 60


def further_columns(
    files: Sequence[str | Path],
    rows: Sequence[int],
    used: Collection[str | None],
    *,
    format: str | None = None,
    encoding: str | None = None,
) -> dict[str, list[Any]]:
    """Values of the columns that have 2 to 20 distinct short ones.

    Args:
        files: read as if they were one. rows: of the examples, from 1, rising.
        used: columns that are text or label.

    Returns:
        For each column a value for each of ``rows``, None where the row has none.
    """
    wanted = {row: i for i, row in enumerate(rows)}
    found: dict[str, list[Any]] = {}
    distinct: dict[str, set[Any]] = {}
    dropped = set(used)
    number = 0
    for file in files:
        for row in read_rows(Path(file), format=format, encoding=encoding):
            number += 1
            place = wanted.get(number)
            if place is None:
                continue
            for name, value in row.values.items():
                if name in dropped:
                    continue
                if not _is_short(value) or len(distinct.setdefault(name, set()) | {value}) > MOST_VALUES:
                    dropped.add(name)
                    found.pop(name, None)
                    distinct.pop(name, None)
                    continue
                distinct[name].add(value)
                found.setdefault(name, [None] * len(rows))[place] = value
    return {name: values for name, values in found.items() if len(distinct[name]) >= 2}


def _is_short(value: Any) -> bool:
    return (
        value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= MOST_CHARS)
    )
