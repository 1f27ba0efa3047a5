"""Modules under the attribute names of the ecosystem's classes, where those of the house differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from bothways.families import Family


class OtherNames(nn.Module):
    """Lets programs read and replace ``model.vocab_projector`` of DistilBERT or ``model.predictions`` of ALBERT.

    ``Family.other_names`` says which module is meant. Only attributes have two names, parameters have one. Below such a
    module names are the house's: ALBERT's ``predictions.dense`` is ``predictions.transform.dense`` here. Without a
    second name are ALBERT's ``pooler`` (a linear layer there, ``pooler.dense`` here), ModernBERT's ``head``
    (``transform``) and ``drop`` (``dropout``), and activations and losses that are modules there.
    """

    family: ClassVar[Family]

    if TYPE_CHECKING:  # families differ in their modules

        def __getattr__(self, name: str) -> Any: ...

    else:

        def __getattr__(self, name: str) -> Any:
            """Called only where there is no plain attribute of that name."""
            try:
                return super().__getattr__(name)
            except AttributeError:
                path = _other_path(self, name)
                if path is None:
                    raise
                return self.get_submodule(path)

    def __setattr__(self, name: str, value: Any) -> None:
        """A module takes the place of the one that is meant, instead of standing unused beside it."""
        path = _other_path(self, name) if isinstance(value, nn.Module) else None
        if path is None:
            super().__setattr__(name, value)
        else:
            parent, _, own = path.rpartition(".")
            setattr(self.get_submodule(parent), own, value)


def _other_path(model: nn.Module, name: str) -> str | None:
    """The path in the house of a module under its other name; None where this model has no such module."""
    family = getattr(type(model), "family", None)
    path = None if family is None else family.other_names.get(name)
    if path is None:
        return None
    module: Any = model
    for part in path.split("."):
        module = module.__dict__.get("_modules", {}).get(part)
        if module is None:
            return None
    return path
