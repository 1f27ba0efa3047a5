"""Norms by name: the layer norm of BERT and its kin, and the root mean square norm of T5 and Llama."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bothways.errors import ConfigError


class RMSNorm(nn.Module):
    """``weight * x / rms(x)``, computed in fp32: no mean is taken off and no bias added.

    Source: Zhang and Sennrich 2019, equation 4.
    """

    def __init__(self, hidden_size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """x: (T, N); returns the same shape and dtype."""
        if x.dtype == self.weight.dtype == torch.float32:
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (self.weight * (wide * scale).to(x.dtype)).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, eps={self.eps}"


def norm(kind: str, hidden_size: int, eps: float, bias: bool = True) -> nn.Module:
    """The norm of that kind, ``"layer"`` or ``"rms"``.

    Raises:
        ConfigError: another kind.
    """
    if kind == "layer":
        return nn.LayerNorm(hidden_size, eps=eps, bias=bias)
    if kind == "rms":
        return RMSNorm(hidden_size, eps)
    raise ConfigError(f"the norm is {kind!r}, expected 'layer' or 'rms'.")
