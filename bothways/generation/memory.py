"""Whether what is asked fits into memory, said before the work."""

from __future__ import annotations

from pathlib import Path

import torch

from bothways.errors import OutOfMemoryError

SCORES_AT_ONCE = 4
"""Tensors of the size of the scores that a step holds at a time: logits, log-probabilities, processed, sums."""


def check_memory(
    *, rows: int, capacity: int, bytes_per_token: int, vocab_size: int, device: torch.device, told: str
) -> None:
    """Refuse what cannot fit.

    Args:
        rows: written side by side. capacity: tokens of each.
        bytes_per_token: what the model remembers of a token.
        told: what the caller may make smaller, for the sentence.

    Raises:
        OutOfMemoryError: with the numbers.
    """
    needed = rows * (capacity * bytes_per_token + SCORES_AT_ONCE * 4 * vocab_size)
    available = available_bytes(device)
    if available is not None and needed > available:
        raise OutOfMemoryError(
            f"{rows:,} rows of up to {capacity:,} tokens need about {needed / 1e9:,.1f} GB ({bytes_per_token:,} bytes "
            f"a token, and the scores of {vocab_size:,} tokens a row); {available / 1e9:,.1f} GB are free. {told}"
        )


def available_bytes(device: torch.device) -> int | None:
    """Memory that can be had on a device; None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    found = [free for free in (_free_of_machine(), _free_of_group()) if free is not None]
    return min(found, default=None)


def _free_of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _free_of_group(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What the limit of a container leaves. Pages of files can be given back, so they do not count as held."""
    try:
        limit = int((root / "memory.max").read_text(encoding="ascii"))
        held = int((root / "memory.current").read_text(encoding="ascii"))
        stat = (root / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = next(int(line.split()[1]) for line in stat if line.startswith("inactive_file "))
        return limit - held + cached
    except (OSError, StopIteration, ValueError):
        return None
