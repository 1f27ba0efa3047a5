"""What labels are: one class of several, any number of classes, or a number."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

LabelKind = Literal["single", "multi", "regression"]
KINDS: tuple[LabelKind, ...] = ("single", "multi", "regression")

_SCORE_NAME = re.compile(r"(.*[_ ])?(score|similarity|relatedness|rating)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_MANY_FRACTIONS = 20
_LIST_CHARS = 10_000  # a list of labels written as text is short


LARGEST_SCORE = 1e15  # beyond it squares of differences leave the range of 32-bit numbers


def infer_task(labels: Iterable[Any], *, column: str | None = None) -> LabelKind:
    """The kind of task that a column of labels stands for.

    - ``multi``: lists (JSON, Parquet), or text that is a list in every row, such as ``["a", "b"]``. Text with
      separators (``a|b``, ``a;b``) is multi only on request.
    - ``regression``: every value is a number, and either the column is called score, similarity, relatedness or
      rating (also ``..._score``) and some value is not whole, or more than 20 distinct values are not whole.
    - ``single``: all else; whole numbers are classes.

    Args:
        labels: values as read; None, "" and NaN are passed over.
        column: the name of the column.
    """
    values = [v for v in labels if not is_missing(v)]
    if any(isinstance(v, (list, tuple)) for v in values):
        return "multi"
    if values and all(isinstance(v, str) and _written_list(v) is not None for v in values):
        return "multi"
    fractions: set[float] = set()
    for value in values:
        number = _number(value)
        if number is None:
            return "single"
        if math.isfinite(number) and number != int(number):
            fractions.add(number)
    named = column is not None and _SCORE_NAME.fullmatch(column.strip().lower()) is not None
    return "regression" if (named and fractions) or len(fractions) > _MANY_FRACTIONS else "single"


def is_missing(value: Any) -> bool:
    """None, blank text or a NaN number: the row has no label."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def class_name(value: Any) -> str:
    """The name of a class: text without outer white space, whole numbers without a point, ``true`` and ``false``.

    Raises:
        ValueError: a list or an object.
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    if isinstance(value, (list, tuple, dict)):
        raise ValueError(f"the label is {value!r:.60}; expected one class. For several ask for multi-label.")
    return str(value)


def class_names(value: Any) -> tuple[str, ...]:
    """The classes of a multi-label value, sorted, each once: a list, a written list, or text split at ``|`` or ``;``.

    An empty list and empty text mean no class. Raises ``ValueError`` for anything else.
    """
    if isinstance(value, str):
        written = _written_list(value)
        value = written if written is not None else value.split("|" if "|" in value else ";")
    if isinstance(value, dict):
        raise ValueError(f"the label is {value!r:.60}; expected a list of classes.")
    parts = value if isinstance(value, (list, tuple)) else [value]
    return tuple(natural_order({class_name(p) for p in parts if not is_missing(p)}))


def score(value: Any) -> float:
    """A finite number. Raises ``ValueError`` saying what came instead."""
    number = _number(value)
    if number is None:
        raise ValueError(f"the score is {value!r:.60}; expected a number.")
    if not math.isfinite(number):
        raise ValueError(f"the score is {number}; expected a finite number. Remove the row or leave the score empty.")
    if abs(number) > LARGEST_SCORE:
        raise ValueError(f"the score is {number:g}; scores up to {LARGEST_SCORE:g} are used. Divide them all.")
    return number


def natural_order(names: Iterable[str]) -> list[str]:
    """Whole numbers first, by value; then text, alphabetically."""
    return sorted(names, key=lambda n: (0, int(n), n) if re.fullmatch(r"-?[0-9]{1,18}", n) else (1, 0, n))


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return None
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text) or text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            return float(text)
        return None
    try:  # Decimal from Parquet
        return float(value)
    except (TypeError, ValueError):
        return None


def _written_list(text: str) -> Sequence[Any] | None:
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")) or len(text) > _LIST_CHARS:
        return None
    for parse in (json.loads, ast.literal_eval):  # the second for lists as Python writes them: ['a', 'b']
        try:
            value = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list):
            return value
    return None
