"""The audit of whole files, for every kind of data it reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bothways
from bothways.data import TextExample, load_labelled
from bothways.errors import DataError, ModelNotFoundError, UsageError
from bothways.evaluation.audit import audit, clean_part, find_leaks
from bothways.evaluation.audit_findings import audit_as_json, shortened
from bothways.evaluation.audit_table import verdict

LONG = "the story was told by a very old man of the sea"


@pytest.fixture
def check(tmp_path, tiny_model):
    """Audit rows given as lists of objects, written as JSON lines."""

    def call(train: list[dict], held: list[dict] | None = None, **options):
        files = []
        for name, rows in (("train.jsonl", train), ("held.jsonl", held)):
            if rows is not None:
                files.append(tmp_path / name)
                files[-1].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return audit(*files, model=str(tiny_model), **options)

    return call


def row(text: str, label: object = "a") -> dict:
    return {"text": text, "label": label}


def kinds(found) -> list[str]:
    return [finding.kind for finding in found.findings]


def test_public_names():
    assert bothways.audit is audit and bothways.clean_part is clean_part


def test_leaks_are_named_by_file_and_row_and_leave_a_clean_part(check, tmp_path):
    train = [row("good film"), row(LONG, "b"), row("bad play", "b")]
    held = [
        row("fine book"),
        row("Good  FILM"),
        row(" "),
        row(f"{LONG} again", "b"),
        row("good film", "b"),
    ]
    found = check(train, held)
    assert [(leak.index, leak.place.row, leak.source.row, leak.exact) for leak in found.leaks] == [
        (1, 2, 1, True),
        (3, 4, 2, False),
        (4, 5, 1, True),
    ]
    assert found.leaks[0].place.file == str(tmp_path / "held.jsonl") and found.leaks[0].place.text == "Good FILM"
    assert found.leaks[1].similarity == pytest.approx(12 / 13) and found.leaks[0].similarity == 1.0
    assert found.has_leakage and clean_part(found) == [0, 2]
    assert kinds(found)[:2] == ["leak-equal", "leak-near"]
    assert found.findings[0].sentence.startswith("2 of 5 evaluation texts (40 %) are in training too, word for word")
    assert verdict(found).startswith("Leakage: 3 of 5 evaluation texts are in training, 2 are clean.")
    examples = load_labelled(tmp_path / "held.jsonl", purpose="evaluate").examples
    leaks = find_leaks(load_labelled(tmp_path / "train.jsonl").examples, examples)
    assert [leak.index for leak in leaks] == [1, 3, 4] and leaks[0].place.file == ""


def test_without_evaluation_nothing_leaks(check):
    found = check([row("good film"), row("good film"), row(LONG, "b"), row(f"{LONG}!", "b")])
    assert not found.has_leakage and clean_part(found) == []
    assert (
        found.found("duplicates-training").sentence == "1 of 4 rows of training (25 %) has the text of an earlier one."
    )
    near = found.found("near-duplicates-training")
    assert near.count == 1 and near.sentence.endswith("A part held out at random may have nearly the same.")
    assert "no evaluation file was given" in verdict(found)
    clean = check([row("good film"), row("bad book", "b")], [row("fine play"), row("awful plot", "b")])
    assert verdict(clean).startswith("No leakage: none of 2 evaluation texts is in training.") and not clean.has_leakage


def test_rows_are_counted_in_their_own_file(check, tmp_path, tiny_model):
    (tmp_path / "a.csv").write_text("text,label\ngood film,x\n,\nbad film,y\n")
    (tmp_path / "b.csv").write_text("text,label\nno label,\ngood  film,y\n")
    found = audit([tmp_path / "a.csv", tmp_path / "b.csv"], model=str(tiny_model))
    (pair,) = found.found("conflicting-labels").examples
    assert [(Path(place.file).name, place.row, place.label) for place in pair] == [("a.csv", 1, "x"), ("b.csv", 2, "y")]
    assert found.parts[0].rows == 3 and found.parts[0].missing_labels == 2


def test_conflicts_need_labels_that_contradict(check):
    near = row(f"{LONG} again", "b")
    found = check([row("good film"), row("Good film", "b"), row("bad", "b"), row("bad", "b"), row(LONG), near])
    finding = found.found("conflicting-labels")
    assert finding.count == 1 and finding.sentence.startswith("1 text occurs with different labels (2 rows)")
    assert [place.label for place in finding.examples[0]] == ["a", "b"]
    assert found.found("near-conflicting-labels").count == 1
    scores = [{"text": t, "score": s} for t, s in (("a", 1.5), ("a", 1.6), ("b", 0.25), ("b", 4.75), ("c", 5.25))]
    assert check(scores).found("conflicting-labels").examples[0][0].text == "b"
    several = [row("x", ["p", "q"]), row("x", ["q", "p"]), row("y", ["p"]), row("y", [])]
    assert check(several).found("conflicting-labels").count == 1


def test_balance(check):
    train = [row(f"text {i} common", "common") for i in range(95)] + [row(f"text {i} few", "few") for i in range(4)]
    held = [row(f"other {i}", "common") for i in range(5)] + [row("new one", "new")]
    found = check([*train, row("single one", "single")], held)
    assert found.found("majority-training").sentence.startswith("'common' is the label of 95.0 % of training")
    assert found.found("single-example").sentence.startswith("1 label has 1 example in training: 'single' (1)")
    assert found.found("single-example").examples[0][0].row == 100
    assert found.found("few-examples").sentence.startswith("1 label has fewer than 10 examples in training: 'few' (4)")
    assert found.found("unlearned-labels").sentence.startswith(
        "1 label has examples in evaluation and none in training: 'new'"
    )
    assert found.found("unmeasured-labels").sentence.startswith(
        "2 labels have examples in training and none in evaluation"
    )
    assert dict(found.parts[0].labels) == {"common": 95, "few": 4, "single": 1}
    one = check([row("good"), row("bad", "b")], [row("fine"), row("awful")])
    assert one.found("one-class-evaluation").sentence.startswith("All 2 rows of evaluation have the label 'a'")


def test_five_thousand_classes_are_counted_and_not_all_said(check):
    found = check([row(f"text number {i}", f"class {i}") for i in range(5_000)])
    finding = found.found("single-example")
    assert finding.count == 5_000 and len(finding.examples) == 20 and finding.sentence.count("(1)") == 8
    assert "and 4,992 more" in finding.sentence


def test_labels_that_look_the_same(check):
    found = check(
        [row("a b c", "Very good"), row("d e f", "very-good"), row("g h i", "bad"), row("j k l", "VERY GOOD")]
    )
    finding = found.found("look-alike-labels")
    assert finding.count == 1 and finding.sentence.startswith("1 label is written in several ways: ")
    assert {place.label for place in finding.examples[0]} == {"Very good", "very-good", "VERY GOOD"}
    assert "look-alike-labels" not in kinds(check([row("a b c", "+"), row("d e f", "-")])), "signs are names too"


def test_long_texts_in_tokens_of_the_model(check):
    found = check([row(" ".join(["good"] * 40)), row("good film", "b")], max_length=16)
    finding = found.found("too-long-training")
    assert finding.sentence.startswith("1 of 2 texts of training are longer than 16 tokens; the longest has 42.")
    assert finding.examples[0][0].detail == "42 tokens" and found.parts[0].tokens[2] == 42
    assert check([row(" ".join(["good"] * 40)), row("x", "b")]).found("too-long-training").count == 1, "32 positions"
    with pytest.raises(UsageError, match="max_length is 64; this model reads from 4 to 32 tokens"):
        check([row("a"), row("b", "b")], max_length=64)
    with pytest.raises(UsageError, match="max_length is 3; expected at least 4"):
        check([row("a"), row("b", "b")], max_length=3)


def test_lengths_of_many_texts_are_estimated(check, monkeypatch):
    monkeypatch.setattr("bothways.evaluation.audit_lengths._MOST_CHARS", 100)
    found = check([row(" ".join(["good"] * 40), label) for label in "ab" * 5])
    assert found.found("too-long-training").sentence.startswith(
        "About 10 of 10 texts of training are longer than 32 tokens"
    )
    assert "(estimated from 1 of them)" in found.found("too-long-training").sentence


def test_lengths_are_left_out_where_no_model_is(check, monkeypatch, tmp_path):
    def missing(name, **options):
        raise ModelNotFoundError(f"no {name}")

    monkeypatch.setattr("bothways.resolver.resolve_model", missing)
    (tmp_path / "t.csv").write_text("text,label\ngood,a\nbad,b\n")
    found = audit(tmp_path / "t.csv")
    assert found.notes == ("Lengths in tokens were not counted: minilm-l6 is not on this machine. Name a --model.",)
    assert found.parts[0].tokens is None
    with pytest.raises(ModelNotFoundError, match="no other"):
        audit(tmp_path / "t.csv", model="other")


def test_languages_of_the_parts(check):
    english = [row("what he said to them was not known to all of us", "a"), row("this is the story of a very old man")]
    german = row("er hat das Buch nicht gelesen und es ist auch nicht gut", "b")
    found = check([*english, german], [german | {"text": "das ist nicht der Film, den ich mit ihm sehen will"}])
    assert dict(found.parts[0].languages) == {"en": 2, "de": 1}
    assert found.found("languages-training").examples[0][0].detail == "German"
    assert found.found("other-language").sentence == "Training is mostly in English and evaluation is mostly in German."


def test_tagged_words(tmp_path, tiny_model):
    (tmp_path / "t.conll").write_text(
        "Ann B-PER\nsaw O\nRome B-LOC\n\nBob B-per\nslept O\n\nann O\nsaw O\nrome B-LOC\n"
    )
    (tmp_path / "e.conll").write_text("Bob B-PER\nslept O\n\nNobody O\ncame O\n")
    found = audit(tmp_path / "t.conll", tmp_path / "e.conll", task="ner", model=str(tiny_model))
    assert found.task == "token-classification" and found.kind == "entities"
    assert [(leak.index, leak.source.row) for leak in found.leaks] == [(0, 2)] and clean_part(found) == [1]
    conflicts = found.found("conflicting-labels")
    assert conflicts.count == 2 and conflicts.examples[0][0].label == "PER 'Ann', LOC 'Rome'"
    assert found.found("look-alike-labels").sentence.count("'PER'") == 1
    assert dict(found.parts[0].labels) == {"LOC": 2, "PER": 1, "per": 1}
    assert "entities in training" in found.found("few-examples").sentence
    with pytest.raises(
        UsageError, match="label_column is 'x'; for token-classification the format of the file says it"
    ):
        audit(tmp_path / "t.conll", task="ner", label_column="x")


def question(text: str, context: str, *answers: str) -> dict:
    starts = [context.find(answer) for answer in answers]
    return {"question": text, "context": context, "answers": {"text": list(answers), "answer_start": starts}}


def test_questions(check):
    context = "the actor was good but the plot of the play was not very fine at all"
    train = [
        question("who was good", context, "the actor"),
        question("what was fine", context),
        question("who was good", context, "plot"),
        question("who was good", context, "the actor", "actor"),
    ]
    held = [
        question("Who was good?", context, "actor"),
        question("which plot", context, "the plot"),
        question("who was good", "the book was good", "the book"),
    ]
    found = check(train, held, task="question-answering")
    assert [(leak.index, leak.exact) for leak in found.leaks] == [(0, False)]
    shared = found.found("shared-contexts")
    assert shared.count == 1 and shared.examples[0][0].row == 2
    assert shared.sentence.startswith("1 of 3 evaluation questions (33 %) are about contexts that training asks")
    conflict = found.found("conflicting-labels")
    assert conflict.count == 1 and [place.row for place in conflict.examples[0]] == [1, 3]


def test_pairs_leak_as_pairs(check):
    def pair(one: str, other: str, label: str = "a") -> dict:
        return {"premise": one, "hypothesis": other, "label": label}

    held = [pair(LONG, "it is not"), pair(f"{LONG}.", "It is so"), pair(f"{LONG}!", "it is so", "b")]
    found = check([pair(LONG, "it is so"), pair("x", "y", "b")], held)
    assert [leak.index for leak in found.leaks] == [1], "the other label of the last one could not be remembered"
    assert found.leaks[0].place.text == f"{LONG}. | It is so"
    assert found.found("near-conflicting-labels").count == 2
    assert [leak.index for leak in find_leaks(*(_pairs(rows) for rows in ([pair(LONG, "it is so")], held)))] == [1]
    with pytest.raises(UsageError, match="has pairs of texts and .*held.jsonl has single texts"):
        check([pair("a", "b"), pair("c", "d", "b")], [row("a")])


def _pairs(rows: list[dict]) -> list[TextExample]:
    return [TextExample(row["premise"], row["hypothesis"], row["label"]) for row in rows]


def test_what_cannot_be_audited_is_refused(check, tmp_path):
    with pytest.raises(UsageError, match="an audit cannot read data for 'translation'. Tasks it knows: text-class"):
        check([row("a")], task="translation")
    with pytest.raises(UsageError, match="Did you mean 'question-answering'"):
        check([row("a")], task="question-answerin")
    with pytest.raises(UsageError, match="no data file"):
        audit([])
    with pytest.raises(DataError, match="none of the 1 rows can be used"):
        check([row("a", None)])
    (tmp_path / "s.csv").write_text("text,score\na,0.25\nb,1.5\n")
    (tmp_path / "c.csv").write_text("text,score\na,x\nb,y\n")
    with pytest.raises(UsageError, match=r"s.csv has labels of kind regression and .*c.csv of kind single"):
        audit([tmp_path / "s.csv", tmp_path / "c.csv"])


def test_a_million_characters(check):
    found = check(
        [row("x" * 1_000_000), row("<" * 200_000 + "é " * 200_000, "b"), row("y")], [row("x" * 1_000_000 + "\n")]
    )
    assert [leak.index for leak in found.leaks] == [0] and len(found.leaks[0].place.text) == 160


def test_everything_can_be_written_as_json(check):
    found = check([row("good film"), row("<script>", "<script>")], [row("good film")])
    plain = json.loads(json.dumps(audit_as_json(found), allow_nan=False))
    assert plain["has_leakage"] is True and plain["leaks"][0]["source"]["row"] == 1
    assert plain["parts"][0]["labels"] == {"a": 1, "<script>": 1}


def test_texts_are_shown_on_one_line():
    assert shortened("a\n b\x1b[31m") == r"a b\u001b[31m"
    assert shortened("x" * 200) == "x" * 159 + "…" and shortened("a", "b") == "a | b"
    assert len(shortened("x" * 200, "y" * 200)) == 80 + 3 + 80
