"""``bothways report``: pages about models and about what other tools predicted, nothing trained but a baseline."""

import json

import pytest

from tests.conftest import sentences


@pytest.fixture(scope="module")
def unseen(tmp_path_factory):
    """Other labelled texts, with a further column."""
    path = tmp_path_factory.mktemp("unseen") / "unseen.csv"
    rows = [f"{text},{label},{'web' if i % 3 else 'mail'}\n" for i, (text, label) in enumerate(sentences(80, seed=9))]
    path.write_text("text,label,source\n" + "".join(rows))
    return path


def read(directory):
    return json.loads((directory / "report.json").read_text(encoding="utf-8"))


def test_a_model_on_a_file_with_its_training_data(trained, reviews, unseen, tmp_path, command):
    code, out, _ = command("report", trained, unseen, "--train", reviews, "-o", tmp_path / "r")
    assert code == 0 and "Report:" in out
    found = read(tmp_path / "r")
    assert [row["name"] for row in found["comparison"]["rows"]] == [
        "majority answer",
        "TF-IDF + logistic regression",
        "reviews-model",
    ]
    assert found["comparison"]["n"] == 80 and found["facts"]["training texts"] == 120
    assert {s["facet"] for s in found["slices"]["slices"]} >= {"label", "column source"}
    assert found["lengths"]["limit"] == 32 and found["calibration"]["count"] == 80
    assert found["learning"]["answer"].startswith("It cannot be told from 120 training")
    assert {s["part"] for s in found["label_errors"]["suspects"]} <= {"training", "judged"}
    assert found["label_errors"]["judged"] == 200
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "Where it is worse than elsewhere" in page and "How sure it may be of itself" in page


def test_without_training_data_there_is_no_baseline(trained, unseen, tmp_path, command):
    code, out, _ = command("report", trained, unseen, "-o", tmp_path / "r")
    assert code == 0 and "No baseline was trained" in (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    found = read(tmp_path / "r")
    assert [row["name"] for row in found["comparison"]["rows"]] == ["majority answer", "reviews-model"]
    assert found["comparison"]["outcome"] is None and found["learning"] is None
    assert "reviews-model reaches" in out


def test_predictions_of_another_tool_with_missing_rows(unseen, tmp_path, command):
    labels = [line.split(",")[1] for line in unseen.read_text().splitlines()[1:]]
    lines = [json.dumps({"row": i, "label": label, "score": 0.9}) for i, label in enumerate(labels, 1) if i % 8]
    predictions = tmp_path / "p.jsonl"
    predictions.write_text("\n".join([*lines, json.dumps({"row": 5_000, "label": "pos"})]) + "\n")
    code, out, _ = command("report", "their-tool", unseen, "--predictions", predictions, "-o", tmp_path / "r")
    assert code == 0 and "10 of 80 texts have no prediction" in out and "left out: 1." in out
    found = read(tmp_path / "r")
    assert found["comparison"]["n"] == 70 and found["comparison"]["rows"][1]["name"] == "their-tool"
    assert found["comparison"]["rows"][1]["scores"][0]["interval"]["estimate"] == 1.0
    assert any("10 of 80" in warning for warning in found["warnings"])


def test_a_file_with_one_class(tmp_path, command):
    data, predictions = tmp_path / "one.csv", tmp_path / "p.jsonl"
    data.write_text("text,label\n" + "good play,pos\n" * 30)
    predictions.write_text(
        "".join(json.dumps({"row": i, "label": "neg" if i == 3 else "pos"}) + "\n" for i in range(1, 31))
    )
    code, _, err = command("report", "t", data, "--predictions", predictions, "-o", tmp_path / "r")
    assert code == 0, err
    assert read(tmp_path / "r")["comparison"]["rows"][1]["scores"][0]["interval"]["estimate"] == pytest.approx(29 / 30)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kind", "multi"], "--kind is for --predictions"),
        (["--precision", "half"], "--precision is 'half'"),
        (["--task", "nonsense"], "nonsense"),
    ],
)
def test_options_that_cannot_be(trained, unseen, tmp_path, command, options, words):
    code, _, err = command("report", trained, unseen, "-o", tmp_path / "r", *options)
    assert code == 2 and words in err
    assert not (tmp_path / "r").exists()


def test_output_is_a_file(trained, unseen, tmp_path, command):
    (tmp_path / "r").write_text("mine")
    code, _, err = command("report", trained, unseen, "-o", tmp_path / "r")
    assert code == 2 and "give a directory" in err and (tmp_path / "r").read_text() == "mine"


def test_training_writes_the_same_sections(trained):
    found = read(trained)
    assert found["slices"]["compared"] > 0 or found["slices"]["small"] > 0
    assert found["label_errors"]["judged"] > 90  # training and evaluation texts
    assert found["learning"]["answer"]
    assert sum(found["lengths"]["histogram"]["counts"]) == found["comparison"]["n"]  # those of the judged texts


def test_words_in_gaps_and_zero_shot(tiny_model, trained, tmp_path, command):
    import torch

    from bothways import BertConfig, BertForMaskedLM, BertTokenizerFast

    torch.manual_seed(0)
    BertForMaskedLM(BertConfig.from_pretrained(tiny_model)).save_pretrained(tmp_path / "mlm")
    BertTokenizerFast.from_pretrained(tiny_model).save_pretrained(tmp_path / "mlm")
    (tmp_path / "gaps.csv").write_text("text,label\n" + "the [MASK] was good,play\nthe [MASK] was bad,film\n" * 6)
    code, _, err = command("report", tmp_path / "mlm", tmp_path / "gaps.csv", "-o", tmp_path / "gaps")
    assert code == 0, err
    assert read(tmp_path / "gaps")["comparison"]["rows"][1]["name"] == "mlm (fill-mask)"
    (tmp_path / "texts.csv").write_text("text,label\n" + "a good play,good\na bad film,bad\n" * 6)
    options = ["--task", "zero-shot-classification", "--template", "it was {}", "-o", tmp_path / "zero"]
    code, _, err = command("report", trained, tmp_path / "texts.csv", *options)
    assert code == 0, err
    found = read(tmp_path / "zero")
    assert found["comparison"]["n"] == 12 and {row["label"] for row in found["labels"]} == {"good", "bad"}
