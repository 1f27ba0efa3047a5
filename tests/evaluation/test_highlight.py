"""Spans that lie in one another, cross, touch, or stand far apart: what is drawn is the text, and every mark once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.evaluation.graphemes import widened
from bothways.evaluation.highlight import (
    DEPTH_SHOWN,
    MARKS_SHOWN,
    SURROUNDINGS,
    WHOLE_TEXT,
    Mark,
    draw,
    judged,
    read_marks,
)

TEXT = "Angela Merkel met the Bank of England in London."


def outline(drawing) -> str:
    """A drawing as text: brackets, names, dots where a mark is divided."""
    pieces = []
    for part in drawing.parts:
        if part.what == "open":
            pieces.append("[" if part.whole else "[…")
        elif part.what == "close":
            pieces.append(f"|{part.mark.label}]" if part.whole else "…]")
        elif part.what == "gap":
            pieces.append(f"<{part.end - part.start}>")
        else:
            pieces.append(drawing.text[part.start : part.end])
    return "".join(pieces)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(0, 3, "A")], "[abc|A]def"),
        ([(0, 3, "A"), (3, 6, "B")], "[abc|A][def|B]"),
        ([(0, 4, "A"), (1, 3, "B")], "[a[bc|B]d|A]ef"),
        ([(0, 4, "A"), (2, 6, "B")], "[ab[cd…]|A][…ef|B]"),
        ([(1, 3, "A"), (1, 3, "B")], "a[[bc|B]|A]def"),
        ([(0, 6, "A"), (2, 2, "B")], "[abcdef|A]"),
        ([(0, 2, "A"), (0, 4, "B"), (1, 6, "C")], "[[a[b…]|A][…cd…]|B][…ef|C]"),
        ([], "abcdef"),
    ],
)
def test_nested_and_crossing(spans, expected):
    assert outline(draw("abcdef", read_marks("abcdef", spans))) == expected


spans_of_twenty = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=8)


@given(spans_of_twenty, st.sampled_from(["abcdefghijklmnopqrst", "e\u0301👩‍👧" * 4, "🇩🇪" * 10, "نصٌّ " * 4]))
def test_every_drawing_is_the_text_with_each_mark_once(spans, text):
    marks = read_marks(
        text, [(min(a, b), max(a, b), f"T{i}") for i, (a, b) in enumerate(spans) if max(a, b) <= len(text)]
    )
    drawing = draw(text, marks)
    assert "".join(text[p.start : p.end] for p in drawing.parts if p.what == "text") == text
    stack, covered, begun, ended = [], {}, [], []
    for part in drawing.parts:
        if part.what == "open":
            stack.append(part.mark)
            begun += [part.mark] if part.whole else []
        elif part.what == "close":
            assert stack.pop() is part.mark  # elements of a page must be closed in order
            ended += [part.mark] if part.whole else []
        else:
            for mark in stack:
                covered[mark] = covered.get(mark, "") + text[part.start : part.end]
    assert not stack and sorted(begun, key=id) == sorted(ended, key=id) and len(begun) == len(drawing.shown)
    for mark in drawing.shown:
        assert covered[mark] == text[mark.start : mark.end]
    widths = [widened(text, m.start, m.end) for m in marks]
    if len(marks) <= DEPTH_SHOWN:
        assert sorted(widths) == sorted((m.start, m.end) for m in drawing.shown)


def test_all_forms_of_an_entity():
    forms = [
        {"start": 14, "end": 17, "entity": "B-PER", "score": 0.5, "word": "met"},
        {"start": 0, "end": 13, "entity_group": "PER", "score": 0.75},
        SimpleNamespace(start=22, end=37, label="ORG"),
        [41, 47, "LOC"],
        (3, 3, "EMPTY"),
    ]
    marks = read_marks(TEXT, forms)
    assert [(m.start, m.end, m.label, m.kind, m.score) for m in marks] == [
        (0, 13, "PER", "PER", 0.75),
        (14, 17, "B-PER", "PER", 0.5),
        (22, 37, "ORG", "ORG", None),
        (41, 47, "LOC", "LOC", None),
    ]


@pytest.mark.parametrize(
    ("entity", "said"),
    [
        ((40, 49, "LOC"), "entity 1 covers the characters 40 to 49, but the text has 48"),
        ((5, 3, "LOC"), "entity 1 covers the characters 5 to 3"),
        ((-1, 3, "LOC"), "characters -1 to 3"),
        ({"start": None, "end": None, "entity": "B-LOC"}, "entity 1 is .*expected start, end and a label"),
        ({"start": 1, "end": 2}, "entity 1 is .*expected start, end and a label"),
        ("LOC", "entity 1 is 'LOC'"),
        ((1.5, 2, "LOC"), "entity 1 is"),
    ],
)
def test_what_is_no_entity_of_this_text(entity, said):
    with pytest.raises(InputError, match=said):
        read_marks(TEXT, [(0, 6, "PER"), entity])


def test_two_sources_judge_each_other_by_characters_and_type():
    found = read_marks(TEXT, [(0, 13, "PER"), (22, 37, "ORG"), (41, 47, "B-LOC")])
    gold = read_marks(TEXT, [(0, 13, "PER"), (22, 26, "ORG"), (41, 47, "LOC")])
    assert [m.verdict for m in judged(found, gold)] == ["right", "wrong", "right"]
    assert [m.verdict for m in judged(gold, found)] == ["right", "wrong", "right"]


def test_a_long_text_shows_what_surrounds_its_marks():
    text = ("word " * 100_000) + "Anna Schmidt lives in Berlin. " + ("word " * 100_000)
    place = text.index("Anna")
    drawing = draw(text, read_marks(text, [(place, place + 12, "PER"), (place + 22, place + 28, "LOC")]))
    shown = "".join(text[p.start : p.end] for p in drawing.parts if p.what == "text")
    assert len(shown) + drawing.n_left_out == len(text) == 1_000_030
    assert "Anna Schmidt lives in Berlin" in shown and len(shown) <= 2 * SURROUNDINGS + 30
    gaps = [(p.start, p.end) for p in drawing.parts if p.what == "gap"]
    assert [a for a, _ in gaps][0] == 0 and gaps[-1][1] == len(text)
    assert all(text[edge - 1].isspace() or text[edge].isspace() for edge in (gaps[0][1], gaps[1][0]))


def test_a_short_text_is_whole_and_a_long_one_without_marks_shows_its_beginning():
    assert outline(draw("a" * WHOLE_TEXT, ())) == "a" * WHOLE_TEXT
    long = "b" * (WHOLE_TEXT + 1)
    assert outline(draw(long, ())) == "b" * SURROUNDINGS + f"<{len(long) - SURROUNDINGS}>"


def test_a_mark_over_a_long_text_shows_both_ends():
    text = "c" * 10_000
    assert outline(draw(text, read_marks(text, [(0, 10_000, "ALL")]))) == f"[{'c' * 160}<9680>{'c' * 160}|ALL]"


def test_gaps_divide_no_cluster():
    text = "e\u0301" * 5_000
    for part in draw(text, read_marks(text, [(4_000, 4_002, "X")])).parts:
        assert widened(text, part.start, part.end) == (part.start, part.end)


def test_many_marks_and_deep_ones_are_counted():
    text = "x " * 1_000
    drawing = draw(text, read_marks(text, [(2 * i, 2 * i + 1, "X") for i in range(1_000)]))
    assert (len(drawing.shown), drawing.n_marks) == (MARKS_SHOWN, 1_000)
    deep = draw("abcdef", read_marks("abcdef", [(0, 6, f"T{i}") for i in range(20)]))
    assert (len(deep.shown), deep.n_marks) == (DEPTH_SHOWN, 20)


def test_marks_keep_their_names_when_they_grow():
    text = "x👩‍👩‍👧y"
    drawing = draw(text, read_marks(text, [(1, 2, "ONE"), (3, 4, "TWO")]))
    assert outline(drawing) == "x[[👩‍👩‍👧|TWO]|ONE]y"
    assert all(isinstance(mark, Mark) for mark in drawing.shown)
