"""The directory of shards before, while and after they are made: what may lie in it, and which work it belongs to.

``<directory>/unfinished`` holds the plan, the parts that are done, and what is known of the files that were read to
their end. The manifest comes last, and then ``unfinished`` goes: a directory without a manifest is no corpus.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bothways.corpus.manifest import (
    DOCUMENTS,
    MANIFEST,
    SENTENCES,
    TOKENIZER,
    UNFINISHED,
    Manifest,
    Source,
    read_manifest,
)
from bothways.corpus.sources import LONGEST, PART_CHARACTERS, PART_DOCUMENTS, Reading, SourceFile, changed
from bothways.errors import DataError, UsageError
from bothways.files import read_json, write_json

_OWN = re.compile(rf"{re.escape(DOCUMENTS)}|{re.escape(SENTENCES)}|{TOKENIZER}|tokens-\d{{5,}}\.bin|\..+\.(?:tmp|old)")
_PLAN = "plan.json"
_VERSION = 1  # of what parts hold; parts of another version are not gone on with


def check_directory(directory: Path) -> bool:
    """Whether finished shards lie there.

    Raises:
        UsageError: it is a file, or holds other things.
    """
    parent = next(p for p in (directory, *directory.absolute().parents) if p.exists())
    if not parent.is_dir():
        raise UsageError(f"{parent} is a file; expected a directory for the shards. Choose another place.")
    names = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
    foreign = sorted(n for n in names - {MANIFEST, UNFINISHED} if not _OWN.fullmatch(n))
    shards = sorted(n for n in names - {MANIFEST, UNFINISHED} if _OWN.fullmatch(n))
    if foreign:
        raise UsageError(f"{directory} holds other things ({_some(foreign)}). Choose a new directory for the shards.")
    if shards and not names & {MANIFEST, UNFINISHED}:
        raise UsageError(
            f"{directory} holds shards without a manifest ({_some(shards)}). Delete them, or choose a new directory."
        )
    return MANIFEST in names


def check_finished(directory: Path, wanted: dict[str, Any], files: Sequence[SourceFile]) -> Manifest:
    """The manifest of finished shards that the same command made.

    Args:
        wanted: settings and tokeniser, as ``settings`` gives them.

    Raises:
        UsageError: another command made them.
    """
    manifest = read_manifest(directory)
    made = {**manifest.settings, "tokenizer": manifest.tokenizer_sha256}
    differences = _differences(made, wanted)
    sources = [(source.name, source.n_bytes, source.sha256) for source in manifest.sources]
    if sources != [(file.source.name, file.source.n_bytes, file.source.sha256) for file in files]:
        differences.append("they were made from other files")
    if differences:
        raise UsageError(
            f"{directory} holds finished shards of another command: {'; '.join(differences)}. Choose another "
            "directory, or delete it."
        )
    shutil.rmtree(directory / UNFINISHED, ignore_errors=True)  # a process may have been killed before this
    return manifest


def begin(directory: Path, wanted: dict[str, Any], files: Sequence[SourceFile]) -> Path:
    """The directory of the work, new or gone on with.

    Args:
        wanted: what the parts depend on.

    Raises:
        UsageError: what lies there belongs to another command.
        DataError: a file has changed since.
    """
    work = directory / UNFINISHED
    plan = {
        "version": _VERSION,
        "settings": {**wanted, "longest": LONGEST, "part": [PART_CHARACTERS, PART_DOCUMENTS]},
        "sources": [asdict(file.source) for file in files],
    }
    work.mkdir(parents=True, exist_ok=True)
    if (work / _PLAN).is_file() and next(work.glob("part-*"), None):
        _check_plan(work, plan, files)
    else:  # new, or nothing was done yet that another plan could spoil: its first file was refused, say
        for leftover in work.glob("source-*"):
            _remove(leftover)
        write_json(work / _PLAN, plan)
    for leftover in [*work.glob(".*.tmp"), *directory.glob(".*.tmp")]:  # of processes that were killed
        _remove(leftover)
    return work


def clear_shards(directory: Path) -> None:
    """Remove shards of an earlier attempt that no manifest names."""
    for path in directory.iterdir():
        if _OWN.fullmatch(path.name):
            _remove(path)


def finish(directory: Path) -> None:
    """Remove what only unfinished work needs."""
    shutil.rmtree(directory / UNFINISHED, ignore_errors=True)


def part_path(work: Path, source: int, number: int) -> Path:
    return work / f"part-{source:05d}-{number:06d}.npz"


def write_record(work: Path, number: int, source: Source, parts: int) -> None:
    """Note that a file was read to its end and that all of its parts are done."""
    write_json(_record_path(work, number), {"parts": parts, "source": asdict(source)})


def read_record(work: Path, number: int) -> tuple[Source, int] | None:
    """What is known of a file that was read to its end, and its number of parts; None if one of these is not there."""
    path = _record_path(work, number)
    if not path.is_file():
        return None
    content = read_json(path, error=DataError)
    if not all(part_path(work, number, part).is_file() for part in range(content["parts"])):
        return None
    return Source(**content["source"]), content["parts"]


def settings(reading: Reading, keep_duplicates: bool, shard_tokens: int) -> dict[str, Any]:
    """What the manifest says of the way from files to shards."""
    return {**asdict(reading), "keep_duplicates": keep_duplicates, "shard_tokens": shard_tokens}


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _record_path(work: Path, number: int) -> Path:
    return work / f"source-{number:05d}.json"


def _check_plan(work: Path, plan: dict[str, Any], files: Sequence[SourceFile]) -> None:
    found = read_json(work / _PLAN, error=DataError)
    if not isinstance(found, dict) or found.get("version") != _VERSION:
        raise DataError(f"{work} is of another version of this program. Delete it to begin anew.")
    differences = _differences(found["settings"], plan["settings"])
    names, now = ([source["name"] for source in p["sources"]] for p in (found, plan))
    if names != now:
        differences.append(f"its files were {_some(names)} and are now {_some(now)}")
    if differences:
        raise UsageError(
            f"{work.parent} holds unfinished shards of another command: {'; '.join(differences)}. Give that command "
            f"again, choose another directory, or delete {work} to begin anew."
        )
    for before, after, file in zip(found["sources"], plan["sources"], files, strict=True):
        if before["sha256"] != after["sha256"]:
            sizes = f"{before['n_bytes']:,} bytes then, {after['n_bytes']:,} now"
            problem = changed(file.path, f"since the unfinished run began ({sizes})")
            raise DataError(f"{problem} Give the old file back, or delete {work} to begin anew.")


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [
        f"{name} was {_short(before.get(name))} and is now {_short(after[name])}"
        for name in after
        if before.get(name) != after[name]
    ]


def _short(value: Any) -> str:
    return f"{value[:12]}…" if isinstance(value, str) and len(value) == 64 else repr(value)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
