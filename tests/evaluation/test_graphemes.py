"""What a reader sees as one character is never divided: held to another implementation of the standard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.evaluation.graphemes import is_boundary, widened

regex = pytest.importorskip("regex")  # the reference tokenisers need it, this library does not

PIECES = [
    *"aZ 1.\n\r\t",
    *("e\u0301", "\u0301", "\u200d", "\u200c", "\ufe0f", "\u20e3", "\U0001f3fd", "👩", "👧", "❤", "🇩", "🇪", "🇬"),
    *("ن", "\u064f", "\u0600", "ש", "\u05b8", "क", "\u094d", "ष", "\u093f", "กำ", "한", "\u1112", "\u1161", "\u11ab"),
    *("\U000e0067", "\U000e007f", "🏴", "中", "\u200b", "\xad", "\u2028", "ﬀ", "𝔘"),
]


def clusters(text: str) -> list[int]:
    """The boundaries inside a text as the ``regex`` module finds them."""
    return [match.start() for match in regex.finditer(r"\X", text)][1:]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_no_boundary_inside_a_cluster(text):
    own = {place for place in range(1, len(text)) if is_boundary(text, place)}
    assert own <= set(clusters(text))


@pytest.mark.parametrize(
    "text",
    [
        "plain words, and more.",
        "Jose\u0301 a\u0300\u0301\u0302b",
        "👩‍👩‍👧 and ❤️ and 👍🏽!",
        "🇩🇪🇪🇬🇬",
        "التقى محمدٌ علي في القاهرة",
        "שָׁלוֹם",
        "नमस्ते क्षत्रिय",
        "한국어 \u1112\u1161\u11ab",
        "a\r\nb\n\rc",
        "1️⃣ 🏴\U000e0067\U000e0062\U000e007f x",
        "日本語のテキスト",
    ],
)
def test_the_same_boundaries_as_the_standard_in_real_text(text):
    assert [place for place in range(1, len(text)) if is_boundary(text, place)] == clusters(text)


def test_spans_grow_to_whole_clusters():
    assert widened("e\u0301a", 1, 2) == (0, 2)
    family = "x👩‍👩‍👧y"
    assert widened(family, 3, 4) == (1, 6)
    assert widened("🇩🇪🇪🇬", 1, 2) == (0, 2) and widened("🇩🇪🇪🇬", 2, 3) == (2, 4)
    assert widened("abc", 0, 3) == (0, 3) and widened("abc", 1, 1) == (1, 1)


def test_a_letter_with_a_million_marks_takes_no_time_and_is_cut():
    text = "a" + "\u0301" * 1_000_000
    assert widened(text, 500_000, 500_001) == (500_000 - 128, 500_001 + 128)
    assert widened("🇩" * 1_000_000, 500_001, 500_002) == (500_000, 500_002)
