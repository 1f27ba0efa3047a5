"""Colours that people with any colour vision tell apart, and how they look on light and on dark ground.

A type of entity has a colour and a kind of line. Its name stands on the full colour, in black or in white, whichever is
the more legible; its words stand on a faint shade of it. ``contrast`` is what tests hold all of this to.

Source: Okabe and Ito 2008, "Color universal design"; WCAG 2.2, relative luminance and contrast ratio.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#0072b2", "#f0e442", "#4d4d4d")
"""Sky blue, orange, bluish green, vermilion, reddish purple, blue, yellow; and a dark grey for the eighth, as a light
one looks like the purple to people who see no green."""

LINES = ("solid", "dashed", "dotted", "double")
"""Kinds of line, for more types than colours: 32 looks that differ. The name is always shown."""

FOR, AGAINST = "#0072b2", "#d55e00"
"""What speaks for a label and what speaks against it."""

LIGHT_CARD, LIGHT_INK = "#ffffff", "#1b1f24"
DARK_CARD, DARK_INK = "#171c23", "#e6e9ee"
LIGHT_SHARE, DARK_SHARE = 0.24, 0.36
"""How much of the colour is in the shade behind words."""
EFFECT_SHADES = 5
"""Shades of an effect: 1 faint to 5 strong."""
_EFFECT_SHARE = 0.09  # of the colour in each step: 45 % in the strongest


@dataclass(frozen=True)
class Look:
    """How a type is shown: number of its colour, number of its kind of line."""

    colour: int
    line: int


def looks_of(types: Iterable[str]) -> dict[str, Look]:
    """Each different type with a look of its own, by its place in the alphabet: the same types always look the same."""
    known = sorted(set(types))
    return {name: Look(i % len(COLOURS), i // len(COLOURS) % len(LINES)) for i, name in enumerate(known)}


def text_on(colour: str) -> str:
    """Black or white, whichever has more contrast on the colour."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, colour))


def shade(colour: str, *, dark: bool, share: float | None = None) -> str:
    """The faint shade behind words: ``share`` of the colour in the ground."""
    if share is None:
        share = DARK_SHARE if dark else LIGHT_SHARE
    return _mixed(colour, DARK_CARD if dark else LIGHT_CARD, share)


def effect_shade(step: int, *, supports: bool, dark: bool) -> str:
    """The shade behind a word that has an effect, 1 to ``EFFECT_SHADES``."""
    return shade(FOR if supports else AGAINST, dark=dark, share=_EFFECT_SHARE * step * (1.4 if dark else 1.0))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours ``#rrggbb``, 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mixed(colour: str, ground: str, share: float) -> str:
    pairs = zip(_channels(colour), _channels(ground), strict=True)
    return "#" + "".join(f"{round(255 * (share * c + (1 - share) * g)):02x}" for c, g in pairs)


def _channels(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue
