"""Questions from SQuAD's JSON and from flat rows: the same examples, exact places for what is wrong."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.data import QuestionExample, holdout_questions, iter_questions, load_questions
from bothways.errors import DataError, UsageError

CONTEXT = "The cat sat on the mat. The dog sat on the cat."
QAS = [
    {
        "id": "a",
        "question": "Who sat?",
        "answers": [{"text": "cat", "answer_start": 4}, {"text": "The dog", "answer_start": 24}],
    },
    {"id": "b", "question": "Who ran?", "answers": [], "is_impossible": True},
]
SQUAD = {"version": "v2.0", "data": [{"title": "Cats", "paragraphs": [{"context": CONTEXT, "qas": QAS}]}]}
FLAT = [
    {
        "id": "a",
        "question": "Who sat?",
        "context": CONTEXT,
        "answers": {"text": ["cat", "The dog"], "answer_start": [4, 24]},
    },
    {"id": "b", "question": "Who ran?", "context": CONTEXT, "answers": {"text": [], "answer_start": []}},
]
EXPECTED = [
    QuestionExample("a", "Who sat?", CONTEXT, ((4, "cat"), (24, "The dog")), False, 1),
    QuestionExample("b", "Who ran?", CONTEXT, (), True, 2),
]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("squad.json", json.dumps(SQUAD)),
        ("pretty.json", json.dumps(SQUAD, indent=4)),
        ("other-order.json", json.dumps({"data": SQUAD["data"], "version": "1.1"})),
        ("articles.json", json.dumps(SQUAD["data"], indent=1)),
        ("flat.jsonl", lines(FLAT)),
        ("lines.json", lines(FLAT)),
        ("list.json", json.dumps(FLAT, indent=2)),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_is_read(tmp_path, name, text, packed):
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    loaded = load_questions(path)
    assert loaded.examples == EXPECTED
    assert vars(loaded.problems) == {"repaired": 0, "not_found": 0, "unanswered": 0}
    assert loaded.examples[0].context is loaded.examples[1].context
    assert loaded.examples[0].answer_texts == ("cat", "The dog")
    asked = list(iter_questions(path))
    assert [(e.id, e.question, e.context, e.row) for e in asked] == [
        (e.id, e.question, e.context, e.row) for e in EXPECTED
    ]


def test_files_are_read_as_one_and_numbered(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(SQUAD))
    (tmp_path / "b.jsonl").write_text(lines([{k: v for k, v in row.items() if k != "id"} for row in FLAT]))
    examples = load_questions([tmp_path / "a.json", str(tmp_path / "b.jsonl")]).examples
    assert [(e.id, e.row) for e in examples] == [("a", 1), ("b", 2), ("3", 3), ("4", 4)]
    assert len({id(e.context) for e in examples}) == 1


def test_articles_are_read_one_at_a_time(tmp_path):
    """The second half of the file is not JSON; the first questions come before anybody notices."""
    path = tmp_path / "long.json"
    article = json.dumps(SQUAD["data"][0])
    path.write_text('{"version": "x",\n"data": [\n' + ",\n".join([article] * 2000) + ",\nbroken" + " and more" * 9)
    questions = iter_questions(path)
    assert [next(questions).row for _ in range(3000)] == list(range(1, 3001))
    with pytest.raises(DataError, match=r"long.json, line 2003: not JSON"):
        list(questions)


def one(tmp_path, answers, context=CONTEXT, **more):
    path = tmp_path / "one.jsonl"
    path.write_text(lines([{"question": "q", "context": context, "answers": answers, **more}, FLAT[0]]))
    return load_questions(path)


@pytest.mark.parametrize(
    ("text", "start", "found", "repaired", "not_found"),
    [
        ("cat", 4, 4, 0, 0),
        ("cat", 6, 4, 1, 0),
        ("cat", 40, 43, 1, 0),
        ("mat", 0, 19, 1, 0),
        ("mat", None, 19, 1, 0),
        ("cat", None, -1, 0, 1),  # twice, and no hint which
        ("bird", 3, -1, 0, 1),
        ("mat", -7, 19, 1, 0),
        ("mat", 1e3, 19, 1, 0),
    ],
)
def test_answers_are_found(tmp_path, text, start, found, repaired, not_found):
    loaded = one(tmp_path, [{"text": text, "answer_start": start}])
    assert loaded.examples[0].answers == ((found, text),)
    assert (loaded.problems.repaired, loaded.problems.not_found) == (repaired, not_found)


def test_a_far_occurrence_is_taken_only_if_it_is_the_only_one(tmp_path):
    context = "cat " + "x" * 100 + " cat"
    assert one(tmp_path, [{"text": "cat", "answer_start": 50}], context).examples[0].answers == ((0, "cat"),)
    context = "cat " + "x" * 200 + " cat"
    assert one(tmp_path, [{"text": "cat", "answer_start": 100}], context).examples[0].answers == ((-1, "cat"),)


def test_which_questions_have_no_answer(tmp_path):
    assert one(tmp_path, None).examples[0].is_impossible
    assert one(tmp_path, [{"text": " ", "answer_start": 0}]).examples[0].is_impossible
    plausible = one(tmp_path, [{"text": "cat", "answer_start": 4}], is_impossible=True).examples[0]
    assert plausible.is_impossible and plausible.answers == ()
    loaded = one(tmp_path, [], is_impossible=False)
    assert [e.id for e in loaded.examples] == ["a"]
    assert loaded.problems.unanswered == 1


def squad(change):
    broken = json.loads(json.dumps(SQUAD))
    broken["data"].insert(0, {"title": "t", "paragraphs": [{"context": "Some text.", "qas": []}]})
    change(broken["data"][1]["paragraphs"][0])
    return json.dumps(broken)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.update(context="  "), "article 2, paragraph 1: 'context' is blank"),
        (lambda p: p.pop("context"), "article 2, paragraph 1 has no 'context'. Its keys: qas"),
        (lambda p: p.update(qas="x"), "article 2, paragraph 1 has no list 'qas'"),
        (lambda p: p["qas"].append(3), "article 2, paragraph 1: member 3 of 'qas' is 3; expected an object"),
        (lambda p: p["qas"][1].update(question=""), "article 2, paragraph 1, question 2: 'question' is blank"),
        (
            lambda p: p["qas"][1].update(question=5),
            "article 2, paragraph 1, question 2: 'question' is 5; expected a text",
        ),
        (lambda p: p["qas"][0].pop("answers"), "article 2, paragraph 1, question 1 has no 'answers'"),
        (lambda p: p["qas"][0].update(answers=["x"]), "question 1: 'answers' is \\['x'\\]; expected"),
        (lambda p: p["qas"][0]["answers"][0].pop("text"), "an answer has text None and answer_start 4"),
        (lambda p: p["qas"][0]["answers"][0].update(answer_start=1.5), "text 'cat' and answer_start 1.5"),
        (lambda p: p["qas"][0]["answers"][0].update(answer_start=True), "text 'cat' and answer_start True"),
        (lambda p: p["qas"][1].update(is_impossible="no"), "'is_impossible' is 'no'; expected true or false"),
    ],
)
def test_places_of_errors(tmp_path, change, message):
    path = tmp_path / "broken.json"
    path.write_text(squad(change))
    with pytest.raises(DataError, match=message):
        load_questions(path)


def test_other_errors(tmp_path):
    path = tmp_path / "x.json"
    for text, message in [
        ('{"version": 1}', "line 1 has no 'context'. Its keys: version"),
        ('{"data": []}', "x.json has no questions"),
        ('{"data": [{"paragraphs": []}]}', "x.json has no questions"),
        ('{"data": [{"title": "t"}]}', "article 1 has no list 'paragraphs'. Its keys: title"),
        ("", "x.json is empty"),
        ('{"data": [{"paragraphs"', "ends inside its JSON list, after 0 whole objects"),
        (lines([{**FLAT[0], "context": None}]), "line 1 has no 'context'"),
        (
            lines([FLAT[0], {**FLAT[0], "answers": {"text": ["a"], "answer_start": []}}]),
            "line 2: 'answers' is .*as many",
        ),
        (lines([{**FLAT[0], "answers": [], "is_impossible": False}]), "none of 1 questions has answers"),
    ]:
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            load_questions(path)
    with pytest.raises(UsageError, match="does not exist"):
        load_questions(tmp_path / "y.json")
    with pytest.raises(UsageError, match="at least one is needed"):
        load_questions([])
    path.write_text(lines([{"question": "q", "context": "c"}]))
    assert [e.question for e in iter_questions(path)] == ["q"]  # prediction needs no answers


@pytest.mark.parametrize("start", ["NaN", "Infinity", "1.5", "true", '"0"', "[0]"])
def test_starts_that_are_no_whole_numbers(tmp_path, start):
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"question": "a", "context": "b", "answers": {{"text": ["b"], "answer_start": [{start}]}}}}\n')
    with pytest.raises(DataError, match="line 1: .*answer_start.*expected"):
        load_questions(path)


def test_half_a_surrogate_pair_keeps_the_places(tmp_path):
    loaded = one(tmp_path, [{"text": "cat", "answer_start": 2}], context="\ud800 cat")
    assert loaded.examples[0].context == "\ufffd cat"
    assert loaded.examples[0].answers == ((2, "cat"),)
    assert loaded.problems.repaired == 0


@pytest.mark.parametrize("text", [json.dumps(SQUAD, indent=1), lines(FLAT), json.dumps(FLAT)])
def test_standard_input(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
    assert [e.question for e in iter_questions("-")] == ["Who sat?", "Who ran?"]


def test_csv_for_prediction(tmp_path):
    (tmp_path / "q.csv").write_text('question,context\nWho?,"A cat, and a dog."\n')
    assert [(e.question, e.context) for e in iter_questions(tmp_path / "q.csv")] == [("Who?", "A cat, and a dog.")]


@given(st.lists(st.integers(0, 8), min_size=2, max_size=40), st.floats(0.05, 0.9), st.integers(0, 5))
def test_no_context_on_both_sides(contexts, fraction, seed):
    examples = [QuestionExample(str(i), "q", f"context {c}", row=i + 1) for i, c in enumerate(contexts)]
    try:
        train, held = holdout_questions(examples, fraction, seed)
    except DataError as problem:
        assert f"{len(examples)} questions about {len(set(contexts))} contexts" in str(problem)
        return
    assert train and held
    assert not {e.context for e in train} & {e.context for e in held}
    assert sorted([*train, *held], key=lambda e: e.row) == examples
    assert [e.row for e in train] == sorted(e.row for e in train)
    assert len(held) <= max(1, fraction * len(examples))
    assert holdout_questions(examples, fraction, seed) == (train, held)


def test_holdout_fraction():
    with pytest.raises(UsageError, match="the held-out fraction is 1"):
        holdout_questions([], 1, 0)


@pytest.mark.data
@pytest.mark.skipif("BOTHWAYS_DATA" not in os.environ, reason="needs BOTHWAYS_DATA")
def test_published_files():
    root = Path(os.environ["BOTHWAYS_DATA"]) / "squad"
    for name, count, impossible in (("dev-v1.1-part", 5553, 0), ("dev-v2.0-part", 6900, 3447)):
        loaded = load_questions(root / f"{name}.json.gz")
        assert len(loaded.examples) == count
        assert sum(e.is_impossible for e in loaded.examples) == impossible
        assert vars(loaded.problems) == {"repaired": 0, "not_found": 0, "unanswered": 0}
        assert all(e.context.startswith(text, start) for e in loaded.examples for start, text in e.answers)
