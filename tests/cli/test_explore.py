"""``bothways explore`` as a user runs it, on tiny models."""

from __future__ import annotations

import pytest

from tests.explore.conftest import tiny_gpt2, tiny_masked  # noqa: F401 - fixtures


def test_word_in_the_terminal_and_as_a_page(tiny_model, command, tmp_path):
    page = tmp_path / "new" / "word.html"
    words = ("word", "play", "--in", "the play", "--in", "good plays and play", "--model", tiny_model, "--html", page)
    code, out, err = command("explore", *words)
    assert code == 0 and "[play]" in out and "layer 2" in out and "static" in out
    assert f"Page: {page}" in err and page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_mask_follows_a_word(tiny_masked, command):  # noqa: F811
    words = ("mask", "the film was [MASK]", "--model", tiny_masked, "--top-k", 2, "--word", "awful")
    code, out, _ = command("explore", *words)
    assert code == 0 and "awful (asked for)" in out and "left only" in out and "bits" in out


def test_attention_warns(tiny_model, command):
    code, out, _ = command("explore", "attention", "the film was good", "--model", tiny_model)
    assert code == 0 and "2.4" in out and "not explanation" in " ".join(out.split())


def test_tokens_side_by_side(tiny_model, tiny_gpt2, command):  # noqa: F811
    code, out, _ = command("explore", "tokens", "the plays", "-m", tiny_model, "-m", tiny_gpt2, "--pair", "a")
    assert code == 0 and "##s" in out and "Ġplays"[:1] in out and "fewest tokens" in " ".join(out.split())


def test_pooling_on_a_file(tiny_model, command, tmp_path):
    texts = ["the film was good", "a bad play", "not the plot", "good actor", "awful"]
    rows = [f"{texts[i % 5]},{texts[i * i % 5]},{i % 2}" for i in range(20)]
    file = tmp_path / "pairs.csv"
    file.write_text("\n".join(["sentence1,sentence2,label", *rows]) + "\n")
    code, out, _ = command("explore", "pooling", file, "--model", tiny_model, "--html", tmp_path / "p.html")
    assert code == 0 and "AUC on 20 pairs" in " ".join(out.split()) and "first token" in out and "baseline" in out
    assert (tmp_path / "p.html").is_file()
    code, out, err = command("explore", "pooling", file, "--model", tiny_model, "--html", file)
    assert code == 2 and "is the file that is read" in err and file.read_text().startswith("sentence1")


def test_order_needs_no_model(command, monkeypatch, tmp_path):
    monkeypatch.setenv("BOTHWAYS_HOME", str(tmp_path))
    code, out, _ = command("explore", "order", "the bank of the [MASK]")
    assert code == 0 and "BERT" in out and "GPT-2" in out and "← gap" in out


def test_order_asks_both_models(tiny_masked, tiny_gpt2, command):  # noqa: F811
    words = ("the film was [MASK]", "--bidirectional", tiny_masked, "--causal", tiny_gpt2)
    code, out, _ = command("explore", "order", *words)
    assert code == 0 and "(measured)" in " ".join(out.split()) and "probability" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("word", "play", "--in", "no such"), "'play' is not in sentence 1"),
        (("mask", "no gap"), "text has no [MASK]"),
        (("attention", " "), "text is blank"),
        (("attention", "a", "--links", 0), "links is 0"),
        (("tokens", ""), "text is blank"),
        (("attention", "a", "--html", "/"), "--html / is a directory"),
        (("attention", "a", "--html", __file__ + "/x"), "is a file; give a place in a directory"),
    ],
)
def test_mistakes_are_sentences(words, expected, tiny_masked, command):  # noqa: F811
    code, out, err = command("explore", *words, "--model", tiny_masked)
    assert code in (1, 2) and out == "" and expected in err, err
