"""What this machine can multiply, and how much of that a run uses."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from bothways.engine.precision import computing_in

_SIDE = {"cpu": 1024, "cuda": 8192}
_TIMES = 5


def measured_peak(precision: str, device: torch.device) -> float:
    """Floating-point operations a second of one large matrix product, the best of several."""
    side = _SIDE.get(device.type, 4096)
    a, b = (torch.randn(side, side, device=device, generator=_generator(device, seed)) for seed in (1, 2))
    best = float("inf")
    with torch.no_grad(), computing_in(precision, device):
        for _ in range(_TIMES):
            _wait(device)
            start = time.perf_counter()
            torch.nn.functional.linear(a, b)
            _wait(device)
            best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def operations_per_token(model: nn.Module, asked_share: float, mean_length: float) -> float:
    """Floating-point operations of training on one token: forward, and twice as many backward.

    Source: the count of Hoffmann et al. 2022, appendix F, with the vocabulary projected for the asked tokens alone.

    Args:
        asked_share: share of the tokens that the vocabulary is projected for.
        mean_length: tokens of a row, all of which each of them looks at.
    """
    vocabulary = {id(p) for p in _projections(model)}
    products = 0.0
    for module in model.modules():
        if isinstance(module, nn.Linear):
            share = asked_share if id(module.weight) in vocabulary else 1.0
            products += 2 * module.weight.numel() * share
    attention = sum(4 * mean_length * own.config.hidden_size * own.config.num_hidden_layers for own in _models(model))
    return 3 * (products + attention)


def _projections(model: nn.Module) -> list[nn.Parameter]:
    found = [own.get_output_embeddings() for own in _models(model)]
    return [head.weight for head in found if head is not None]


def _models(model: Any) -> list[Any]:
    if hasattr(model, "get_output_embeddings"):
        return [model]
    return [model.generator, model.discriminator]


def _generator(device: torch.device, seed: int) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
