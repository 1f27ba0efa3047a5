"""What a training run knows of itself, and the switches that callbacks move."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bothways.errors import DataError, InputError
from bothways.files import read_json, write_json

logger = logging.getLogger(__name__)
State = TypeVar("State", bound="ExportableState")


class ExportableState:
    """Something whose state is written into checkpoints: the arguments of its ``__init__``, and its attributes."""

    def state(self) -> dict[str, Any]:
        """``{"args": {...}, "attributes": {...}}``, everything JSON can say."""
        raise NotImplementedError(f"{type(self).__name__} must define state() to be written into checkpoints.")

    @classmethod
    def from_state(cls: type[State], state: dict[str, Any]) -> State:
        """An instance as it was when ``state`` was taken."""
        instance = cls(**state["args"])
        for name, value in state["attributes"].items():
            setattr(instance, name, value)
        return instance


@dataclass
class TrainerState:
    """The state of a run. A step is one update of the parameters, whatever the gradient accumulation.

    Attributes:
        epoch: how far training is; 1.5 is the middle of the second epoch.
        global_step: updates done.
        max_steps: updates of the whole run.
        logging_steps, eval_steps, save_steps: in steps; shares of the run are already resolved.
        train_batch_size: what ``auto_find_batch_size`` found, if it was asked.
        num_input_tokens_seen: tokens read in training, if they are counted.
        total_flos: floating-point operations of the run.
        log_history: all logs, oldest first.
        best_metric, best_global_step, best_model_checkpoint: the best evaluation so far.
        stateful_callbacks: class name → state, or a list of states of several of one class.
    """

    epoch: float | None = None
    global_step: int = 0
    max_steps: int = 0
    logging_steps: int = 500
    eval_steps: int = 500
    save_steps: int = 500
    train_batch_size: int | None = None
    num_train_epochs: int = 0
    num_input_tokens_seen: int = 0
    total_flos: float = 0
    log_history: list[dict[str, Any]] = field(default_factory=list)
    best_metric: float | None = None
    best_global_step: int | None = None
    best_model_checkpoint: str | None = None
    is_local_process_zero: bool = True
    is_world_process_zero: bool = True
    is_hyper_param_search: bool = False
    trial_name: str | None = None
    trial_params: dict[str, Any] | None = None
    stateful_callbacks: Any = None

    def __post_init__(self) -> None:
        if self.log_history is None:
            self.log_history = []
        if not isinstance(self.stateful_callbacks, dict):
            self.stateful_callbacks = states_by_class(self.stateful_callbacks or [])

    def save_to_json(self, json_path: str | os.PathLike[str]) -> None:
        """Write the state, whole or not at all. NaN and infinity, which JSON does not have, become null."""
        write_json(json_path, plain(dataclasses.asdict(self)))

    @classmethod
    def load_from_json(cls, json_path: str | os.PathLike[str]) -> TrainerState:
        """Read a state, also one that another library of the ecosystem wrote; fields not known here are left out.

        Raises:
            DataError: not a JSON object.
        """
        content = read_json(json_path, error=DataError)
        if not isinstance(content, dict):
            raise DataError(f"{json_path} holds a {type(content).__name__}; a trainer state is a JSON object.")
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(content) - known)
        if unknown:
            logger.warning("%s has fields that are not known here and are left out: %s.", json_path, unknown)
        return cls(**{name: value for name, value in content.items() if name in known})

    def compute_steps(self, args: Any, max_steps: int) -> None:
        """Set the three intervals from the arguments; a number below 1 is a share of ``max_steps``, rounded up."""
        for name in ("logging_steps", "eval_steps", "save_steps"):
            steps = getattr(args, name)
            if steps is not None:
                setattr(self, name, math.ceil(max_steps * steps) if steps < 1 else steps)

    def init_training_references(self, trainer: Any, max_steps: int, num_train_epochs: int, trial: Any = None) -> None:
        """Note what is fixed when training begins."""
        self.max_steps = max_steps
        self.num_train_epochs = num_train_epochs
        self.trial_params = None
        self.is_local_process_zero = trainer.is_local_process_zero()
        self.is_world_process_zero = trainer.is_world_process_zero()


@dataclass
class TrainerControl(ExportableState):
    """Switches that callbacks move and the loop reads.

    Attributes:
        should_training_stop: end training; stays set.
        should_epoch_stop: end this epoch; cleared when the next begins.
        should_save, should_evaluate, should_log: at this step; cleared when the next begins.
    """

    should_training_stop: bool = False
    should_epoch_stop: bool = False
    should_save: bool = False
    should_evaluate: bool = False
    should_log: bool = False

    def _new_training(self) -> None:
        self.should_training_stop = False

    def _new_epoch(self) -> None:
        self.should_epoch_stop = False

    def _new_step(self) -> None:
        self.should_save = False
        self.should_evaluate = False
        self.should_log = False

    def state(self) -> dict[str, Any]:
        return {"args": dataclasses.asdict(self), "attributes": {}}


def states_by_class(callbacks: list[Any]) -> dict[str, Any]:
    """Class name → state; several callbacks of one class give a list, in their order.

    Raises:
        InputError: one of them has no exportable state. A ``TypeError`` in the reference.
    """
    found: dict[str, Any] = {}
    for callback in callbacks:
        if not isinstance(callback, ExportableState):
            raise InputError(f"{type(callback).__name__} has no exportable state: derive it from ExportableState.")
        name, state = type(callback).__name__, callback.state()
        if name not in found:
            found[name] = state
        else:
            found[name] = [*(found[name] if isinstance(found[name], list) else [found[name]]), state]
    return found


def plain(value: Any) -> Any:
    """A value as JSON can say it, keys in order: arrays as lists of numbers, what is not finite as None."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in sorted(value.items(), key=lambda item: str(item[0]))}
    if isinstance(value, (list, tuple, set)):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
