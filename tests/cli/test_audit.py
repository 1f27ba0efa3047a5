"""``bothways audit`` as a user runs it."""

from __future__ import annotations

import json

import pytest

from bothways.cli.audit import LEAKAGE


@pytest.fixture
def files(tmp_path):
    train, held = tmp_path / "train.csv", tmp_path / "held.csv"
    train.write_text("text,label\ngood film,[red]pos\nbad film,neg\nvery bad film,neg\n")
    held.write_text("text,label\nfine book,[red]pos\nawful play,neg\n")
    return train, held


def test_leakage_is_an_exit_code(command, tiny_model, files, tmp_path):
    train, held = files
    code, out, err = command("audit", train, "--eval", held, "--model", tiny_model)
    assert code == 0 and err == "" and "No leakage: none of 2 evaluation texts is in training." in " ".join(out.split())
    held.write_text(held.read_text() + "Good film,neg\n")
    report = tmp_path / "found.json"
    code, out, _ = command("audit", train, "--eval", held, "--model", tiny_model, "--json", report)
    assert code == LEAKAGE == 3
    assert "leak: 1 of 3 evaluation texts (33 %) is in training too" in " ".join(out.split())
    assert f"= {train}, row 1" in out or "= " in out and "…" in out
    assert "[red]pos" in out, "a label is text, not markup"
    found = json.loads(report.read_text())
    assert found["leaks"][0]["index"] == 2 and found["leaks"][0]["place"]["row"] == 3
    assert {finding["kind"] for finding in found["findings"]} >= {"leak-equal", "conflicting-labels", "few-examples"}


def test_several_evaluation_files_and_examples(command, tiny_model, files, tmp_path):
    train, held = files
    other = tmp_path / "other.csv"
    other.write_text("text,label\nbad film,neg\nvery bad film,neg\ngood film,neg\n")
    words = ("audit", train, "--eval", held, "--eval", other, "--model", tiny_model)
    code, out, _ = command(*words, "--examples", 1)
    assert code == 3 and "3 of 5 evaluation texts" in out and "and 2 more" in out
    code, out, _ = command(*words, "--examples", 0)
    assert code == 3 and "row 1" not in out


def test_tagged_words(command, tiny_model, tmp_path):
    path = tmp_path / "t.conll"
    path.write_text("Ann B-PER\nslept O\n\nRome B-LOC\n")
    code, out, _ = command("audit", path, "--task", "ner", "--model", tiny_model, "--max-length", 8)
    assert code == 0 and "Leakage was not looked for" in " ".join(out.split())


def test_mistakes_are_sentences(command, files, tmp_path):
    train, _ = files
    for words, expected, status in (
        ((tmp_path / "no.csv",), "no.csv", 2),
        ((train, "--task", "summarization"), "an audit cannot read data for 'summarization'", 2),
        ((train, "--json", train), "is the file that is read", 2),
        ((train, "--max-length", 2), "max_length is 2", 2),
        ((train, "--kind", "several"), "unknown kind of task 'several'", 2),
        ((train, "--label-column", "lable"), "lable", 2),
        ((train, "--examples", 21), "--examples", 2),
    ):
        code, out, err = command("audit", *words)
        assert code == status and expected in err and out == ""
