"""``bothways calibrate`` as a user runs it, and the calibration that ``bothways train`` leaves, on a tiny model."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from bothways import pipeline
from bothways.tasks.calibration import CONFIG_KEY
from tests.conftest import sentences


def write(path, count: int, seed: int, wrong: float = 0.15):
    """Reviews of which a share has the other label."""
    generator = np.random.default_rng(seed)
    rows = [
        (t, {"pos": "neg", "neg": "pos"}[y] if generator.random() < wrong else y) for t, y in sentences(count, seed)
    ]
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return path


@pytest.fixture
def own(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "own")


@pytest.fixture
def held(tmp_path):
    return write(tmp_path / "held.csv", 300, 11)


def config_of(directory) -> dict:
    return json.loads((directory / "config.json").read_text())


def test_one_key_of_the_configuration_is_written_and_used(own, held, command, tmp_path):
    before, files = config_of(own), {p.name: p.read_bytes() for p in own.iterdir() if p.name != "config.json"}
    code, out, err = command("calibrate", own, held, "--json", tmp_path / "all.json", "--precision", "float32")
    assert code == 0, err
    after = config_of(own)
    stored = after.pop(CONFIG_KEY)
    assert after == before and stored["count"] == 300 and stored["labels"] == 2
    assert {p.name: p.read_bytes() for p in own.iterdir() if p.name != "config.json"} == files
    numbers = json.loads((tmp_path / "all.json").read_text())
    assert numbers["after"]["error"] < numbers["before"]["error"]
    assert f"{numbers['before']['error'] * 100:.1f} %" in out and f"{numbers['after']['brier']:.4f}" in out
    assert "each half of the texts" in out and "Stored in" in out and "own on 300 texts" in out

    texts = [text for text, _ in sentences(60, seed=21)]
    pipe = pipeline("text-classification", model=str(own), device=-1)
    honest, raw = pipe(texts, calibrated=True), pipe(texts)
    assert [e["label"] for e in honest] == [e["label"] for e in raw]
    assert np.mean([e["score"] for e in honest]) < np.mean([e["score"] for e in raw])  # 15 % of the labels are wrong
    assert all(1 <= len(labels) <= 2 for labels in pipe(texts, conformal=0.1))
    assert set(pipe(texts[0], abstain_at_risk=0.4)[0]) == {"label", "score", "abstain"}


def test_predict_asks_for_it(own, held, command, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(text for text, _ in sentences(20, seed=21)) + "\n")

    def scores(*options):
        code, out, err = command("predict", own, tmp_path / "texts.txt", "--precision", "float32", *options)
        assert code == 0, err
        return [json.loads(line) for line in out.splitlines()]

    before = scores()
    assert command("calibrate", own, held)[0] == 0
    assert scores() == before
    calibrated = scores("--calibrated")
    assert [line["label"] for line in calibrated] == [line["label"] for line in before]
    assert [line["score"] for line in calibrated] != [line["score"] for line in before]
    assert {line["abstain"] for line in scores("--abstain-at-risk", "0.4")} <= {True, False}
    sets = scores("--conformal", "0.1")
    assert [line["labels"][0]["label"] for line in sets] == [line["label"] for line in calibrated]
    assert all(1 <= len(line["labels"]) <= 2 and line["n_windows"] == 1 for line in sets)
    code, _, err = command("predict", own, tmp_path / "texts.txt", "--conformal", "0.1", "--top-k", "2")
    assert code != 0 and "conformal decides itself how many labels" in err
    code, _, err = command("predict", own, tmp_path / "texts.txt", "--abstain-at-risk", "1.5")
    assert code != 0 and "1.5" in err


def test_other_texts_are_measured_on_and_the_copy_is_whole(own, held, command, tmp_path):
    other = write(tmp_path / "other.csv", 80, 12)
    code, out, err = command("calibrate", own, held, "--eval", other, "-o", tmp_path / "copy")
    assert code == 0, err
    assert "on 80 texts" in out and "measured on other texts" in out
    assert CONFIG_KEY in config_of(tmp_path / "copy") and CONFIG_KEY not in config_of(own)
    pipe = pipeline("text-classification", model=str(tmp_path / "copy"), device=-1)
    assert pipe.calibration.count == 300
    assert command("calibrate", own, held, "-o", tmp_path / "copy")[0] == 2  # it is there already


def test_a_second_calibration_replaces_the_first_one(own, held, command, tmp_path):
    assert command("calibrate", own, held)[0] == 0
    assert command("calibrate", own, write(tmp_path / "more.csv", 100, 13))[0] == 0
    assert config_of(own)[CONFIG_KEY]["count"] == 100


def test_too_few_texts_and_models_of_others_are_sentences(own, trained, held, command, tmp_path):
    few = write(tmp_path / "few.csv", 49, 14)
    code, _, err = command("calibrate", own, few)
    assert code != 0 and "49 labelled texts are too few" in err and "at least 50" in err
    assert CONFIG_KEY not in config_of(own)
    code, _, err = command("calibrate", "minilm-l6", held, "--task", "text-classification")
    assert code == 2 and "Give --output for a copy" in err
    code, _, err = command("calibrate", own, held, "--task", "ner", "-o", tmp_path / "x")
    assert code == 2 and "are for text classification" in err


def test_training_stores_what_it_measured_and_says_so(tiny_model, command, tmp_path):
    data, held = write(tmp_path / "train.csv", 200, 1, wrong=0), write(tmp_path / "eval.csv", 150, 2, wrong=0.3)
    words = ("--eval", held, "--model", tiny_model, "--epochs", 8, "--learning-rate", "5e-3", "--batch-size", 16)
    code, out, err = command("train", data, "-o", tmp_path / "model", *words)
    assert code == 0, err
    manifest = json.loads((tmp_path / "model" / "bothways.json").read_text())
    found = manifest["calibration"]
    assert found["count"] == 150 and found["measured_on"] == "other halves"
    assert found["temperatures"], found["sentences"]
    assert found["before"]["error"] >= 0 and found["after"]["brier"] > 0
    assert found["sentences"][0] in " ".join(out.split())
    assert config_of(tmp_path / "model")[CONFIG_KEY]["count"] == 150
    pipe = pipeline("text-classification", model=str(tmp_path / "model"), device=-1)
    assert pipe.calibration.temperatures == pytest.approx(found["temperatures"])

    words = ("--model", tmp_path / "model", "--epochs", 1)  # 40 held out: too few, and the first one's is gone
    assert command("train", data, "-o", tmp_path / "second", *words)[0] == 0
    assert CONFIG_KEY not in config_of(tmp_path / "second")
    assert json.loads((tmp_path / "second" / "bothways.json").read_text())["calibration"] is None


def test_an_adapter_keeps_its_calibration(tiny_model, command, tmp_path):
    data, held = write(tmp_path / "train.csv", 120, 1), write(tmp_path / "eval.csv", 80, 2)
    words = ("--eval", held, "--model", tiny_model, "--epochs", 2, "--lora", 2, "--learning-rate", "5e-3")
    code, _, err = command("train", data, "-o", tmp_path / "adapter", *words)
    assert code == 0, err
    pipe = pipeline("text-classification", model=str(tmp_path / "adapter"), device=-1)
    assert pipe.calibration is not None and pipe.calibration.count == 80
    assert pipe(["a good film"], conformal=0.2)[0]
