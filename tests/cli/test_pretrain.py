"""``bothways pretrain`` as a user runs it: what is shown, what is said on errors, and how the result is used."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from bothways.pretraining import job
from tests.pretraining.small import config_file, language, shards, wordpiece, write_texts


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setattr(job, "measured_peak", lambda precision, device: 1e11)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pretrain")
    data = shards(directory, language(60), wordpiece(directory / "tokenizer"))
    config_file(directory / "config.json", "mlm")
    assert data == directory / "shards"
    return directory


OPTIONS = ["--max-length", 32, "--batch-tokens", 320, "--precision", "float32"]


def test_from_shards_to_a_model_that_answers(place, command):
    output = place / "model"
    words = ["pretrain", "--data", place / "shards", "--config", place / "config.json", "--steps", 5, *OPTIONS]
    code, out, err = command(*words, "-o", output)
    assert code == 0, err
    flat = " ".join(out.split())
    for title in ("step", "tokens", "minutes", "training loss", "validation loss", "hidden tokens right"):
        assert title.split()[-1] in flat
    assert re.search(r"[\d,]+ tokens a second, \d+% of what this machine multiplies\.", flat)
    assert re.search(r"[\d,]+ tokens of 5\d documents to train on, \d+ more to judge by\.", err)
    assert "Learning masked words with 0.0 million parameters in float32, for 5 steps; rows of 32 tokens" in err
    assert len(re.findall(r"^step [1-5], ", err, flags=re.M)) == 5
    code, out, err = command("predict", "--task", "fill-mask", output, "w3 [MASK] w7 v7")
    assert code == 0 and len(out.splitlines()) == 1 and "w7 v7" in out, err
    # the command that is noted repeats the run, and says that there is a result already in its place
    manifest = json.loads((output / "bothways.json").read_text())
    said = shlex.split(manifest["command"])
    assert said[:2] == ["bothways", "pretrain"] and manifest["task"] == "pretraining"
    before = (output / "model.safetensors").read_bytes()
    assert command(*said[1:])[0] == 0 and (output / "model.safetensors").read_bytes() == before


def test_every_option_reaches_the_run(place, command):
    output = place / "options"
    words = ["pretrain", "--data", place / "texts.txt", "--eval", place / "shards", "-o", output, *OPTIONS]
    words += ["--tokenizer", place / "tokenizer", "--config", place / "config.json", "--objective", "nsp, mlm"]
    words += ["--mask-rate", "0.3:0.2", "--whole-words", "--optimizer", "muon", "--batch-ramp", 0, "--epochs", 3]
    words += ["--warmup", 0, "--weight-decay", 0, "--learning-rate", 0.002, "--seed", 0, "--minutes", 50, "--steps", 2]
    code, out, err = command(*words, "--checkpoint-steps", 50, "--fresh")
    assert code == 0, err
    manifest = json.loads((output / "bothways.json").read_text())
    found = manifest["settings"]
    expected = {
        "objective": "mlm,nsp", "mask_rate": [0.3, 0.2], "whole_words": True, "optimizer": "muon", "ramp_steps": 0,
        "epochs": 3, "warmup": 0.0, "weight_decay": 0.0, "learning_rate": 0.002, "seed": 0, "minutes": 50.0, "steps": 2,
        "checkpoint_steps": 50, "max_length": 32, "batch_tokens": 320, "precision": "float32",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert manifest["data"]["documents"] == manifest["data"]["held_out_documents"] == 60
    said = shlex.split(manifest["command"])
    for pair in (["--mask-rate", "0.3:0.2"], ["--seed", "0"], ["--batch-ramp", "0"], ["--warmup", "0.0"]):
        at = said.index(pair[0])
        assert said[at : at + 2] == pair
    assert "--whole-words" in said and said[said.index("--eval") + 1] == str(place / "shards")


def test_a_budget_too_short_for_a_step_is_told(place, command):
    words = ["pretrain", "--data", place / "shards", "--config", place / "config.json", *OPTIONS]
    code, out, err = command(*words, "--minutes", 0.00001, "-o", place / "short")
    flat = " ".join(out.split())
    assert code == 0 and "The 1e-05 minutes were over after 1 step of about" in flat, err
    assert "Give more --minutes, or fewer --batch-tokens (now 320)." in flat


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--objective", "mlm,nps"], "--objective is 'mlm,nps'; known are 'mlm', 'mlm,nsp'"),
        (["--mask-rate", "a"], "mask_rate is 'a'; expected a share such as 0.15, or two: 0.3:0.15."),
        (["--mask-rate", "1.5"], "mask_rate is 1.5, expected a number between 0 and 1"),
        (["--minutes", "0"], "minutes is 0.0, expected a number above 0"),
        (["--max-length", "900"], "max_length is 900; this model reads at most 48 tokens."),
        (["--model", "x"], "--config is for random weights and --model goes on with some: give one of them."),
    ],
)
def test_errors_are_one_sentence(place, command, words, message):
    given = ["pretrain", "--data", place / "shards", "--config", place / "config.json", "-o", place / "wrong"]
    code, out, err = command(*given, *words)
    assert code == 2 and message in " ".join(err.split()) and not out
    assert not list(place.glob("wrong*"))


def test_missing_files_and_tokenisers(place, command, tmp_path):
    code, _, err = command("pretrain", "--data", tmp_path / "none", "-o", tmp_path / "model")
    assert code == 2 and "none: no such file or directory." in " ".join(err.split())
    text = write_texts(tmp_path / "texts.txt", language(5))
    code, _, err = command("pretrain", "--data", text, "-o", tmp_path / "model")
    assert code == 2 and "no tokeniser: give --tokenizer DIR, or --model" in " ".join(err.split())
    assert "bothways tokenizer train FILES -o DIR" in " ".join(err.split())
