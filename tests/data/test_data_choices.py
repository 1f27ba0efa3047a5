"""Questions with choices: every published form, labels in every form, and what cannot be used."""

from __future__ import annotations

import json

import pytest

from bothways.data.choices import ChoiceExample, choice_example, iter_choices, load_choices
from bothways.errors import DataError, UsageError

PLAIN = {"question": "Who?", "choices": ["cat", "dog"], "label": 1}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (PLAIN, ("Who?", "", ("cat", "dog"), 1)),
        ({"prompt": "Who?", "options": ["cat", "dog"], "answer": "A"}, ("Who?", "", ("cat", "dog"), 0)),
        (
            {  # SWAG
                "video-id": "x", "startphrase": "He sits. He", "sent1": "He sits.", "sent2": "He",
                "gold-source": "gold", "ending0": "runs.", "ending1": "eats.", "ending2": "sees.", "ending3": "goes.",
                "label": "3",
            },
            ("He sits.", "He", ("runs.", "eats.", "sees.", "goes."), 3),
        ),
        (
            {"ctx_a": "A", "ctx_b": "b", "ctx": "A b", "endings": ["c", "d"], "label": "0"},  # HellaSwag
            ("A b", "", ("c", "d"), 0),
        ),
        (
            {"article": "Long.", "question": "Why?", "options": ["x", "y", "z"], "answer": "C"},  # RACE
            ("Long.", "Why?", ("x", "y", "z"), 2),
        ),
        (
            {  # ARC with numbers for names
                "id": "1", "question": "Why?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2",
            },
            ("Why?", "", ("x", "y"), 1),
        ),
        (
            {  # ARC as its authors publish it
                "question": {"stem": "Why?", "choices": [{"text": "x", "label": "A"}, {"text": "y", "label": "B"}]},
                "answerKey": "B",
            },
            ("Why?", "", ("x", "y"), 1),
        ),
        ({"question": "Why?", "choices": ["x", "y"], "answer": 1}, ("Why?", "", ("x", "y"), 1)),  # MMLU
        ({"goal": "Open", "sol1": "push", "sol2": "pull", "label": 0}, ("Open", "", ("push", "pull"), 0)),  # PIQA
        (
            {"premise": "It fell.", "question": "cause", "choice1": "x", "choice2": "y", "label": 1},  # COPA
            ("It fell.", "cause", ("x", "y"), 1),
        ),
        (
            {"sentence": "The _ ran.", "option1": "cat", "option2": "dog", "answer": "2"},  # WinoGrande
            ("The _ ran.", "", ("cat", "dog"), 1),
        ),
        ({**PLAIN, "label": "dog"}, ("Who?", "", ("cat", "dog"), 1)),
        ({**PLAIN, "label": "b"}, ("Who?", "", ("cat", "dog"), 1)),
        ({**PLAIN, "label": 0.0}, ("Who?", "", ("cat", "dog"), 0)),
        ({**PLAIN, "label": None}, ("Who?", "", ("cat", "dog"), None)),
        ({**PLAIN, "label": -1}, ("Who?", "", ("cat", "dog"), None)),
        ({"QUESTION": "Who?", "Choices": '["cat", "dog"]', "Label": " "}, ("Who?", "", ("cat", "dog"), None)),
    ],
    ids=str,
)  # fmt: skip
def test_published_forms(row, expected):
    text, stem, choices, label = expected
    assert choice_example(row, "here", row=4) == ChoiceExample(text, stem, choices, label, 4)


def test_numbers_under_answer_are_names_and_under_label_indices():
    row = {"question": "2 + 1", "choices": {"text": ["x", "y", "z"], "label": ["2", "1", "0"]}}
    assert choice_example({**row, "answerKey": "2"}, "here").label == 0
    assert choice_example({**row, "label": "2"}, "here").label == 2


def test_second_texts():
    assert ChoiceExample("a", "", ("x", "y")).second_texts == ["x", "y"]
    assert ChoiceExample("a", "He", ("x", "y")).second_texts == ["He x", "He y"]
    assert ChoiceExample("a", "He _ it.", ("x", "y")).second_texts == ["He x it.", "He y it."]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**PLAIN, "label": 2}, r"f, line 7: label is 2, which is none of the 2 choices\. Expected .* 0 to 1, .* A, B"),
        ({**PLAIN, "label": "cow"}, "label is 'cow', which is none"),
        ({**PLAIN, "label": True}, "label is True"),
        ({"question": "Who?", "choices": ["cat", "cat"], "label": "cat"}, "which is several of the 2"),
        ({"question": "Who?", "choices": ["cat"]}, "needs 2 choices or more, but has 1"),
        ({"question": "Who?", "choices": ["cat", 3]}, r"choice 1 is 3 \(int\)"),
        ({"question": "Who?", "choices": ["cat", " "]}, "choice 1 is ' '"),
        ({"question": "Who?", "choices": "cat, dog"}, r"choices is the text 'cat, dog'.*CSV as JSON"),
        ({"question": "Who?", "choices": 3}, "choices is a int"),
        ({"question": "Who?", "choices": {"text": ["a", "b"], "label": ["A"]}}, "2 texts but 1 labels"),
        ({"question": "Who?"}, "no choices. Columns: question"),
        ({"question": "Who?", "choice1": "a", "option1": "b"}, "choices under choice and option"),
        ({**PLAIN, "endings": ["a", "b"]}, "any of choices, endings"),
        ({"choices": ["a", "b"]}, "no question. Columns: choices"),
        ({"question": " ", "choices": ["a", "b"]}, "question is blank; expected a text"),
        ({"question": None, "context": "", "choices": ["a", "b"]}, "question and context are blank"),
        ({"question": 3, "choices": ["a", "b"]}, r"question is 3 \(int\)"),
        ({"question": "a", "prompt": "b", "choices": ["a", "b"]}, "any of question, prompt"),
    ],
    ids=str,
)
def test_what_cannot_be_used(row, message):
    with pytest.raises(DataError, match=message):
        choice_example(row, "f, line 7")


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_files(tmp_path):
    one = write(tmp_path / "a.jsonl", [PLAIN, {**PLAIN, "label": None}])
    two = tmp_path / "b.csv"
    two.write_text("sent1,sent2,ending0,ending1,ending2,label\nHe sits.,He,runs,eats,sees,0\n", encoding="utf-8")
    data = load_choices([one, two])
    assert [(e.row, e.label, len(e.choices)) for e in data.examples] == [(1, 1, 2), (3, 0, 3)]
    assert (data.missing_labels, data.n_choices) == (1, (2, 3))
    assert [e.row for e in iter_choices(one)] == [1, 2]


def test_files_that_cannot_be_used(tmp_path):
    path = write(tmp_path / "a.jsonl", [PLAIN, {**PLAIN, "label": 5}])
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: label is 5"):
        load_choices(path)
    with pytest.raises(DataError, match="none of the 1 rows has a label"):
        load_choices(write(path, [{**PLAIN, "label": None}]))
    with pytest.raises(DataError, match="in all 3 labelled rows the right choice is number 1"):
        load_choices(write(path, [PLAIN] * 3))
    assert len(load_choices(path, purpose="evaluate").examples) == 3
    with pytest.raises(UsageError, match="no data file"):
        load_choices([])
