"""Every option about how a model learns, as a user gives it, on a tiny model."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch

from bothways import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    pipeline,
)
from tests.conftest import json_lines, sentences


@pytest.fixture
def train(command, tiny_model, reviews, tmp_path):
    """Run ``train`` with further words: (directory, manifest, what it said)."""

    def call(*words: object, name: str = "model", data: Path = reviews, model: Path = tiny_model):
        output = tmp_path / name
        code, out, err = command("train", data, "-o", output, "--model", model, *words)
        assert code == 0, err
        return output, json.loads((output / "bothways.json").read_text()), out + err

    return call


@pytest.fixture
def refused(command, tiny_model, reviews, tmp_path):
    """Run ``train`` with words that cannot be: the message, on one line."""

    def call(*words: object, data: Path = reviews) -> str:
        code, _, err = command("train", data, "-o", tmp_path / "none", "--model", tiny_model, *words)
        assert code == 2, err
        assert not (tmp_path / "none").exists()
        return " ".join(err.split())

    return call


FAST = ("--epochs", 2, "--learning-rate", "5e-3")


def test_lora_leaves_an_adapter_that_predicts_and_evaluates(train, command, reviews, trained, tmp_path):
    output, manifest, said = train("--lora", 4, *FAST, model=trained)
    names = {path.name for path in output.iterdir()}
    assert names >= {"adapter_config.json", "adapter_model.safetensors", "config.json", "tokenizer.json"}
    assert names >= {"bothways.json", "report.html"} and "model.safetensors" not in names
    size = (output / "adapter_model.safetensors").stat().st_size
    row = manifest["comparison"]["rows"][-1]
    assert row["megabytes"] == pytest.approx(size / 1e6) and size < 0.5 * (trained / "model.safetensors").stat().st_size
    assert manifest["method"]["lora"] == 4 and len(manifest["model"]["trained_sha256"]) == 64
    assert json.loads((output / "adapter_config.json").read_text())["base_model_name_or_path"] == str(trained)
    assert "is an adapter" in said and trained.name in said
    assert manifest["metrics"]["accuracy"] > 0.9
    code, out, _ = command("evaluate", output, reviews, "--output", tmp_path / "scores.json")
    assert code == 0 and json.loads((tmp_path / "scores.json").read_text())["metrics"]["accuracy"] > 0.9
    texts = [text for text, _ in sentences(20, seed=5)]
    (tmp_path / "t.txt").write_text("\n".join(texts) + "\n")
    code, out, _ = command("predict", output, tmp_path / "t.txt", "--precision", "float32")
    for line, expected in zip(json_lines(out), pipeline("text-classification", model=output)(texts), strict=True):
        assert line["label"] == expected["label"] and abs(line["score"] - expected["score"]) < 1e-5
    (output / "adapter_model.safetensors").rename(tmp_path / "kept")
    assert command("predict", output, tmp_path / "t.txt")[0] != 0  # nothing else holds what was learned


def test_an_encoder_given_by_a_relative_path_is_found_from_elsewhere(train, command, tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_model.parent)
    output, *_ = train("--lora", 2, *FAST, model=Path(tiny_model.name))
    monkeypatch.chdir(tmp_path)
    assert AutoModelForSequenceClassification.from_pretrained(output).config.num_labels == 2


def test_lora_beside_all_layers(train, tiny_model, tmp_path):
    output, manifest, _ = train("--lora", 2, "--lora-targets", "query,key, value,dense", *FAST)
    settings = json.loads((output / "adapter_config.json").read_text())
    assert settings["r"] == 2 and sum("intermediate" in path for path in settings["target_modules"]) == 2
    assert manifest["method"]["lora_targets"] == "query,key, value,dense"
    assert shlex.split(manifest["command"]).count("--lora-targets") == 1
    adapter = AutoModelForSequenceClassification.from_pretrained(output, merge=False)
    assert sum("lora_A" in name for name, _ in adapter.named_parameters()) == 2 * 6


def test_lora_targets_that_say_nothing(refused):
    assert "--lora-targets without --lora says nothing" in refused("--lora-targets", "query")
    assert "--lora 2: no linear layer" in refused("--lora", 2, "--lora-targets", "query,none")


def test_an_adapter_goes_on(train, command, reviews, tiny_model, tmp_path):
    encoder = shutil.copytree(tiny_model, tmp_path / "encoder")
    first, *_ = train("--lora", 2, "--epochs", 1, "--learning-rate", "1e-4", model=encoder)
    settings = (first / "adapter_config.json").read_text()
    (first / "adapter_config.json").write_text(settings.replace(json.dumps(str(encoder)), '"../encoder"'))
    second = tmp_path / "second"
    code, _, err = command("train", reviews, "-o", second, "--model", first, "--lora", 2, *FAST)
    assert code == 0, err
    further = json.loads((second / "adapter_config.json").read_text())
    assert further == {**json.loads(settings), "base_model_name_or_path": "../encoder"}
    before, after = (
        AutoModelForSequenceClassification.from_pretrained(place, merge=False) for place in (first, second)
    )
    changed = {name for name, p in after.named_parameters() if not torch.equal(p, before.get_parameter(name))}
    assert changed == {name for name, p in before.named_parameters() if p.requires_grad}
    assert any("lora_A" in name for name in changed) and "classifier.weight" in changed

    code, _, err = command("train", reviews, "-o", tmp_path / "x", "--model", first, "--lora", 3)
    assert code == 2 and "--lora 3: the adapter has the rank 2, which cannot change" in " ".join(err.split())
    code, _, err = command(
        "train", reviews, "-o", tmp_path / "x", "--model", first, "--lora", 2, "--lora-targets", "key"
    )
    assert code == 2 and "have LoRA already: drop --lora-targets" in " ".join(err.split())


def test_an_adapter_goes_on_with_labels_of_its_own(train, command, tmp_path):
    first, *_ = train("--lora", 2, "--epochs", 1)
    rows = [
        f"{text} {i},{label}" for text, label in (("a fine day", "x"), ("poor", "y"), ("so", "z")) for i in range(6)
    ]
    (tmp_path / "three.csv").write_text("\n".join(["text,label", *rows]))
    second = tmp_path / "second"
    code, _, err = command("train", tmp_path / "three.csv", "-o", second, "--model", first, "--lora", 2, *FAST)
    assert code == 0, err
    model = AutoModelForSequenceClassification.from_pretrained(second, merge=False)
    assert model.config.num_labels == 3 and model.classifier.weight.requires_grad
    assert len(pipeline("text-classification", model=second, top_k=None)(["a fine day"])[0]) == 3


def test_lora_on_pairs_trains_the_vectors_that_tell_them_apart(train, command, tiny_model, tmp_path):
    rows = [{"text_a": a, "text_b": b, "label": a == b} for a in "abcdef" for b in "abcdef"]
    (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    options = ("--text-column", "text_a,text_b", "--model", tiny_model, "--lora", 2, *FAST)
    code, _, err = command("train", tmp_path / "pairs.jsonl", "-o", tmp_path / "adapter", *options)
    assert code == 0, err
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert "bert.embeddings.token_type_embeddings" in settings["modules_to_save"]
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "adapter")
    own = AutoModel.from_pretrained(tiny_model).embeddings.token_type_embeddings.weight
    moved = (model.bert.embeddings.token_type_embeddings.weight - own).abs().amax(1)
    assert bool((moved > 1e-4).all())
    single, *_ = train("--lora", 2, *FAST)
    settings = json.loads((single / "adapter_config.json").read_text())
    assert not any("token_type" in name for name in settings["modules_to_save"])


def test_freeze_leaves_an_ordinary_model_with_the_encoder_it_had(train, tiny_model, command, reviews):
    output, manifest, said = train("--freeze")
    assert manifest["settings"]["epochs"] > 10 and manifest["settings"]["learning_rate"] >= 1e-4
    assert manifest["method"]["freeze"] is True and manifest["training"]["seconds"] > 0
    assert "computed once" in said
    model = AutoModelForSequenceClassification.from_pretrained(output)
    before = BertForSequenceClassification.from_pretrained(tiny_model)
    for name, parameter in model.bert.named_parameters():
        assert torch.equal(parameter, before.bert.get_parameter(name)) == (not name.startswith("pooler")), name
    words = shlex.split(manifest["command"])
    assert "--freeze" in words and "True" not in words
    assert command("evaluate", output, reviews)[0] == 0


def test_the_recorded_command_of_a_frozen_run_repeats_it(train, command):
    output, manifest, _ = train("--freeze", "--epochs", 3, "--class-weights", "pos=2,neg=0.5")
    words = shlex.split(manifest["command"].replace(str(output), str(output) + "-again"))
    assert command(*words[1:])[0] == 0
    again = output.with_name(output.name + "-again")
    assert (again / "model.safetensors").read_bytes() == (output / "model.safetensors").read_bytes()


@pytest.mark.parametrize("kind", ["multi", "regression", "pairs"])
def test_freeze_with_other_kinds_of_labels(kind, train, tmp_path):
    rows = {
        "multi": lambda t, label: {"text": t, "labels": [label, "long"] if len(t) > 35 else [label]},
        "regression": lambda t, label: {"text": t, "score": 0.5 if label == "pos" else -1.25},
        "pairs": lambda t, label: {"text_a": t, "text_b": "the film", "label": label},
    }[kind]
    lines = [json.dumps(rows(text, label)) for text, label in sentences(60, seed=3)]
    (tmp_path / "d.jsonl").write_text("\n".join(lines) + "\n")
    _, manifest, _ = train("--freeze", "--epochs", 12, "--learning-rate", 5e-3, data=tmp_path / "d.jsonl")
    history = manifest["training"]["history"]
    assert len(history) == 12 and history[-1]["train_loss"] < history[0]["train_loss"]


@pytest.fixture
def tagged(tmp_path) -> Path:
    lines = []
    for text, _ in sentences(50, seed=2):
        lines += [f"{word} {'B-X' if word in ('film', 'book') else 'O'}" for word in text.split()] + [""]
    (tmp_path / "d.conll").write_text("\n".join(lines) + "\n")
    return tmp_path / "d.conll"


def test_tokens_with_a_frozen_encoder_weights_and_smoothing(train, tagged):
    words = ("--task", "ner", "--freeze", "--epochs", 12, "--learning-rate", "1e-2", "--class-weights", "balanced")
    _, manifest, _ = train(*words, "--label-smoothing", "0.05", data=tagged)
    weights = manifest["method"]["class_weights"]
    assert weights["B-X"] > 1 > weights["O"] and set(weights) >= {"B-X", "O"}
    history = manifest["training"]["history"]
    assert history[-1]["train_loss"] < 0.6 * history[0]["train_loss"]


def test_class_weights_by_name_move_the_decision(train, refused):
    counts = []
    for weights in ("pos=20", "neg=20,pos=1"):
        output, manifest, _ = train("--epochs", 1, "--class-weights", weights, name=weights[:3])
        assert manifest["method"]["class_weights"][weights[:3]] == 20
        found = pipeline("text-classification", model=output)([text for text, _ in sentences(40, seed=9)])
        counts.append(sum(one["label"] == "pos" for one in found))
    assert counts[0] > counts[1]
    assert "names 'up', which is no label of the data. Labels: neg, pos." in refused("--class-weights", "up=2")


def test_rates_are_passed_on(train):
    _, manifest, _ = train("--epochs", 1, "--layer-decay", 0.9, "--warmup", 0.25, "--weight-decay", 0.05)
    settings = manifest["settings"]
    assert (settings["layer_decay"], settings["warmup_ratio"], settings["weight_decay"]) == (0.9, 0.25, 0.05)
    assert "--layer-decay 0.9" in manifest["command"] and "--warmup 0.25" in manifest["command"]


def test_dropout_is_that_of_the_training_alone(train, monkeypatch):
    seen = []
    monkeypatch.setattr("bothways.nn.dropout._Dropout.apply", lambda x, p: seen.append(p) or x)
    for asked in (0.25, 0):
        seen.clear()
        output, manifest, _ = train("--epochs", 1, "--dropout", asked, name=f"dropped-{asked}")
        assert set(seen) == ({asked} if asked else set())
        assert manifest["method"]["dropout"] == asked and f"--dropout {asked}" in manifest["command"]
        assert AutoConfig.from_pretrained(output).hidden_dropout_prob == 0.1


def test_label_smoothing_leaves_less_sure_answers(train):
    sure = []
    for smoothing in (0.0, 0.4):
        output, manifest, _ = train(
            "--epochs", 10, "--learning-rate", "5e-4", "--label-smoothing", smoothing, name=str(smoothing)
        )
        assert manifest["method"]["label_smoothing"] == smoothing
        found = pipeline("text-classification", model=output)([text for text, _ in sentences(30, seed=9)])
        sure.append(sum(one["score"] for one in found) / 30)
    assert sure[1] < min(0.85, sure[0] - 0.05)


def test_a_teacher_with_other_words_and_labels_in_another_order(train, tiny_model, trained, tmp_path):
    small = tmp_path / "student"
    config = BertConfig.from_pretrained(tiny_model)
    config.num_hidden_layers, config.hidden_size, config.intermediate_size = 1, 16, 16
    torch.manual_seed(1)
    BertForSequenceClassification(config).save_pretrained(small)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        (small / name).write_bytes((tiny_model / name).read_bytes())
    words = ("--teacher", trained, "--teacher-weight", 0.8, "--temperature", 3)
    output, manifest, said = train(*words, *FAST, model=small)
    assert manifest["method"]["teacher"] == str(trained)
    assert (manifest["method"]["teacher_weight"], manifest["method"]["temperature"]) == (0.8, 3)
    assert "computed once" in said and len(manifest["comparison"]["rows"]) == 3
    assert AutoModelForSequenceClassification.from_pretrained(output).config.hidden_size == 16


def test_teacher_vectors_of_one_width(train, trained):
    _, manifest, _ = train("--teacher", trained, "--teacher-vectors", 1.5, "--lora", 4, "--epochs", 1)
    assert manifest["method"]["teacher_vectors"] == 1.5


def test_what_does_not_go_together_is_said_at_once(refused, trained, tagged, tmp_path):
    said = refused("--freeze", "--lora", 8, "--layer-decay", 0.9, "--temperature", 2)
    assert "--freeze and --lora were both given" in said and "--layer-decay is about the layers" in said
    assert "--temperature without --teacher says nothing" in said
    assert "label_smoothing is 1.0, expected a number from 0 to below 1" in refused("--label-smoothing", 1)
    assert "dropout is 1.0, expected a number from 0 to below 1" in refused("--dropout", 1)
    assert "lora is 0, expected a rank: a whole number from 1" in refused("--lora", 0)
    assert "warmup_ratio is 1.0, expected" in refused("--warmup", 1)
    assert "r is 64, expected a whole number from 1 to 32" in refused("--lora", 64)
    assert "has the labels neg, pos; the data has B-X, I-X, O" in refused(
        "--teacher", trained, "--task", "ner", data=tagged
    ) or "is a BertForSequenceClassification; a BertForTokenClassification" in refused(
        "--teacher", trained, "--task", "ner", data=tagged
    )


@pytest.mark.parametrize("option", [("--class-weights", "balanced"), ("--label-smoothing", 0.1), ("--teacher", None)])
def test_scores_have_no_classes(option, refused, trained, tmp_path):
    lines = [json.dumps({"text": text, "score": len(text) / 7}) for text, _ in sentences(40)]
    (tmp_path / "d.jsonl").write_text("\n".join(lines) + "\n")
    said = refused(option[0], option[1] or trained, "--kind", "regression", data=tmp_path / "d.jsonl")
    assert (
        f"{option[0]} is for one class for each text or token; the labels of this text-classification data are of "
        "kind 'regression'. Drop it." in said
    )
