"""A linear layer that can take, once, the form in which this machine multiplies fastest.

Parameters never change their form: the prepared copy stands beside them until the model trains or loads again.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Linear(nn.Linear):
    """``nn.Linear`` whose forward uses a prepared copy of the weight where there is one."""

    prepared: PreparedLinear | None = None

    def forward(self, x: Tensor) -> Tensor:
        """x: (T, in_features); returns (T, out_features)."""
        return super().forward(x) if self.prepared is None else self.prepared(x)

    def inference_weight(self) -> Tensor:
        """What the layer multiplies with outside training, (out_features, in_features), without a gradient."""
        return self.weight.detach()


class PreparedLinear:
    """Weights of one or several layers with the same input, side by side, in a fixed dtype, for inference only.

    In bfloat16 on a CPU the weight is stored in the block order of the matrix unit, which saves the reordering in every
    call (measured: 3.0 to 4.0 TFLOP/s against 2.0 to 2.8 with two cores).
    """

    def __init__(self, layers: Sequence[Linear], dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.weight = torch.cat([layer.inference_weight() for layer in layers]).to(dtype)
        self.bias = None
        if layers[0].bias is not None:
            self.bias = torch.cat([layer.bias.detach() for layer in layers]).to(dtype)
        self.blocked = dtype == torch.bfloat16 and self.weight.device.type == "cpu" and can_block_bfloat16()
        if self.blocked:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight.contiguous(), None)

    def __call__(self, x: Tensor) -> Tensor:
        if self.blocked:
            return torch.ops.mkldnn._linear_pointwise(x.contiguous(), self.weight, self.bias, "none", [], "")
        return F.linear(x, self.weight, self.bias)


def is_plain(layer: nn.Module, kind: type[Linear] = Linear) -> bool:
    """Whether the layer is what the library put there: nothing wrapped around it, no hooks that wait for a call."""
    return type(layer) is kind and not layer._forward_hooks and not layer._forward_pre_hooks


def can_block_bfloat16() -> bool:
    """Whether torch offers the operations that store a bfloat16 weight in blocks, and this CPU has a use for them."""
    return (
        torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AMX or AVX-512 BF16), where it pays for encoders."""
    # private names, hence the defaults: a torch that renames them gives fp32, which is right everywhere
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
