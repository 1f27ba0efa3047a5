"""Where a result may be put: checked before any work, because it replaces what is there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from bothways.directories import LONGEST_NAME
from bothways.errors import ModelNotFoundError, UsageError
from bothways.files import read_json
from bothways.resolver.adapters import find_encoder, is_adapter

MANIFEST = "bothways.json"
MODEL, TOKENIZER = "model", "tokeniser"
TOKENIZER_COMMAND = "bothways tokenizer train"
"""Which its manifest names."""


def check_output(directory: Path, inputs: Sequence[Path] = (), *, makes: str = MODEL) -> None:
    """Refuse, before any work, a place where the result could not be put, or where it would replace other things.

    Args:
        directory: where the result is to be.
        inputs: files that are read; none may lie in the directory.
        makes: what the result is; one of another kind is not replaced.

    Raises:
        UsageError: a file, a directory with things that no run wrote or with a result of another kind, or one that
            cannot be written.
    """
    what = f"--output {directory}"
    parent = _existing_parent(directory)
    for found in (directory, parent):
        if found.exists() and not found.is_dir():  # devices and named pipes are no files to Python
            raise UsageError(f"{what}: {found} is a file; give a directory for the model.")
    if len(os.fsencode(directory.name)) > LONGEST_NAME:
        raise UsageError(f"{what}: the name has {len(os.fsencode(directory.name))} bytes; at most {LONGEST_NAME} fit.")
    if directory.is_dir():
        _check_existing(directory, what, inputs, makes)
        parent = directory.parent
    try:
        os.rmdir(tempfile.mkdtemp(dir=parent, prefix=".bothways-"))
    except OSError as problem:
        raise UsageError(f"{what}: cannot write in {parent} ({problem.strerror}). Choose another directory.") from None


def check_encoder_stays(directory: Path, model: str | os.PathLike[str] | None, lora: int | None) -> None:
    """Refuse an output in which an adapter would replace the encoder that it needs.

    Raises:
        UsageError: ``directory`` is that encoder.
    """
    if lora is None or model is None or not os.path.isdir(model):
        return
    encoder = Path(model)
    if is_adapter(encoder):
        try:
            encoder = find_encoder(encoder, local_files_only=True)
        except ModelNotFoundError:  # it will be downloaded, and so lies elsewhere
            return
    if encoder.resolve() == directory.resolve():
        raise UsageError(
            f"--output {directory} is the encoder that the adapter needs, and would be replaced by it. Give another."
        )


def _check_existing(directory: Path, what: str, inputs: Sequence[Path], makes: str) -> None:
    if directory == Path.cwd():
        raise UsageError(f"{what} is the current directory, which cannot be replaced; give a new one inside it.")
    if os.path.ismount(directory):
        raise UsageError(f"{what} is a mount point, which cannot be replaced; give a directory inside it.")
    names = {path.name for path in directory.iterdir()}
    if names and MANIFEST not in names:
        raise UsageError(
            f"{what} is not empty ({_some(names)}) and not an earlier result (no {MANIFEST}). Choose a new directory."
        )
    inside = [path for path in inputs if directory in path.resolve().parents]
    manifest = read_json(directory / MANIFEST, error=UsageError) if names else {}
    has = TOKENIZER if manifest.get("made_by") == TOKENIZER_COMMAND else MODEL
    if names and has != makes:
        raise UsageError(f"{what} has a {has}, which a {makes} would replace. Choose a new directory.")
    own = set(manifest.get("files", ()))
    foreign = {path.name for path in inside} | (names - own - {MANIFEST})
    if foreign:
        raise UsageError(
            f"{what} is an earlier result, but {_some(foreign)} in it is not from that run and would be lost. "
            "Move it away, or choose a new directory."
        )


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:4]) + (f" and {len(ordered) - 4} more" if len(ordered) > 4 else "")


def _existing_parent(directory: Path) -> Path:
    """The nearest parent that is there, be it a directory or not."""
    return next(parent for parent in directory.parents if parent.exists())
