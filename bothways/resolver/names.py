"""What names may look like: in the store, on the hub, and of the files inside a model directory."""

from __future__ import annotations

import re

MODEL_FILE_SUFFIXES = (".json", ".txt", ".model", ".safetensors")
"""Data only. No pickles and no Python files: nothing that could run."""

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_HUB_WEIGHTS = re.compile(r"(adapter_)?model(-\d+-of-\d+)?\.safetensors")


def store_key(name: str) -> str | None:
    """Directory name in the store: ``org/name`` becomes ``org--name``. None if the store cannot hold such a name."""
    parts = name.split("/")
    if len(parts) > 2 or ".." in name or not all(_PART.fullmatch(part) for part in parts):
        return None
    return "--".join(parts)


def is_hub_id(name: str) -> bool:
    """Whether the hub could have a repository of this name (``name`` or ``owner/name``, at most 96 characters)."""
    return (
        store_key(name) is not None and len(name) <= 96 and "--" not in name and not name.endswith((".", "-", ".git"))
    )


def looks_like_path(name: str) -> bool:
    """Whether a string can only be a path: ``./x``, ``../x``, ``/x``, ``~/x``, ``C:\\x``, ``a/b/c``, ``x/``."""
    parts = name.split("/")
    return (
        name.startswith("~")
        or "\\" in name
        or re.match(r"[A-Za-z]:", name) is not None
        or len(parts) > 2
        or any(part in ("", ".", "..") for part in parts)
    )


def is_model_file(name: str) -> bool:
    """Whether a bare file name belongs to a model: safe on every system and one of ``MODEL_FILE_SUFFIXES``."""
    return _PART.fullmatch(name) is not None and name.lower().endswith(MODEL_FILE_SUFFIXES)


def is_wanted_from_hub(path: str) -> bool:
    """Whether a file of a hub repository is downloaded: top level only, and no second copy of the weights."""
    return is_model_file(path) and (not path.endswith(".safetensors") or _HUB_WEIGHTS.fullmatch(path) is not None)
