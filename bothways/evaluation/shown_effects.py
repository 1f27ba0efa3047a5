"""Effects as they are written, the same in the terminal and on the page."""

from __future__ import annotations

from bothways.evaluation.analysis import printable
from bothways.evaluation.attribution import Effect, Explanation
from bothways.evaluation.graphemes import widened
from bothways.evaluation.palette import EFFECT_SHADES

EFFECTS_LISTED = 15
_UNIT_CHARACTERS = 80


def step_of(effect: float, top: float) -> int:
    """The shade of an effect beside the largest one: 0 for next to nothing, up to ``EFFECT_SHADES``."""
    return round(EFFECT_SHADES * min(1.0, abs(effect) / top)) if top > 0 else 0


def listed(explanation: Explanation) -> list[Effect]:
    """The strongest effects, without those that are next to nothing beside the largest."""
    strongest = explanation.strongest
    least = 0.01 * abs(strongest[0].effect) if strongest else 0.0
    return [effect for effect in strongest[:EFFECTS_LISTED] if abs(effect.effect) > least] or list(strongest[:1])


def signed(effect: float) -> str:
    """``+1.23`` or ``−0.04``, with a true minus sign, so that numbers stand below each other."""
    return f"{effect:+.2f}".replace("-", "−")


def effect_text(effect: Effect) -> str:
    """The unit, shortened if it is a long sentence."""
    return fold(effect.text)


def fold(text: str, most: int = _UNIT_CHARACTERS) -> str:
    """One line of at most ``most`` characters; no cluster is divided."""
    line = " ".join(printable(text).split())
    return line if len(line) <= most else f"{line[: widened(line, most - 1, most - 1)[0]]}…"
