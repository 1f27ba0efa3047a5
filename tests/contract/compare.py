"""Equality of what two libraries return."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

TOLERANCE = 1e-4
"""For numbers that went through a training step; predictions agree to 1e-5."""


def differences(
    expected: Any,
    got: Any,
    tolerance: float = TOLERANCE,
    where: str = "result",
    coarser: Mapping[str, float] = MappingProxyType({}),
) -> list[str]:
    """What differs, one line each. A numpy number of the reference is expected as Python's here.

    ``coarser``: tolerances of the values under some keys.
    """
    if isinstance(expected, np.generic):
        expected = expected.item()
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        if sorted(map(str, expected)) != sorted(map(str, got)):
            return [f"{where}: keys {sorted(map(str, got))} instead of {sorted(map(str, expected))}"]
        return [
            d
            for key in expected
            for d in differences(expected[key], got[key], coarser.get(key, tolerance), f"{where}.{key}", coarser)
        ]
    if isinstance(expected, (list, tuple)) and type(got) is type(expected):
        if len(expected) != len(got):
            return [f"{where}: {len(got)} items instead of {len(expected)}: {str(got):.120} / {str(expected):.120}"]
        parts = zip(expected, got, strict=True)
        return [d for i, (e, g) in enumerate(parts) for d in differences(e, g, tolerance, f"{where}[{i}]", coarser)]
    if type(got) is not type(expected):
        return [f"{where}: {type(got).__name__} {got!r:.60} instead of {type(expected).__name__} {expected!r:.60}"]
    if isinstance(expected, float):
        close = abs(got - expected) <= tolerance * max(1.0, abs(expected))
        return [] if close else [f"{where}: {got} instead of {expected}"]
    return [] if got == expected else [f"{where}: {got!r:.100} instead of {expected!r:.100}"]
