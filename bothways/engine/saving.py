"""When a run writes a checkpoint, and the writing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bothways.engine.checkpoint_store import CheckpointStore
from bothways.engine.processes import Processes

SAVE_AFTER = 60.0
"""Seconds of training before the first checkpoint; a run that is shorter is sooner repeated than gone on with."""
SAVE_SHARE = 0.01
"""Share of the time that checkpoints may take."""


class Saver:
    """Writes checkpoints now and then.

    Args:
        store: of the run.
        every: steps from one to the next; None lets all of them cost about one per cent of the time.

    Attributes:
        step: of the newest one; -1 before there is one.
    """

    def __init__(self, store: CheckpointStore, group: Processes, every: int | None = None) -> None:
        self.store, self.group, self.every = store, group, every
        self.step = -1
        self._at, self._took = time.perf_counter(), 0.0

    def is_due(self, step: int) -> bool:
        """Whether it is time for another one after ``step``, the same answer in all processes."""
        if self.every is not None:
            return step % self.every == 0 and self.step != step
        wait = max(SAVE_AFTER, self._took / SAVE_SHARE)
        return self.group.share(time.perf_counter() - self._at >= wait)

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Write one; the first process does."""
        start = time.perf_counter()
        self.group.first_does(lambda: self.store.save(step, write))
        self.group.first_does(self.store.prune)
        self.step, self._at = step, time.perf_counter()
        self._took = self._at - start
