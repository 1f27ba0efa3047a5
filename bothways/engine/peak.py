"""What this machine can multiply: the measure for all estimates of time, and for how much of it a run uses."""

from __future__ import annotations

import time

import torch

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


def _generator(device: torch.device, seed: int) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
