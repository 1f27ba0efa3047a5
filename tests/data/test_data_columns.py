"""Columns and kinds of labels, by request, by name and by content."""

from __future__ import annotations

from typing import Any

import pytest

from bothways.data import Columns, infer_task, recognise_columns
from bothways.data.label_kinds import class_names, natural_order
from bothways.errors import UsageError


def found(*names: str, rows: Any = (), **options: Any) -> tuple[str | None, ...]:
    columns = recognise_columns(names, rows, **options)
    return columns.text, columns.text_pair, columns.label


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["text", "label"], ("text", None, "label")),
        (["ID", "Review", "Sentiment"], ("Review", None, "Sentiment")),
        (["id", "title", "text", "label"], ("text", None, "label")),
        (["id", "subject", "text", "label"], ("text", None, "label")),
        (["headline", "category"], ("headline", None, "category")),
        (["id", "text", "label", "stars"], ("text", None, "label")),
        (["text_a", "text_b", "label", "relatedness"], ("text_a", "text_b", "label")),
        (["text_a", "text_b", "score"], ("text_a", "text_b", "score")),
        (["sentence1", "sentence2", "similarity_score"], ("sentence1", "sentence2", "similarity_score")),
        (["pairID", "Premise", "Hypothesis", "gold_label"], ("Premise", "Hypothesis", "gold_label")),
        (["id", "qid1", "qid2", "question1", "question2", "is_duplicate"], ("question1", "question2", "is_duplicate")),
        (["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"], ("#1 String", "#2 String", "Quality")),
        (["question", "answer", "label"], ("question", "answer", "label")),
        (["query", "passage", "label"], ("query", "passage", "label")),
        (["utterance", "intent", "label_text"], ("utterance", None, "intent")),
        (["Text ", "CLASS"], ("Text ", None, "CLASS")),
    ],
)
def test_known_names(names: list[str], expected: tuple[str | None, ...]) -> None:
    assert found(*names) == expected


def test_columns_asked_for_win() -> None:
    names = ("id", "title", "text", "label", "stars")
    assert found(*names, text_column="title", label_column="stars") == ("title", None, "stars")
    assert found(*names, text_column="title, text") == ("title", "text", "label")
    assert found(*names, text_column="Title", need_label=False) == ("title", None, None)
    assert found("a,b", "label", text_column="a,b") == ("a,b", None, "label")
    assert found("text", "content", "label", label_column="text") == ("content", None, "text")


def test_column_not_found_lists_all_and_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        found("text", "label", text_column="txt", file="a.csv")
    assert str(caught.value) == "column 'txt' not found in a.csv. Columns: text, label. Did you mean 'text'?"
    with pytest.raises(UsageError, match="column 'labels' not found in the data. .* Did you mean 'label'"):
        found("text", "label", label_column="labels")
    with pytest.raises(UsageError, match="names 3 columns; expected one, or two"):
        found("a", "b", "c", text_column="a,b,c")
    with pytest.raises(UsageError, match="'text' cannot be both text and label"):
        found("text", "x", text_column="text", label_column="text")


def test_ambiguous_names_list_the_candidates() -> None:
    with pytest.raises(UsageError, match="the text could be any of review, comment.*--text-column"):
        found("review", "comment", "label")
    with pytest.raises(UsageError, match="the label could be any of sentiment, topic.*--label-column"):
        found("text", "sentiment", "topic")
    with pytest.raises(UsageError, match="the text could be any of text, text_a, text_b"):
        found("text", "text_a", "text_b", "label")
    with pytest.raises(UsageError, match="premise, hypothesis|hypothesis, premise"):
        found("text_a", "text_b", "premise", "hypothesis", "label")


def sample(**columns: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_by_content_where_only_one_reading_is_possible() -> None:
    rows = sample(
        nr=[1, 2, 3, 4],
        words=[
            "the film was very good",
            "I slept through most of it",
            "a delight for all ages",
            "no, never, not again",
        ],
        verdict=["up", "down", "up", "down"],
    )
    assert found(*rows[0], rows=rows) == ("words", None, "verdict")
    assert found(*rows[0], rows=rows, need_label=False) == ("words", None, None)


def test_by_content_refuses_doubt() -> None:
    rows = sample(a=["some words here"] * 2 + ["other words"] * 2, b=["words of like length"] * 4)
    with pytest.raises(UsageError, match="the text could be any of b, a"):
        found("a", "b", rows=rows)
    rows = sample(text=["w", "x", "y", "z"], one=["p", "q", "p", "q"], two=["r", "r", "s", "s"])
    with pytest.raises(UsageError, match="the label could be any of one, two"):
        found("text", "one", "two", rows=rows)
    rows = sample(text=["w", "x", "y", "z"], url=["u", "u", "v", "v"], doc_id=["1", "1", "2", "2"])
    with pytest.raises(
        UsageError, match="no label column found. Columns: text, url, doc_id. Name it with --label-column"
    ):
        found("text", "url", "doc_id", rows=rows)
    with pytest.raises(UsageError, match="no text column found. Columns: version, data"):
        found("version", "data", rows=[{"version": "2.0", "data": [{}]}])


def test_first_row_of_data_is_not_taken_as_header() -> None:
    names = ["a rather long text with words", "up", "3"]
    texts = ["it was quite a long film", "shorter than I had thought", "nothing much", "and so forth it goes"]
    rows = [dict(zip(names, row, strict=True)) for row in zip(texts, ["up", "down", "up", "down"], "1234", strict=True)]
    with pytest.raises(UsageError, match="if the file has no header row, add one, such as text,label"):
        found(*names, rows=rows)
    with pytest.raises(UsageError, match="Columns: I love this. Name it with --text-column"):
        found("I love this", rows=[{"I love this": "so do I"}], need_label=False)
    assert found("opinion", rows=[{"opinion": "I love this"}], need_label=False)[0] == "opinion"


@pytest.mark.parametrize(
    ("labels", "column", "kind"),
    [
        (["pos", "neg", None], "label", "single"),
        ([0, 1, 2], "label", "single"),
        ([True, False], "label", "single"),
        ([1, 2, 3, 4, 5], "score", "single"),
        ([1.0, 2.0, float("nan")], "label", "single"),
        ([1.5, 2.0], "score", "regression"),
        (["1.5", "2", ""], "relatedness_score", "regression"),
        ([1.5, 2.0], "label", "single"),
        ([i + 0.5 for i in range(20)], "label", "single"),
        ([i + 0.5 for i in range(21)], "label", "regression"),
        ([str(i / 7) for i in range(40)], "label", "regression"),
        (list(range(100)), "label", "single"),
        ([0.5, "high"], "score", "single"),
        ([["a", "b"], [], None], "labels", "multi"),
        (['["a", "b"]', "[]"], "labels", "multi"),
        (["['a', 'b']"], "labels", "multi"),
        (["a|b", "a"], "labels", "single"),
        (["[urgent] call", "[a]"], "labels", "single"),
        ([1e-3, "1e-3", ".5", "-2.5E+01"], "score", "regression"),
    ],
)
def test_kinds(labels: list[Any], column: str, kind: str) -> None:
    assert infer_task(labels, column=column) == kind


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (["b", "a", "b", None], ("a", "b")),
        ("b | a|", ("a", "b")),
        ("10;9", ("9", "10")),
        ("one, two", ("one, two",)),
        ('["x|y", 3]', ("3", "x|y")),
        ("", ()),
        ([], ()),
        ([True, 2.0], ("2", "true")),
    ],
)
def test_classes_of_a_multi_label_value(value: Any, names: tuple[str, ...]) -> None:
    assert class_names(value) == names


def test_natural_order() -> None:
    assert natural_order(["b", "10", "9", "-1", "a", "2x"]) == ["-1", "9", "10", "2x", "a", "b"]


def test_columns_are_values() -> None:
    assert recognise_columns(["text", "label"], []) == Columns(text="text", label="label")
