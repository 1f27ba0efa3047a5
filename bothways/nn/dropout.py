"""Dropout that costs little on a CPU: four decisions from each random number.

Source: Srivastava et al. 2014; the probability is rounded to 1/65,536.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def dropout(x: Tensor, p: float) -> Tensor:
    """Set a share ``p`` of the elements to zero and scale the rest by 1 / (1 - p). Uses torch's global generator.

    Elementwise Bernoulli draws are the second largest cost of a small model's training step on a CPU; one 64-bit number
    gives four independent 16-bit ones.
    """
    if p <= 0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p, training=True)
    return _Dropout.apply(x, p)


class Dropout(nn.Dropout):
    """``nn.Dropout`` with the cheaper draws: found, switched and set to another ``p`` like any other."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p) if self.training else x


def set_dropout(model: nn.Module, p: float) -> None:
    """Let all of ``model`` drop the share ``p`` from now on. Its configuration keeps what it says."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = p


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, p: float) -> Tensor:
        count = x.numel()
        bits = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        threshold = round(p * 65536) - 32768
        keep = (bits.view(torch.int16)[:count] >= threshold).view(x.shape)
        # zeros and 1 / (1 - p) in one factor: a product with a bool tensor would convert it, twice
        factor = keep.to(x.dtype).mul_(1 / (1 - round(p * 65536) / 65536))
        ctx.save_for_backward(factor)
        return x * factor

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return gradient * factor, None
