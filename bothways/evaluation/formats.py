"""Numbers as people read them, the same in the terminal and on the page."""

from __future__ import annotations

from bothways.evaluation.intervals import Interval
from bothways.evaluation.slices import Slice
from bothways.evaluation.verdict import Score

UNKNOWN = "–"


def score_text(score: Score, value: float | None = None) -> str:
    """``81.4 %`` or ``0.674``: the score's estimate, or another value on its scale."""
    value = score.interval.estimate if value is None else value
    return f"{value * 100:.1f} %" if score.percent else f"{value:.3f}"


def measured_text(part: Slice, value: float | None = None) -> str:
    """A slice's score, or another value on its scale: ``81.4 %`` or ``0.674``."""
    value = part.score.estimate if value is None else value
    return f"{value * 100:.1f} %" if part.percent else f"{value:.3f}"


def measured_range_text(part: Slice) -> str:
    """The ends of a slice's interval: ``79.1 to 83.4 %`` or ``0.612 to 0.701``."""
    return f"{measured_text(part, part.score.low).removesuffix(' %')} to {measured_text(part, part.score.high)}"


def range_text(interval: Interval) -> str:
    """The ends of an interval of shares: ``79.1 to 83.4 %``."""
    return f"{interval.low * 100:.1f} to {interval.high * 100:.1f} %"


def seconds_text(seconds: float | None) -> str:
    """``0``, ``31 ms``, ``4.2 s``, ``3 min 05 s`` or ``2 h 04 min``."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.9995:
        return f"{seconds * 1_000:.0f} ms" if seconds >= 0.0005 else "0" if seconds == 0 else "< 1 ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def megabytes_text(megabytes: float | None) -> str:
    """``0``, ``< 0.1 MB``, ``1.9 MB`` or ``91 MB``."""
    if megabytes is None:
        return UNKNOWN
    if megabytes == 0:
        return "0"
    if megabytes < 0.05:
        return "< 0.1 MB"
    return f"{megabytes:.1f} MB" if megabytes < 9.95 else f"{megabytes:,.0f} MB"


def count_text(value: object) -> str:
    """Whole numbers with separators, fractions with three digits, anything else as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
    if value is None:
        return UNKNOWN
    return str(value)


def share_text(share: float) -> str:
    """A share in percent that is 0 or 100 only if it is exactly that."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{share * 100:.1f} %" if share not in (0, 1) else f"{share * 100:.0f} %"
