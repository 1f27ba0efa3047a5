"""Sentences and what stands between them: rules on examples of many languages, and nothing lost of any text."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.tasks.sentences import LINE_BREAKS, split_sentences

# fmt: off
CASES = [  # each divided at |
    "He saw Mr. Smith.|She (Ms. Jones, Ph.D.) left...|Then rain\u2026|And \"Go!\"|\"Why?\" they said.|Yes?!|No.",
    "Pi is 3.14.|See www.example.org.|File a.txt is there.",
    "He said no.|It was in the sun.|We met on Jan. 3 at No. 5.",
    "Apples, e.g. red ones, i.e. good ones etc.|They cost 5.00 vs. 6.",
    "J. R. R. Tolkien wrote.|The U.S. Army came.|It cost 120.|Then it rained.",
    "1. First item.|2. Second item.",
    "Am 3. Oktober kam z. B. Herr Dr. Müller, d.h. er.|In 1999.|Dann ging er bzw. Sie.",
    "\u00bfQué?|\u00a1Sí!|Claro.|\u00abVoilà.\u00bb|Oui, M. Dupont.",
    "\"Stop!\" he said.|(It is so.)|[He left.]|\u201cQuoted.\u201d|\u201eJa.\u201c|Nein.",
    "It was over.[1]|Then.[2][3]|End",
    "यह एक है।|दूसरा है।|هل أنت هنا؟|نعم.|Սա է։|Այո։",
    "Wait . . . what?|Really?! . . .|Yes.",
    "We left... and came back\u2026 again.|So.",
]
# fmt: on


@pytest.mark.parametrize("case", CASES)
def test_sentences_of_many_languages(case):
    expected = case.split("|")
    found = split_sentences(" ".join(expected))
    assert list(found.sentences) == expected
    assert found.separators == ("", *[" "] * (len(expected) - 1), "")


def test_scripts_without_spaces():
    text = "今天天气很好。我们去吧！“你好。”他说。真的？！\u3000「行く。」と言った。次。"
    assert split_sentences(text).sentences == (
        "今天天气很好。", "我们去吧！", "“你好。”他说。", "真的？！", "「行く。」と言った。", "次。",
    )  # fmt: skip


def test_line_breaks():
    text = "A heading\nOne line of a\nparagraph,\nWhich goes on.\r\n\r\nAnother one\n \t\nthird."
    auto = split_sentences(text)
    assert auto.sentences == (
        "A heading", "One line of a\nparagraph,\nWhich goes on.", "Another one", "third.",
    )  # fmt: skip
    assert auto.separators == ("", "\n", "\r\n\r\n", "\n \t\n", "")
    assert len(split_sentences(text, line_breaks="always").spans) == 6
    assert len(split_sentences(text, line_breaks="never").spans) == 3
    with pytest.raises(InputError, match="line_breaks is 'sometimes'; expected one of 'auto'"):
        split_sentences(text, line_breaks="sometimes")


def test_own_abbreviations():
    assert len(split_sentences("See chk. Point 3.").spans) == 2
    assert len(split_sentences("See chk. Point 3.", abbreviations={"chk"}).spans) == 1


PIECES = st.lists(
    st.sampled_from(
        [
            *"aB3 .!?,\n\t\"'”)]([“-",
            "...",
            "…",
            "。",
            "！",
            "」",
            "「",
            "\r\n",
            "\u2028",
            "\xa0",
            "\x85",
            "\x1c",
            "Dr",
            "e.g",
            " . ",
            "[1]",
            "é",
            "न",
            "।",
            "\n\n",
            "  ",
        ]  # fmt: skip
    ),
    max_size=25,
).map("".join)


@given(st.one_of(PIECES, st.text(max_size=40)), st.sampled_from(LINE_BREAKS))
@example("", "auto")
@example(" \n ", "auto")
@example(". . . .", "auto")
def test_nothing_is_lost(text, line_breaks):
    found = split_sentences(text, line_breaks=line_breaks)
    assert found.joined(found.sentences) == text
    assert len(found.separators) == len(found.spans) + 1
    assert all(not piece.strip() for piece in found.separators)
    assert all(sentence == sentence.strip() != "" for sentence in found.sentences)
    pieces = [piece for pair in zip(found.separators, (*found.sentences, ""), strict=True) for piece in pair]
    assert "".join(pieces) == text


def test_other_sentences_take_the_places():
    found = split_sentences("  Hello. How are you?\n\nFine. ")
    assert found.joined(["Hallo.", "Wie geht's?", "Gut."]) == "  Hallo. Wie geht's?\n\nGut. "
    with pytest.raises(InputError, match="2 sentences for a text of 3"):
        found.joined(["a", "b"])
    chinese = split_sentences("你好。再见。")
    assert chinese.joined(["Hello.", "Goodbye."]) == "Hello. Goodbye."
    assert chinese.joined(["你好。", "再见。"]) == "你好。再见。"


def test_long_texts_take_linear_work():
    """Texts that would take minutes if each mark looked back or ahead without end."""
    for text in ("." * 200_000, ". " * 100_000, "a\n" * 100_000, ("x" * 50_000 + ". ") * 4, "." + " " * 200_000):
        assert split_sentences(text).joined(split_sentences(text).sentences) == text
