"""The shipped example messages are what their data card says: balanced, distinct, well-formed."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from importlib.resources import files
from itertools import combinations

import pytest

CLASSES = {"account_access", "borrowing", "building", "catalogue_search", "events", "opening_hours"}
MESSAGES = files("bothways.demo") / "messages.csv"


@pytest.fixture(scope="module")
def content() -> str:
    return MESSAGES.read_bytes().decode("utf-8")  # strict: a damaged byte raises


@pytest.fixture(scope="module")
def rows(content: str) -> list[tuple[str, str]]:
    header, *body = csv.reader(io.StringIO(content, newline=""), strict=True)
    assert header == ["text", "label"]
    assert [row for row in body if len(row) != 2] == []
    return [(text, label) for text, label in body]


def test_there_are_90_messages_in_each_of_six_classes(rows: list[tuple[str, str]]) -> None:
    assert Counter(label for _, label in rows) == dict.fromkeys(CLASSES, 90)
    assert len(rows) == 540


def test_the_rows_are_shuffled(rows: list[tuple[str, str]]) -> None:
    # A reader that takes the first rows, or a split without shuffling, must still see every class.
    assert all({label for _, label in rows[start : start + 60]} == CLASSES for start in range(0, 540, 60))


def test_no_message_occurs_twice(rows: list[tuple[str, str]]) -> None:
    folded = Counter(" ".join(text.casefold().split()) for text, _ in rows)
    assert [text for text, count in folded.items() if count > 1] == []


def test_no_two_messages_share_four_fifths_of_their_words(rows: list[tuple[str, str]]) -> None:
    words = [(text, set(re.findall(r"\w+", text.casefold()))) for text, _ in rows]
    close = [(a, b) for (a, of_a), (b, of_b) in combinations(words, 2) if len(of_a & of_b) >= 0.8 * len(of_a | of_b)]
    assert close == []


def test_few_messages_begin_alike(rows: list[tuple[str, str]]) -> None:
    # Messages filled into a template would share their beginnings.
    beginnings = Counter(tuple(re.findall(r"\w+", text.casefold())[:4]) for text, _ in rows)
    assert {beginning: count for beginning, count in beginnings.items() if count > 5} == {}


def test_lengths_vary_between_2_and_80_words(rows: list[tuple[str, str]]) -> None:
    lengths = sorted(len(text.split()) for text, _ in rows)
    assert 2 <= lengths[0] <= 3
    assert 40 <= lengths[-1] <= 80
    assert lengths[54] <= 10 and lengths[-54] >= 25  # the shortest and the longest tenth differ clearly


def test_texts_are_clean_single_lines(rows: list[tuple[str, str]]) -> None:
    for text, _ in rows:
        assert text == " ".join(text.split()), f"stray white space in {text!r}"
        assert text == unicodedata.normalize("NFC", text), f"not composed: {text!r}"
        assert all(character.isprintable() and character != "\N{REPLACEMENT CHARACTER}" for character in text), text
        # Typical traces of UTF-8 read as Latin-1.
        assert not re.search("[\u00c2\u00c3\u00e2][\u0080-\u00bf\u20ac]", text), f"mis-decoded: {text!r}"


def test_texts_hold_no_addresses_and_no_telephone_numbers(rows: list[tuple[str, str]]) -> None:
    assert [text for text, _ in rows if re.search(r"\S@\S|https?:|www\.|\d[\d /-]{6,}\d", text)] == []


def test_the_file_is_plain_rfc_4180_with_line_feeds(content: str, rows: list[tuple[str, str]]) -> None:
    assert not content.startswith("\ufeff")
    assert "\r" not in content
    rewritten = io.StringIO(newline="")
    writer = csv.writer(rewritten, lineterminator="\n")  # quotes only where a comma or a quote asks for it
    writer.writerow(["text", "label"])
    writer.writerows(rows)
    assert rewritten.getvalue() == content
