"""Activation functions under the names of ``hidden_act`` in configuration files."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from bothways.errors import ConfigError

Activation = Callable[[Tensor], Tensor]


def gelu_new(x: Tensor) -> Tensor:
    """GELU by the tanh formula. Source: Hendrycks and Gimpel 2016, section 2."""
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Activation] = {
    "gelu": F.gelu,
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
    "gelu_fast": gelu_new,
    "gelu_10": lambda x: F.gelu(x).clamp(-10, 10),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "mish": F.mish,
    "sigmoid": torch.sigmoid,
    "linear": lambda x: x,
    "leaky_relu": F.leaky_relu,
}


def activation(name: str) -> Activation:
    """The function of that name.

    Raises:
        ConfigError: no such activation.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(f"unknown activation {name!r}. Known activations: {', '.join(sorted(ACTIVATIONS))}.")
    return ACTIVATIONS[name]
