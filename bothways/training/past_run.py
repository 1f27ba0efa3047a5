"""A run of the past as its directory tells it: enough to train it again, and to see that nothing has changed."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bothways.engine.checkpoint_store import CheckpointStore
from bothways.errors import CheckpointError, UsageError
from bothways.files import read_json
from bothways.training.fit_state import STATE, FitState
from bothways.training.manifest import hardware, versions
from bothways.training.publish import MANIFEST
from bothways.training.run_directory import RUN_FILE, SUFFIX
from bothways.training.settings import FitSettings


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """Attributes:
    directory: of the result, or of the run that is not finished.
    created: when, UTC.
    files: the data, as the command named them.
    options: of ``train``.
    settings: of ``fit``, with the tokens at once that it had and the precision that it computed in.
    steps: that it made, or can be repeated for.
    processes, threads: that trained, and that each of them computed with.
    model, data: hashes, as the manifest has them.
    digests: (step, SHA-256 of the parameters) at the ends of epochs.
    clock: (step, thousandths of the time that were over).
    elsewhere: in what that run's machine and libraries differ from these; empty if in nothing.
    """

    directory: str
    created: str
    files: tuple[str, ...]
    options: dict[str, Any]
    settings: dict[str, Any]
    steps: int
    processes: int
    threads: int
    model: dict[str, Any]
    data: dict[str, Any]
    digests: tuple[tuple[int, str], ...]
    clock: tuple[tuple[int, int], ...]
    elsewhere: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PastRun:
        """What ``to_json`` gave, after it was JSON."""
        pairs = {name: tuple((step, what) for step, what in value[name]) for name in ("digests", "clock")}
        lists = {name: tuple(value[name]) for name in ("files", "elsewhere")}
        return cls(**{**value, **pairs, **lists})

    def fit_settings(self) -> FitSettings:
        """The settings with which ``fit`` makes the same steps; no checkpoints by the way, no limit of memory."""
        return FitSettings(**{**self.settings, "max_memory": None, "checkpoint_steps": self.steps + 1})


def read_past_run(run: Path) -> PastRun:
    """The run whose result is in ``run``, or which is unfinished there or in ``<run>.unfinished``.

    Raises:
        UsageError: no run is there, or an older version wrote it. CheckpointError: its files are damaged.
    """
    unfinished = next((d for d in (run, run.with_name(run.name + SUFFIX)) if (d / RUN_FILE).is_file()), None)
    if (run / MANIFEST).is_file():
        result = read_json(run / MANIFEST, error=CheckpointError)
        return _past_run(run / MANIFEST, result, _training(run / MANIFEST, result))
    if unfinished is None:
        raise UsageError(
            f"{run} is no run of bothways train: there is no {MANIFEST} in it, and no {RUN_FILE} in it or in "
            f"{run.name + SUFFIX}. Give the --output of a training."
        )
    facts = read_json(unfinished / RUN_FILE, error=CheckpointError)
    manifest: Any = facts.get("run") if isinstance(facts, dict) else None
    training = _training(unfinished / RUN_FILE, manifest)
    found = CheckpointStore(unfinished).newest()
    state = FitState()
    if found is not None:
        state = FitState.from_json(read_json(found.path / STATE, error=CheckpointError))
    training |= {"digests": state.digests, "clock": state.clock}
    if manifest["settings"].get("minutes") is not None:  # how the rate followed the time is known up to there
        training["steps"] = state.progress.step
    return _past_run(unfinished / RUN_FILE, manifest, training)


def _training(file: Path, manifest: Any) -> dict[str, Any]:
    if not isinstance(manifest, dict) or not isinstance(manifest.get("training"), dict):
        raise _older(file, ["training"])
    return dict(manifest["training"])


def _past_run(file: Path, manifest: dict[str, Any], training: dict[str, Any]) -> PastRun:
    there = {**manifest, **training}
    wanted = ("created", "options", "settings", "model", "data", "versions", "hardware", "steps", "precision")
    missing = [name for name in (*wanted, "processes", "digests", "clock") if there.get(name) is None]
    if missing:
        raise _older(file, missing)
    unknown = set(there["settings"]) - {field.name for field in fields(FitSettings)}
    if unknown:
        raise UsageError(f"{file} has settings that this version does not know: {', '.join(sorted(unknown))}.")
    try:
        return PastRun(
            directory=str(file.parent),
            created=there["created"],
            files=tuple(there["data"]["files"]),
            options=_options(there["options"]),
            settings={**there["settings"], "precision": there["precision"]},
            steps=there["steps"],
            processes=there["processes"],
            threads=there["hardware"]["threads"],
            model=there["model"],
            data=there["data"],
            digests=tuple((int(step), str(digest)) for step, digest in there["digests"]),
            clock=tuple((int(step), int(share)) for step, share in there["clock"]),
            elsewhere=_differences(there["versions"], there["hardware"]),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise CheckpointError(f"{file} was changed and cannot be used ({problem!r}).") from None


def _older(file: Path, missing: list[str]) -> UsageError:
    return UsageError(
        f"{file} was written by an older version of bothways: it does not have {', '.join(missing)}, without which the "
        "run cannot be repeated. Train again with this version."
    )


def _options(recorded: dict[str, Any]) -> dict[str, Any]:
    """All options of ``train``, those that the record lacks with their defaults."""
    from bothways.training.job import OPTION_NAMES, train

    names = {word: name for name, word in OPTION_NAMES.items()}
    apart = ("data", "output", "say", "fresh")
    defaults = {n: p.default for n, p in inspect.signature(train).parameters.items() if n not in apart}
    return defaults | {names.get(word, word): value for word, value in recorded.items()}


def _differences(then_versions: dict[str, Any], then_hardware: dict[str, Any]) -> tuple[str, ...]:
    then = {**then_versions, **then_hardware}
    now = {**versions(), **hardware()}
    compared = ("bothways", "torch", "numpy", "tokenizers", "processor", "accelerator")
    return tuple(f"{n} {then.get(n)}, now {now.get(n)}" for n in compared if then.get(n) != now.get(n))


__all__ = ["PastRun", "read_past_run"]
