"""What is saved comes back bit by bit; what cannot be stored is named; what is damaged is refused and never run."""

from __future__ import annotations

import json
import math
import random
import tempfile
from collections import Counter, OrderedDict, defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bothways.checkpoints.weights import sha256_of
from bothways.checkpoints.weights_writer import write_file
from bothways.engine import state_files
from bothways.engine.state_files import load_state, save_state
from bothways.errors import CheckpointError

KINDS = [
    "dict",
    "tuple",
    "set",
    "frozenset",
    "OrderedDict",
    "Counter",
    "defaultdict",
    "float",
    "text",
    "numpy",
    "tensor",
    "array",
    "raw_tensor",
    "eval",
    "__reduce__",
]  # noqa: SIM905
TORCH_DTYPES = [
    "float64",
    "float32",
    "float16",
    "bfloat16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
    "complex64",
    "complex128",
    "uint16",
    "uint32",
    "uint64",
    "float8_e4m3fn",
    "float8_e5m2",
]  # noqa: SIM905
NUMPY_DTYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]  # noqa: SIM905
OPTIMIZERS = "SGD AdamW Adam NAdam RAdam Adamax Adagrad Adadelta RMSprop Rprop ASGD Adafactor LBFGS".split()  # noqa: SIM905


def same(one, other) -> bool:
    """Equal in type, order and every bit; NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and bits(one) == bits(other)
    if isinstance(one, np.ndarray | np.generic):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        factory = getattr(one, "default_factory", None) is getattr(other, "default_factory", None)
        return factory and same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return (
            math.isnan(one) and math.isnan(other) or (one == other and math.copysign(1, one) == math.copysign(1, other))
        )
    return one == other


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.resolve_conj().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def through_files(state, name="optimizer"):
    with tempfile.TemporaryDirectory() as directory:
        save_state(directory, name, state)
        return load_state(directory, name)


def tensor_of(dtype: str, raw: bytes, zero_dim: bool) -> torch.Tensor:
    wanted = getattr(torch, dtype)
    n = len(raw) // wanted.itemsize
    raw = bytes(b & 1 for b in raw) if dtype == "bool" else raw
    if not n:
        return torch.empty((0, 3), dtype=wanted)
    tensor = torch.frombuffer(bytearray(raw[: n * wanted.itemsize]), dtype=wanted)
    return tensor[0] if zero_dim else tensor


def array_of(dtype: str, raw: bytes, scalar: bool) -> np.ndarray | np.generic:
    wanted = np.dtype(dtype)
    raw = bytes(b & 1 for b in raw) if dtype == "bool" else raw
    array = np.frombuffer(raw[: len(raw) // wanted.itemsize * wanted.itemsize], wanted).copy()
    return array[0] if scalar and array.size else array


TENSORS = st.builds(tensor_of, st.sampled_from(TORCH_DTYPES), st.binary(max_size=40), st.booleans())
ARRAYS = st.builds(array_of, st.sampled_from(NUMPY_DTYPES), st.binary(max_size=40), st.booleans())
TEXTS = st.text(st.characters(), max_size=6) | st.text(st.characters(categories=["Cs"]), max_size=3)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
KEYS = SCALARS.filter(lambda key: key == key) | st.tuples(st.integers(), TEXTS)


def containers(inner):
    return (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3).map(OrderedDict)
        | st.dictionaries(KEYS, inner, max_size=3).map(lambda pairs: defaultdict(list, pairs))
        | st.dictionaries(TEXTS, st.integers(), max_size=3).map(Counter)
        | st.sets(st.integers() | TEXTS, max_size=3)
    )


@given(st.recursive(SCALARS | TENSORS | ARRAYS, containers, max_leaves=12))
@example({"a.b": torch.ones(1), "a": {"b": torch.zeros(1)}, "tensor 0": torch.ones(2), "": torch.ones(3)})
@example({"é\n": torch.ones(1), "x" * 2_000: torch.ones(2), ("x" * 2_000,): torch.ones(3)})
@example([-0.0, math.nan, -math.inf, 5e-324, 10**300, "\ud83d\ude00", {None: 1, 1.5: 2, "1": 3, 1: 4}])
@settings(max_examples=150, deadline=None)
def test_every_state_comes_back(state):
    assert same(state, through_files(state))


def run(kind: str, options: dict, *, cut_at: int | None, n_steps: int = 6) -> list[torch.Tensor]:
    """Train a small model; with ``cut_at``, its states go through files after that step and into new objects."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3).to(torch.bfloat16 if kind == "RMSprop" else torch.float32)
    optimizer, schedule = made(kind, options, model)
    generator = torch.Generator().manual_seed(7)
    for step in range(n_steps):
        if step == cut_at:
            states = through_files((optimizer.state_dict(), schedule.state_dict(), generator.get_state()))
            optimizer, schedule = made(kind, options, model)
            optimizer.load_state_dict(states[0])
            schedule.load_state_dict(states[1])
            generator = torch.Generator()
            generator.set_state(states[2])
        x = torch.randn(5, 4, generator=generator).to(model.weight.dtype)

        optimizer.step(partial(loss_of, model, optimizer, x))
        schedule.step()
    return [parameter.detach() for parameter in model.parameters()]


def loss_of(model, optimizer, x):
    optimizer.zero_grad()
    loss = model(x).square().sum()
    loss.backward()
    return loss


def made(kind, options, model):
    optimizer = getattr(torch.optim, kind)(model.parameters(), lr=0.01, **options)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))


@pytest.mark.parametrize(
    "kind, options", [*((kind, {}) for kind in OPTIMIZERS), ("SGD", {"momentum": 0.9}), ("AdamW", {"amsgrad": True})]
)
def test_an_optimizer_goes_on_as_if_nothing_had_happened(kind, options):
    assert same(run(kind, options, cut_at=None), run(kind, options, cut_at=3))


SCHEDULES = {
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [2, 2, 4]},  # a Counter
    "ConstantLR": {},
    "LinearLR": {},
    "ExponentialLR": {"gamma": 0.9},
    "PolynomialLR": {},
    "CosineAnnealingLR": {"T_max": 5},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 9},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1},
    "ReduceLROnPlateau": {"patience": 1},  # an infinity
}


@pytest.mark.parametrize("kind", [*SCHEDULES, "SequentialLR", "ChainedScheduler"])
def test_schedules_come_back(kind):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1, momentum=0.9)
    schedules = torch.optim.lr_scheduler
    if kind in SCHEDULES:
        schedule = getattr(schedules, kind)(optimizer, **SCHEDULES[kind])
    else:
        parts = [schedules.ConstantLR(optimizer), schedules.ExponentialLR(optimizer, 0.9)]
        schedule = getattr(schedules, kind)(*([optimizer, parts, [2]] if kind == "SequentialLR" else [parts]))
    optimizer.step()
    for _ in range(3):
        schedule.step(*([1.0] if kind == "ReduceLROnPlateau" else []))
    state = schedule.state_dict()
    assert same(state, through_files(state))


def test_the_states_of_random_generators_come_back():
    state = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}
    state["pcg64"] = np.random.default_rng(3).bit_generator.state  # integers of 128 bits
    assert same(state, through_files(state))


def test_one_tensor_in_two_places_is_one_again_and_views_come_back_apart(tmp_path):
    whole = torch.arange(6.0).reshape(2, 3)
    state = {"a": whole, "b": [whole], "row": whole[1], "turned": whole.t(), "spread": torch.ones(1).expand(4)}
    save_state(tmp_path, "s", state)
    found = load_state(tmp_path, "s")
    assert found["a"] is found["b"][0] and same(found["row"], whole[1].clone())
    assert found["turned"].is_contiguous() and same(found["turned"], whole.t().contiguous())
    found["row"][0] = -1.0
    assert found["a"][1, 0] == 3.0
    assert (tmp_path / "s.safetensors").stat().st_size < 1_000


def test_other_readers_find_the_tensors_by_their_place(tmp_path):
    from safetensors.torch import load_file

    save_state(tmp_path, "s", {"state": {0: {"exp_avg": torch.ones(2)}}, "odd key": torch.zeros(1)})
    assert sorted(load_file(tmp_path / "s.safetensors")) == ["['odd key']", "state[0].exp_avg"]


def test_parameters_and_tensors_with_gradients_come_back_as_plain_tensors():
    parameter = torch.nn.Parameter(torch.ones(2))
    found = through_files([parameter, parameter * 2])
    assert [type(t) for t in found] == [torch.Tensor] * 2 and not any(t.requires_grad for t in found)


class Odd:
    pass


def circle():
    value: list = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "state, said",
    [
        ({"lr_lambdas": [lambda step: 1.0]}, r"^lr_lambdas\[0\] is a function, <lambda>, which cannot be stored"),
        ({"a": {3: ({"b c": Odd()},)}}, r"^a\[3\]\[0\]\['b c'\] is of the type .*Odd, which"),
        (Odd(), "^The state is of the type .*Odd"),
        ({"kind": Odd}, "^kind is a class, Odd"),
        ({"device": torch.device("cpu")}, "^device is of the type torch.device"),
        ({"x": torch.ones(2).to_sparse()}, "^x is a tensor of torch.sparse_coo"),
        ({"x": torch.ones(2, device="meta")}, "^x is a tensor without data"),
        ({"x": np.array(["a"])}, "^x is of the type numpy.ndarray"),
        ({"x": np.array([Odd()])}, "^x is of the type numpy.ndarray"),
        ({"n": 2**5000}, "^n is an integer of 5,001 bits"),
        ({"d": defaultdict(Odd)}, "^d is a defaultdict of <class"),
        ({"x": 1 + 2j}, "^x is of the type builtins.complex"),
        ({torch.ones(1): 1}, "^The state has a tensor as a key"),
        ({"t": {Odd(): 1}}, r"^the key t\[<.*Odd object at .*\] is of the type"),
        (circle(), "is nested deeper than 100 levels, or contains itself"),
    ],
)
def test_what_cannot_be_stored_is_named_with_its_place(tmp_path, state, said):
    with pytest.raises(CheckpointError, match=said):
        save_state(tmp_path, "s", state)
    assert not list(tmp_path.iterdir())


def test_a_structure_that_could_not_be_read_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(state_files, "MAX_JSON_BYTES", 1_000)
    with pytest.raises(CheckpointError, match=r"'s' needs 2,0\d\d bytes of JSON; up to 1,000"):
        save_state(tmp_path, "s", "x" * 2_000)
    monkeypatch.undo()
    monkeypatch.setattr(state_files, "MAX_TENSORS", 2)
    with pytest.raises(CheckpointError, match="'s' has 3 tensors; up to 2 fit"):
        save_state(tmp_path, "s", [torch.ones(1), torch.ones(1), torch.ones(1)])


@pytest.fixture
def saved(tmp_path) -> Path:
    save_state(tmp_path, "s", {"step": 3, "lr": float("nan"), "m": torch.ones(2), "c": np.ones(2, "uint16")})
    return tmp_path


def test_every_flipped_bit_of_the_structure_is_seen(saved):
    """The other file has the hash of this one; its own bytes are the checkpoint's to prove."""
    path = saved / "s.json"
    good = path.read_bytes()
    for i in range(0, len(good) * 8, 3):  # every byte, and every bit of some
        raw = bytearray(good)
        raw[i // 8] ^= 1 << i % 8
        path.write_bytes(raw)
        with pytest.raises(CheckpointError, match=r"s\.json"):
            load_state(saved, "s")


@pytest.mark.parametrize("name", ["s.json", "s.safetensors"])
def test_files_cut_off_anywhere_are_refused(saved, name):
    good = (saved / name).read_bytes()
    for n in range(len(good)):
        (saved / name).write_bytes(good[:n])
        with pytest.raises(CheckpointError):
            load_state(saved, "s")
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is not a file"):
        load_state(saved, "s")


def test_files_of_two_saves_are_refused(saved):
    old = (saved / "s.safetensors").read_bytes()
    save_state(saved, "s", {"step": 4})
    (saved / "s.safetensors").write_bytes(old)
    with pytest.raises(CheckpointError, match="are not of one save"):
        load_state(saved, "s")


def load_tree(directory: Path, tree: str, tensors=None):
    """Read a structure that was never written by us, with the hash that makes it believed."""
    (directory / "s.json").write_text(tree)
    about = {"structure_sha256": sha256_of(directory / "s.json")}
    write_file(directory / "s.safetensors", tensors or {"u": torch.arange(8, dtype=torch.uint8)}, about)
    return load_state(directory, "s")


@pytest.mark.parametrize(
    "node",
    [
        '{"eval": "1"}',
        "{}",
        '{"tuple": [], "set": []}',
        '{"tuple": 3}',
        '{"tuple": "ab"}',
        '{"tuple": {"dict": []}}',
        '{"set": [[1]]}',
        '{"dict": [[1, 2], [1, 3]]}',
        '{"dict": [[[], 2]]}',
        '{"dict": [[1]]}',
        '{"dict": ["ab"]}',
        '{"dict": "ab"}',
        '{"Counter": 5}',
        '{"defaultdict": ["os.system", []]}',
        '{"float": "1"}',
        '{"float": []}',
        '{"text": "zz"}',
        '{"text": "ff"}',
        '{"numpy": ["object", "00"]}',
        '{"numpy": ["float32", "00"]}',
        '{"numpy": ["bool", "02"]}',
        '{"array": ["u", "object", [8]]}',
        '{"array": ["u", "int64", [2]]}',
        '{"array": ["u", "int64", [-1]]}',
        '{"array": ["u", "int8", [true, 8]]}',
        '{"array": ["u", "bool", [8]]}',
        '{"raw_tensor": ["u", "load", [1]]}',
        '{"raw_tensor": ["u", "uint16", [5]]}',
        '{"raw_tensor": ["f", "uint16", [2]]}',
        '{"raw_tensor": ["e", "uint16", [0, 4611686018427387904, 4]]}',
        '{"raw_tensor": ["e", "uint16", [' + "0," * 40 + "0]]}",
        '{"raw_tensor": [["u"], "uint16", [4]]}',
        '{"tensor": "missing"}',
        '{"tensor": 1}',
        "NaN",
        "1e999",
        "[" * 150 + "]" * 150,
    ],
)
def test_what_we_never_write_is_refused(tmp_path, node):
    tensors = {"u": torch.arange(8, dtype=torch.uint8), "f": torch.ones(1), "e": torch.empty(0, dtype=torch.uint8)}
    with pytest.raises(CheckpointError):
        load_tree(tmp_path, f'{{"format": 1, "state": {node}}}', tensors)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": 2, "state": 1}', '{"format": 1, "state": 1, "x": 2}', "{,"])
def test_another_form_of_the_file_is_refused(tmp_path, text):
    with pytest.raises(CheckpointError, match="format|JSON"):
        load_tree(tmp_path, text)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["u", "uint16", "list", "nan", "ff"])
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KINDS), inner, min_size=1, max_size=1),
    max_leaves=10,
)


@given(TREES)
@settings(max_examples=300, deadline=None)
def test_any_json_is_a_state_or_refused(tree):
    with tempfile.TemporaryDirectory() as directory:
        try:
            load_tree(Path(directory), json.dumps({"format": 1, "state": tree}))
        except CheckpointError as problem:
            assert "s.json" in str(problem) or "s.safetensors" in str(problem)
