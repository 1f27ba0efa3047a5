"""Activation functions against the reference's table."""

from __future__ import annotations

import pytest
import torch
from transformers.activations import ACT2CLS, ACT2FN

from bothways.errors import ConfigError
from bothways.nn.activations import ACTIVATIONS, activation

WITH_PARAMETERS = {"prelu", "xielu"}


def test_all_names_of_the_reference_without_parameters():
    assert set(ACTIVATIONS) == set(ACT2CLS) - WITH_PARAMETERS


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_values_and_gradients(name):
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([torch.linspace(-30, 30, 601), torch.randn(500, generator=generator)]).double()
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    got, expected = activation(name)(ours), ACT2FN[name](theirs)
    got.sum().backward(), expected.sum().backward()
    # gelu_fast has its constant rounded to ten digits
    torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-8, rtol=1e-8)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown activation 'gelo'.*gelu_10.*relu6.*swish, tanh\."):
        activation("gelo")
