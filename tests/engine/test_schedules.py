"""Every schedule beside the reference's, step by step, with drawn arguments."""

from __future__ import annotations

import inspect
import pickle

import pytest
import torch
import transformers
import transformers.optimization as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

import bothways
from bothways.engine import schedules as ours
from bothways.engine.optimizers import Adafactor
from bothways.errors import InputError

WITH_WARMUP = {"num_warmup_steps": st.integers(0, 8)}
WITH_END = {**WITH_WARMUP, "num_training_steps": st.integers(9, 25)}
CYCLES = {"num_cycles": st.floats(0, 3)}
MINIMUM = {"min_lr": st.floats(0, 0.01)}
MINIMUM_RATE = {"min_lr_rate": st.floats(0, 1)}
SHAPE = st.sampled_from(["linear", "cosine", "1-sqrt"])
STABLE = {
    **WITH_WARMUP,
    "num_decay_steps": st.integers(0, 8),
    "warmup_type": SHAPE,
    "decay_type": SHAPE,
    "min_lr_ratio": st.floats(0, 1),
    **CYCLES,
}
CASES = {
    "get_constant_schedule": [{}],
    "get_constant_schedule_with_warmup": [WITH_WARMUP],
    "get_linear_schedule_with_warmup": [WITH_END, {**WITH_WARMUP, "num_training_steps": st.integers(0, 8)}],
    "get_cosine_schedule_with_warmup": [WITH_END, {**WITH_END, **CYCLES}],
    "get_cosine_with_hard_restarts_schedule_with_warmup": [WITH_END, {**WITH_END, "num_cycles": st.integers(1, 5)}],
    "get_polynomial_decay_schedule_with_warmup": [
        WITH_END,
        {**WITH_END, "lr_end": st.floats(0, 0.01), "power": st.floats(0.1, 3)},
    ],
    "get_inverse_sqrt_schedule": [WITH_WARMUP, {**WITH_WARMUP, "timescale": st.integers(1, 50)}],
    "get_cosine_with_min_lr_schedule_with_warmup": [
        {**WITH_END, **MINIMUM, **CYCLES},
        {**WITH_END, **MINIMUM_RATE},
    ],
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate": [
        {**WITH_END, **MINIMUM, **CYCLES},
        {**WITH_END, **MINIMUM_RATE, "warmup_lr_rate": st.floats(0, 1)},
    ],
    "get_wsd_schedule": [
        {**STABLE, "num_stable_steps": st.integers(0, 8)},
        {**STABLE, "num_training_steps": st.integers(16, 30)},
    ],
}


def optimizer(lr: float = 0.02) -> torch.optim.Optimizer:
    """Two groups with rates of their own."""
    first, second = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
    return torch.optim.SGD([{"params": [first]}, {"params": [second], "lr": lr / 7}], lr=lr)


def rates(schedule, steps: int = 32) -> list[list[float]]:
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr())
        schedule.optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in CASES.items() for case in cases])
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_the_same_rates_at_every_step(name, case, data):
    arguments = {key: data.draw(values, key) for key, values in case.items()}
    our_rates, their_rates = (rates(getattr(m, name)(optimizer(), **arguments)) for m in (bothways, theirs))
    for step, (our, their) in enumerate(zip(our_rates, their_rates, strict=True)):
        assert our == pytest.approx(their, rel=1e-9, abs=1e-15), f"step {step}"


def test_every_function_and_name_of_the_reference_is_here():
    for kind, function in theirs.TYPE_TO_SCHEDULER_FUNCTION.items():
        own = getattr(bothways, function.__name__)
        assert list(inspect.signature(own).parameters) == list(inspect.signature(function).parameters)
        assert [p.default for p in inspect.signature(own).parameters.values()] == [
            p.default for p in inspect.signature(function).parameters.values()
        ]
        assert ours.SCHEDULES[bothways.SchedulerType(kind.value)] is own
        assert bothways.SchedulerType[kind.name].value == kind.value
    assert list(ours.SCHEDULES) == list(bothways.SchedulerType)
    assert len(bothways.SchedulerType) == len(transformers.SchedulerType)


SPECIFIC = {
    "cosine": {"num_cycles": 1.5},
    "cosine_with_restarts": {"num_cycles": 3},
    "polynomial": {"lr_end": 1e-3, "power": 2.0},
    "cosine_with_min_lr": {"min_lr": 1e-3},
    "cosine_warmup_with_min_lr": {"min_lr_rate": 0.1, "warmup_lr_rate": 0.2},
    "warmup_stable_decay": {"num_decay_steps": 6, "min_lr_ratio": 0.1},
}


@pytest.mark.parametrize("name", [kind.value for kind in bothways.SchedulerType if "plateau" not in kind.value])
@pytest.mark.parametrize("as_enum", [False, True])
def test_by_name(name, as_enum):
    arguments = {"num_warmup_steps": 4, "num_training_steps": 20, "scheduler_specific_kwargs": SPECIFIC.get(name)}
    chosen = bothways.SchedulerType(name) if as_enum else name
    ours_, theirs_ = (
        bothways.get_scheduler(chosen, optimizer(), **arguments),
        theirs.get_scheduler(name, optimizer(), **arguments),
    )
    assert torch.allclose(torch.tensor(rates(ours_)), torch.tensor(rates(theirs_)), rtol=1e-6, atol=1e-12)


def test_the_enum_of_the_reference_is_understood():
    schedule = bothways.get_scheduler(transformers.SchedulerType.COSINE, optimizer(), 2, 8)
    assert rates(schedule, 9) == rates(bothways.get_cosine_schedule_with_warmup(optimizer(), 2, 8), 9)


def test_reduce_on_plateau_falls_when_nothing_improves():
    specific = {"factor": 0.5, "patience": 1}
    schedule = bothways.get_scheduler("reduce_lr_on_plateau", optimizer(), scheduler_specific_kwargs=specific)
    assert isinstance(schedule, ReduceLROnPlateau)
    for score in (1.0, 1.0, 1.0, 1.0):
        schedule.step(score)
    assert schedule.get_last_lr() == pytest.approx([0.01, 0.02 / 14])


def test_the_inverse_root_takes_its_own_argument_by_name():
    """The reference drops it in silence."""
    by_name = bothways.get_scheduler("inverse_sqrt", optimizer(), 3, scheduler_specific_kwargs={"timescale": 5})
    assert rates(by_name) == rates(theirs.get_inverse_sqrt_schedule(optimizer(), 3, timescale=5))


def test_a_schedule_goes_on_after_a_restart():
    whole = rates(bothways.get_linear_schedule_with_warmup(optimizer(), 4, 20), 12)
    first = bothways.get_linear_schedule_with_warmup(optimizer(), 4, 20)
    rates(first, 5)
    again = bothways.get_linear_schedule_with_warmup(optimizer(), 4, 20)
    again.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    assert rates(again, 7) == whole[5:]


def test_a_warm_up_as_long_as_training_divides_by_nothing():
    schedule = bothways.get_polynomial_decay_schedule_with_warmup(optimizer(), 3, 3, lr_end=1e-3)
    assert [first for first, _ in rates(schedule, 5)] == pytest.approx([0, 0.02 / 3, 0.04 / 3, 0.02, 1e-3])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda o: bothways.get_scheduler("cosin", o, 1, 2), "unknown schedule 'cosin'.*Did you mean 'cosine'"),
        (lambda o: bothways.get_scheduler("linear", o, None, 2), "the linear schedule needs num_warmup_steps"),
        (lambda o: bothways.get_scheduler("polynomial", o, 1), "the polynomial schedule needs num_training_steps"),
        (
            lambda o: bothways.get_scheduler("cosine_with_min_lr", o, 1, 2),
            "min_lr is None and min_lr_rate None: exactly one.*lr_scheduler_kwargs",
        ),
        (
            lambda o: bothways.get_cosine_with_min_lr_schedule_with_warmup_lr_rate(o, 1, 2, min_lr=0, min_lr_rate=0.5),
            "min_lr is 0 and min_lr_rate 0.5",
        ),
        (
            lambda o: bothways.get_polynomial_decay_schedule_with_warmup(o, 1, 2, lr_end=0.5),
            r"lr_end \(0.5\) must be smaller.*\(0.02\)",
        ),
        (lambda o: bothways.get_wsd_schedule(o, 1, 2), "needs num_training_steps or num_stable_steps"),
        (lambda o: bothways.get_wsd_schedule(o, 1, 2, 9, decay_type="log"), "unknown decay_type 'log'. Known: linear"),
    ],
)
def test_impossible_schedules(call, said):
    with pytest.raises(InputError, match=said):
        call(optimizer())


def test_an_argument_that_a_schedule_does_not_have():
    with pytest.raises(TypeError, match="num_cycles"):
        bothways.get_scheduler("linear", optimizer(), 1, 2, {"num_cycles": 2})


def test_two_numbers_for_the_level_part_are_told():
    with pytest.warns(UserWarning, match="num_stable_steps counts"):
        bothways.get_wsd_schedule(optimizer(), 1, 2, num_training_steps=9, num_stable_steps=3)


def test_the_rates_that_adafactor_makes_are_shown():
    def shown(module, adafactor) -> list[float]:
        parameter = torch.nn.Parameter(torch.linspace(-1, 1, 6).reshape(2, 3))
        made = adafactor([parameter], warmup_init=True)
        schedule = module.get_adafactor_schedule(made, 0.25)
        found = schedule.get_lr()
        for _ in range(3):
            parameter.grad = parameter.detach() * 2
            made.step()
            schedule.step()
            found += [float(rate) for rate in schedule.get_lr()]
        return found

    assert shown(ours, Adafactor) == pytest.approx(shown(theirs, theirs.Adafactor))
