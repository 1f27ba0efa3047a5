"""The rule of words: literal examples, and what holds for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.data.words import word_spans


def words(text: str, **options) -> list[str]:
    return [text[start:end] for start, end in word_spans(text, **options)]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Anna's U.S.-made AT&T box.", "Anna ' s U.S.-made AT&T box ."),
        ("O'Brien said: don't!", "O'Brien said : don't !"),
        ("O’Brien’s wife", "O’Brien ’ s wife"),
        ("J. Smith met R.E.M. in Plan B. today", "J. Smith met R.E.M. in Plan B . today"),
        ("a 10-year 3.5% bond -- sold.", "a 10-year 3.5 % bond - - sold ."),
        ("-Larry Sly- (big) #tag @me C$", "- Larry Sly - ( big ) # tag @ me C $"),
        ("e.g. this...", "e.g. this . . ."),
        ("東京タワー is big", "東 京 タワー is big"),
        ("Jose\u0301 कि naïve", "Jose\u0301 कि naïve"),
        ("Dubbz\ufeff \u200b co\u00adop", "Dubbz\ufeff co\u00adop"),
        ("👍🏽 ok❤\ufe0f", "👍 🏽 ok ❤\ufe0f"),
        ("snake_case/path", "snake _ case / path"),
        ("", ""),
        (" \t\n\u00a0\u2028", ""),
    ],
)
def test_words(text, expected):
    assert words(text) == expected.split(" ") if expected else words(text) == []


def test_units():
    assert words("Anna's U.S.-made", joined=False) == ["Anna", "'", "s", "U", ".", "S", ".", "-", "made"]


@given(st.text(st.one_of(st.characters(), st.sampled_from(" .'’&-aA1S\u0301東")), max_size=60))
def test_words_of_any_text(text):
    whole, units = word_spans(text), word_spans(text, joined=False)
    assert all(start < end for start, end in whole)
    assert all(one[1] <= other[0] for one, other in zip(whole, whole[1:], strict=False))
    # every word is a whole number of units, and no unit is lost
    assert [unit for start, end in whole for unit in units if start <= unit[0] and unit[1] <= end] == units
    assert {edge for span in whole for edge in span} <= {edge for span in units for edge in span}
    assert all(not text[start].isspace() and not text[end - 1].isspace() for start, end in whole)
    covered = {i for start, end in whole for i in range(start, end)}
    assert all(i in covered for i, c in enumerate(text) if c.isalnum())


@given(st.text(st.sampled_from("abAB1.'&-"), min_size=1, max_size=12), st.text(max_size=20), st.text(max_size=20))
def test_white_space_always_divides(word, before, after):
    inner = word_spans(word)
    moved = [(start + len(before) + 1, end + len(before) + 1) for start, end in inner]
    assert [s for s in word_spans(f"{before} {word}\n") if s[0] > len(before)] == moved
