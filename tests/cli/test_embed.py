"""``bothways embed`` as a user runs it, on a tiny model."""

from __future__ import annotations

import json

import numpy as np

from bothways.models.auto import AutoModel
from tests.conftest import json_lines

TEXTS = ["book late", "a b c", "the room " * 40, "the group"]


def _file(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n")
    return path


def test_lines_and_table_are_the_vectors_of_the_model(tiny_model, command, tmp_path):
    expected = AutoModel.from_pretrained(tiny_model).encode([text.strip() for text in TEXTS])
    code, out, err = command("embed", _file(tmp_path), "--model", tiny_model, "--precision", "float32")
    lines = json_lines(out)
    assert code == 0 and [line["row"] for line in lines] == [1, 2, 3, 4]
    np.testing.assert_allclose([line["embedding"] for line in lines], expected, atol=1e-5)
    assert lines[2]["n_windows"] > 1 and "1 of 4 inputs were windowed." in err
    table = tmp_path / "vectors.npy"
    code, out, err = command("embed", _file(tmp_path), "--model", tiny_model, "-o", table, "--pooling", "cls")
    assert code == 0 and out == "" and "4 vectors of" in err
    cls = AutoModel.from_pretrained(tiny_model).encode([text.strip() for text in TEXTS], pooling="cls")
    np.testing.assert_allclose(np.load(table), cls, atol=1e-5)


def test_a_query_finds_its_own_text_first(tiny_model, command, tmp_path):
    words = ("embed", _file(tmp_path), "--model", tiny_model, "--query", "a b c", "--top-k", 2)
    code, out, _ = command(*words)
    first = next(line for line in out.splitlines() if "1.000" in line)
    assert code == 0 and "a b c" in first and "2" in first


def test_mistakes_are_sentences(tiny_model, command, tmp_path):
    file = _file(tmp_path)
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"text_a": "x", "text_b": "y"}) + "\n")
    for words, expected in (
        ((file, "--top-k", 0), "--top-k is 0"),
        ((file, "--query", " "), "--query is blank"),
        ((file, "--query", "a", "-o", tmp_path / "x"), "drop --output or --query"),
        ((file, "--pooling", "sum"), "pooling is 'sum'; expected one of 'mean', 'cls', 'max'"),
        ((file, "--long-input", "cut"), "--long-input is 'cut'"),
        ((file, "--long-input", "error"), "input 2 has"),
        ((pairs, "--text-column", "text_a,text_b"), "row 1 is a pair of texts"),
    ):
        code, out, err = command("embed", *words, "--model", tiny_model)
        assert code in (1, 2) and out == "" and expected in err and "Traceback" not in err, err
    assert not (tmp_path / "x").exists()
