"""Predictions of other tools: what is matched, what is missing, and what cannot be read."""

import json

import numpy as np
import pytest

from bothways.data import TextExample
from bothways.data.tagged import from_words
from bothways.errors import DataError
from bothways.training.foreign import predicted_names, read_predictions

EXAMPLES = [TextExample(f"text {i}", None, "ab"[i % 2], i + 1) for i in range(4)]


def written(tmp_path, *lines):
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_rows_missing_surplus_and_repeated_are_counted(tmp_path):
    file = written(
        tmp_path,
        {"row": 3, "label": "a", "score": 0.9},
        {"row": 1, "label": "b", "score": 0.6},
        {"row": 1, "label": "a", "score": 0.5},
        {"row": 77, "label": "a", "score": 0.5},
        {"row": 0, "label": "a", "score": 0.5},
    )
    found = read_predictions(file, "single", EXAMPLES, ["a", "b"])
    assert (found.kept, found.predictions.labels) == ((0, 2), ("b", "a"))
    assert (found.missing, found.surplus, found.repeated) == (2, 2, 1)
    assert found.predictions.probabilities.tolist() == [[0, 0.6], [0.9, 0]] and not found.complete
    said = found.sentences("p.jsonl", "texts")
    assert said[0].startswith("2 of 4 texts have no prediction in p.jsonl") and said[0].endswith("the other 2.")
    assert said[1].endswith("were left out: 2.") and said[2].endswith("were left out: 1.")


@pytest.mark.parametrize(
    "scores",
    [{"scores": {"a": 0.2, "b": 0.8}}, {"labels": [{"label": "b", "score": 0.8}, {"label": "a", "score": 0.2}]}],
)
def test_scores_of_all_labels(tmp_path, scores):
    file = written(tmp_path, *({"row": i, **scores} for i in range(1, 5)))
    found = read_predictions(file, "single", EXAMPLES, ["a", "b"])
    assert found.complete and found.predictions.labels == ("b",) * 4
    assert found.predictions.probabilities.tolist() == [[0.2, 0.8]] * 4
    assert found.sentences("p", "texts") == ()
    assert set(predicted_names(file)) == {"a", "b"}


def test_what_bothways_predict_writes_is_read(tmp_path):
    line = {"row": 1, "labels": [{"label": "a", "score": 0.97}], "n_tokens": 7, "n_windows": 1, "truncated": False}
    found = read_predictions(written(tmp_path, line), "single", EXAMPLES, ["a", "b"])
    assert (found.predictions.labels, found.missing, found.complete) == (("a",), 3, False)


def test_ids_and_lines_without_names(tmp_path):
    by_id = written(tmp_path, {"id": "q7", "answer": "Paris", "score": 0.4}, {"id": 8, "answer": ""})
    found = read_predictions(by_id, "answers", EXAMPLES, (), {"q7": 2, "8": 0})
    assert (found.kept, found.predictions.labels) == ((0, 2), ("", "Paris"))
    in_order = written(tmp_path, *({"label": name} for name in "abab"))
    assert read_predictions(in_order, "single", EXAMPLES, ["a", "b"]).predictions.labels == ("a", "b", "a", "b")


def test_several_labels_numbers_and_tags(tmp_path):
    several = written(tmp_path, {"row": 1, "scores": {"b": 0.7, "a": 0.6, "c": 0.1}}, {"row": 2, "labels": []})
    assert read_predictions(several, "multi", EXAMPLES, "abc").predictions.labels == (("a", "b"), ())
    numbers = written(tmp_path, {"row": 1, "score": 2.5}, {"row": 2, "label": "1"})
    assert read_predictions(numbers, "regression", EXAMPLES, ()).predictions.labels == (2.5, 1.0)
    sentence = from_words(["New", "York", "sleeps"], ["B-LOC", "I-LOC", "O"], 1)
    tags = written(tmp_path, {"row": 1, "tags": ["B-LOC", "O", "O"]})
    assert read_predictions(tags, "entities", [sentence], ()).predictions.labels == (("B-LOC", "O", "O"),)
    entities = written(tmp_path, {"row": 1, "entities": [{"entity_group": "LOC", "start": 0, "end": 8}]})
    assert read_predictions(entities, "entities", [sentence], ()).predictions.labels == (("B-LOC", "I-LOC", "O"),)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"row": 1, "verdict": "a"}, "line 1 has no answer that can be read .its fields: row, verdict"),
        ({"row": "1", "label": "a"}, "line 1: row is '1'; expected a number from 1"),
        ({"row": 9, "label": "a"}, "none of its 1 predictions is for one of the 4 rows .* numbers 1, 2, 3, 4"),
        ("{broken", "line 1"),
    ],
)
def test_what_cannot_be_read(tmp_path, line, words):
    with pytest.raises(DataError, match=words):
        read_predictions(written(tmp_path, line), "single", EXAMPLES, ["a", "b"])


def test_rows_in_some_lines_only(tmp_path):
    file = written(tmp_path, {"row": 1, "label": "a"}, {"label": "b"})
    with pytest.raises(DataError, match="line 2: some lines have a 'row' or 'id' and some have none"):
        read_predictions(file, "single", EXAMPLES, ["a", "b"])


def test_ten_thousand_rows_are_matched_whatever_their_order(tmp_path):
    rng = np.random.default_rng(0)
    examples = [TextExample("t", None, "a", i + 1) for i in range(10_000)]
    order = rng.permutation(10_000)
    file = written(tmp_path, *({"row": int(i) + 1, "label": f"l{i}"} for i in order))
    found = read_predictions(file, "single", examples, ())
    assert found.predictions.labels == tuple(f"l{i}" for i in range(10_000))
