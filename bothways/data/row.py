"""One record of a data file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One record.

    Attributes:
        values: column name → value: strings in CSV, TSV and text; what JSON or Parquet holds elsewhere.
        line: where the record begins in the file, from 1; in Parquet the number of the row, from 1.
    """

    values: dict[str, Any]
    line: int
