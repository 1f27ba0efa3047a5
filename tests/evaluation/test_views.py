"""Marked texts as HTML and in the terminal: what a reader gets, whatever the text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from bothways.errors import InputError
from bothways.evaluation.palette import COLOURS, text_on
from bothways.evaluation.terminal import answer_lines, entity_lines, written
from bothways.evaluation.views import PAGE_BYTES, answer_view, entity_view, render_answer, render_entities, render_views

TEXT = "Angela Merkel met the Bank of England in London."
FOUND = [(0, 13, "PER"), (22, 37, "ORG"), (30, 37, "LOC"), (41, 47, "LOC")]
HOSTILE = "<script>alert('x')</script>"


class Marks(HTMLParser):
    """The text of the first ``look-text`` without names, and the words of each ``mark`` with its name."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.marks, self.tags = "", [], set()
        self._inside, self._open, self._name = 0, [], 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        values = dict(attributes)
        if tag == "div" and (self._inside or (values.get("class") == "look-text" and not self.text)):
            self._inside += 1
        elif self._inside and tag == "mark":
            self._open.append(["", "", values["class"]])
        elif self._inside and tag == "span":
            self._name += 1

    def handle_endtag(self, tag):
        if not self._inside:
            return
        if tag == "div":
            self._inside -= 1
        elif tag == "mark":
            self.marks.append(tuple(self._open.pop()))
        elif tag == "span":
            self._name -= 1

    def handle_data(self, data):
        if not self._inside:
            return
        if self._name:
            if self._open:
                self._open[-1][1] += data
            return
        self.text += data
        for mark in self._open:
            mark[0] += data


def test_entities_on_a_page_are_the_text_with_named_marks():
    seen = Marks(render_entities(TEXT, FOUND))
    assert seen.text == TEXT
    assert sorted((words, name) for words, name, _ in seen.marks) == [
        ("Angela Merkel", "PER"),
        ("Bank of England", "ORG"),
        ("England", "LOC"),
        ("London", "LOC"),
    ]
    classes = {name: look for _, name, look in seen.marks}
    assert len(set(classes.values())) == 3  # every type has its own colour


def test_the_legend_counts_types():
    legend = re.findall(r"<bdi>(\w+)</bdi></span></span>(\d+)", render_entities(TEXT, FOUND))
    assert legend == [("LOC", "2"), ("PER", "1"), ("ORG", "1")]
    assert "No entities." in entity_view(TEXT, [])


def test_two_sources_stand_side_by_side_with_their_differences():
    html = entity_view(TEXT, FOUND, gold=[(0, 13, "PER"), (22, 37, "LOC"), (41, 47, "LOC")])
    assert (
        "2 of 3 gold entities were found with the same characters and type (=); 2 of 4 predicted are not gold" in html
    )
    predicted, gold = html.split("<h4>Gold</h4>")
    assert "<h4>Predicted</h4>" in predicted
    assert (predicted.count(">=</span>"), predicted.count(">≠</span>")) == (2, 2)
    assert (gold.count(">=</span>"), gold.count(">≠</span>")) == (2, 1)


@pytest.mark.parametrize("text", [f"a {HOSTILE} b & c", "\x00\x1b[31m\u202eevil\u2066\ud800", "a\r\nb\tc \n\n d", ""])
def test_any_text_is_only_text(text):
    page = render_entities(text, [(0, min(len(text), 5), HOSTILE)], title=HOSTILE)
    assert "<script" not in page and not re.search("[\x00\x1b\u202e\u2066\ud800]", page)
    page.encode("utf-8")
    view = written(entity_lines(text, [(0, min(len(text), 5), "\x1b[2J")]), color=False, width=80)
    assert "\x1b" not in view and "\u202e" not in view
    question = answer_view(text + "x", {"answer": "x", "score": 0.5, "start": 0, "end": 1}, question=HOSTILE)
    assert "<script" not in question


@pytest.mark.parametrize(
    ("text", "span", "words"),
    [
        ("התקבל שלום עולם", (6, 10), "שלום"),
        ("Jose\u0301 sings", (0, 4), "Jose\u0301"),  # the accent belongs to the name
        ("family 👩‍👩‍👧 here", (7, 8), "👩‍👩‍👧"),
        ("𝔘𝔫𝔦 in 𝔅", (0, 3), "𝔘𝔫𝔦"),  # offsets are code points, not UTF-16
    ],
)
def test_offsets_are_code_points_and_clusters_are_whole(text, span, words):
    html = entity_view(text, [(*span, "X")])
    assert [mark[0] for mark in Marks(html).marks] == [words] and 'dir="auto"' in html
    assert f"[{words} X]" in written(entity_lines(text, [(*span, "X")]), color=False, width=80)


def test_a_million_characters_make_a_small_page_that_says_what_is_left_out():
    text = "Anna met Ben. " * 71_429
    entities = [(14 * i, 14 * i + 4, "PER") for i in range(71_429)]
    page = render_entities(text, entities)
    assert len(page.encode()) < 2_000_000 and "400 of 71,429 entities are marked" in page
    lonely = render_entities("x" * 1_000_000, [(500_000, 500_010, "X")])
    assert len(lonely) < 100_000 and "999,670 of 1,000,000 characters are left out" in lonely
    assert "499,840 characters" in written(
        entity_lines("x" * 1_000_000, [(500_000, 500_010, "X")]), color=False, width=900
    )


def test_a_page_has_room_for_two_megabytes_and_counts_the_rest():
    view = entity_view(TEXT * 60, [(0, 13, "PER")])
    views = [view] * (PAGE_BYTES // len(view) + 10)
    page = render_views(views, title="All", left_out=5)
    assert PAGE_BYTES < len(page.encode()) < 2_000_000
    kept = page.count('class="look"')
    assert f"{len(views) - kept + 5} more texts are left out: the page has room for {kept}." in page
    assert "left out" not in render_views([view], title="One")


def test_answers_are_marked_with_rank_and_score():
    answers = [
        {"answer": "London", "score": 0.83, "start": 41, "end": 47},
        {"answer": "in London", "score": 0.1, "start": 38, "end": 47},
        {"answer": "", "score": 0.05, "start": 0, "end": 0},
    ]
    html = answer_view(TEXT, answers, question="Where?")
    assert [mark[:2] for mark in Marks(html).marks] == [("London", "1: 83.0 %"), ("in London", "2: 10.0 %")]
    assert "1. “London” (83.0 %); 2. “in London” (10.0 %); 3. the text has no answer (5.0 %)" in html
    one = written(answer_lines(TEXT, answers[:1], question="Where?"), color=False, width=200)
    assert one.splitlines() == [
        "Where?",
        "Angela Merkel met the Bank of England in [London answer 83.0 %].",
        "“London”, score 83.0 %.",
    ]
    assert "The text has no answer, score 5.0 %." in render_answer(TEXT, answers[2])
    with pytest.raises(InputError, match="characters 41 to 470, but the text has 48"):
        render_answer(TEXT, {"answer": "London", "score": 0.8, "start": 41, "end": 470})


def test_the_terminal_needs_no_colours_and_has_them_where_it_may():
    plain = written(entity_lines(TEXT, FOUND), color=False, width=200)
    assert plain.splitlines()[0] == "[Angela Merkel PER] met the [Bank of [England LOC] ORG] in [London LOC]."
    assert plain.splitlines()[1].split() == ["LOC", "2", "PER", "1", "ORG", "1"]
    coloured = written(entity_lines(TEXT, FOUND), color=True, width=200)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    red, green, blue = (int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5))  # LOC comes first in the alphabet
    ink = "0;0;0" if text_on(COLOURS[0]) == "#000000" else "255;255;255"
    assert f"\x1b[38;2;{ink};48;2;{red};{green};{blue}mLondon" in coloured


def test_the_same_types_look_the_same_in_every_text():
    types = ["LOC", "ORG", "PER"]
    alone = Marks(entity_view("Anna", [(0, 4, "PER")], types=types)).marks[0]
    among = {name: look for _, name, look in Marks(entity_view(TEXT, FOUND, types=types)).marks}
    assert alone[2] == among["PER"]


def test_gold_in_the_terminal():
    lines = written(entity_lines(TEXT, FOUND[:1], gold=FOUND[-1:]), color=False, width=200).splitlines()
    assert lines[0] == "predicted  [Angela Merkel PER ≠] met the Bank of England in London."
    assert lines[2] == "gold       Angela Merkel met the Bank of England in [London LOC ≠]."


def test_names_and_questions_of_any_length_take_little_room():
    assert len(entity_view("a b", [(0, 1, "N" * 1_000_000)])) < 5_000
    answer = {"answer": "a" * 1_000_000, "score": 0.5, "start": 0, "end": 1}
    assert len(answer_view("a b", answer, question="Q" * 1_000_000)) < 5_000
