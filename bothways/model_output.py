"""The base of what models and generation return: values readable by attribute, by key and by position."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import fields
from typing import Any


class ModelOutput(OrderedDict[str, Any]):
    """Base of all outputs: ``output.logits``, ``output["logits"]``, ``output[0]``, ``output[:2]``, ``**output``.

    As in the ecosystem it is a dictionary of the fields that are present, and attributes and items stay the same.
    """

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if value is not None:
                super().__setitem__(field.name, value)

    def to_tuple(self) -> tuple[Any, ...]:
        """The present fields, in order."""
        return tuple(self.values())

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            if key not in self:
                raise KeyError(f"{type(self).__name__} has no {key!r} here. Present: {', '.join(self)}.")
            return super().__getitem__(key)
        return self.to_tuple()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in self and value is not None:
            super().__setitem__(name, value)

    def __reduce__(self) -> Any:
        return type(self), tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
