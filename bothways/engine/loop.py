"""The loop of every training: epochs of steps, from wherever a run was left.

Who trains says what happens around the steps (``Events``); where the steps come from is a ``Source``. What the loop
must remember to go on is in ``Progress`` and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

from bothways.engine.steps import MicroBatch, Stepper, StepResult
from bothways.errors import CheckpointError


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        step: updates made.
        epoch: epochs finished.
        epoch_step: updates made in the epoch that is not finished.
        tokens, examples: that went through the model, in all processes.
        seconds: of making steps; evaluation and saving left out.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    tokens: int = 0
    examples: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Progress:
        """Raises:
        CheckpointError: not what ``to_json`` gave.
        """
        known = {field.name: type(field.default) for field in fields(cls)}
        if not isinstance(value, dict) or set(value) != set(known):
            raise CheckpointError(f"the progress of a run has the fields {', '.join(known)}; found {value!r:.200}.")
        for name, kind in known.items():
            number = value[name]
            allowed = (int, float) if kind is float else (int,)
            if type(number) not in allowed or number < 0:
                raise CheckpointError(f"the progress of a run has {name}={number!r}; expected a number from 0.")
        return cls(**value)


class Source(Protocol):
    """Where steps come from, the same ones for the same numbers.

    Attributes:
        steps_per_epoch: None where only the end tells.
    """

    steps_per_epoch: int | None

    def steps(self, epoch: int, first: int) -> Iterator[list[MicroBatch]]:
        """The steps of an epoch, both counted from 0, from its ``first`` on: micro-batches of this process."""
        ...


class Events:
    """What happens around the steps. The one who trains overrides what matters to it.

    Attributes:
        stop: set it to end training after the step.
        end_epoch: set it to end the epoch after the step.
    """

    stop: bool = False
    end_epoch: bool = False

    def flag(self) -> bool:
        """Asked before each step; what any process answers, all see in the step's result."""
        return False

    def epoch_begin(self) -> None:
        """Before the first step of an epoch, or of what is left of it."""

    def step_begin(self) -> None:
        """Before each step."""

    def between(self) -> None:
        """Between two micro-batches of a step."""

    def before_update(self) -> None:
        """When the gradients are there."""

    def after_update(self) -> None:
        """After the update, before the gradients are dropped."""

    def step_end(self, result: StepResult) -> None:
        """After the update; ``progress`` counts it."""

    def epoch_end(self) -> None:
        """After the last step, also of an epoch that was cut short; ``progress`` counts those that were finished."""


def run(stepper: Stepper, source: Source, progress: Progress, events: Events) -> None:
    """Train until ``events`` says stop; ``progress`` is updated in place.

    A run that was left after the last step of an epoch, but before the epoch's end was dealt with, begins with that.
    """
    while not events.stop:
        events.end_epoch = False
        events.epoch_begin()
        finished = True
        start = time.perf_counter()
        for batches in source.steps(progress.epoch, progress.epoch_step):
            events.step_begin()
            result = stepper.step(
                batches,
                progress.step,
                flag=events.flag(),
                between=events.between,
                before_update=events.before_update,
                after_update=events.after_update,
            )
            progress.step += 1
            progress.epoch_step += 1
            progress.tokens += result.tokens
            progress.examples += result.examples
            progress.seconds += time.perf_counter() - start
            events.step_end(result)
            if events.stop or events.end_epoch:
                finished = events.end_epoch or progress.epoch_step == source.steps_per_epoch
                break
            start = time.perf_counter()
        stepper.settle()
        if finished:
            progress.epoch += 1
            progress.epoch_step = 0
        events.epoch_end()


__all__ = ["Events", "Progress", "Source", "run"]
