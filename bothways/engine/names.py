"""The names of schedules and optimizers in ``TrainingArguments``; without torch, which the arguments do not import."""

from __future__ import annotations

from enum import Enum

from bothways.errors import InputError, nearest


class SchedulerType(str, Enum):
    """The names of ``TrainingArguments.lr_scheduler_type``."""

    LINEAR = "linear"
    COSINE = "cosine"
    COSINE_WITH_RESTARTS = "cosine_with_restarts"
    POLYNOMIAL = "polynomial"
    CONSTANT = "constant"
    CONSTANT_WITH_WARMUP = "constant_with_warmup"
    INVERSE_SQRT = "inverse_sqrt"
    REDUCE_ON_PLATEAU = "reduce_lr_on_plateau"
    COSINE_WITH_MIN_LR = "cosine_with_min_lr"
    COSINE_WARMUP_WITH_MIN_LR = "cosine_warmup_with_min_lr"
    WARMUP_STABLE_DECAY = "warmup_stable_decay"

    @classmethod
    def _missing_(cls, value: object) -> SchedulerType:
        known = [member.value for member in cls]
        like = nearest(str(value), known)
        hint = f" Did you mean {like[0]!r}?" if like else ""
        raise InputError(f"unknown schedule {value!r}. Known schedules: {', '.join(known)}.{hint}")


class OptimizerNames(str, Enum):
    """The names of ``TrainingArguments.optim``."""

    ADAMW_TORCH = "adamw_torch"
    ADAMW_TORCH_FUSED = "adamw_torch_fused"
    ADAFACTOR = "adafactor"
    SGD = "sgd"
    ADAGRAD = "adagrad"
    RMSPROP = "rmsprop"
