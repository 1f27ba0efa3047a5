"""predict --show, --why and --html, as a user runs them, on tiny models."""

from __future__ import annotations

import json

import pytest

from tests.conftest import WORDS, json_lines


@pytest.fixture(scope="module")
def models(tmp_path_factory, tiny_model):
    """Directories of models whose heads were never trained: their answers are any, but always the same."""
    import torch

    import bothways

    root = tmp_path_factory.mktemp("heads")
    for name, options in (
        ("TokenClassification", {"id2label": {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC"}}),
        ("SequenceClassification", {"num_labels": 2}),
        ("QuestionAnswering", {}),
        ("MaskedLM", {}),
    ):
        torch.manual_seed(3)
        model = getattr(bothways, f"BertFor{name}").from_pretrained(tiny_model, **options)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(3)
        model.save_pretrained(root / name)
        bothways.BertTokenizerFast.from_pretrained(tiny_model).save_pretrained(root / name)
    return root


TEXT = "the good film was very bad and the actor not"


def test_entities_of_texts_are_shown(models, command):
    model = models / "TokenClassification"
    code, out, _ = command("predict", model, TEXT, "--task", "ner")
    (line,) = json_lines(out)
    assert code == 0 and line["entities"], "the model has to find something for this test"
    code, out, err = command("predict", model, TEXT, "--task", "ner", "--show")
    assert code == 0, err
    first = " ".join(out.split())
    for entity in line["entities"]:
        assert f"{TEXT[entity['start'] : entity['end']]} {entity['entity_group']}]" in first
    assert "\x1b" not in out and "{" not in out


def test_entities_of_a_file_are_shown_and_written(models, command, tmp_path):
    texts, page, lines = tmp_path / "texts.txt", tmp_path / "page.html", tmp_path / "lines.jsonl"
    texts.write_text(f"{TEXT}\n{' '.join(WORDS * 3)}\n<script>bad</script> film\n")
    words = ("--show", "--html", page, "-o", lines, "--aggregation", "none")
    code, out, err = command("predict", models / "TokenClassification", texts, *words)
    assert code == 0, err
    assert [line for line in out.splitlines() if line.startswith("row")] == ["row 1", "row 2", "row 3"]
    assert len(json_lines(lines.read_text())) == 3
    html = page.read_text(encoding="utf-8")
    assert html.count('class="look"') == 3 and "<script" not in html and "<mark" in html
    # without --show the lines come as ever, beside the page
    page.unlink()
    code, out, _ = command("predict", models / "TokenClassification", texts, "--html", page)
    assert code == 0 and len(json_lines(out)) == 3 and page.exists()


def test_answers_are_shown(models, command, tmp_path):
    page = tmp_path / "page.html"
    words = ("--task", "question-answering", "--question", "was it good", "--show", "--html", page)
    code, out, err = command("predict", models / "QuestionAnswering", TEXT, *words)
    assert code == 0, err
    assert out.splitlines()[0] == "was it good" and "answer" in out and "score" in out
    assert 'class="look-answer"' in page.read_text(encoding="utf-8")
    code, out, _ = command("predict", models / "QuestionAnswering", TEXT, *words[:4], "--show", "--top-k", "3")
    assert code == 0 and "1:" in out and "2. “" in " ".join(out.split())


def test_why_shows_words_with_their_check(models, command, tmp_path):
    model, page, lines = models / "SequenceClassification", tmp_path / "page.html", tmp_path / "lines.jsonl"
    code, out, err = command("predict", model, TEXT, "--why", "--html", page)
    assert code == 0, err
    assert "on the logit of LABEL_" in out and "marked order" in out and "random orders (p = " in " ".join(out.split())
    assert "polyline" in page.read_text(encoding="utf-8")
    code, out, _ = command("predict", model, TEXT, "   ", "--why", "-o", lines)
    first, blank = json_lines(lines.read_text())
    assert code == 0 and out == "" and blank["why"] is None
    assert {effect["text"] for effect in first["why"]["effects"]} == set(TEXT.split())
    assert first["why"]["label"] == first["label"] and first["why"]["score"] == pytest.approx(first["score"], abs=1e-4)
    assert first["why"]["curve"]["n_orders"] == 99


@pytest.mark.parametrize(
    ("model", "words", "said"),
    [
        ("SequenceClassification", ["--show"], "--show marks answers in their texts.*Add --why"),
        ("SequenceClassification", ["--html", "x.html"], "--html marks answers in their texts.*Add --why"),
        ("MaskedLM", ["--show"], "for token-classification and question-answering; not fill-mask"),
        ("TokenClassification", ["--why"], "--why is for text-classification.*This is token-classification"),
        ("TokenClassification", ["--html", "."], "--html . is a directory"),
    ],
)
def test_what_cannot_be_shown_is_refused_before_any_work(models, command, model, words, said, monkeypatch, tmp_path):
    import re

    monkeypatch.chdir(tmp_path)
    code, out, err = command("predict", models / model, "the [MASK] film", *words)
    assert code == 2 and re.search(said, err), err
    assert out == "" and not (tmp_path / "x.html").exists()


def test_words_of_both_texts_of_a_pair_are_left_out(models, command, tmp_path):
    rows = tmp_path / "pairs.jsonl"
    rows.write_text(json.dumps({"text": "good film", "text_pair": "bad play"}) + "\n")
    options = ["--text-column", "text,text_pair", "--why", "-o", tmp_path / "out.jsonl", "--html", tmp_path / "w.html"]
    code, _, err = command("predict", models / "SequenceClassification", rows, *options)
    assert code == 0, err
    why = json.loads((tmp_path / "out.jsonl").read_text())["why"]
    assert [effect["text"] for effect in why["effects"]] == ["good", "film", "bad", "play"]
    assert "‖" in (tmp_path / "w.html").read_text()
