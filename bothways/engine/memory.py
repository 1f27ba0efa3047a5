"""Memory of this process, and a limit for it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from bothways.errors import OutOfMemoryError, UsageError

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

SPARE = 1.5
"""What temporary tensors add to the activations that a backward pass needs."""


def parse_size(text: str) -> int:
    """Bytes of ``"4GB"``, ``"800M"`` or ``"1.5GiB"``.

    Raises:
        UsageError: not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?i?)B?\s*", text, re.IGNORECASE)
    unit = match[2].capitalize() if match else ""
    if match is None or unit not in UNITS or not float(match[1]):
        raise UsageError(f"max_memory is {text!r}; expected a size such as 800MB, 4GB or 1.5GiB.")
    return int(float(match[1]) * UNITS[unit])


def resident_bytes() -> int | None:
    """Memory that this process holds now; None where the system does not say."""
    try:
        if sys.platform == "linux":
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            return pages * _page_bytes()
        import psutil  # type: ignore[import-untyped,unused-ignore]

        return psutil.Process().memory_info().rss
    except (OSError, ImportError, ValueError):
        return None


def _page_bytes() -> int:
    import os

    return os.sysconf("SC_PAGE_SIZE")


def token_budget(config: Any, trained: int, limit: int, held: int, most: int) -> int:
    """Tokens that may go through a model in training at once without passing a limit of memory.

    Args:
        config: of the model.
        trained: numbers that are trained; each needs 16 bytes for its gradient, two moments and the best so far.
        limit: bytes that the process may hold. held: those that it holds before training.
        most: tokens beyond which more is not faster.

    Raises:
        OutOfMemoryError: not even 128 tokens have room.
    """
    floats = config.num_hidden_layers * (10 * config.hidden_size + 2 * config.intermediate_size)
    per_token = int(4 * floats * SPARE)
    room = limit - held - 16 * trained
    if room < 128 * per_token:
        needed = held + 16 * trained + 128 * per_token
        raise OutOfMemoryError(
            f"{limit / 1e6:,.0f} MB are allowed; training this model needs at least {needed / 1e6:,.0f} MB. "
            "Allow more, or take a smaller model."
        )
    return min(most, room // per_token)
