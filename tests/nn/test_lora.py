"""LoRA against the formula, by hand and by finite differences."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bothways.batching import SeqLens
from bothways.errors import InputError
from bothways.nn.block import BlockSpec, Rows
from bothways.nn.linear import Linear
from bothways.nn.lora import LoraLinear, LowRank, is_foldable, lora_layers, merged_state, put_lora
from bothways.nn.stack import SharedStack, TransformerStack

SPEC = BlockSpec(hidden_size=8, num_attention_heads=2, intermediate_size=16, hidden_act="gelu", layer_norm_eps=1e-12)


def layer_with_lora(
    columns: int = 7, rows: int = 5, r: int = 3, alpha: float = 6.0, dtype: torch.dtype = torch.float64, **options
) -> LoraLinear:
    """With numbers in B, too."""
    torch.manual_seed(0)
    layer = LoraLinear(Linear(columns, rows, dtype=dtype), r, alpha=alpha, **options)
    nn.init.normal_(layer.lora_B)
    return layer


def test_it_begins_as_its_base():
    torch.manual_seed(0)
    base = Linear(48, 5)
    layer = LoraLinear(base, 4, alpha=8)
    assert layer.weight is base.weight and layer.bias is base.bias
    assert layer.lora_A.shape == (4, 48) and layer.lora_B.shape == (5, 4)
    assert not layer.lora_B.any()
    bound = 1 / math.sqrt(48)  # kaiming-uniform with a = sqrt(5)
    assert bound * 0.8 < layer.lora_A.abs().max() <= bound
    x = torch.randn(3, 48)
    assert torch.equal(layer(x), base(x))
    assert {name for name, p in layer.named_parameters() if p.requires_grad} == {"lora_A", "lora_B"}


@pytest.mark.parametrize("shape", [(7,), (4, 7), (2, 3, 7)])
def test_the_formula_for_any_leading_dimensions(shape):
    layer, x = layer_with_lora(), torch.randn(shape, dtype=torch.float64)
    expected = x @ layer.weight.T + layer.bias + 6.0 / 3 * (x @ layer.lora_A.T @ layer.lora_B.T)
    torch.testing.assert_close(layer(x), expected)


def test_gradients_are_those_of_the_explicit_product():
    layer, x = layer_with_lora(), torch.randn(4, 7, dtype=torch.float64)
    weight = layer.plus(layer.weight, layer.lora_A, layer.lora_B).requires_grad_()
    target = torch.randn(4, 5, dtype=torch.float64)
    ((x @ weight.T + layer.bias - target) ** 2).sum().backward()
    ((layer(x) - target) ** 2).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(layer.lora_B.grad, 2.0 * weight.grad @ layer.lora_A.detach().T)
    torch.testing.assert_close(layer.lora_A.grad, 2.0 * layer.lora_B.detach().T @ weight.grad)
    assert layer.weight.grad is None and layer.bias.grad is None


def test_gradients_by_finite_differences():
    layer = layer_with_lora(columns=3, rows=2, r=2)
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)

    def computed(lora_A, lora_B, x):
        return torch.func.functional_call(layer, {"lora_A": lora_A, "lora_B": lora_B}, (x,))

    assert torch.autograd.gradcheck(computed, (layer.lora_A, layer.lora_B, x))


def test_dropout_is_of_what_enters_the_product_only():
    layer, x = layer_with_lora(columns=64, dropout=0.5), torch.randn(1, 64, dtype=torch.float64)
    own = x @ layer.weight.T + layer.bias
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    whole = layer(x) - own
    layer.train()
    torch.manual_seed(1)
    added = layer(x) - own
    torch.manual_seed(1)
    dropped = layer.lora_dropout(x)
    assert (dropped == 0).any()
    torch.testing.assert_close(added, 2.0 * (dropped @ layer.lora_A.T @ layer.lora_B.T))
    assert not torch.allclose(added, whole)


@settings(deadline=None, max_examples=30)
@given(
    columns=st.integers(1, 20),
    rows=st.integers(1, 20),
    r=st.integers(1, 8),
    alpha=st.floats(0.1, 32),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_merging_and_back_is_exact_up_to_rounding(columns, rows, r, alpha, dtype):
    layer = layer_with_lora(columns, rows, r, alpha, dtype)
    layer.eval()
    before, x = layer.weight.detach().clone(), torch.randn(6, columns, dtype=dtype)
    apart = layer(x)
    layer.merge()
    layer.merge()  # a second time changes nothing
    size = float(layer.weight.abs().max()) + float(before.abs().max())
    tolerance = 8 * torch.finfo(dtype).eps * (columns + r) * max(size, 1.0)
    torch.testing.assert_close(layer(x), apart, atol=tolerance * 8, rtol=0)
    assert torch.equal(layer.inference_weight(), layer.weight)
    layer.unmerge()
    layer.unmerge()
    torch.testing.assert_close(layer.weight.detach(), before, atol=tolerance, rtol=0)


def test_training_takes_a_merged_product_out_again():
    layer = layer_with_lora().eval()
    before = layer.weight.detach().clone()
    layer.merge()
    assert not torch.allclose(layer.weight, before)
    layer.train()
    assert not layer.merged
    torch.testing.assert_close(layer.weight.detach(), before)


def test_half_precision_is_merged_in_full():
    layer = layer_with_lora(columns=32, rows=32, dtype=torch.bfloat16)
    exact = layer.weight.double() + 2.0 * layer.lora_B.double() @ layer.lora_A.double()
    assert torch.equal(layer.inference_weight(), exact.float().bfloat16())


def test_layers_of_one_matrix_share_a():
    holder = nn.ModuleDict({name: Linear(6, 4) for name in ("query", "key", "value")})
    layers = put_lora(holder, ("query", "value"), 2, alpha=4.0)
    assert [path for path, _ in lora_layers(holder)] == ["query", "value"]
    assert layers[0].lora_A is layers[1].lora_A and layers[0].lora_B is not layers[1].lora_B
    copied = copy.deepcopy(holder)
    assert copied["query"].lora_A is copied["value"].lora_A
    assert type(holder["key"]) is Linear


@pytest.mark.parametrize("r", [0, 5, 10**9])
def test_impossible_ranks(r):
    with pytest.raises(InputError, match=f"r is {r}, expected a whole number from 1 to 4: one is 4x6"):
        put_lora(nn.ModuleDict({"one": Linear(6, 4)}), ("one",), r, alpha=1.0)


def test_a_state_without_lora():
    holder = nn.ModuleDict({"one": layer_with_lora(), "two": Linear(3, 3)})
    apart = merged_state(holder, holder.state_dict())
    assert set(apart) == {"one.weight", "one.bias", "two.weight", "two.bias"}
    assert torch.equal(apart["one.weight"], holder["one"].inference_weight())
    holder["one"].merge()
    assert torch.equal(merged_state(holder, holder.state_dict())["one.weight"], apart["one.weight"])


def test_a_state_with_one_name_of_what_is_shared():
    holder = nn.ModuleDict({name: Linear(6, 4) for name in ("query", "value")})
    for layer in put_lora(holder, ("query", "value"), 2, alpha=4.0):
        nn.init.normal_(layer.lora_B)
    better = {"query.lora_A": torch.randn(2, 6)}
    expected = holder["value"].plus(holder["value"].weight, better["query.lora_A"], holder["value"].lora_B)
    for state in (holder.state_dict() | better, {**dict(holder.named_parameters()), **better}):
        assert torch.equal(merged_state(holder, state)["value.weight"], expected)


def stack_with_lora(kind: str) -> TransformerStack:
    torch.manual_seed(0)
    stack = TransformerStack(SPEC, 2) if kind == "own" else SharedStack(SPEC, 3, 1, 1)
    linears = [path for path, module in stack.named_modules() if isinstance(module, Linear)]
    for path in linears:
        if path.endswith(("query", "value", "intermediate.dense")):
            (layer,) = put_lora(stack, (path,), 2, alpha=4.0)
            nn.init.normal_(layer.lora_B)
    return stack.eval()


@pytest.mark.parametrize("kind", ["own", "shared"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)])
def test_the_form_for_inference_has_the_products_in_it(kind, dtype, tolerance):
    stack, x, lens = stack_with_lora(kind), torch.randn(9, 8), SeqLens.from_lengths([4, 5])
    rows = Rows(torch.tensor([0, 4]), SeqLens.from_lengths([1, 1]))
    with torch.no_grad():
        plain = stack(x, lens).hidden
        stack.prepare(dtype)
        assert stack.is_prepared
        torch.testing.assert_close(stack(x, lens).hidden, plain, atol=tolerance, rtol=0)
        torch.testing.assert_close(stack(x, lens, rows=rows).hidden, plain[rows.index], atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", ["lora_A", "lora_B"])
def test_the_form_for_inference_follows_a_step_of_training(name):
    stack, x, lens = stack_with_lora("own"), torch.randn(9, 8), SeqLens.from_lengths([4, 5])
    with torch.no_grad():
        stack.prepare(torch.float32)
        before = stack(x, lens).hidden
        getattr(stack.layer[0].attention.self.query, name).add_(1.0)
        assert not stack.is_prepared
        assert not torch.allclose(stack(x, lens).hidden, before, atol=1e-4)


def test_a_hook_is_still_called():
    stack = stack_with_lora("own")
    layer = stack.layer[0].attention.self.query
    assert is_foldable(layer)
    calls: list[int] = []
    layer.register_forward_hook(lambda *_: calls.append(1))
    stack.prepare(torch.float32)
    with torch.no_grad():
        stack(torch.randn(9, 8), SeqLens.from_lengths([4, 5]))
    assert calls == [1]


@given(ranks=st.lists(st.integers(0, 3), min_size=1, max_size=4), tokens=st.integers(0, 5), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_products_of_several_layers_side_by_side(ranks, tokens, seed):
    """A rank of 0 is a layer without LoRA; outputs have 2, 3, ... columns."""
    torch.manual_seed(seed)
    layers: list[nn.Linear] = [Linear(7, width, dtype=torch.float64) for width in range(2, 2 + len(ranks))]
    adapted = [LoraLinear(m, r, alpha=r * 1.5) if r else m for m, r in zip(layers, ranks, strict=True)]
    for layer in adapted:
        if isinstance(layer, LoraLinear):
            nn.init.normal_(layer.lora_B)
    low, x = LowRank.of(adapted, torch.float64), torch.randn(tokens, 7, dtype=torch.float64)
    if not any(ranks):
        assert low is None
        return
    assert low is not None and low.down.shape == (sum(ranks), 7)
    out = torch.cat([m(x) for m in layers], -1)
    low.add_to(out, x)
    torch.testing.assert_close(out, torch.cat([m(x) for m in adapted], -1))
