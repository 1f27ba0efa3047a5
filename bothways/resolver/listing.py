"""The models on this machine, and those that can be had."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from bothways.resolver.box import BoxModel, box_models, read_card
from bothways.resolver.known import KnownModel, find_known, known_models
from bothways.resolver.packages import directory_of, offered_models
from bothways.resolver.request import Request
from bothways.resolver.resolve import LOCAL_PLACES, search
from bothways.resolver.store import store_directory, stored_names

Where = Literal["box", "store", "package", "hub cache", "can be downloaded"]


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """One line of ``bothways models``."""

    name: str
    where: Where
    path: Path | None
    """None if the model is not on this machine."""
    size_bytes: int
    """Of the files on this machine, else of the weights to download."""
    parameters: int | None
    """None if the library does not know the model."""
    licence: str
    """Empty if unknown."""
    description: str
    score: str = ""
    """The main score of a model in the box, with its data."""


def list_models() -> list[ModelEntry]:
    """The known models first, then those in the box, in the store, in installed packages and in the hub's cache.

    No network is used.
    """
    entries = [_known_entry(known) for known in known_models()]
    entries += [_box_entry(model, model.path) for model in box_models() if model.path is not None]
    seen = {entry.path for entry in entries}
    for name, where, path in _other_models():
        if path not in seen and find_known(name) is None:
            seen.add(path)
            entries.append(_other_entry(name, where, path))
    return entries


def _known_entry(known: KnownModel) -> ModelEntry:
    found = search(Request(name=known.name, known=known, no_network="only listing"), LOCAL_PLACES)
    return ModelEntry(
        name=known.name,
        where="can be downloaded" if found.place is None else cast(Where, found.place.where),
        path=found.path,
        size_bytes=known.size_bytes if found.path is None else _size_bytes(found.path),
        parameters=known.parameters,
        licence=known.licence,
        description=known.description,
    )


def _box_entry(model: BoxModel, path: Path) -> ModelEntry:
    return ModelEntry(
        name=model.name,
        where="box",
        path=path,
        size_bytes=_size_bytes(path),
        parameters=None,
        licence=str(read_card(model).get("licence", "")),
        description=model.description,
        score=model.main_score(),
    )


def _other_models() -> Iterator[tuple[str, Where, Path]]:
    for name in stored_names():
        yield name.replace("--", "/", 1), "store", store_directory() / name
    for name, value in offered_models():
        directory = directory_of(value)
        if directory is not None:
            yield name, "package", directory
    yield from _hub_cache_models()


def _hub_cache_models() -> Iterator[tuple[str, Where, Path]]:
    """Snapshots with a configuration; ``models--owner--name/{refs/main,snapshots/<commit>/}`` is the hub's layout."""
    from huggingface_hub.constants import HF_HUB_CACHE

    for repository in sorted(Path(HF_HUB_CACHE).glob("models--*")):
        try:
            commit = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            continue
        snapshot = repository / "snapshots" / os.path.basename(commit)
        if commit and (snapshot / "config.json").is_file():
            yield repository.name.removeprefix("models--").replace("--", "/", 1), "hub cache", snapshot


def _other_entry(name: str, where: Where, path: Path) -> ModelEntry:
    return ModelEntry(
        name=name,
        where=where,
        path=path,
        size_bytes=_size_bytes(path),
        parameters=None,
        licence="",
        description=_describe(path),
    )


def _describe(directory: Path) -> str:
    from bothways.errors import BothwaysError
    from bothways.files import read_json

    try:
        config = read_json(directory / "config.json")
    except (BothwaysError, OSError):
        return "no readable config.json"
    model_type = config.get("model_type") if isinstance(config, dict) else None
    return f"{model_type} checkpoint" if isinstance(model_type, str) else "config.json without model_type"


def _size_bytes(directory: Path) -> int:
    total = 0
    for path in directory.iterdir():
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
