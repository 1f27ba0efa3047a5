"""The directory of a run that is not finished, ``<output>.unfinished``: what identifies the run, and its checkpoints.

When the run is done its result takes the place of ``<output>`` and this directory goes. A command that is given again
while it is there goes on with the run, if it is the same one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bothways.checkpoints.weights import sha256_of
from bothways.directories import remove_directory, sweep
from bothways.engine.checkpoint_store import CheckpointStore
from bothways.engine.interruption import stopping_gently
from bothways.errors import CheckpointError, UsageError
from bothways.files import read_json, write_json
from bothways.run_lock import LOCK_FILE, RunLock

SUFFIX = ".unfinished"
RUN_FILE = "run.json"
FORMAT = 1
KEPT = 2
"""Checkpoints that are kept: the newest, and one before it should the newest be damaged later."""


class RunDirectory:
    """Holds the lock while it is open.

    Attributes:
        path: the directory.
        store: of the checkpoints.
        facts: what an earlier process of this run noted, or this one.
    """

    def __init__(
        self, output: Path, *, keep: int | None = KEPT, prepared: Sequence[str] = (), of: Sequence[str] = ()
    ) -> None:
        """
        Args:
            prepared: names in it of what a run makes before its first step. A run of other options takes it over,
                one for which an entry of the identity named in ``of`` is another throws it away.
        """
        self.prepared, self.prepared_of = prepared, of
        self.path = output.with_name(output.name + SUFFIX)
        self.keep = keep
        self.store: CheckpointStore
        self.facts: dict[str, Any] = {}

    @contextmanager
    def opened(self, identity: Mapping[str, Any], *, fresh: bool) -> Iterator[RunDirectory]:
        """Take the directory for the run with that identity.

        Args:
            identity: JSON values: options, data, model. An unfinished run goes on only if all are equal.
            fresh: throw an unfinished run away.

        Raises:
            UsageError: another process trains there, or another run is unfinished there.
        """
        with RunLock(self.path):
            sweep(self.path.parent, lambda name: name == self.path.name)  # a killed process was about to finish
            try:
                if fresh:
                    self._clear()
                self.store = CheckpointStore(self.path, keep=self.keep)
                self._recognise(identity)
                yield self
            finally:
                self._remove_if_empty()

    def join(self) -> None:
        """See what the first process sees; it holds the lock."""
        self.facts = read_json(self.path / RUN_FILE, error=CheckpointError)
        self.store = CheckpointStore(self.path, keep=self.keep)

    def note(self, **facts: Any) -> None:
        """Remember facts that a process which goes on with the run must know."""
        self.facts |= facts
        write_json(self.path / RUN_FILE, self.facts)

    def finish(self) -> None:
        """The result stands, and a signal that comes now does not change that: remove the directory."""
        with stopping_gently():
            remove_directory(self.path)

    def _recognise(self, identity: Mapping[str, Any]) -> None:
        file = self.path / RUN_FILE
        facts = _read_facts(file)
        known = facts.get("identity")
        if self._is_empty(besides=self.prepared):  # whatever run it was, it made no step
            if not isinstance(known, dict) or any(known.get(name) != identity.get(name) for name in self.prepared_of):
                self._clear()
            self.note(format=FORMAT, identity=dict(identity))
            return
        if facts.get("format") != FORMAT or not isinstance(known, dict):
            raise UsageError(f"{file} is not of a run of this version, or damaged. Give --fresh to begin again.")
        differ = [name for name in {**known, **identity} if known.get(name) != identity.get(name)]
        if differ:
            pairs = [(name, _short(known.get(name)), _short(identity.get(name))) for name in differ[:3]]
            shown = ", ".join(f"{name} {was}, now {now}" for name, was, now in pairs)
            raise UsageError(
                f"{self.path} holds an unfinished run that differs: {shown}. Give its command again to go on with it, "
                "--fresh to throw it away, or choose another --output."
            )
        self.facts = facts

    def _clear(self) -> None:
        for path in self.path.iterdir():
            if path.name == LOCK_FILE:
                continue
            if path.is_dir():
                remove_directory(path)
            else:
                path.unlink()

    def _remove_if_empty(self) -> None:
        """A run that ended before its first checkpoint leaves nothing to go on with, and nothing in the way."""
        with suppress(OSError):
            if self._is_empty():
                remove_directory(self.path)

    def _is_empty(self, besides: Sequence[str] = ()) -> bool:
        names = set(os.listdir(self.path)) - {RUN_FILE, *besides}
        return all(name.startswith(".") for name in names)


def _short(value: Any) -> str:
    """A value for an error message; of hashes the beginning."""
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value[:3])) + (", …]" if len(value) > 3 else "]")
    text = repr(value)
    is_hash = isinstance(value, str) and len(value) == 64
    return f"{text[:13]}…'" if is_hash else text if len(text) <= 60 else f"{text[:60]}…"


def _read_facts(file: Path) -> dict[str, Any]:
    try:
        facts = read_json(file, error=CheckpointError)
    except CheckpointError:
        return {}
    return facts if isinstance(facts, dict) else {}


def identity_of(options: Mapping[str, Any], files: Sequence[Path], model: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a run this run: its options, the contents of its files, and the model it starts from."""
    hashes = [sha256_of(file) if file.is_file() else "" for file in files]  # reading says what is wrong with it
    return {
        **{name: value for name, value in options.items() if value is not None},
        "data": hashlib.sha256("".join(hashes).encode()).hexdigest(),
        "model": model["name"],
        "weights": model["sha256"],
    }
