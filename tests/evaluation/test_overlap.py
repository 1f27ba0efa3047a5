"""The sentence that shares the rarest words with the question."""

from __future__ import annotations

from bothways.data import QuestionExample
from bothways.evaluation.overlap import fit_overlap, sentences

CONTEXT = (
    'The town of Aa has a bridge. "The bridge of Bb fell in 1812!" Nobody was hurt in the town. A mill stands in Bb.'
)


def asked(question: str, context: str = CONTEXT) -> QuestionExample:
    return QuestionExample("1", question, context)


def test_sentences_are_parts_of_the_text():
    assert sentences(CONTEXT) == [
        "The town of Aa has a bridge.",
        '"The bridge of Bb fell in 1812!"',
        "Nobody was hurt in the town.",
        "A mill stands in Bb.",
    ]
    assert sentences("Title\n\n我们走。他来！好  ") == ["Title", "我们走。", "他来！", "好"]
    assert sentences("no end") == ["no end"]
    assert sentences(" ... ") == ["..."]


def test_rare_words_count_more_than_common_ones():
    others = [asked("?", f"The town of {name} has the river in the town.") for name in ("Cc", "Dd", "Ee")]
    baseline = fit_overlap([asked("?"), *others])
    assert 0 < baseline.weights["town"] < baseline.weights["bridge"] < baseline.unknown
    answers = baseline.predict([asked("When did the bridge of Bb fall?"), asked("Where does the town have a MILL?")])
    assert answers == ['"The bridge of Bb fell in 1812!"', "A mill stands in Bb."]


def test_of_equals_the_first_and_always_something():
    baseline = fit_overlap([asked("?")])
    assert baseline.predict([asked("xyz"), asked("xyz", "one"), asked("xyz", "??")]) == [
        "The town of Aa has a bridge.",
        "one",
        "??",
    ]


def test_texts_without_spaces_have_words():
    baseline = fit_overlap([asked("?", "我住在北京。他住在上海。")])
    assert baseline.predict([asked("谁住在上海？", "我住在北京。他住在上海。")]) == ["他住在上海。"]
