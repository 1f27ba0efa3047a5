"""The form for inference is given up as soon as it no longer says what the parameters say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from bothways.batching import SeqLens
from bothways.nn.block import BlockSpec
from bothways.nn.stack import SharedStack, TransformerStack

SPEC = BlockSpec(hidden_size=8, num_attention_heads=2, intermediate_size=16, hidden_act="gelu", layer_norm_eps=1e-12)


def _in_place(stack: TransformerStack) -> None:
    with torch.no_grad():
        stack.layer[1].attention.self.value.bias.add_(1.0)


def _data(stack: TransformerStack) -> None:
    stack.layer[1].attention.self.value.weight.data = torch.randn(8, 8)


def _parameter(stack: TransformerStack) -> None:
    stack.layer[1].attention.self.value.weight = nn.Parameter(torch.randn(8, 8))


def _module(stack: TransformerStack) -> None:
    stack.layer[1].attention.self.value = nn.Linear(8, 8)


def _layer(stack: TransformerStack) -> None:
    stack.layer[1] = TransformerStack(SPEC, 1).layer[0]


@pytest.mark.parametrize("change", [_in_place, _data, _parameter, _module, _layer])
def test_changes_are_noticed(change: Callable[[TransformerStack], None]) -> None:
    stack = TransformerStack(SPEC, 2).eval()
    hidden, lens = torch.randn(5, 8), SeqLens.from_lengths([2, 3])
    with torch.no_grad():
        stack.prepare(torch.float32)
        before = stack(hidden, lens).hidden
        assert stack.is_prepared
        change(stack)
        assert not stack.is_prepared
        after = stack(hidden, lens).hidden
        stack.unprepare()
        torch.testing.assert_close(after, stack(hidden, lens).hidden)
    assert not torch.allclose(after, before)


def test_a_block_that_is_left_out_or_shared_is_no_problem() -> None:
    shared = SharedStack(SPEC, num_layers=4, num_groups=2)
    with torch.no_grad():
        shared.prepare(torch.float32)
        assert shared.is_prepared
        shared.layer[1][0].attention.self.register_module("key_norm", None)
        assert shared.is_prepared
        shared.layer[0][0].output.dense.weight.mul_(2.0)
        assert not shared.is_prepared
