"""Labelled examples, what is counted and what is refused; streams of unlabelled texts."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from bothways.data import (
    LabelledTexts,
    Problems,
    TextExample,
    check_labels,
    data_hash,
    iter_texts,
    load_labelled,
)
from bothways.errors import DataError, UsageError


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def labelled(tmp_path: Path, labels: list[Any], **options: Any) -> LabelledTexts:
    rows = [{"text": f"text {i}", "label": label} for i, label in enumerate(labels)]
    return load_labelled(jsonl(tmp_path / "a.jsonl", rows), **options)


def test_examples_of_two_files(tmp_path: Path) -> None:
    first = jsonl(tmp_path / "a.jsonl", [{"text": "one", "label": 10}, {"text": "two", "label": 9}])
    second = tmp_path / "b.csv"
    second.write_text("Sentence,Class\nthree, 10 \n", encoding="utf-8")
    data = load_labelled([first, second])
    assert data.examples == [
        TextExample("one", None, "10", 1),
        TextExample("two", None, "9", 2),
        TextExample("three", None, "10", 3),
    ]
    assert data.label_names == ("9", "10")
    assert (data.kind, data.columns.text, data.problems) == ("single", "text", Problems())


def test_pairs_and_single_texts_do_not_mix(tmp_path: Path) -> None:
    first = jsonl(tmp_path / "a.jsonl", [{"text_a": "a", "text_b": "b", "label": 0}])
    second = jsonl(tmp_path / "b.jsonl", [{"text": "a", "label": 1}])
    with pytest.raises(UsageError, match="has pairs and .*b.jsonl has single texts"):
        load_labelled([first, second])


def test_problems_are_counted_and_rows_stay_known(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\ngood,1\n"  ",0\nbad,\n Good ,1\nGOOD,0\n,1\nfine,0\n', encoding="utf-8")
    train = load_labelled([path])
    assert [(e.text, e.row) for e in train.examples] == [("good", 1), (" Good ", 4), ("GOOD", 5), ("fine", 7)]
    assert train.problems == Problems(blank_texts=2, missing_labels=1, duplicates=2, conflicts=1)
    evaluation = load_labelled([path], purpose="evaluate")
    assert [e.row for e in evaluation.examples] == [1, 2, 4, 5, 6, 7]
    assert [e.is_blank for e in evaluation.examples] == [False, True, False, False, True, False]
    assert evaluation.problems == train.problems


def test_kinds_of_labels(tmp_path: Path) -> None:
    assert [e.label for e in labelled(tmp_path, [True, False, None]).examples] == ["true", "false"]
    assert [e.label for e in labelled(tmp_path, [1.0, 0, float("nan")]).examples] == ["1", "0"]
    multi = labelled(tmp_path, [["b", "a"], [], None])
    assert (multi.kind, [e.label for e in multi.examples], multi.label_names) == ("multi", [("a", "b"), ()], ("a", "b"))
    asked = labelled(tmp_path, ["b|a", "c", ""], task_kind="multi")
    assert [e.label for e in asked.examples] == [("a", "b"), ("c",), ()]
    scores = labelled(tmp_path, ["1", 2, None, "3.5"], task_kind="regression")
    assert (scores.kind, [e.label for e in scores.examples], scores.label_names) == ("regression", [1.0, 2.0, 3.5], ())
    assert all(type(e.label) is float for e in scores.examples)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["yes"] * 3, {}, "all 3 rows have the class 'yes'"),
        ([2.5] * 3, {"task_kind": "regression"}, "all 3 scores are 2.5"),
        ([1.5, float("nan")], {"task_kind": "regression"}, "a.jsonl, line 2: the score is nan"),
        ([1.5, "Infinity"], {"task_kind": "regression"}, "a.jsonl, line 2: the score is inf"),
        ([1.5, "high"], {"task_kind": "regression"}, "a.jsonl, line 2: the score is 'high'; expected a number"),
        (["a", ["b"]], {"task_kind": "single"}, r"line 2: the label is \['b'\]; expected one class"),
        (["a", {"b": 1}], {}, "line 2: the label is {'b': 1}"),
        ([[], []], {}, "none of the 2 examples has a class"),
        ([None, ""], {}, r"none of the 2 rows can be used: 0 have a blank text .* and 2 have no label"),
        ([f"free text {i}" for i in range(25)], {}, "25 rows have 25 different labels.* and 5 more"),
    ],
)
def test_labels_that_cannot_be_trained_on(tmp_path: Path, labels: Any, options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        labelled(tmp_path, labels, **options)


def test_evaluation_takes_what_comes(tmp_path: Path) -> None:
    assert labelled(tmp_path, ["yes"] * 3, purpose="evaluate").label_names == ("yes",)
    assert len(labelled(tmp_path, [f"free text {i}" for i in range(25)], purpose="evaluate").examples) == 25


def test_wrong_requests(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown kind of task 'ner'. Known kinds: single, multi, regression"):
        labelled(tmp_path, ["a", "b"], task_kind="ner")
    with pytest.raises(UsageError, match="no data file"):
        load_labelled([])
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    with pytest.raises(UsageError, match="no label column found. Columns: text"):
        load_labelled(tmp_path / "a.txt")


def test_texts_that_are_no_strings(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl", [{"text": 12}, {"text": None}, {"text": float("nan")}, {"text": "\ud83d\ude00 \ud800"}]
    )
    assert [e.text for e in iter_texts(path)] == ["12", "", "", "\U0001f600 \ufffd"]
    with pytest.raises(DataError, match=r"line 2: 'text' is \['a'\]; expected a text"):
        list(iter_texts(jsonl(path, [{"text": "a"}, {"text": ["a"]}])))
    with pytest.raises(DataError, match=r"line 2 has no 'text'. Its keys: txt, id"):
        list(iter_texts(jsonl(path, [{"text": "a"}, {"txt": "a", "id": 1}])))


def test_check_labels_lists_unknown_and_known(tmp_path: Path) -> None:
    evaluation = labelled(tmp_path, ["a", "new", "new", "odd"], purpose="evaluate")
    with pytest.raises(DataError) as caught:
        check_labels(evaluation, ["b", "a"])
    assert str(caught.value) == (
        "3 labels of 4 examples are unknown to the model: 'new' (2), 'odd' (1). Known labels (2): 'a', 'b'."
    )
    check_labels(evaluation, {"a", "new", "odd", "more"})
    check_labels(labelled(tmp_path, [1.5, 2.5], task_kind="regression"), [])


def test_data_hash_depends_on_texts_labels_and_order_only() -> None:
    examples = [
        TextExample("a", None, "x", 1),
        TextExample("b", "c", ("x", "y"), 2),
        TextExample("\ud800", None, 0.5, 3),
    ]
    written = b'["a",null,"x"]\n["b","c",["x","y"]]\n["\\ud800",null,0.5]\n'
    assert data_hash(examples) == hashlib.sha256(written).hexdigest()
    assert data_hash(examples) == data_hash([TextExample(e.text, e.text_pair, e.label, 9) for e in examples])
    others = [examples[::-1], examples[:2], [TextExample("ab", None, "x"), *examples[1:]]]
    assert len({data_hash(e) for e in (examples, *others)}) == 4
    assert data_hash([TextExample("a", "b")]) != data_hash([TextExample("ab")])


def stdin(monkeypatch: pytest.MonkeyPatch, content: bytes | io.RawIOBase) -> None:
    raw = io.BytesIO(content) if isinstance(content, bytes) else io.BufferedReader(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(raw))


@pytest.mark.parametrize(
    ("content", "options", "texts"),
    [
        (b"one\r\n\ntwo", {}, ["one", "", "two"]),
        (b"\xef\xbb\xbfone\n", {}, ["one"]),
        (b'{"text": "one"}\n\n{"text": "two"}\n', {}, ["one", "two"]),
        (b'{"text": "one"}\n', {"format": "txt"}, ['{"text": "one"}']),
        (b"{braces} are text\n", {}, ["{braces} are text"]),
        (b"label,text\n1,one\n0,\n", {"format": "csv"}, ["one", ""]),
        (b'[{"words": "one"}]', {"format": "json", "text_column": "words"}, ["one"]),
        ("café\n".encode("latin-1"), {"encoding": "latin-1"}, ["café"]),
    ],
)
def test_standard_input(
    monkeypatch: pytest.MonkeyPatch, content: bytes, options: dict[str, str], texts: list[str]
) -> None:
    stdin(monkeypatch, content)
    assert [(e.text, e.row, e.label) for e in iter_texts("-", **options)] == [
        (t, i, None) for i, t in enumerate(texts, 1)
    ]


def test_standard_input_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin(monkeypatch, b"")
    with pytest.raises(DataError, match="standard input is empty"):
        list(iter_texts("-"))
    stdin(monkeypatch, b"one\ntw\xff\n")
    with pytest.raises(DataError, match="standard input, line 2: byte 0xff at offset 6 is not UTF-8"):
        list(iter_texts("-"))
    stdin(monkeypatch, b"x")
    with pytest.raises(UsageError, match="cannot be read from a stream"):
        list(iter_texts("-", format="parquet"))


class _Lines(io.RawIOBase):
    """An endless pipe."""

    def __init__(self, line: bytes) -> None:
        self.line, self.given = line, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[: len(self.line)] = self.line
        self.given += 1
        return len(self.line)


@pytest.mark.parametrize("line", [b"a text\n", b'{"text": "a text"}\n'])
def test_answers_come_before_the_input_ends(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    pipe = _Lines(line)
    stdin(monkeypatch, pipe)
    assert next(iter_texts("-")).text == "a text"
    assert pipe.given <= 2


def test_memory_of_a_stream_is_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin(monkeypatch, _Lines(b"a text of some words, again and again and again\n"))
    texts = iter_texts("-")
    next(texts)
    tracemalloc.start()
    assert sum(1 for _ in itertools.islice(texts, 50_000)) == 50_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**18


def test_prediction_from_files(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"nr": i, "words": f"some words, number {i}"} for i in range(3)])
    assert [e.text for e in iter_texts(path)][2] == "some words, number 2"
    pairs = jsonl(tmp_path / "b.jsonl", [{"premise": "p", "hypothesis": "h", "label": "x"}])
    assert list(iter_texts(pairs)) == [TextExample("p", "h", None, 1)]
    assert list(iter_texts(pairs, text_column="hypothesis")) == [TextExample("h", None, None, 1)]
    with pytest.raises(UsageError, match="column 'txt' not found"):
        list(iter_texts(pairs, text_column="txt"))
    with pytest.raises(UsageError, match="does not exist"):
        iter_texts(tmp_path / "none.txt")
