"""The clock of training steps, the same for every trainer, and the memory of a process."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np


class Enough(Exception):
    """Ends a training that is only timed."""


class StepClock:
    """Notes when each step of a training began, and how many real tokens it got.

    The time of a step is that from its first forward call to that of the next, so that whatever a trainer does between
    counts. A step that goes through the model in parts is one step: the next begins after the optimizer's update.

    Args:
        tokens_of: counts the tokens in the arguments (args, kwargs) of a forward call, padding left out.
        warm_up: steps that do not count.
        steps: steps that do; the call after them raises ``Enough``.
    """

    def __init__(self, tokens_of: Callable[[Any, Any], int], warm_up: int, steps: int) -> None:
        self.tokens_of = tokens_of
        self.warm_up = warm_up
        self.last = warm_up + steps
        self.begun: list[float] = []
        self.tokens: list[int] = []
        self.updated = True

    @contextmanager
    def watching(self, model: Any) -> Iterator[None]:
        """Time what is trained inside, until there is enough of it."""
        from torch.optim.optimizer import register_optimizer_step_post_hook

        handles = (
            model.register_forward_pre_hook(self._forward, with_kwargs=True),
            register_optimizer_step_post_hook(self._update),
        )
        try:
            with suppress(Enough):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def reading(self) -> dict[str, Any]:
        """Seconds of each step, tokens of all, and peak memory; fewer steps if training ended before."""
        seconds = np.diff(self.begun)[self.warm_up :].tolist()
        return {
            "step_seconds": seconds,
            "tokens": sum(self.tokens[self.warm_up : self.warm_up + len(seconds)]),
            "peak_megabytes": peak_megabytes(),
        }

    def _forward(self, module: Any, args: Any, kwargs: Any) -> None:
        if not module.training:
            return
        if self.updated:
            self.updated = False
            self.begun.append(time.perf_counter())
            if len(self.begun) > self.last:
                raise Enough
            self.tokens.append(0)
        self.tokens[-1] += self.tokens_of(args, kwargs)

    def _update(self, *_: Any) -> None:
        self.updated = True


def packed_tokens(args: Any, kwargs: Any) -> int:
    """Tokens of a forward call with a packed batch."""
    return args[0].total_tokens


def unmasked_tokens(args: Any, kwargs: Any) -> int:
    """Tokens of a forward call with a rectangle and its mask."""
    return int(kwargs["attention_mask"].sum())


def peak_megabytes() -> float:
    """Largest resident memory of this process so far, in 10^6 bytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
