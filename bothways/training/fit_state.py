"""What a run of ``fit`` remembers besides its weights, and the files that it goes on from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from bothways.engine.loop import Progress
from bothways.engine.state_files import load_state, save_state
from bothways.errors import CheckpointError
from bothways.files import read_json, write_json
from bothways.training.settings import EpochRecord

STATE = "fit.json"
BEST = "best"
TRAINED = "trained"
OPTIMIZER = "optimizer"

State = TypeVar("State")


@dataclass
class FitState:
    """Attributes:
    history: of the epochs that were evaluated.
    best_epoch, best_score: which was the best; 0 and None before the first evaluation.
    clock: (step, thousandths of the time that were over), where they changed; with it a run whose rate follows the
        time can be repeated exactly.
    losses: sum of the losses of the epoch that is not finished, and their number.
    evaluated_step: the step after which the last evaluation was made.
    digests: (step, SHA-256 of the parameters) at the end of each epoch.
    """

    progress: Progress = field(default_factory=Progress)
    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float | None = None
    clock: list[tuple[int, int]] = field(default_factory=list)
    losses: tuple[float, int] = (0.0, 0)
    evaluated_step: int = 0
    digests: list[tuple[int, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> FitState:
        """Raises:
        CheckpointError: not what ``to_json`` gave.
        """
        try:
            total, count = value["losses"]
            return cls(
                progress=Progress.from_json(value["progress"]),
                history=[EpochRecord(**record) for record in value["history"]],
                best_epoch=int(value["best_epoch"]),
                best_score=None if value["best_score"] is None else float(value["best_score"]),
                clock=[(int(step), int(share)) for step, share in value["clock"]],
                losses=(float(total), int(count)),
                evaluated_step=int(value["evaluated_step"]),
                digests=[(int(step), str(digest)) for step, digest in value["digests"]],
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise CheckpointError(f"{STATE} is not the state of a training run ({problem!r}).") from None


def digest_of(parameters: Mapping[str, Tensor]) -> str:
    """SHA-256 of the numbers of all parameters, by the order of their names."""
    found = hashlib.sha256()
    for name in sorted(parameters):
        found.update(name.encode())
        found.update(parameters[name].detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()


def write_training(
    directory: Path, state: Any, parameters: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
) -> None:
    """The parameters as they are trained, the optimizer's state, and all counters: ``state.to_json()``."""
    save_state(directory, TRAINED, dict(parameters))
    save_state(directory, OPTIMIZER, optimizer.state_dict())
    write_json(directory / STATE, state.to_json())


def read_training(
    directory: Path,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    from_json: Callable[[Any], State],
) -> State:
    """Put parameters and optimizer back, in place; returns the counters.

    Args:
        from_json: the inverse of the ``to_json`` of the state that was written.

    Raises:
        CheckpointError: of another model.
    """
    stored = load_state(directory, TRAINED)
    shapes = {name: tuple(tensor.shape) for name, tensor in stored.items()}
    wanted = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    if shapes != wanted:
        other = sorted({name for name in shapes | wanted if shapes.get(name) != wanted.get(name)})
        raise CheckpointError(
            f"{directory} was written by a run with other parameters: {len(other)} differ, first {other[0]} with "
            f"{shapes.get(other[0])} there and {wanted.get(other[0])} here."
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(stored[name])
    optimizer.load_state_dict(load_state(directory, OPTIMIZER))
    return from_json(read_json(directory / STATE, error=CheckpointError))
