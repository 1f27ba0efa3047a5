"""Dropout: rate, scale, gradient, and the same bits from the same seed."""

from __future__ import annotations

import torch

from bothways.nn.dropout import dropout


def test_rate_and_scale():
    torch.manual_seed(0)
    x = torch.ones(1_000_003)
    y = dropout(x, 0.1)
    kept = y != 0
    assert abs(float(kept.float().mean()) - 0.9) < 0.002
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 1 / 0.9), atol=1e-4, rtol=0)


def test_decisions_from_one_number_are_independent():
    torch.manual_seed(0)
    kept = (dropout(torch.ones(400_000), 0.5) != 0).float().view(-1, 4)
    correlation = torch.corrcoef(kept.T) - torch.eye(4)
    assert correlation.abs().max() < 0.01


def test_gradient_is_the_mask():
    torch.manual_seed(0)
    x = torch.randn(1000, requires_grad=True)
    y = dropout(x, 0.3)
    y.sum().backward()
    torch.testing.assert_close(x.grad * x.detach(), y.detach())


def test_same_seed_same_bits():
    torch.manual_seed(7)
    first = dropout(torch.ones(100), 0.5)
    torch.manual_seed(7)
    assert torch.equal(first, dropout(torch.ones(100), 0.5))


def test_zero_rate_is_the_identity():
    x = torch.randn(5)
    assert dropout(x, 0.0) is x
