"""Randomness by counters: what is drawn depends on the seed and the step, not on what was drawn before."""

from __future__ import annotations

import random

import numpy as np
import torch


def set_seed(seed: int, deterministic: bool = False) -> None:
    """Seed Python, NumPy and torch.

    Args:
        seed: from 0 to 2**32 - 1.
        deterministic: also refuse operations that have no deterministic form.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if deterministic:
        torch.use_deterministic_algorithms(True)


def seed_for(seed: int, *counters: int) -> int:
    """A 63-bit seed for one purpose. Example: ``torch.manual_seed(seed_for(42, step))`` before a step's dropout."""
    words = np.random.SeedSequence([seed, *counters]).generate_state(2, np.uint32)
    return int(words[0]) << 31 ^ int(words[1])


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """int64 (count,): the order of the examples in one epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)
