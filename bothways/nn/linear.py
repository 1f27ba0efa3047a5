"""A linear layer that can take, once, the form in which this machine multiplies fastest.

Parameters never change their form: the prepared copy stands beside them until the model trains or loads again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Prepared(Protocol):
    """What one or several layers with the same input compute, in a form for inference."""

    def __call__(self, x: Tensor) -> Tensor: ...


class Linear(nn.Linear):
    """``nn.Linear`` whose forward uses a prepared copy of the weight where there is one."""

    prepared: Prepared | None = None

    def forward(self, x: Tensor) -> Tensor:
        """x: (T, in_features); returns (T, out_features)."""
        return super().forward(x) if self.prepared is None else self.prepared(x)

    def inference_weight(self) -> Tensor:
        """What the layer multiplies with outside training, (out_features, in_features), without a gradient."""
        return self.weight.detach()


def inference_weight(layer: nn.Linear) -> Tensor:
    """What a layer multiplies with outside training, LoRA included."""
    return layer.inference_weight() if isinstance(layer, Linear) else layer.weight.detach()


BLOCKS_UP_TO = 512
"""Rows for which blocks pay in fp32 (measured, 768 to 3,072, two AVX2 cores: 4 rows 0.32 ms against 1.3, 128 rows 5.2
against 7.8, 512 rows 18 against 21, 2,048 rows 70 against 64)."""


class PreparedLinear:
    """Weights of one or several layers with the same input, side by side, in a fixed dtype, for inference only.

    On a CPU they are also stored in the block order in which oneDNN multiplies, which saves the reordering in every
    call: in bfloat16 for any input (measured: 3.0 to 4.0 TFLOP/s against 2.0 to 2.8 with two cores), in fp32 for few
    rows.

    Args:
        blocks: False keeps the plain order only.
        weight_of: what to multiply with.
    """

    def __init__(
        self,
        layers: Sequence[nn.Linear],
        dtype: torch.dtype,
        *,
        blocks: bool = True,
        weight_of: Callable[[nn.Linear], Tensor] = inference_weight,
    ) -> None:
        self.dtype = dtype
        weights = [weight_of(layer) for layer in layers]
        weight = (weights[0] if len(weights) == 1 else torch.cat(weights)).to(dtype)
        self.bias = None
        if layers[0].bias is not None:
            self.bias = torch.cat([layer.bias.detach() for layer in layers]).to(dtype)
        blocked = blocks and weight.device.type == "cpu" and can_block(dtype)
        self.blocks = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None) if blocked else None
        self.blocks_up_to = BLOCKS_UP_TO if dtype == torch.float32 else None
        self.weight = weight if self.blocks is None or self.blocks_up_to is not None else None

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy of a model has parameters of its own and prepares itself anew; blocks could not be copied."""
        return type(None), ()

    def __call__(self, x: Tensor) -> Tensor:
        if self.blocks is not None and (self.blocks_up_to is None or x.shape[0] <= self.blocks_up_to):
            return torch.ops.mkldnn._linear_pointwise(x.contiguous(), self.blocks, self.bias, "none", [], "")
        assert self.weight is not None
        return F.linear(x, self.weight, self.bias)


def is_plain(layer: nn.Module, kind: type[Linear] = Linear) -> bool:
    """Whether the layer is what the library put there: nothing wrapped around it, no hooks that wait for a call."""
    return type(layer) is kind and not layer._forward_hooks and not layer._forward_pre_hooks


def can_block(dtype: torch.dtype) -> bool:
    """Whether torch offers the operations that store a weight in blocks, and this CPU has a use for them."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AMX or AVX-512 BF16), where it pays for encoders."""
    # private names, hence the defaults: a torch that renames them gives fp32, which is right everywhere
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
