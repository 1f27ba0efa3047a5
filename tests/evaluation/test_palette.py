"""Colours that everybody can read and tell apart: contrast by WCAG, vision by Machado's matrices."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bothways.evaluation.palette import (
    AGAINST,
    COLOURS,
    DARK_CARD,
    DARK_INK,
    EFFECT_SHADES,
    FOR,
    LIGHT_CARD,
    LIGHT_INK,
    LINES,
    contrast,
    effect_shade,
    looks_of,
    shade,
    text_on,
)
from bothways.evaluation.views import looks_css

# Machado, Oliveira and Fernandes 2009, severity 1.0, for linear RGB
VISION = {
    "full": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ rgb / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=1e-3)
    assert contrast("#ffffff", "#777777") == contrast("#777777", "#ffffff")


@pytest.mark.parametrize("colour", COLOURS)
def test_names_and_words_are_legible_on_every_colour(colour):
    assert contrast(text_on(colour), colour) >= 4.5
    assert contrast(LIGHT_INK, shade(colour, dark=False)) >= 4.5
    assert contrast(DARK_INK, shade(colour, dark=True)) >= 4.5


@pytest.mark.parametrize("supports", [True, False])
def test_words_are_legible_on_every_shade_of_an_effect(supports):
    for dark, ink, ground in ((False, LIGHT_INK, LIGHT_CARD), (True, DARK_INK, DARK_CARD)):
        steps = [effect_shade(step, supports=supports, dark=dark) for step in range(1, EFFECT_SHADES + 1)]
        assert all(contrast(ink, step) >= 4.5 for step in steps)
        away = [contrast(step, ground) for step in steps]
        assert away == sorted(away) and len(set(steps)) == EFFECT_SHADES  # stronger is further from the ground


@pytest.mark.parametrize("vision", VISION)
def test_colours_differ_for_every_kind_of_vision(vision):
    seen = [lab(np.clip(np.array(VISION[vision]) @ linear(colour), 0, 1)) for colour in COLOURS]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 15
    pro, contra = (lab(np.clip(np.array(VISION[vision]) @ linear(colour), 0, 1)) for colour in (FOR, AGAINST))
    assert np.linalg.norm(pro - contra) > 50


def test_thirty_two_types_look_different_and_the_same_types_alike():
    types = [f"TYPE{i:02d}" for i in range(40)]
    looks = looks_of(types)
    assert len(set(looks.values())) == len(COLOURS) * len(LINES) == 32
    assert looks_of(reversed(types)) == looks and looks_of([*types, *types]) == looks


def test_style_has_exactly_these_colours():
    css = looks_css()
    light, dark = css.split("@media screen and (prefers-color-scheme: dark) {\n.look-c0")
    for colour in COLOURS:
        assert f"--look-on: {text_on(colour)}; --look: {colour}; --look-shade: {shade(colour, dark=False)};" in light
        assert shade(colour, dark=True) in dark
    assert f"--look-ink: {LIGHT_INK}" in light and f"--look-ink: {DARK_INK}" in light
    assert f"--look-card: {LIGHT_CARD}" in light and f"--look-card: {DARK_CARD}" in light
