"""Rotary positions: against complex numbers, and the property they exist for."""

from __future__ import annotations

import pytest
import torch

from bothways.batching import SeqLens
from bothways.errors import InputError
from bothways.nn.block import BlockSpec
from bothways.nn.rotary import Rotary
from bothways.nn.stack import TransformerStack


def test_pairs_are_turned_as_complex_numbers():
    positions, theta, dim = torch.tensor([0, 1, 7, 5000]), 1000.0, 6
    x = torch.randn(4, 2, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    turned = Rotary.of(positions, dim, theta, torch.float64).rotate(x)
    speed = torch.tensor([theta ** (-2 * i / dim) for i in range(3)], dtype=torch.float64)
    expected = torch.complex(x[..., :3], x[..., 3:]) * torch.exp(1j * positions[:, None, None] * speed)
    # the angle is computed in fp32, and at position 5000 has an error of about 5000 * 2**-24
    torch.testing.assert_close(torch.complex(turned[..., :3], turned[..., 3:]), expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(turned[0], x[0], atol=0, rtol=0)


def test_scores_depend_on_distance_only():
    q, k = torch.randn(2, 1, 3, 8, generator=torch.Generator().manual_seed(0))
    scores = []
    for start in (0, 40):
        q_turned = Rotary.of(torch.tensor([start]), 8, 10_000.0, torch.float32).rotate(q)
        k_turned = Rotary.of(torch.tensor([start + 3]), 8, 10_000.0, torch.float32).rotate(k)
        scores.append((q_turned * k_turned).sum(-1))
    torch.testing.assert_close(*scores)


def test_rows_and_dtype():
    rotary = Rotary.of(torch.arange(9), 8, 100.0, torch.float32)
    x = torch.randn(9, 2, 8)
    index = torch.tensor([2, 5])
    torch.testing.assert_close(rotary.rows(index).rotate(x[index]), rotary.rotate(x)[index])
    assert rotary.rotate(x.bfloat16()).dtype == torch.bfloat16


def test_blocks_with_rotary_positions_need_positions():
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    stack = TransformerStack(BlockSpec(**sizes, hidden_act="relu", layer_norm_eps=1e-5, rotary_theta=10.0), 1)
    with pytest.raises(InputError, match="position_ids are missing"):
        stack(torch.zeros(3, 8), SeqLens.from_lengths([3]))
