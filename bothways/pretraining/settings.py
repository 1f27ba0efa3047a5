"""How to pretrain, what a run remembers, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from bothways.engine.loop import Progress
from bothways.errors import CheckpointError, UsageError

OPTIMIZERS = ("adamw", "muon")


@dataclass(frozen=True, kw_only=True)
class PretrainSettings:
    """Attributes:
    objective: a key of ``GOALS``.
    max_length: tokens of a row, special ones included.
    batch_tokens: tokens of a step, of all processes, about.
    ramp_steps: in which the step grows from an eighth to that.
    learning_rate: the highest.
    warmup: share of the run in which the rate rises; then it falls to 0 in a straight line.
    optimizer: ``"adamw"``, or ``"muon"`` for the matrices of the blocks and AdamW for all else.
    weight_decay: of matrices.
    dropout: share of numbers that are set to zero while training.
    mask_rate: share of the tokens that is asked for, at the beginning and at the end.
    whole_words: words are hidden as wholes.
    short_rows: share of the documents whose rows are shorter.
    minutes, steps, epochs: the end of the run, whichever comes first; one of them is set.
    max_tokens: most tokens that go through the model at once.
    evaluations: how many times the run is judged on what was held out, in equal parts of it.
    """

    objective: str
    max_length: int
    batch_tokens: int
    ramp_steps: int
    learning_rate: float
    warmup: float
    optimizer: str
    weight_decay: float
    dropout: float
    mask_rate: tuple[float, float]
    whole_words: bool
    short_rows: float
    seed: int
    precision: str
    max_tokens: int
    minutes: float | None
    steps: int | None
    epochs: int | None
    checkpoint_steps: int | None
    evaluations: int = 20
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        wrong = [f"{name} is {value!r:.60}, expected {kind}" for name, value, kind in self._of_other_types()]
        problems = wrong or self._impossible()
        if problems:
            raise UsageError("; ".join(problems) + ".")

    def _of_other_types(self) -> list[tuple[str, Any, str]]:
        found = []
        for own in fields(self):
            kind, value = str(own.type), getattr(self, own.name)
            if value is None and "None" in kind:
                continue
            if kind.startswith("int") and (not isinstance(value, int) or isinstance(value, bool)):
                found.append((own.name, value, "a whole number"))
            if kind.startswith("float") and (not isinstance(value, (int, float)) or isinstance(value, bool)):
                found.append((own.name, value, "a number"))
        return found

    def _impossible(self) -> list[str]:
        start, end = self.mask_rate
        rate = ":".join(dict.fromkeys((f"{start:g}", f"{end:g}")))
        whole, fit = "a whole number from 1", f"at least max_length, {self.max_length}"
        checks: list[tuple[str, Any, bool, str]] = [
            ("max_length", self.max_length, self.max_length >= 8, "a whole number from 8"),
            ("batch_tokens", self.batch_tokens, self.batch_tokens >= self.max_length, fit),
            ("batch_ramp", self.ramp_steps, self.ramp_steps >= 0, "a whole number from 0"),
            ("learning_rate", self.learning_rate, 0 < self.learning_rate < 1, "a number above 0 and below 1"),
            ("warmup", self.warmup, 0 <= self.warmup < 1, "a number from 0 and below 1"),
            ("optimizer", self.optimizer, self.optimizer in OPTIMIZERS, f"one of {', '.join(OPTIMIZERS)}"),
            ("weight_decay", self.weight_decay, 0 <= self.weight_decay < 1, "a number from 0 and below 1"),
            ("short_rows", self.short_rows, 0 <= self.short_rows <= 1, "a share from 0 to 1"),
            ("dropout", self.dropout, 0 <= self.dropout < 1, "a number from 0 and below 1"),
            ("mask_rate", rate, 0 < start < 1 and 0 < end < 1, "a number between 0 and 1, or two: 0.3:0.15"),
            ("seed", self.seed, 0 <= self.seed < 2**32, "a whole number from 0 to 4294967295"),
            ("minutes", self.minutes, self.minutes is None or 0 < self.minutes < 1e6, "a number above 0, below 1e6"),
        ]
        counts = {name: getattr(self, name) for name in ("steps", "epochs", "checkpoint_steps")}
        checks += [(name, count, count is None or count >= 1, whole) for name, count in counts.items()]
        return [f"{name} is {value}, expected {wanted}" for name, value, fits, wanted in checks if not fits]


def parse_rate(asked: Any) -> tuple[float, float]:
    """``0.15``, ``"0.15"`` or ``"0.3:0.15"`` as the rates of the beginning and the end.

    Raises:
        UsageError: it cannot be read so.
    """
    parts: list[Any] = list(asked) if isinstance(asked, (tuple, list)) else str(asked).split(":")
    try:
        numbers = [float(part) for part in parts]
        start, end = numbers if len(numbers) == 2 else (*numbers, *numbers)
    except (TypeError, ValueError):
        raise UsageError(f"mask_rate is {asked!r:.40}; expected a share such as 0.15, or two: 0.3:0.15.") from None
    return start, end


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """What a run was like at one step.

    Attributes:
        train_loss: mean over the steps since the point before.
        validation: measures of what was held out, by name; empty where nothing was.
        seconds: of making steps so far.
    """

    step: int
    tokens: int
    seconds: float
    train_loss: float
    validation: dict[str, float]


@dataclass
class PretrainState:
    """What a run remembers besides its weights.

    Attributes:
        curve: so far.
        clock: (step, thousandths of the time that were over), where they changed.
        losses: sum of the losses since the last point of the curve, and their number.
        judged: parts of the run after which it was judged.
    """

    progress: Progress = field(default_factory=Progress)
    curve: list[CurvePoint] = field(default_factory=list)
    clock: list[tuple[int, int]] = field(default_factory=list)
    losses: tuple[float, int] = (0.0, 0)
    judged: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> PretrainState:
        """Raises:
        CheckpointError: not what ``to_json`` gave.
        """
        try:
            total, count = value["losses"]
            return cls(
                progress=Progress.from_json(value["progress"]),
                curve=[CurvePoint(**point) for point in value["curve"]],
                clock=[(int(step), int(share)) for step, share in value["clock"]],
                losses=(float(total), int(count)),
                judged=int(value["judged"]),
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise CheckpointError(f"this is not the state of a pretraining run ({problem!r}).") from None
