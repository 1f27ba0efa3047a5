"""Activation functions under the names of ``hidden_act`` in configuration files.

All of the ecosystem's that have no parameters of their own (``prelu``, ``xielu``): published files would lack those.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from bothways.errors import ConfigError

Activation = Callable[[Tensor], Tensor]


def gelu_new(x: Tensor) -> Tensor:
    """GELU by the tanh formula. Source: Hendrycks and Gimpel 2016, section 2."""
    return F.gelu(x, approximate="tanh")


def laplace(x: Tensor) -> Tensor:
    """The distribution function of a normal variable that comes near to relu2. Source: Ma et al. 2022, section 3.4."""
    mean, deviation = 0.707107, 0.282095
    return 0.5 * (1.0 + torch.erf((x - mean) / (deviation * math.sqrt(2.0))))


ACTIVATIONS: dict[str, Activation] = {
    "gelu": F.gelu,
    "gelu_10": lambda x: F.gelu(x).clamp(-10, 10),
    "gelu_accurate": gelu_new,
    "gelu_fast": gelu_new,
    "gelu_new": gelu_new,
    "gelu_python": F.gelu,
    "gelu_python_tanh": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "laplace": laplace,
    "leaky_relu": F.leaky_relu,
    "linear": lambda x: x,
    "mish": F.mish,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": F.relu,
    "relu2": lambda x: F.relu(x).square(),
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
}


def activation(name: str) -> Activation:
    """The function of that name.

    Raises:
        ConfigError: no such activation.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(f"unknown activation {name!r}. Known activations: {', '.join(sorted(ACTIVATIONS))}.")
    return ACTIVATIONS[name]
