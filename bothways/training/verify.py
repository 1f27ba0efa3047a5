"""The proof, on a run of the user, that a run which is killed and gone on with has the same bits at the end.

One process trains the run from its start to step N + K. Another trains it to step N and is ended by ``kill -9``; a
third goes on from its checkpoint to step N + K. Then all numbers that either way left are compared.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bothways.engine.checkpoint_store import CheckpointStore
from bothways.engine.interruption import stopping_gently
from bothways.engine.state_files import load_state
from bothways.errors import BothwaysError, CheckpointError, UsageError
from bothways.files import read_json, write_json
from bothways.training.fit_state import OPTIMIZER, STATE, TRAINED, FitState, digest_of
from bothways.training.past_run import PastRun, read_past_run
from bothways.training.rerun import Order, Outcome

STEPS = 20
NAMED = 3  # differing tensors that are named


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Attributes:
    what: the tensors: ``"parameters"`` or ``"optimizer state"``.
    step: after which they are compared.
    tensors: how many.
    whole, resumed: SHA-256 of all of them, without a stop and with one.
    differing: names of those that differ.
    """

    what: str
    step: int
    tensors: int
    whole: str
    resumed: str
    differing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ResumeProof:
    """Attributes:
    killed_at: step after which the process was killed.
    step: after which the two ways are compared.
    compared: what was compared.
    created: when the user's run was made.
    own: (step, SHA-256 of the parameters in the user's run, that of the repetition) where the run noted one.
    elsewhere: in what the user's run differs from this machine and these libraries; then ``own`` may differ.
    """

    killed_at: int
    step: int
    compared: tuple[Compared, ...]
    created: str
    own: tuple[tuple[int, str, str], ...]
    elsewhere: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing differs that must not."""
        same = not any(part.differing for part in self.compared)
        return same and (bool(self.elsewhere) or all(then == now for _, then, now in self.own))

    @property
    def _when(self) -> str:
        return f"{self.created[:16].replace('T', ' ')} UTC"

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        total = sum(part.tensors for part in self.compared)
        differing = [name for part in self.compared for name in part.differing]
        how = f"killed (kill -9) after step {self.killed_at:,} and gone on with in a new process"
        if differing:
            more = f" and {len(differing) - NAMED:,} more" if len(differing) > NAMED else ""
            return (
                f"Different: {how}, the run has after step {self.step:,} other bits in {len(differing):,} of {total:,} "
                f"tensors than without a stop: {', '.join(differing[:NAMED])}{more}."
            )
        text = f"{how}, the run has after step {self.step:,} the same bits in all {total:,} tensors as without a stop"
        return self._with_own(text)

    def _with_own(self, text: str) -> str:
        other = [step for step, then, now in self.own if then != now]
        if not self.own:
            return f"Identical: {text}."
        if not other:
            where = ", ".join(f"{step:,}" for step, *_ in self.own)
            return f"Identical: {text}, and with your run of {self._when} after step {where}."
        if self.elsewhere:
            return (
                f"Identical: {text}. Your run of {self._when} had other bits after step {other[0]:,}; it was made "
                f"elsewhere ({'; '.join(self.elsewhere)}), where other bits are to be expected."
            )
        step, then, now = next(found for found in self.own if found[1] != found[2])
        return (
            f"Different: {text}, but your run of {self._when} had other parameters after step {step:,} (sha256 "
            f"{then[:12]}…, now {now[:12]}…)."
        )


def verify_resume(
    run: str | os.PathLike[str],
    at: int,
    *,
    steps: int = STEPS,
    say: Callable[[str], None] = lambda line: None,
) -> ResumeProof:
    """Prove that a resume changes nothing, on a run that ``train`` made or is making. The run is left alone.

    Args:
        run: directory of a result of ``train``, or of an unfinished run.
        at: step after which the process is killed.
        steps: made after that before all is compared; less at the end of the run.
        say: called with a line of news now and then.

    Raises:
        UsageError: no such run or step, an older version's result, or the data or starting model have changed.
        BothwaysError: a process came to nothing. KeyboardInterrupt: Ctrl-C or SIGTERM.
    """
    past = read_past_run(Path(run))
    _check(past, at, steps)
    end = min(at + steps, past.steps)
    with tempfile.TemporaryDirectory(prefix="bothways-verify-") as name, stopping_gently() as wish, wish.at_once():
        whole, resumed = Path(name) / "whole", Path(name) / "resumed"
        say(f"1 of 3: training from the start to step {end:,} without a stop.")
        _run(past, whole, end)
        say(f"2 of 3: training from the start to step {at:,}, then kill -9.")
        _run(past, resumed, at, killed=True)
        say(f"3 of 3: going on from the checkpoint of step {at:,} in a new process, to step {end:,}.")
        _run(past, resumed, end, began_at=at)
        return _proof(past, at, _newest(whole, end), _newest(resumed, end), end)


def _check(past: PastRun, at: int, steps: int) -> None:
    if steps < 1:
        raise UsageError(f"--steps is {steps}; expected a whole number from 1.")
    if not 1 <= at < past.steps:
        have = f"the run in {past.directory} has {past.steps:,} step{'s' * (past.steps != 1)}"
        can = f"give 1 to {past.steps - 1:,}" if past.steps > 1 else "there is none after which it could go on"
        raise UsageError(f"--at is {at}, but {have}: {can}.")
    held = past.options.get("evaluation")
    missing = [file for file in (*past.files, *([held] if held else [])) if not Path(file).is_file()]
    if missing:
        raise UsageError(
            f"{', '.join(map(str, missing))} was read by this run of {past.created} and is not there now, seen from "
            f"{Path.cwd()}. Go to the directory in which the run was started, or bring the file back."
        )


def _run(past: PastRun, checkpoints: Path, until: int, *, killed: bool = False, began_at: int = 0) -> None:
    """Let a process train, and see that it did what it was to do."""
    order = checkpoints.parent / f"{checkpoints.name}-{until}.json"
    write_json(order, asdict(Order(run=past.to_json(), checkpoints=str(checkpoints), until=until, killed=killed)))
    code = start_process(order, past.processes)
    file = Path(f"{order}.outcome")
    outcome = Outcome(**read_json(file)) if file.is_file() else Outcome()
    if outcome.error is not None:
        problem = (UsageError if outcome.exit_code == UsageError.exit_code else BothwaysError)(outcome.error)
        raise problem
    if outcome.began_at != began_at or (code != 0) != killed:
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        raise BothwaysError(
            f"the process that was to train from step {began_at:,} to step {until:,} ended {how}"
            + (", before it was there." if outcome.began_at is None else f"; it began at step {outcome.began_at:,}.")
        )


def start_process(order: Path, processes: int) -> int:
    """Carry out an order in a new process, or in several; returns the exit code, negative for a signal."""
    command = [sys.executable, "-m", "bothways.training.rerun", str(order)]
    quiet: Any = None
    if processes > 1:
        torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command = [sys.executable, "-m", *torchrun, *command[1:]]
        quiet = subprocess.DEVNULL  # it reports processes that are killed at length
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=quiet)
    try:
        return process.wait()
    except BaseException:
        process.send_signal(signal.SIGTERM if processes > 1 else getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()
        raise


def _newest(directory: Path, step: int) -> Path:
    found = CheckpointStore(directory).newest()
    if found is None or found.step != step:
        raise CheckpointError(f"{directory} has no checkpoint of step {step:,}.")
    return found.path


def _proof(past: PastRun, at: int, whole: Path, resumed: Path, end: int) -> ResumeProof:
    compared = tuple(
        compare_states(what, end, load_state(whole, name), load_state(resumed, name))
        for what, name in (("parameters", TRAINED), ("optimizer state", OPTIMIZER))
    )
    state = FitState.from_json(read_json(whole / STATE, error=CheckpointError))
    again = dict([*state.digests, (end, compared[0].whole)])
    return ResumeProof(
        killed_at=at,
        step=end,
        compared=compared,
        created=past.created,
        own=tuple((step, digest, again[step]) for step, digest in past.digests if step in again),
        elsewhere=past.elsewhere,
    )


def compare_states(what: str, step: int, whole: Any, resumed: Any) -> Compared:
    """Compare all that two states hold, bit by bit."""
    one, other = _leaves(whole), _leaves(resumed)
    names = sorted({**one, **other})
    tensors = sum(isinstance(leaf, Tensor) for leaf in one.values())
    differing = tuple(name for name in names if _digest(one, name) != _digest(other, name))
    return Compared(
        what=what,
        step=step,
        tensors=tensors,
        whole=_digest_of_all(one),
        resumed=_digest_of_all(other),
        differing=differing,
    )


def _digest_of_all(leaves: Mapping[str, Any]) -> str:
    """That of ``digest_of`` where all are tensors, so that it can be compared with those that runs note."""
    if all(isinstance(leaf, Tensor) for leaf in leaves.values()):
        return digest_of(leaves)
    return hashlib.sha256("".join(name + _digest(leaves, name) for name in sorted(leaves)).encode()).hexdigest()


def _digest(leaves: Mapping[str, Any], name: str) -> str:
    leaf = leaves.get(name)
    if not isinstance(leaf, Tensor):
        return repr(leaf)
    kind = f"{leaf.dtype} {tuple(leaf.shape)} "
    return kind + hashlib.sha256(leaf.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()


def _leaves(state: Any, name: str = "") -> dict[str, Any]:
    """What a nested state holds, by path. Example: ``state.3.exp_avg``."""
    parts: Any = ()
    if isinstance(state, Mapping):
        parts = state.items()
    elif isinstance(state, (list, tuple)):
        parts = enumerate(state)
    else:
        return {name: state}
    found: dict[str, Any] = {}
    for key, part in parts:
        found |= _leaves(part, f"{name}.{key}" if name else str(key))
    return found


__all__ = ["Compared", "ResumeProof", "verify_resume"]
