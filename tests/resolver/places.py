"""A small published model, and the places where it can be, as other programs leave them."""

import hashlib
import importlib
import json
import zipfile
from pathlib import Path

from bothways.resolver.known import KnownModel

WEIGHTS = bytes(range(256)) * 20  # 5,120 bytes
CONFIG = json.dumps({"model_type": "bert"}).encode()

TINY = KnownModel(
    name="tiny-model",
    aliases=("org/Tiny-Model", "Tiny"),
    hub_id="org/Tiny-Model",
    package="tiny-model-wheel==1.0",
    package_directory="tiny_model_wheel/model",
    sha256=hashlib.sha256(WEIGHTS).hexdigest(),
    size_bytes=len(WEIGHTS),
    parameters=1280,
    licence="Apache-2.0",
    description="for tests",
)


def make_model(directory: Path, weights: bytes = WEIGHTS) -> Path:
    directory.mkdir(parents=True)
    (directory / "config.json").write_bytes(CONFIG)
    (directory / "model.safetensors").write_bytes(weights)
    (directory / "vocab.txt").write_text("[PAD]\n")
    return directory


def make_wheel(directory: Path, weights: bytes = WEIGHTS, extra: dict[str, bytes] | None = None) -> Path:
    path = directory / "tiny_model_wheel-1.0-py3-none-any.whl"
    info = "tiny_model_wheel-1.0.dist-info"
    members = {
        "tiny_model_wheel/__init__.py": b"raise SystemExit('a model package was run')\n",
        "tiny_model_wheel/model/config.json": CONFIG,
        "tiny_model_wheel/model/model.safetensors": weights,
        "tiny_model_wheel/model/vocab.txt": b"[PAD]\n",
        "tiny_model_wheel/model/pytorch_model.bin": b"a pickle",
        "tiny_model_wheel/model/modeling.py": b"raise SystemExit",
        "tiny_model_wheel/model/1_Pooling/config.json": b"{}",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-model-wheel\nVersion: 1.0\nRequires-Dist: not-there\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **(extra or {}),
    }
    members[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in members).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def make_snapshot(cache: Path, hub_id: str, weights: bytes | None = WEIGHTS) -> Path:
    """The layout of huggingface_hub: refs name a commit; snapshots are links to blobs."""
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = repository / "snapshots" / commit
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    files = {"config.json": CONFIG, **({} if weights is None else {"model.safetensors": weights})}
    for name, content in files.items():
        blob = repository / "blobs" / hashlib.sha1(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name).symlink_to(blob)
    return snapshot


def install_package(
    site: Path, name: str, entry_points: dict[str, str], directories: tuple[str, ...], weights: bytes = WEIGHTS
) -> None:
    """A distribution as pip leaves it, whose code ends the program if it is ever run."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{point} = {value}" for point, value in entry_points.items()]
    (info / "entry_points.txt").write_text("[bothways.models]\n" + "\n".join(lines) + "\n")
    for directory in directories:
        make_model(site / directory, weights)
        folder = (site / directory).parent
        while folder != site:
            (folder / "__init__.py").write_text("raise SystemExit('a model package was run')\n")
            folder = folder.parent
    importlib.invalidate_caches()
