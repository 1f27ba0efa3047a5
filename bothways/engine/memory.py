"""Memory of this process, and a limit for it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from bothways.errors import UsageError

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


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
