"""Effects as they are written, the same in the terminal and on the page."""

from __future__ import annotations

from bothways.evaluation.analysis import printable
from bothways.evaluation.attribution import Effect, Explanation
from bothways.evaluation.graphemes import widened
from bothways.evaluation.palette import EFFECT_SHADES

EFFECTS_LISTED = 15
LEAST_EFFECT = 0.05
"""Logits; where no effect is larger, none is drawn as a strong one."""
_UNIT_CHARACTERS = 80


def largest(explanation: Explanation) -> float:
    """The effect that is drawn at full strength: the largest one, unless all are too small to speak of."""
    return max(LEAST_EFFECT, *(abs(effect.effect) for effect in explanation.effects))


def step_of(effect: float, top: float) -> int:
    """The shade of an effect beside the largest one: 0 for next to nothing, up to ``EFFECT_SHADES``."""
    return round(EFFECT_SHADES * min(1.0, abs(effect) / top))


def listed(explanation: Explanation) -> list[Effect]:
    """The strongest effects, without those that are next to nothing beside the largest."""
    least = 0.01 * largest(explanation)
    return [effect for effect in explanation.strongest[:EFFECTS_LISTED] if abs(effect.effect) > least]


def signed(effect: float) -> str:
    """``+1.23`` or ``−0.04``, with a true minus sign, so that numbers stand below each other; ``0.00`` has none."""
    rounded = round(effect, 2)
    return f"{rounded:+.2f}".replace("-", "−") if rounded else "0.00"


def effect_text(effect: Effect) -> str:
    """The unit, shortened if it is a long sentence."""
    return fold(effect.text)


def fold(text: str, most: int = _UNIT_CHARACTERS) -> str:
    """One line of at most ``most`` characters; no cluster is divided."""
    line = " ".join(printable(text).split())
    return line if len(line) <= most else f"{line[: widened(line, most - 1, most - 1)[0]]}…"
