"""Parquet through pyarrow, which is optional."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bothways.data.row import Row
from bothways.errors import DataError, UsageError

_BATCH_ROWS = 1024


def open_parquet(path: Path) -> Iterator[Row]:
    """Rows of a Parquet file, 1,024 in memory at a time.

    Raises:
        UsageError: pyarrow is not installed.
        DataError: not a Parquet file, or a damaged one, or a column name twice.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise UsageError(f"{path}: Parquet needs pyarrow. Install it: pip install 'bothways[parquet]'") from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as problem:
        raise _damaged(path, problem) from None
    names = file.schema_arrow.names
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DataError(f"{path}: column names occur more than once: {', '.join(map(repr, twice))}. Rename them.")
    return _rows(file, path)


def _rows(file: Any, path: Path) -> Iterator[Row]:
    import pyarrow

    number = 0
    with file:
        try:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(values, number)
        except (pyarrow.ArrowException, OSError) as problem:
            raise _damaged(path, problem) from None


def _damaged(path: Path, problem: Exception) -> DataError:
    reason = str(problem).splitlines()[0].rstrip(".")
    return DataError(f"{path} is not a readable Parquet file ({path.stat().st_size:,} bytes): {reason}.")
