"""The answers in the terminal: texts stay texts, and tables fit 80 columns."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from bothways import explore
from bothways.explore.terminal import shown_token
from tests.explore.reports import ALL, attention_report, tokens_report, word_report


def shown(report, width: int = 80) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width)
    for part in explore.to_terminal(report):
        console.print(part)
    return out.getvalue()


@pytest.mark.parametrize("name", ALL)
def test_every_kind_is_shown_without_markup_or_control(name):
    report = ALL[name]()
    text = shown(report)
    assert "\x1b" not in text
    assert max(map(cell_len, text.splitlines())) <= 80
    joined = " ".join(text.split())
    assert all(sentence.split()[0] in joined for sentence in report.sentences)


def test_markup_in_a_text_is_shown_as_it_is():
    text = shown(explore.order("[bold]the [/bold] [MASK]"))
    assert "bold" in text and "← gap" in text


def test_numbers_stand_beside_every_sign():
    text = shown(attention_report())
    assert "*" in text and "more than half of the head's attention" in text
    assert "→" in text and "of at most 3.6" in " ".join(text.split())
    words = shown(word_report(2))
    assert "1–2" in words and "static" in words and "layer 6" in words
    assert "least" in shown(word_report(6))


def test_long_texts_are_cut_with_their_count():
    assert "The first 200 of 401 tokens are shown." in shown(tokens_report(400))
    assert "The first 30 of 52 positions are shown." in shown(explore.order("a " * 50))


def test_control_characters_become_visible():
    assert shown_token("a\x1b[0m\n") == "a\\x1b[0m\\x0a" and shown_token("über 👍") == "über 👍"
    assert shown_token("a\u202eb") == "a\\u202eb" and shown_token("👩\u200d👧") == "👩\u200d👧"
