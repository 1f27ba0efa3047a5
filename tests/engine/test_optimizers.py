"""Optimizers beside the reference's and torch's, and the groups of parameters of every family."""

from __future__ import annotations

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers.trainer import Trainer as TheirTrainer
from transformers.training_args import OptimizerNames

from bothways.engine.optimizers import (
    OPTIMIZERS,
    Adafactor,
    AdamW,
    build_optimizer,
    decay_parameter_names,
    parameter_groups,
    parse_optim_args,
)
from bothways.errors import InputError
from bothways.models.auto import MODEL_CLASSES
from tests.models.reference import READERS, TINY

SHAPES = [(5,), (3, 4), (2, 3, 4), ()]


def trajectory(make, *, steps: int = 5, dtype: torch.dtype = torch.float32, seed: int = 0) -> list[torch.Tensor]:
    """The parameters after some updates by drawn gradients."""
    draw = torch.Generator().manual_seed(seed)
    parameters = [nn.Parameter(torch.randn(shape, generator=draw).to(dtype)) for shape in SHAPES]
    optimizer = make(parameters)
    for _ in range(steps):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=draw).to(dtype) * 3
        optimizer.step()
    return [p.detach() for p in parameters]


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([torch.float32, torch.float32, torch.bfloat16]),
    st.booleans(),
    st.sampled_from(["external", "relative", "relative with warm-up"]),
    st.sampled_from([None, 0.0, 0.9]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([1.0, 0.3]),
    st.sampled_from([-0.8, -0.5]),
    st.integers(0, 100),
)
def test_adafactor_makes_the_updates_of_the_reference(dtype, scale, rate, beta1, decay, clip, decay_rate, seed):
    arguments = {
        "lr": 1e-2 if rate == "external" else None,
        "scale_parameter": scale,
        "relative_step": rate != "external",
        "warmup_init": rate == "relative with warm-up",
        "beta1": beta1,
        "weight_decay": decay,
        "clip_threshold": clip,
        "decay_rate": decay_rate,
    }
    ours, theirs = (
        trajectory(lambda p, cls=cls: cls(p, **arguments), dtype=dtype, seed=seed)
        for cls in (Adafactor, transformers.Adafactor)
    )
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == dtype
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_adafactor_keeps_a_row_and_a_column_of_a_matrix_and_goes_on_from_its_state():
    def run(stop: int | None) -> torch.Tensor:
        parameter = nn.Parameter(torch.ones(7, 5))
        optimizer = Adafactor([parameter], lr=0.1, relative_step=False)
        for step in range(6):
            if step == stop:
                state = optimizer.state_dict()
                assert {tuple(v.shape) for v in state["state"][0].values() if torch.is_tensor(v)} == {(7,), (5,), ()}
                optimizer = Adafactor([parameter], lr=0.1, relative_step=False)
                optimizer.load_state_dict(state)
            parameter.grad = torch.arange(35.0).reshape(7, 5).sin() * (step + 1)
            optimizer.step()
        return parameter.detach()

    assert torch.equal(run(None), run(3))


def test_adafactor_asks_its_closure_with_gradients():
    parameter = nn.Parameter(torch.ones(2))
    optimizer = Adafactor([parameter])

    def closure() -> torch.Tensor:
        loss = (parameter**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2
    assert (parameter < 1).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"lr": 0.5}, "lr is 0.5, but relative_step=True"),
        ({"relative_step": False, "warmup_init": True}, "warmup_init"),
    ],
)
def test_adafactor_refuses_contradictions(arguments, said):
    with pytest.raises(InputError, match=said):
        Adafactor([nn.Parameter(torch.ones(1))], **arguments)


def test_adamw_without_correction_is_berts_own():
    torch.manual_seed(0)
    weight, grads = nn.Parameter(torch.randn(5, 3)), torch.randn(4, 5, 3)
    value, first, second = weight.detach().double(), 0.0, 0.0
    optimizer = AdamW([weight], lr=1e-2, weight_decay=0.1, correct_bias=False)
    for grad in grads.double():
        weight.grad = grad.float()
        optimizer.step()
        first, second = 0.9 * first + 0.1 * grad, 0.999 * second + 0.001 * grad**2
        value = value * (1 - 1e-3) - 1e-2 * first / (second.sqrt() + 1e-6)
    torch.testing.assert_close(weight.detach().double(), value, atol=1e-5, rtol=0)


def test_adamw_is_torchs():
    ours = trajectory(lambda p: AdamW(p, lr=0.1, eps=1e-8, weight_decay=0.1))
    theirs = trajectory(lambda p: torch.optim.AdamW(p, lr=0.1, eps=1e-8, weight_decay=0.1))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
def test_adamw_divides_gradients_in_its_fused_and_its_plain_form(dtype):
    """The fused form has no complex numbers: there the plain one is used, and says the same."""

    def run(scale: float | None) -> torch.Tensor:
        parameter = nn.Parameter(torch.ones(3, dtype=dtype))
        optimizer = AdamW([parameter], lr=0.1, eps=1.0)  # so large an eps shows the size of gradients
        for step in range(3):
            parameter.grad = torch.full((3,), step + 1.0, dtype=dtype) * (scale or 1.0)
            if scale:
                optimizer.grad_scale = torch.tensor(scale)
            optimizer.step()
        assert bool(optimizer.param_groups[0]["fused"]) == (dtype != torch.complex64)
        return parameter.detach()

    torch.testing.assert_close(run(None), run(4.0))


REFERENCE_NAMES = [name.value for name in OptimizerNames]


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_optimizers_by_name_are_those_of_the_reference(name, tmp_path):
    def theirs(parameters):
        usual = name if name in REFERENCE_NAMES else "adamw_torch"
        arguments = transformers.TrainingArguments(
            str(tmp_path), optim=usual, learning_rate=0.01, adam_beta1=0.8, adam_epsilon=1e-6, report_to=[]
        )
        kind, settings_ = TheirTrainer.get_optimizer_cls_and_kwargs(arguments)
        return kind(parameters, **settings_)

    def ours(parameters):
        return build_optimizer(name, parameters, learning_rate=0.01, betas=(0.8, 0.999), eps=1e-6)

    def grouped(make):
        return trajectory(lambda parameters: make([{"params": parameters, "weight_decay": 0.1}]))

    for a, b in zip(grouped(ours), grouped(theirs), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


def test_every_name_of_the_reference_is_built_or_refused_with_a_usable_one():
    for name in REFERENCE_NAMES:
        parameter = [nn.Parameter(torch.ones(1))]
        if name in OPTIMIZERS:
            assert isinstance(build_optimizer(OptimizerNames(name), parameter, learning_rate=0.1), OPTIMIZERS[name])
            continue
        with pytest.raises(InputError, match=f"optim '{name}' needs [a-z_-]+, which this library does not use") as said:
            build_optimizer(name, parameter, learning_rate=0.1)
        assert str(said.value).partition("Use '")[2].removesuffix("'.") in OPTIMIZERS


def test_optim_args():
    assert parse_optim_args("momentum=0.9, nesterov=True") == {"momentum": "0.9", "nesterov": "True"}
    assert parse_optim_args(None) == parse_optim_args("") == {}
    extra = parse_optim_args("momentum=0.9,nesterov=true,dampening=0,maximize=False,foreach=none")
    group = build_optimizer("sgd", [nn.Parameter(torch.ones(1))], learning_rate=0.1, **extra).param_groups[0]
    found = [group[key] for key in extra]
    assert found == [0.9, True, 0, False, None] and [type(v) for v in found[:4]] == [float, bool, int, bool]


@pytest.mark.parametrize("text", ["momentum", "a=1,,b=2", "a=1=2", "=3", "a=1,"])
def test_optim_args_that_say_nothing(text):
    with pytest.raises(InputError, match="expected name=value, several joined by commas"):
        parse_optim_args(text)


@pytest.mark.parametrize(
    ("name", "extra", "said"),
    [
        ("sgd", {"momentun": "1"}, "sgd does not take momentun. It takes momentum, dampening"),
        ("adamw", {}, "unknown optim 'adamw'. Known: adamw_torch, .* Did you mean 'adamw_hf'"),
    ],
)
def test_unknown_names(name, extra, said):
    with pytest.raises(InputError, match=said):
        build_optimizer(name, [nn.Parameter(torch.ones(1))], learning_rate=0.1, **extra)


def tiny(model_type: str, task: str = "sequence-classification"):
    cls = MODEL_CLASSES[model_type, task]
    return cls(cls.config_class(**TINY[model_type]))


def found_in(groups, model) -> dict[str, tuple[float, float]]:
    """Rate and decay by the name of the parameter."""
    of = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(of), "a parameter is in two groups"
    return {name: of[id(p)] for name, p in model.named_parameters() if id(p) in of}


@pytest.mark.parametrize("model_type", READERS)
@pytest.mark.parametrize("task", ["sequence-classification", "masked-lm"])
def test_the_reference_would_decay_the_same_parameters(model_type, task):
    model = tiny(model_type, task)
    assert sorted(decay_parameter_names(model)) == sorted(TheirTrainer.get_decay_parameter_names(None, model))
    groups = parameter_groups(model, learning_rate=1e-3, weight_decay=0.1)
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    decaying = {name for name, (_, decay) in found_in(groups, model).items() if decay}
    assert decaying == {name for name, _ in model.named_parameters() if name in decay_parameter_names(model)}


class Odd(nn.Module):
    """Names that the patterns must and must not meet."""

    def __init__(self) -> None:
        super().__init__()
        self.rescale = nn.RMSNorm(2)
        self.ln_1 = nn.LayerNorm(2)
        self.norm = nn.Linear(2, 2)
        self.input_norm = nn.Linear(2, 2)
        self.normal = nn.Linear(2, 2)
        self.MyRMSNorm = nn.Linear(2, 2)
        self.relative_bias = nn.Parameter(torch.ones(2, 2))
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)


def test_norms_are_found_by_type_and_by_name():
    model = Odd()
    assert decay_parameter_names(model) == ["frozen", "normal.weight"]
    theirs = TheirTrainer.get_decay_parameter_names(None, model)
    assert set(theirs) - {"frozen", "normal.weight"} == {"rescale.weight"}  # a norm of torch that the reference misses
    groups = parameter_groups(model, learning_rate=1e-3, weight_decay=0.1)
    assert found_in(groups, model)["normal.weight"] == (1e-3, 0.1) and "frozen" not in found_in(groups, model)


def test_the_head_learns_faster_than_the_body():
    model = tiny("bert")
    found = found_in(parameter_groups(model, learning_rate=1e-3, weight_decay=0.1, head_factor=20), model)
    assert found["classifier.weight"] == (0.02, 0.1) and found["classifier.bias"] == (0.02, 0.0)
    assert found["bert.pooler.dense.weight"] == (1e-3, 0.1)
    assert found["bert.embeddings.LayerNorm.weight"] == (1e-3, 0.0)


@pytest.mark.parametrize("model_type", sorted(set(READERS) - {"albert"}))
@pytest.mark.parametrize("task", ["sequence-classification", "masked-lm"])
def test_lower_layers_learn_more_slowly(model_type, task):
    model = tiny(model_type, task)
    prefix, layers = model.base_model_prefix, len(model.base_model.encoder.layer)
    groups = parameter_groups(model, learning_rate=1.0, weight_decay=0.1, head_factor=3.0, layer_decay=0.5)
    for name, (rate, _) in found_in(groups, model).items():
        parts = name.split(".")
        if parts[0] != prefix:
            expected = 3.0
        elif parts[1] == "embeddings":
            expected = 0.5 ** (layers + 1)
        elif parts[1:3] == ["encoder", "layer"]:
            expected = 0.5 ** (layers - int(parts[3]))
        else:
            expected = 1.0
        assert rate == expected, name
    assert sorted({group["lr"] for group in groups})[-1] == 3.0


def test_layers_that_share_their_parameters_are_one():
    config = {**TINY["albert"], "num_hidden_groups": 1}
    model = MODEL_CLASSES["albert", "sequence-classification"](MODEL_CLASSES["albert", "base"].config_class(**config))
    groups = parameter_groups(model, learning_rate=1.0, weight_decay=0.1, layer_decay=0.5)
    rate_of = {name: rate for name, (rate, _) in found_in(groups, model).items()}
    assert {r for n, r in rate_of.items() if ".encoder." in n} == {0.5}
    assert {r for n, r in rate_of.items() if ".embeddings." in n} == {0.25}
    assert {r for n, r in rate_of.items() if "pooler" in n or "classifier" in n} == {1.0}


def test_a_foreign_module_has_no_layers_to_tell():
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    groups = parameter_groups(model, learning_rate=1e-3, weight_decay=0.1)
    assert [(len(g["params"]), g["lr"], g["weight_decay"]) for g in groups] == [(1, 1e-3, 0.1), (3, 1e-3, 0.0)]
    with pytest.raises(InputError, match="head_factor is 20 and layer_decay 1.0, but Sequential has no base_model"):
        parameter_groups(model, learning_rate=1e-3, weight_decay=0.1, head_factor=20)
    model.base_model = nn.Linear(2, 2)
    with pytest.raises(InputError, match="layer_decay is 0.9, but Linear has no embeddings and encoder.layer"):
        parameter_groups(model, learning_rate=1e-3, weight_decay=0.1, layer_decay=0.9)


@pytest.mark.parametrize("layer_decay", [0, 1.5, -1])
def test_an_impossible_layer_decay(layer_decay):
    with pytest.raises(InputError, match=f"layer_decay is {layer_decay}, expected a number above 0 and at most 1"):
        parameter_groups(tiny("bert"), learning_rate=1e-3, weight_decay=0.0, layer_decay=layer_decay)


def test_a_bert_of_the_reference_has_layers_too():
    theirs = transformers.BertForSequenceClassification(transformers.BertConfig(**TINY["bert"]))
    ours = tiny("bert")
    arguments = {"learning_rate": 1.0, "weight_decay": 0.1, "head_factor": 2.0, "layer_decay": 0.8}
    assert found_in(parameter_groups(theirs, **arguments), theirs) == found_in(
        parameter_groups(ours, **arguments), ours
    )
