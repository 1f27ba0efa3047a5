"""Adapter directories: a few trained matrices, and the name of the encoder that they belong to.

The files have the names and the format of the ecosystem's library for adapters (peft).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bothways.errors import CheckpointError, ModelNotFoundError
from bothways.files import read_json
from bothways.resolver.resolve import resolve_model
from bothways.resolver.verify import weights_sha256

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
HASH_FIELD = "base_model_sha256"
"""Key of the encoder's hash in ``auto_mapping``, the one open object of the format: other readers stay silent."""

WHOLE_MODELS = (
    *("model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
_TOKENIZER_FILES = (
    *("tokenizer_config.json", "tokenizer.json", "vocab.txt", "vocab.json"),
    *("spiece.model", "sentencepiece.bpe.model"),
)
_MOST_CHARACTERS = 1_000


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """What an adapter says of its encoder."""

    name: str
    """A model name or a path, as recorded."""
    sha256: str | None
    """Of its ``model.safetensors``; None if nobody recorded it."""


def is_adapter(directory: Path) -> bool:
    """Whether a directory holds an adapter and no whole model."""
    return (directory / ADAPTER_CONFIG).is_file() and not any((directory / name).exists() for name in WHOLE_MODELS)


def adapter_settings(directory: Path) -> dict[str, Any]:
    """The JSON object in ``adapter_config.json``."""
    path = directory / ADAPTER_CONFIG
    values = read_json(path, error=CheckpointError)
    if not isinstance(values, dict):
        raise CheckpointError(
            f"{path} holds a {type(values).__name__}, expected an object with the adapter's settings."
        )
    return values


def recorded_encoder(directory: Path) -> Encoder:
    """Which encoder an adapter belongs to.

    Raises:
        CheckpointError: no name or an impossible one, or a hash that is none.
    """
    path, values = directory / ADAPTER_CONFIG, adapter_settings(directory)
    name = values.get("base_model_name_or_path")
    if not isinstance(name, str) or not name or len(name) > _MOST_CHARACTERS or not name.isprintable():
        raise CheckpointError(
            f"{path}: base_model_name_or_path is {name!r:.60}, expected the name or the directory of an encoder."
        )
    mapping = values.get("auto_mapping")
    sha256 = mapping.get(HASH_FIELD) if isinstance(mapping, dict) else None
    if sha256 is not None and not (isinstance(sha256, str) and re.fullmatch(r"[0-9a-f]{64}", sha256)):
        raise CheckpointError(f"{path}: {HASH_FIELD} is {sha256!r:.80}, expected 64 hexadecimal digits.")
    return Encoder(name=name, sha256=sha256)


def find_encoder(directory: Path, **routes: Any) -> Path:
    """The directory of an adapter's encoder.

    A path may be absolute, or relative to the adapter: inside its directory or beside it (``../encoder``). Anything
    else is a name, looked up as ``resolve_model`` does.

    Args:
        directory: of the adapter.
        **routes: ``token``, ``local_files_only`` and ``cache_dir``, as for ``resolve_model``.

    Raises:
        CheckpointError: a path that leads elsewhere, or to another adapter.
        ModelNotFoundError: there is no such encoder; the message says where it was looked for.
    """
    return encoder_named(recorded_encoder(directory).name, directory, **routes)


def encoder_named(name: str, directory: Path, **routes: Any) -> Path:
    """As ``find_encoder``, for an adapter in ``directory`` that would record ``name``."""
    _check_path(directory, name)
    if (directory / name).is_dir():
        found = directory / name  # of an absolute path, that path
    else:
        try:
            found = resolve_model(name, **routes)
        except ModelNotFoundError as problem:
            raise ModelNotFoundError(f"{directory} is an adapter for the encoder {name!r}. {problem}") from None
    if is_adapter(found):
        raise CheckpointError(
            f"{directory} is an adapter for {found}, which is an adapter itself; a whole encoder is expected."
        )
    return found


def check_encoder(directory: Path, encoder: Path) -> None:
    """Compare the weights of the encoder that was found with the recorded hash, if there is one.

    Raises:
        CheckpointError: they are of another encoder; the message has both hashes.
    """
    recorded = recorded_encoder(directory)
    if recorded.sha256 is None:
        return
    found = weights_sha256(encoder)
    if found != recorded.sha256:
        raise CheckpointError(
            f"{directory} was trained on the encoder {recorded.name!r} with sha256 {recorded.sha256}, but {encoder} "
            f"holds {'no model.safetensors' if found is None else f'weights with sha256 {found}'}. Put the right "
            f"encoder there, or name its directory as base_model_name_or_path in {directory / ADAPTER_CONFIG}."
        )


def tokenizer_directory(directory: Path, **routes: Any) -> Path:
    """Where the tokeniser of a model is: for an adapter without one of its own, the encoder's directory."""
    if not is_adapter(directory) or any((directory / name).is_file() for name in _TOKENIZER_FILES):
        return directory
    return find_encoder(directory, **routes)


def _check_path(directory: Path, name: str) -> None:
    """Refuse what would ask another machine or a home directory, and relative paths that climb too high."""
    if name.startswith(("~", "//", "\\\\")):
        raise CheckpointError(
            f"{directory / ADAPTER_CONFIG}: base_model_name_or_path is {name!r}; expected a model name, an absolute "
            "path, or one relative to the adapter."
        )
    home = directory.resolve()
    if ".." in Path(name).parts and not (home / name).resolve().is_relative_to(home.parent):
        raise CheckpointError(
            f"{directory / ADAPTER_CONFIG}: base_model_name_or_path is {name!r}, which leads out of {home.parent}; a "
            "relative path may lead into the adapter's directory or beside it."
        )
