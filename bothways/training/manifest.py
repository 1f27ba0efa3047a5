"""``bothways.json``: what a run read, did and measured, as data. Reports and cards are made from it, never typed."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import bothways
from bothways.checkpoints.weights import sha256_of
from bothways.resolver.adapters import ADAPTER_WEIGHTS

FORMAT = 1
LIBRARIES = ("torch", "tokenizers", "safetensors", "numpy", "scikit-learn")


def versions() -> dict[str, str]:
    """Versions of this library, Python and the libraries that results depend on."""
    found = {"bothways": bothways.__version__, "python": platform.python_version()}
    return found | {name: importlib.metadata.version(name) for name in LIBRARIES}


def unfinished_manifest(prepared: Any, settings: Any, precision: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What must be known of a run that has begun to train it again; the keys are those of ``bothways.json``.

    Args:
        prepared: the run, see ``Prepared``. settings: see ``FitSettings``.
        options: of the call that repeats it.
    """
    job, count = prepared.job, prepared.group.count
    steps = -(-len(prepared.training_set.features) // (settings.batch_size * count)) * settings.epochs
    return {
        "created": now(),
        "options": json_options(options),
        "model": prepared.model_facts,
        "data": {
            "files": list(prepared.files),
            "train": {"count": len(job.split.train), "sha256": job.digest(job.split.train)},
        },
        "settings": asdict(settings),
        "training": {"steps": steps, "precision": precision, "processes": count},
        "versions": versions(),
        "hardware": hardware(),
    }


def hardware() -> dict[str, Any]:
    """The machine, as far as speed depends on it."""
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def model_identity(name: str, directory: Path) -> dict[str, Any]:
    """The starting model: the name it was asked by, and the hash of its weights if they are one file."""
    return {"name": name, "sha256": weights_hash(directory)}


def weights_hash(directory: Path) -> str | None:
    """Of a model's weights, or of an adapter's; None if they are several files."""
    files = [directory / name for name in ("model.safetensors", ADAPTER_WEIGHTS)]
    return next((sha256_of(file) for file in files if file.is_file()), None)


def now() -> str:
    """UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def command_line(data: Sequence[str | os.PathLike[str]], options: dict[str, Any], verb: str = "train") -> str:
    """The command that repeats a run."""
    import shlex

    words = ["bothways", verb, *map(str, data)]
    for name, value in options.items():
        if value is True:
            words.append(f"--{name.replace('_', '-')}")
        elif isinstance(value, (list, tuple)):
            words += [word for item in value for word in (f"--{name.replace('_', '-')}", str(item))]
        elif value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def json_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON has them."""
    return {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in options.items()}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
