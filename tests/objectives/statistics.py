"""Bounds for what is random. Seeds are fixed; the bounds are those that a right program passes almost always."""

from __future__ import annotations

import math
from collections.abc import Sequence


def share_is(count: int, total: int, share: float) -> bool:
    """Whether ``count`` of ``total`` lies within five standard deviations of a share."""
    return abs(count - total * share) <= 5 * math.sqrt(total * share * (1 - share))


def evenly(counts: Sequence[int]) -> bool:
    """Whether counts may be of equally likely things: chi-square within five standard deviations of its mean."""
    expected = sum(counts) / len(counts)
    assert expected >= 5, "too few draws for the test"
    freedom = len(counts) - 1
    return abs(sum((count - expected) ** 2 for count in counts) / expected - freedom) <= 5 * math.sqrt(2 * freedom)
