"""Learning-rate schedules under the ecosystem's names. Each is a factor of the highest rate, by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from bothways.errors import InputError, nearest

Factor = Callable[[int], float]


def linear(step: int, warmup: int, total: int) -> float:
    """Up to 1 over the warm-up, then down to 0 at the end. Source: Devlin et al. 2019, appendix A.2."""
    if step < warmup:
        return step / max(1, warmup)
    return max(0.0, (total - step) / max(1, total - warmup))


def cosine(step: int, warmup: int, total: int, num_cycles: float = 0.5) -> float:
    """Half a cosine down to 0. Source: Loshchilov and Hutter 2017, section 3."""
    if step < warmup:
        return step / max(1, warmup)
    progress = (step - warmup) / max(1, total - warmup)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * progress)))


def constant(step: int, warmup: int, total: int) -> float:
    """Up to 1 over the warm-up, then 1."""
    return min(1.0, step / max(1, warmup)) if warmup else 1.0


SCHEDULES: dict[str, Callable[..., float]] = {
    "linear": linear,
    "cosine": cosine,
    "constant": lambda step, warmup, total: 1.0,
    "constant_with_warmup": constant,
}


def get_scheduler(
    name: str,
    optimizer: Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    **specific: Any,
) -> LambdaLR:
    """A schedule by name.

    Raises:
        InputError: unknown name, or a schedule that needs the number of steps and got none.
    """
    name = getattr(name, "value", name)
    if name not in SCHEDULES:
        like = nearest(str(name), list(SCHEDULES))
        hint = f" Did you mean {like[0]!r}?" if like else ""
        raise InputError(f"unknown schedule {name!r}. Known schedules: {', '.join(SCHEDULES)}.{hint}")
    if name in ("linear", "cosine") and num_training_steps is None:
        raise InputError(f"the {name} schedule needs num_training_steps.")
    warmup, total = num_warmup_steps or 0, num_training_steps or 0
    return LambdaLR(optimizer, lambda step: SCHEDULES[name](step, warmup, total, **specific))


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Linear rise over ``num_warmup_steps``, then linear fall to 0 at ``num_training_steps``."""
    return LambdaLR(optimizer, lambda step: linear(step, num_warmup_steps, num_training_steps), last_epoch)


def get_constant_schedule_with_warmup(optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1) -> LambdaLR:
    """Linear rise over ``num_warmup_steps``, then constant."""
    return LambdaLR(optimizer, lambda step: constant(step, num_warmup_steps, 0), last_epoch)
