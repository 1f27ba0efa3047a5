"""The checkpoints of a run: each is whole and proved by hashes, or it is passed over with a reason.

``checkpoint-<step>`` is a directory with ``checkpoint.json``, which lists bytes and SHA-256 of every other file in it.
It is written beside its place, flushed and renamed, so a process that is killed leaves the checkpoints it had. Damage
that comes later (a full disk of a copy, a bad sector, an editor) is seen before a run goes on from it.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bothways.checkpoints.weights import check_bare_name, sha256_of
from bothways.directories import publishing, remove_directory, sweep
from bothways.errors import CheckpointError, UsageError
from bothways.files import read_json, write_json

MANIFEST = "checkpoint.json"
FORMAT = 1
MAX_FILES = 10_000
MAX_STEP = 10**18

_NAME = re.compile(r"checkpoint-(0|[1-9]\d{0,17})")
_FOREIGN = ("optimizer.pt", "optimizer.bin", "scheduler.pt", "rng_state.pth", "training_args.bin")  # never ours
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN = 3  # problems of one checkpoint that are told


@dataclass(frozen=True, kw_only=True)
class Found:
    """The newest checkpoint that can be trusted.

    Attributes:
        manifest: ``checkpoint.json``: ``format``, ``step``, ``number`` (which rises with each that is saved) and
            ``files``, name → ``bytes`` and ``sha256``.
        skipped: (name, reason) of the newer ones that cannot, newest first.
    """

    path: Path
    step: int
    manifest: dict[str, Any]
    skipped: tuple[tuple[str, str], ...]


class CheckpointStore:
    """``checkpoint-<step>`` directories in the directory of one run.

    One process at a time writes: hold a ``RunLock`` meanwhile. What killed processes left is swept away here.

    Args:
        directory: of the run; made by the first ``save``.
        keep: how many ``prune`` leaves; None leaves all.
    """

    def __init__(self, directory: str | os.PathLike[str], *, keep: int | None = None) -> None:
        self.directory = Path(directory)
        self.keep = keep
        if keep is not None and keep < 1:
            raise UsageError(f"{keep} checkpoints are to be kept; at least 1 is needed to go on from.")
        if self.directory.exists() and not self.directory.is_dir():
            raise UsageError(f"{self.directory} is a file; a directory for checkpoints is expected.")
        self._proved: set[int] = set()  # steps whose files this object has written or read and found right
        sweep(self.directory, lambda name: _step_of(name) is not None)

    def save(self, step: int, write: Callable[[Path], None]) -> Path:
        """Make ``checkpoint-<step>``, whole or not at all; one of that step that is there is replaced.

        A directory of that name by another program is no checkpoint of ours to replace: it is renamed, and stays.

        Args:
            write: puts the files into the directory it is given.

        Raises:
            CheckpointError: the files could not be written, or there are none; earlier checkpoints are unchanged.
        """
        if not 0 <= step < MAX_STEP:
            raise UsageError(f"The step {step} cannot name a checkpoint; 0 to {MAX_STEP - 1:,} can.")
        target = self.directory / f"checkpoint-{step}"
        written = 0
        try:
            with publishing(target) as temporary:
                try:
                    write(temporary)
                    number = 1 + max((self._number(other) or 0 for other in self.steps()), default=0)
                    write_json(temporary / MANIFEST, _manifest(temporary, step, number))
                finally:
                    written = sum(path.stat().st_size for path in _files(temporary))
                if not _is_ours(target):
                    _set_aside(target)
        except OSError as problem:
            raise self._not_written(target, problem, written) from problem
        except CheckpointError as problem:
            if not isinstance(problem.__cause__, OSError):
                raise
            raise self._not_written(target, problem.__cause__, written) from problem
        self._proved.add(step)
        return target

    def steps(self) -> tuple[int, ...]:
        """The steps of all directories with such a name, ascending; what is in them is not looked at.

        Raises:
            CheckpointError: the directory cannot be read. To say "none" would let a run begin from the start.
        """
        try:
            found = [_step_of(name) for name in os.listdir(self.directory)]
        except FileNotFoundError:
            return ()
        except OSError as problem:
            raise CheckpointError(
                f"The checkpoints in {self.directory} cannot be listed: {problem.strerror or problem}."
            ) from problem
        return tuple(sorted(step for step in found if step is not None))

    def newest(self, at_most: int | None = None) -> Found | None:
        """The checkpoint saved last that verifies completely, up to the step ``at_most``; None if there is none."""
        skipped: list[tuple[str, str]] = []
        for step in reversed(self._by_age()):
            if at_most is not None and step > at_most:
                continue
            path = self.directory / f"checkpoint-{step}"
            try:
                manifest = _checked(path)
            except CheckpointError as problem:
                skipped.append((path.name, _reason(problem)))
            else:
                self._proved.add(step)
                return Found(path=path, step=step, manifest=manifest, skipped=tuple(skipped))
        return None

    def problems(self) -> tuple[tuple[str, str], ...]:
        """(name, reason) of every checkpoint that does not verify, newest first."""
        found = []
        for step in reversed(self._by_age()):
            try:
                _checked(self.directory / f"checkpoint-{step}")
            except CheckpointError as problem:
                found.append((f"checkpoint-{step}", _reason(problem)))
        return tuple(found)

    def verify(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Read and compare every file of a checkpoint, wherever it lies.

        Returns:
            Its manifest.

        Raises:
            CheckpointError: it is not whole, was changed, or is of another program.
        """
        try:
            return _checked(Path(path))
        except CheckpointError as problem:
            raise CheckpointError(f"{path} cannot be trusted: {_reason(problem)}.") from None

    def prune(self, protected: Iterable[int] = (), *, keep: int | None = None) -> tuple[int, ...]:
        """Remove all but the newest ``keep`` checkpoints that verify, and those of the steps ``protected``.

        Damaged ones do not count towards ``keep``. Directories by other programs are never removed.

        Args:
            keep: in place of the store's; 0 leaves the protected ones only.

        Returns:
            The steps that were removed.

        Raises:
            CheckpointError: one could not be removed; it is still whole.
        """
        kept = set(protected)
        removed = []
        n_good = 0
        keep = self.keep if keep is None else keep
        for step in reversed(self._by_age() if keep is not None else []):
            path = self.directory / f"checkpoint-{step}"
            if n_good < (keep or 0):
                n_good += self._is_good(step)
            elif step not in kept and self._removed(path):
                self._proved.discard(step)
                removed.append(step)
        return tuple(removed)

    def _by_age(self) -> list[int]:
        """The steps in the order in which they were saved, which is not theirs where a run began anew in the place of
        an earlier one. Those that do not tell come last, to be looked at first."""
        return sorted(self.steps(), key=lambda step: (self._number(step) or math.inf, step))

    def _number(self, step: int) -> int | None:
        try:
            return _read_manifest(self.directory / f"checkpoint-{step}")["number"]
        except CheckpointError:
            return None

    def _removed(self, path: Path) -> bool:
        try:
            if ours := _is_ours(path):
                remove_directory(path)
        except OSError as problem:
            raise CheckpointError(f"{path} could not be removed: {problem.strerror or problem}.") from problem
        return ours

    def _is_good(self, step: int) -> bool:
        if step not in self._proved:
            try:
                _checked(self.directory / f"checkpoint-{step}")
            except CheckpointError:
                return False
            self._proved.add(step)
        return True

    def _not_written(self, target: Path, problem: OSError, written: int) -> CheckpointError:
        """What happened, how much room was needed, and what can be gone on from."""
        place = next(path for path in (self.directory, *self.directory.absolute().parents) if path.exists())
        free = shutil.disk_usage(place).free
        try:
            good = self.newest()
        except CheckpointError:  # the same trouble
            good = None
        if good:
            size = sum(record["bytes"] for record in good.manifest["files"].values())
            rest = f"The last good one is {good.path.name} of {size:,} bytes; a new start goes on from it."
        else:
            rest = "No earlier one can be read."
        return CheckpointError(
            f"{target} could not be written: {problem.strerror or problem}. {written:,} bytes of it were there when "
            f"that happened, so it needs more than that; without it {free:,} bytes are free on the disk. {rest}"
        )


def _step_of(name: str) -> int | None:
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file() and path != directory / MANIFEST)


def _is_ours(path: Path) -> bool:
    """Whether nothing is lost that another program wrote: a whole directory here always has its manifest."""
    return not os.path.lexists(path) or (path / MANIFEST).is_file()


def _set_aside(path: Path) -> None:
    for number in range(1, 1000):
        aside = path.with_name(f"{path.name}.foreign-{number}")
        if not os.path.lexists(aside):
            os.rename(path, aside)
            return


def _manifest(directory: Path, step: int, number: int) -> dict[str, Any]:
    files = _files(directory)
    names = [path.relative_to(directory).as_posix() for path in files]
    records = [
        {"bytes": path.stat().st_size, "sha256": digest} for path, digest in zip(files, _hashes(files), strict=True)
    ]
    manifest = {"format": FORMAT, "step": step, "number": number, "files": dict(zip(names, records, strict=True))}
    _check_records(manifest["files"])  # what could not be read must not be written
    return manifest


def _hashes(files: Iterable[Path]) -> list[str]:
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:  # hashlib lets other threads run
        return list(pool.map(sha256_of, files))


def _checked(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint all of whose files are what it says.

    Raises:
        CheckpointError: the reason alone, as the end of a sentence.
    """
    try:
        manifest = _read_manifest(path)
        _check_records(manifest["files"])
        problems = _size_problems(path, manifest["files"]) or _content_problems(path, manifest["files"])
    except OSError as problem:
        raise CheckpointError(f"it cannot be read ({problem.strerror or problem})") from problem
    if problems:
        more = f", and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise CheckpointError("; ".join(problems[:_SHOWN]) + more)
    return manifest


def _reason(problem: CheckpointError) -> str:
    return str(problem).rstrip(".")


def _size_problems(path: Path, records: Mapping[str, Any]) -> list[str]:
    problems = []
    for name, record in records.items():
        if not (path / name).is_file():
            problems.append(f"{name} is missing")
            continue
        size = (path / name).stat().st_size
        if size != record["bytes"]:
            how = "cut off" if size < record["bytes"] else "something was added"
            problems.append(f"{name} has {size:,} bytes, {record['bytes']:,} were written: {how}")
    return problems


def _content_problems(path: Path, records: Mapping[str, Any]) -> list[str]:
    return [
        f"the content of {name} is not what was written (sha256 {found[:12]}…, not {record['sha256'][:12]}…)"
        for (name, record), found in zip(records.items(), _hashes(path / name for name in records), strict=True)
        if found != record["sha256"]
    ]


def _read_manifest(path: Path) -> dict[str, Any]:
    """``checkpoint.json``, well-formed."""
    if not path.is_dir():
        raise CheckpointError("it is not a directory")
    if not os.path.lexists(path / MANIFEST):
        foreign = [name for name in _FOREIGN if (path / name).exists()]
        if foreign:
            raise CheckpointError(
                f"it was written by another program ({foreign[0]} is a pickle, which is not opened); only its weights "
                "can be read, as those of a model directory"
            )
        raise CheckpointError(f"it has no {MANIFEST}, without which its files cannot be proved")
    try:
        value = read_json(path / MANIFEST, error=CheckpointError)
    except CheckpointError as problem:
        raise CheckpointError(str(problem).removeprefix(f"{path}{os.sep}")) from None
    if not isinstance(value, dict) or set(value) != {"format", "step", "number", "files"}:
        raise CheckpointError(f"{MANIFEST} is damaged: it has not the keys format, step, number and files")
    if value["format"] != FORMAT:
        raise CheckpointError(f"{MANIFEST} has the format {str(value['format'])[:20]}; this version reads {FORMAT}")
    step = value["step"]
    if type(step) is not int or _step_of(path.name) not in (None, step):
        raise CheckpointError(f"{MANIFEST} says step {str(step)[:20]}, which is not that of the name {path.name}")
    if type(value["number"]) is not int or value["number"] < 1:
        raise CheckpointError(f"{MANIFEST} says number {str(value['number'])[:20]}; checkpoints are numbered from 1")
    return value


def _check_records(records: Any) -> None:
    if not isinstance(records, dict) or not 0 < len(records) <= MAX_FILES:
        raise CheckpointError(f"{MANIFEST} is damaged: it does not list 1 to {MAX_FILES:,} files")
    for name, record in records.items():
        for part in name.split("/"):
            check_bare_name(part, MANIFEST)
        if not isinstance(record, dict) or set(record) != {"bytes", "sha256"}:
            raise CheckpointError(f"{MANIFEST} is damaged: {name} has not the keys bytes and sha256")
        size, digest = record["bytes"], record["sha256"]
        if type(size) is not int or size < 0 or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise CheckpointError(f"{MANIFEST} is damaged: the bytes or the sha256 of {name} are none")
