"""Trains a run of the past again up to some step, in a process of its own: ``python -m bothways.training.rerun ORDER``.

The order is a file of JSON, and so is what the process leaves, ``ORDER.outcome``; see ``Order`` and ``Outcome``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bothways.errors import BothwaysError, Interrupted, UsageError
from bothways.files import read_json, write_json
from bothways.training.past_run import PastRun


@dataclass(frozen=True, kw_only=True)
class Order:
    """Attributes:
    run: which run, see ``PastRun.to_json``.
    checkpoints: directory for them; from the newest there training goes on.
    until: step after which it ends, saved.
    killed: whether it ends by ``kill -9``, and not by itself.
    """

    run: dict[str, Any]
    checkpoints: str
    until: int
    killed: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Attributes:
    began_at: the step that it went on from, 0 for none; None if it came to nothing.
    error, exit_code: what is wrong, as ``BothwaysError`` has it.
    """

    began_at: int | None = None
    error: str | None = None
    exit_code: int = 0


def rerun(order: Order, leave: Callable[[Outcome], None], kill: Callable[[], None]) -> None:
    """Train as ordered.

    Args:
        leave: is given the outcome, before the process is killed; only in the first of several processes.
        kill: ends the process at once.
    """
    import torch

    from bothways.engine.processes import processes

    run = PastRun.from_json(order.run)
    torch.set_num_threads(run.threads)
    group = processes()
    try:
        began_at = _train(run, order, group)
    except BothwaysError as problem:
        outcome = Outcome(error=str(problem), exit_code=problem.exit_code)
        if group.is_first:
            leave(outcome)
        return
    if group.is_first:
        leave(Outcome(began_at=began_at))
    if order.killed:
        kill()


def _train(run: PastRun, order: Order, group: Any) -> int:
    """Returns the step that it went on from."""
    from bothways.engine.checkpoint_store import CheckpointStore
    from bothways.training.fit import Keeping, fit
    from bothways.training.job import prepare
    from bothways.training.learner import write_model

    prepared = prepare([Path(file) for file in run.files], run.options, lambda line: None, group)
    _check_unchanged(run, prepared)
    store = CheckpointStore(order.checkpoints, keep=1)
    found = store.newest()
    keeping = Keeping(
        store=store,
        write_model=lambda place, weights: write_model(place, prepared.learner, prepared.tokenizer, weights),
    )
    try:
        fit(
            prepared.learner,
            prepared.training_set.features,
            run.fit_settings(),
            lambda: 0.0,  # what is best does not matter to the steps
            keeping=keeping,
            group=group,
            stop_after=order.until,
            clock=list(run.clock),
            objective=prepared.lesson.objective,
        )
    except Interrupted:
        newest = store.newest()
        if newest is not None and newest.step == order.until:
            return 0 if found is None else found.step
        raise
    raise BothwaysError(f"training ended before step {order.until:,}: its directory says that it has {run.steps:,}.")


def _check_unchanged(run: PastRun, prepared: Any) -> None:
    """Raises:
    UsageError: the data or the starting model are not those of the run; a proof about it would be of another run.
    """
    then, split = run.data["train"], prepared.job.split
    now = {"count": len(split.train), "sha256": prepared.job.digest(split.train)}
    if then["sha256"] != now["sha256"]:
        raise UsageError(
            f"the data has changed since this run of {run.created}: it trained on {then['count']:,} examples (sha256 "
            f"{then['sha256'][:12]}…), and {', '.join(run.files)} gives {now['count']:,} (sha256 "
            f"{now['sha256'][:12]}…). Bring back the files it read, or train again."
        )
    before, after = run.model["sha256"], prepared.model_facts["sha256"]
    if before != after:
        raise UsageError(
            f"the starting model {run.model['name']} has changed since this run of {run.created}: its weights had the "
            f"sha256 {_short(before)}, and have {_short(after)} now. Bring back the model, or train again."
        )


def _short(digest: str | None) -> str:
    return f"{digest[:12]}…" if digest else "of several files"


def main(path: str) -> None:
    """Carry out the order in a file."""
    order = Order(**read_json(Path(path)))
    rerun(
        order,
        lambda outcome: write_json(Path(f"{path}.outcome"), asdict(outcome)),
        lambda: os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM)),
    )


if __name__ == "__main__":
    main(sys.argv[1])
