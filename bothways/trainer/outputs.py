"""What the ``Trainer`` hands out, and the words that its arguments take."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from bothways.errors import ModelNotFoundError, UsageError

CHECKPOINT_PREFIX = "checkpoint"
_CHECKPOINT = re.compile(rf"{CHECKPOINT_PREFIX}-([0-9]+)")


class Choice(str, Enum):
    """A word out of a closed set. Equal to its text: ``args.eval_strategy == "steps"``."""

    @classmethod
    def _missing_(cls, value: object) -> Choice:
        raise UsageError(f"{value!r} is not a valid {cls.__name__}. Choose one of: {', '.join(map(repr, words(cls)))}.")


def words(kind: type[Enum]) -> list[str]:
    """The values of a closed set, in order."""
    return [member.value for member in kind]


class IntervalStrategy(Choice):
    """When something is done: never, every so many steps, after each epoch."""

    NO = "no"
    STEPS = "steps"
    EPOCH = "epoch"


class SaveStrategy(Choice):
    """When a checkpoint is written; ``best``: after an evaluation that was better than all before."""

    NO = "no"
    STEPS = "steps"
    EPOCH = "epoch"
    BEST = "best"


class EvaluationStrategy(Choice):
    """The older name of ``IntervalStrategy``."""

    NO = "no"
    STEPS = "steps"
    EPOCH = "epoch"


class HubStrategy(Choice):
    """What would be uploaded and when. Nothing is uploaded here; the name is kept for programs that import it."""

    END = "end"
    EVERY_SAVE = "every_save"
    CHECKPOINT = "checkpoint"
    ALL_CHECKPOINTS = "all_checkpoints"


class ParallelMode(Enum):
    """How many devices train together: one, or one in each of several processes."""

    NOT_PARALLEL = "not_parallel"
    NOT_DISTRIBUTED = "not_distributed"
    DISTRIBUTED = "distributed"


class EvalPrediction:
    """What ``compute_metrics`` gets. Unpacks as ``predictions, label_ids``, then ``inputs`` and ``losses`` if there.

    Args:
        predictions: logits as an array (N, ...), or a tuple of arrays for models with several outputs.
        label_ids: labels, in the same form.
        inputs: the inputs of the model, with ``include_for_metrics=["inputs"]``.
        losses: float (N,), with ``include_for_metrics=["loss"]``.
    """

    def __init__(self, predictions: Any, label_ids: Any, inputs: Any = None, losses: Any = None) -> None:
        self.predictions = predictions
        self.label_ids = label_ids
        self.inputs = inputs
        self.losses = losses
        self.elements = (predictions, label_ids, *(value for value in (inputs, losses) if value is not None))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.elements)

    def __getitem__(self, idx: int) -> Any:
        if idx < 0 or idx >= len(self.elements):
            raise IndexError("tuple index out of range")
        return self.elements[idx]


class EvalLoopOutput(NamedTuple):
    """The result of one pass over a data set."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float] | None
    num_samples: int | None


class PredictionOutput(NamedTuple):
    """The result of ``Trainer.predict``."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float] | None


class TrainOutput(NamedTuple):
    """The result of ``Trainer.train``."""

    global_step: int
    training_loss: float
    metrics: dict[str, float]


def get_last_checkpoint(folder: str | os.PathLike[str]) -> str | None:
    """The ``checkpoint-N`` directory in ``folder`` with the largest N, or None.

    Raises:
        ModelNotFoundError: (an ``OSError``) ``folder`` is not a directory.
    """
    if not os.path.isdir(folder):
        raise ModelNotFoundError(f"{os.fspath(folder)!r} is not a directory, so there are no checkpoints in it.")
    steps = {int(match[1]): match[0] for match in map(_CHECKPOINT.fullmatch, os.listdir(folder)) if match}
    found = [step for step, name in steps.items() if Path(folder, name).is_dir()]
    return os.path.join(folder, steps[max(found)]) if found else None


def speed_metrics(
    split: str,
    start_time: float,
    num_samples: int | None = None,
    num_steps: int | None = None,
    num_tokens: int | None = None,
) -> dict[str, float]:
    """Seconds since ``start_time`` (of ``time.time()``) and what was done per second, each name after ``split``."""
    runtime = time.time() - start_time
    result = {f"{split}_runtime": round(runtime, 4)}
    if runtime <= 0:  # the clock of some machines is too coarse for very short work
        return result
    for unit, count in (("samples", num_samples), ("steps", num_steps), ("tokens", num_tokens)):
        if count is not None:
            result[f"{split}_{unit}_per_second"] = round(count / runtime, 3)
    return result


def enable_full_determinism(seed: int, warn_only: bool = False) -> None:
    """Seed everything and let torch use deterministic operations only. Slower; for finding the cause of differences.

    Args:
        seed: from 0 to 2**32 - 1.
        warn_only: warn where an operation has no deterministic form, instead of raising.
    """
    import torch

    from bothways.engine.seeds import set_seed

    set_seed(seed)
    # cuBLAS reads these when it starts; https://pytorch.org/docs/stable/notes/randomness.html
    os.environ["CUDA_LAUNCH_BLOCKING"] = "1"
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"
    os.environ["FLASH_ATTENTION_DETERMINISTIC"] = "1"
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
