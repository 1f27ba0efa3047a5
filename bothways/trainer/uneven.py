"""Why the values of a column make no tensor: in words that name the column and the example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def why_not(key: str, values: Sequence[Any], advice: str | None) -> str | None:
    """Why the values of one column make no tensor; lengths count if there is advice for them."""
    shapes = []
    for index, value in enumerate(values):
        if value is None:
            return f"{key} is None in example {index}. Remove the column, or give every example a value."
        if (text := first_text(value)) is not None:
            return (
                f"{key} has the text {text[:30]!r} in example {index}, and a tensor holds numbers. Tokenise it, make "
                "numbers of it, or remove the column (Trainer does with remove_unused_columns=True)."
            )
        shapes.append(shape_of(value))
        if shapes[-1] is None:
            return f"{key} is nested unevenly in example {index}: a tensor needs rows of one length."
    for index, shape in enumerate(shapes):
        if advice is not None and shape != shapes[0]:
            return f"{key} has {_size(shapes[0])} in example 0 and {_size(shape)} in example {index}. {advice}"
    return None


def first_text(value: Any) -> str | None:
    """A text in a value or in the lists it is made of."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return next((text for part in value if (text := first_text(part)) is not None), None)
    return None


def shape_of(value: Any) -> tuple[int, ...] | None:
    """The shape of a number, nested lists or a tensor; None if they are uneven."""
    if not isinstance(value, (list, tuple)):
        return tuple(getattr(value, "shape", ()))
    shapes = {shape_of(part) for part in value}
    if len(shapes) > 1 or None in shapes:
        return None
    return (len(value), *next(iter(shapes), ()))  # type: ignore[misc]


def _size(shape: tuple[int, ...] | None) -> str:
    if not shape:
        return "a single value"
    return f"{shape[0]} values" if len(shape) == 1 else f"shape {shape}"


__all__ = ["first_text", "shape_of", "why_not"]
