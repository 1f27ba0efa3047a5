"""Learning-rate schedules under the ecosystem's names.

Each is a pure function that gives, by step, a factor of the highest rate; ``get_*_schedule*`` hang it on an optimizer.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from bothways.engine.names import SchedulerType
from bothways.errors import InputError

SHAPES = ("linear", "cosine", "1-sqrt")


def linear(step: int, warmup: int, total: int) -> float:
    """Up to 1 over the warm-up, then down to 0 at the end. Source: Devlin et al. 2019, appendix A.2."""
    if step < warmup:
        return _rise(step, warmup)
    return max(0.0, (total - step) / max(1, total - warmup))


def cosine(step: int, warmup: int, total: int, num_cycles: float = 0.5, floor: float = 0.0) -> float:
    """Half a cosine down to ``floor``. Source: Loshchilov and Hutter 2017, section 3."""
    if step < warmup:
        return _rise(step, warmup)
    return _wave((step - warmup) / max(1, total - warmup), num_cycles, floor)


def cosine_with_restarts(step: int, warmup: int, total: int, num_cycles: int = 1) -> float:
    """``num_cycles`` half cosines, each from 1 to 0. Source: Loshchilov and Hutter 2017, section 3."""
    if step < warmup:
        return _rise(step, warmup)
    progress = (step - warmup) / max(1, total - warmup)
    return 0.0 if progress >= 1 else _wave((float(num_cycles) * progress) % 1.0, 0.5)


def cosine_from_warm_rate(
    step: int, warmup: int, total: int, num_cycles: float = 0.5, floor: float = 0.0, first: float | None = None
) -> float:
    """As ``cosine``, one step ahead, so that no step has the rate 0.

    Args:
        first: the factor of step 0; None is 1 / warmup.
    """
    if step < warmup:
        return (step + 1) / max(1, warmup) if first is None else first + (1 - first) * step / max(1, warmup - 1)
    return _wave((step - warmup + 1) / max(1, total - warmup), num_cycles, floor)


def polynomial(step: int, warmup: int, total: int, power: float = 1.0, floor: float = 0.0) -> float:
    """(remaining part) ** ``power`` down to ``floor``, which stays."""
    if step < warmup:
        return _rise(step, warmup)
    if step > total:
        return floor
    return (1 - floor) * (1 - (step - warmup) / max(1, total - warmup)) ** power + floor


def inverse_sqrt(step: int, warmup: int, timescale: int | None = None) -> float:
    """1 / sqrt(step), so scaled that it is 1 at the end of the warm-up. Source: Vaswani et al. 2017, section 5.3.

    Args:
        timescale: steps after the warm-up until 1 / sqrt(2); None is the warm-up, or 10,000 without one.
    """
    if step < warmup:
        return _rise(step, warmup)
    timescale = timescale or warmup or 10_000
    return 1.0 / math.sqrt((step + timescale - warmup) / timescale)


def constant(step: int, warmup: int) -> float:
    """Up to 1 over the warm-up, then 1."""
    return _rise(step, warmup) if step < warmup else 1.0


def warmup_stable_decay(
    step: int,
    warmup: int,
    stable: int,
    decay: int,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    floor: float = 0.0,
    num_cycles: float = 0.5,
) -> float:
    """Up from ``floor``, level for ``stable`` steps, down to ``floor``. Source: Hu et al. 2024 (MiniCPM), section 4."""
    if step < warmup:
        progress = step / max(1, warmup)
        factor = {
            "linear": progress,
            "cosine": 0.5 * (1.0 - math.cos(math.pi * progress)),
            "1-sqrt": 1.0 - math.sqrt(1.0 - progress),
        }[warmup_type]
    elif step < warmup + stable:
        return 1.0
    elif step < warmup + stable + decay:
        progress = (step - warmup - stable) / max(1, decay)
        factor = {
            "linear": 1.0 - progress,
            "cosine": 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * progress)),
            "1-sqrt": 1.0 - math.sqrt(progress),
        }[decay_type]
    else:
        return floor
    return max(0.0, factor * (1.0 - floor) + floor)


def get_constant_schedule(optimizer: Optimizer, last_epoch: int = -1) -> LambdaLR:
    """The rate of the optimizer, always."""
    return LambdaLR(optimizer, partial(constant, warmup=0), last_epoch)


def get_constant_schedule_with_warmup(optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1) -> LambdaLR:
    """Linear rise over ``num_warmup_steps``, then constant."""
    return LambdaLR(optimizer, partial(constant, warmup=num_warmup_steps), last_epoch)


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Linear rise over ``num_warmup_steps``, then linear fall to 0 at ``num_training_steps``."""
    return LambdaLR(optimizer, partial(linear, warmup=num_warmup_steps, total=num_training_steps), last_epoch)


def get_cosine_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, num_cycles: float = 0.5, last_epoch: int = -1
) -> LambdaLR:
    """Linear rise, then ``num_cycles`` waves of a cosine; half a wave is a fall to 0."""
    factor = partial(cosine, warmup=num_warmup_steps, total=num_training_steps, num_cycles=num_cycles)
    return LambdaLR(optimizer, factor, last_epoch)


def get_cosine_with_hard_restarts_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, num_cycles: int = 1, last_epoch: int = -1
) -> LambdaLR:
    """Linear rise, then ``num_cycles`` falls to 0, each from the highest rate."""
    factor = partial(cosine_with_restarts, warmup=num_warmup_steps, total=num_training_steps, num_cycles=num_cycles)
    return LambdaLR(optimizer, factor, last_epoch)


def get_polynomial_decay_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    lr_end: float = 1e-7,
    power: float = 1.0,
    last_epoch: int = -1,
) -> LambdaLR:
    """Linear rise, then a polynomial fall to the rate ``lr_end``.

    Raises:
        InputError: ``lr_end`` is not below the rate of the optimizer.
    """
    highest = optimizer.defaults["lr"]
    if not highest > lr_end:
        raise InputError(f"lr_end ({lr_end}) must be smaller than the learning rate of the optimizer ({highest}).")
    factor = partial(polynomial, warmup=num_warmup_steps, total=num_training_steps, power=power, floor=lr_end / highest)
    return LambdaLR(optimizer, factor, last_epoch)


def get_inverse_sqrt_schedule(
    optimizer: Optimizer, num_warmup_steps: int, timescale: int | None = None, last_epoch: int = -1
) -> LambdaLR:
    """Linear rise, then 1 / sqrt(step)."""
    return LambdaLR(optimizer, partial(inverse_sqrt, warmup=num_warmup_steps, timescale=timescale), last_epoch)


def get_reduce_on_plateau_schedule(optimizer: Optimizer, **kwargs: Any) -> ReduceLROnPlateau:
    """A rate that falls when a score, given to ``step``, no longer improves; ``kwargs`` are torch's."""
    return ReduceLROnPlateau(optimizer, **kwargs)


def get_cosine_with_min_lr_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> LambdaLR:
    """Linear rise, then a cosine down to the rate ``min_lr``, or to ``min_lr_rate`` times the highest.

    Raises:
        InputError: both or none of the two.
    """
    floor = _lowest(optimizer, min_lr, min_lr_rate)
    factor = partial(cosine, warmup=num_warmup_steps, total=num_training_steps, num_cycles=num_cycles, floor=floor)
    return LambdaLR(optimizer, factor, last_epoch)


def get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> LambdaLR:
    """As without ``_lr_rate``, one step ahead; the first step has ``warmup_lr_rate`` times the highest rate."""
    factor = partial(
        cosine_from_warm_rate,
        warmup=num_warmup_steps,
        total=num_training_steps,
        num_cycles=num_cycles,
        floor=_lowest(optimizer, min_lr, min_lr_rate),
        first=warmup_lr_rate,
    )
    return LambdaLR(optimizer, factor, last_epoch)


def get_wsd_schedule(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_decay_steps: int,
    num_training_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Rise, level part, fall.

    Args:
        num_stable_steps: length of the level part; None is what ``num_training_steps`` leaves of it.
        warmup_type, decay_type: ``"linear"``, ``"cosine"`` or ``"1-sqrt"``.
        min_lr_ratio: the lowest rate as a multiple of the highest.

    Raises:
        InputError: neither number of steps, or an unknown shape.
    """
    if num_stable_steps is None and num_training_steps is None:
        raise InputError("warmup_stable_decay needs num_training_steps or num_stable_steps.")
    if num_stable_steps is None:
        num_stable_steps = num_training_steps - num_warmup_steps - num_decay_steps  # type: ignore[operator]
    elif num_training_steps is not None:
        warnings.warn("num_training_steps and num_stable_steps are both given: num_stable_steps counts.", stacklevel=2)
    for what, shape in (("warmup_type", warmup_type), ("decay_type", decay_type)):
        if shape not in SHAPES:
            raise InputError(f"unknown {what} {shape!r}. Known: {', '.join(SHAPES)}.")
    factor = partial(
        warmup_stable_decay,
        warmup=num_warmup_steps,
        stable=num_stable_steps,
        decay=num_decay_steps,
        warmup_type=warmup_type,
        decay_type=decay_type,
        floor=min_lr_ratio,
        num_cycles=num_cycles,
    )
    return LambdaLR(optimizer, factor, last_epoch)


SCHEDULES: dict[SchedulerType, Callable[..., LRScheduler]] = {
    SchedulerType.LINEAR: get_linear_schedule_with_warmup,
    SchedulerType.COSINE: get_cosine_schedule_with_warmup,
    SchedulerType.COSINE_WITH_RESTARTS: get_cosine_with_hard_restarts_schedule_with_warmup,
    SchedulerType.POLYNOMIAL: get_polynomial_decay_schedule_with_warmup,
    SchedulerType.CONSTANT: get_constant_schedule,
    SchedulerType.CONSTANT_WITH_WARMUP: get_constant_schedule_with_warmup,
    SchedulerType.INVERSE_SQRT: get_inverse_sqrt_schedule,
    SchedulerType.REDUCE_ON_PLATEAU: get_reduce_on_plateau_schedule,
    SchedulerType.COSINE_WITH_MIN_LR: get_cosine_with_min_lr_schedule_with_warmup,
    SchedulerType.COSINE_WARMUP_WITH_MIN_LR: get_cosine_with_min_lr_schedule_with_warmup_lr_rate,
    SchedulerType.WARMUP_STABLE_DECAY: get_wsd_schedule,
}


def get_scheduler(
    name: str | SchedulerType,
    optimizer: Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: dict[str, Any] | None = None,
) -> Any:
    """A schedule by name.

    Args:
        name: one of ``SchedulerType``.
        num_warmup_steps: for all but ``constant`` and ``reduce_lr_on_plateau``.
        num_training_steps: for those that have an end.
        scheduler_specific_kwargs: further arguments of the schedule's own function; both constants have none.

    Raises:
        InputError: an unknown name, or a number of steps that the schedule needs is missing.
        TypeError: an argument that the schedule does not have.
    """
    name = SchedulerType(getattr(name, "value", name))
    specific = scheduler_specific_kwargs or {}
    if name is SchedulerType.CONSTANT:
        return get_constant_schedule(optimizer)
    if name is SchedulerType.REDUCE_ON_PLATEAU:
        return get_reduce_on_plateau_schedule(optimizer, **specific)
    if num_warmup_steps is None:
        raise InputError(f"the {name.value} schedule needs num_warmup_steps; 0 has no warm-up.")
    if name is SchedulerType.CONSTANT_WITH_WARMUP:
        return get_constant_schedule_with_warmup(optimizer, num_warmup_steps)
    if name is SchedulerType.INVERSE_SQRT:
        return get_inverse_sqrt_schedule(optimizer, num_warmup_steps, **specific)
    if num_training_steps is None and name is not SchedulerType.WARMUP_STABLE_DECAY:
        raise InputError(f"the {name.value} schedule needs num_training_steps.")
    return SCHEDULES[name](
        optimizer, num_warmup_steps=num_warmup_steps, num_training_steps=num_training_steps, **specific
    )


class AdafactorSchedule(LambdaLR):
    """Shows the rates that ``Adafactor`` makes for itself, to loops that want a schedule.

    Args:
        initial_lr: what is shown before the first step.
    """

    def __init__(self, optimizer: Optimizer, initial_lr: float = 0.0) -> None:
        for group in optimizer.param_groups:
            group["initial_lr"] = initial_lr
        super().__init__(optimizer, lambda step: initial_lr)
        for group in optimizer.param_groups:
            del group["initial_lr"]

    def get_lr(self) -> list[Any]:
        """The rate of the first parameter of each group that has a gradient."""
        optimizer: Any = self.optimizer
        firsts = [(group, group["params"][0]) for group in optimizer.param_groups]
        rates = [optimizer._get_lr(group, optimizer.state[p]) for group, p in firsts if p.grad is not None]
        return rates or self.base_lrs


def get_adafactor_schedule(optimizer: Optimizer, initial_lr: float = 0.0) -> AdafactorSchedule:
    """The schedule that shows ``Adafactor``'s own rates."""
    return AdafactorSchedule(optimizer, initial_lr)


def _rise(step: int, warmup: int) -> float:
    return step / max(1, warmup)


def _wave(progress: float, num_cycles: float, floor: float = 0.0) -> float:
    """A cosine from 1 to ``floor`` over half a cycle."""
    factor = 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * progress))
    return max(0.0, factor * (1 - floor) + floor)


def _lowest(optimizer: Optimizer, min_lr: float | None, min_lr_rate: float | None) -> float:
    """The floor as a multiple of the highest rate."""
    if (min_lr is None) == (min_lr_rate is None):
        raise InputError(
            f"min_lr is {min_lr} and min_lr_rate {min_lr_rate}: exactly one of them says where the schedule ends. "
            "TrainingArguments takes it in lr_scheduler_kwargs."
        )
    return min_lr / optimizer.defaults["lr"] if min_lr is not None else min_lr_rate  # type: ignore[return-value]
