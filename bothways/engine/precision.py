"""In which numbers matrices are multiplied during training."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from bothways.nn.linear import has_fast_bfloat16

PRECISIONS = ("auto", "float32", "bfloat16")


def best_device(number: int = 0) -> torch.device:
    """The GPU of that number if there is one, else the CPU."""
    return torch.device("cuda", number) if torch.cuda.is_available() else torch.device("cpu")


def resolve_precision(precision: str, device: torch.device) -> str:
    """``"auto"`` becomes bfloat16 where the machine multiplies it in hardware, else float32."""
    if precision != "auto":
        return precision
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else has_fast_bfloat16()
    return "bfloat16" if fast else "float32"


def computing_in(precision: str, device: torch.device) -> AbstractContextManager:
    """Parameters stay in float32; matrix products are computed in ``precision``."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, getattr(torch, precision))
