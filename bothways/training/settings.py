"""How to train, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bothways.engine.memory import parse_size
from bothways.engine.precision import PRECISIONS
from bothways.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How to train. The defaults are those known to work for BERT: Devlin et al. 2019, appendix A.3.

    Attributes:
        epochs: passes over the examples.
        learning_rate: the highest rate, after the warm-up.
        head_factor: the new head's rate as a multiple of ``learning_rate``: it begins at random, the body does not
            (measured on 432 messages in 6 classes, 4 epochs: last loss 0.39 with 20, 0.95 with 1).
        layer_decay: each layer's rate as a multiple of that of the layer above it.
        batch_size: examples a step, of one process.
        warmup_ratio: share of the steps in which the rate rises.
        weight_decay: of matrices; biases and norms do not decay.
        max_grad_norm: gradients are scaled down to this norm.
        seed: of the order of examples and of dropout.
        minutes: stop after this time; the rate falls to 0 by then. None has no limit.
        max_tokens: most tokens that go through the model at once; None suits the device.
        max_memory: bytes that the process may hold. None has no limit.
        checkpoint_steps: steps from one checkpoint to the next; None writes one now and then, so that all of them cost
            about one per cent of the time.
        precision: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 where this machine multiplies it in hardware.
    """

    epochs: int = 3
    learning_rate: float = 5e-5
    head_factor: float = 20.0
    layer_decay: float = 1.0
    batch_size: int = 16
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    seed: int = 42
    minutes: float | None = None
    max_tokens: int | None = None
    max_memory: int | None = None
    checkpoint_steps: int | None = None
    precision: str = "auto"

    def __post_init__(self) -> None:
        positive = "a whole number from 1"
        problems = [
            f"{name} is {value}, expected {expected}"
            for name, value, ok, expected in (
                ("epochs", self.epochs, self.epochs >= 1, positive),
                ("learning_rate", self.learning_rate, 0 < self.learning_rate < 1, "a number above 0 and below 1"),
                ("layer_decay", self.layer_decay, 0 < self.layer_decay <= 1, "a number above 0 and at most 1"),
                ("batch_size", self.batch_size, self.batch_size >= 1, positive),
                ("warmup_ratio", self.warmup_ratio, 0 <= self.warmup_ratio < 1, "a number from 0 and below 1"),
                ("weight_decay", self.weight_decay, 0 <= self.weight_decay < 1, "a number from 0 and below 1"),
                (
                    "minutes",
                    self.minutes,
                    self.minutes is None or 0 < self.minutes < 1e6,
                    "a number above 0 and below 1e6",
                ),
                ("max_tokens", self.max_tokens, self.max_tokens is None or self.max_tokens >= 1, positive),
                (
                    "checkpoint_steps",
                    self.checkpoint_steps,
                    self.checkpoint_steps is None or self.checkpoint_steps >= 1,
                    positive,
                ),
                ("seed", self.seed, 0 <= self.seed < 2**32, "a whole number from 0 to 4294967295"),
            )
            if not ok
        ]
        if problems:
            raise UsageError("; ".join(problems) + ".")


def make_settings(options: dict[str, Any], defaults: dict[str, Any] | None = None) -> FitSettings:
    """The settings that were asked for; what was not has the task's default, or the common one.

    Args:
        options: of ``train``. defaults: fields of ``FitSettings``.

    Raises:
        UsageError: a value that cannot be.
    """
    if options["precision"] not in PRECISIONS:
        raise UsageError(f"precision is {options['precision']!r}; expected one of {', '.join(PRECISIONS)}.")
    names = {
        **{name: name for name in ("epochs", "learning_rate", "batch_size", "seed", "minutes", "checkpoint_steps")},
        **{name: name for name in ("precision", "weight_decay", "layer_decay")},
        "warmup": "warmup_ratio",
    }
    asked = {field: options[name] for name, field in names.items() if options.get(name) is not None}
    if options["max_memory"] is not None:
        asked["max_memory"] = parse_size(options["max_memory"])
    return FitSettings(**{**(defaults or {}), **asked})


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One line of the training history."""

    epoch: int
    train_loss: float
    score: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """Attributes:
    history: one record per finished epoch.
    best_epoch: the epoch whose weights the model has now.
    steps, tokens: work done.
    seconds: of training, evaluation left out.
    stopped: ``"time"`` if training ended before its last epoch, or None.
    precision: in which matrices were multiplied.
    digests: (step, SHA-256 of the parameters) at the end of each epoch.
    clock: (step, thousandths of the time that were over) where they changed.
    resumed_at: the step at which this process took over; 0 if it began.
    """

    history: tuple[EpochRecord, ...]
    best_epoch: int
    steps: int
    tokens: int
    seconds: float
    stopped: Literal["time"] | None
    precision: str
    resumed_at: int = 0
    digests: tuple[tuple[int, str], ...] = ()
    clock: tuple[tuple[int, int], ...] = ()
