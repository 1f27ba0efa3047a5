"""Find models: a name or a path becomes a directory on this machine.

``resolve.py`` goes through the places in order; ``known.py`` lists the models that the library knows by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bothways.resolver.known import DEFAULT_MODEL as DEFAULT_MODEL
    from bothways.resolver.known import KNOWN_MODELS as KNOWN_MODELS
    from bothways.resolver.known import KnownModel as KnownModel
    from bothways.resolver.listing import ModelEntry as ModelEntry
    from bothways.resolver.listing import list_models as list_models
    from bothways.resolver.resolve import resolve_model as resolve_model
    from bothways.resolver.store import store_directory as store_directory
    from bothways.resolver.store import store_model as store_model

_MODULE_OF = {
    "DEFAULT_MODEL": "known",
    "KNOWN_MODELS": "known",
    "KnownModel": "known",
    "ModelEntry": "listing",
    "list_models": "listing",
    "resolve_model": "resolve",
    "store_directory": "store",
    "store_model": "store",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    """Load a public name at its first use (PEP 562): importing this package costs next to nothing."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
