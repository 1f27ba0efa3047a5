"""From text to a model that any program loads: each objective, going on with a model, adapters, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
import torch

import bothways
from bothways import pretrain
from bothways.checkpoints.weights import open_weights
from bothways.corpus import open_shards
from bothways.engine.checkpoint_store import CheckpointStore
from bothways.engine.processes import Processes
from bothways.errors import BothwaysError, ConfigError, DataError, Interrupted, UsageError
from bothways.pretraining import job
from bothways.pretraining.documents import held_out
from bothways.pretraining.goal_table import FAMILY_OF, GOALS
from bothways.pretraining.options import settings_of
from bothways.pretraining.run import judge
from bothways.pretraining.steps import validation_parts
from bothways.training.publish import check_encoder_stays
from tests.distributed.launch import LIMIT, ended, start
from tests.pretraining.small import (
    NO_DROPOUT,
    config_file,
    goal_for,
    language,
    repetitions,
    shards,
    tokenizer_for,
    wordpiece,
    write_texts,
)

QUICK = {"max_length": 32, "batch_tokens": 320, "precision": "float32", "batch_ramp": 0}


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setattr(job, "measured_peak", lambda precision, device: 1e11)


class Place:
    """A directory with a tokeniser, shards and a configuration for an objective."""

    def __init__(self, directory, objective, texts=None, **more):
        self.directory, self.objective = directory, objective
        self.tokenizer = tokenizer_for(objective, directory / "tokenizer")
        self.data = shards(directory, texts or language(60), self.tokenizer)
        self.config = config_file(directory / "config.json", objective, **more)

    def run(self, name="model", **options):
        begin = {} if "model" in options else {"config": self.config}
        return pretrain(
            self.data, self.directory / name, objective=self.objective, **{**QUICK, **begin, "steps": 6, **options}
        )


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Of masked words; what is in it is only read."""
    return Place(tmp_path_factory.mktemp("mlm"), "mlm")


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A model that has learned something, judged by texts of their own."""
    place = Place(tmp_path_factory.mktemp("learned"), "mlm", repetitions(150), **EASY)
    texts = write_texts(place.directory / "eval.txt", repetitions(40, seed=9))
    return place.run("model", steps=60, learning_rate=1e-2, batch_tokens=640, evaluation=texts)


EASY = {**NO_DROPOUT, "initializer_range": 0.1, "num_hidden_layers": 1}


def weights(directory):
    with open_weights(directory) as stored:
        return {name: stored.load(name) for name in stored.names()}


def manifest(directory):
    return json.loads((directory / "bothways.json").read_text())


# -- each objective --------------------------------------------------------------------------------------------------

CLASSES = {
    "mlm": "AutoModelForMaskedLM",
    "mlm,nsp": "BertForPreTraining",
    "mlm,sop": "AlbertForPreTraining",
    "rtd": "ElectraForPreTraining",
    "clm": "GPT2LMHeadModel",
    "span": "T5ForConditionalGeneration",
}


@pytest.mark.parametrize("objective", list(GOALS))
def test_the_result_loads_in_the_ecosystem_with_equal_logits(objective, tmp_path):
    transformers = pytest.importorskip("transformers")
    place = Place(tmp_path, objective)
    said = []
    found = place.run(steps=4, learning_rate=5e-3, say=said.append)
    assert found.directory == tmp_path / "model" and found.curve[-1].step == 4
    assert not list(tmp_path.glob("*.unfinished"))
    names = [(CLASSES[objective], found.directory, CLASSES[objective])]
    if objective == "rtd":
        names.append(("ElectraForMaskedLM", found.directory / "generator", "ElectraForMaskedLM"))
    ids = torch.tensor([[7, 8, 9, 10, 11], [12, 13, 14, 0, 0]])
    given = {"input_ids": ids, "attention_mask": (ids > 0).long()}
    if objective == "span":
        given["decoder_input_ids"] = ids[:, :3]
    for theirs, directory, own in names:
        reference, info = getattr(transformers, theirs).from_pretrained(directory, output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"], info
        ours = getattr(bothways, own).from_pretrained(directory)
        with torch.no_grad():
            pair = [model.eval()(**given) for model in (reference, ours)]
        for name in ("logits", "prediction_logits", "seq_relationship_logits", "sop_logits"):
            if name in pair[0]:
                rows = [out[name][0] for out in pair]
                torch.testing.assert_close(rows[0], rows[1], atol=1e-5, rtol=1e-4)
    tokenizer = transformers.AutoTokenizer.from_pretrained(found.directory)
    assert tokenizer("w1 v1")["input_ids"] == place.tokenizer("w1 v1")["input_ids"]
    facts = manifest(found.directory)
    assert facts["settings"]["objective"] == objective and facts["training"]["step"] == 4
    assert facts["measures"] == found.measures and set(found.words) >= {"loss", "accuracy"}
    assert facts["curve"][-1]["validation"]["loss"] < 8 and facts["data"]["held_out_documents"] >= 2
    assert said[0].endswith(" more to judge by.") and f"{facts['data']['tokens']:,} tokens of" in said[0]
    assert "for 4 steps; rows of 32 tokens, 320 a step" in said[1] and "GFLOP/s" in said[2]


def test_hidden_words_of_an_easy_language_are_found(learned):
    losses = [point.validation["loss"] for point in learned.curve]
    assert losses[-1] < 0.5 * losses[0] and learned.curve[-1].train_loss < 0.5 * learned.curve[0].train_loss
    texts = " ".join(repetitions(40, seed=9)).split()
    frequent = max(texts.count(word) for word in set(texts)) / len(texts)  # right by the most frequent word alone
    assert learned.measures["accuracy"] > 0.6 > 2.5 * frequent
    model = bothways.AutoModelForMaskedLM.from_pretrained(learned.directory).eval()
    tokenizer = bothways.AutoTokenizer.from_pretrained(learned.directory)
    encoded = tokenizer("w4 w4 w4 [MASK] w4 w4 .", return_tensors="pt")
    with torch.no_grad():
        best = model(**encoded).logits[0, 4].argmax()
    assert tokenizer.convert_ids_to_tokens(int(best)) == "w4"


@pytest.mark.parametrize(("objective", "optimizer"), [("clm", "muon"), ("mlm,nsp", "adamw")])
def test_other_objectives_learn_too(objective, optimizer, tmp_path):
    place = Place(tmp_path, objective, repetitions(150), **({} if objective == "clm" else EASY))
    texts = write_texts(tmp_path / "eval.txt", repetitions(40, seed=9))
    found = place.run(steps=60, learning_rate=1e-2, optimizer=optimizer, batch_tokens=640, evaluation=texts)
    first, last = found.curve[0].validation, found.curve[-1].validation
    assert last["loss"] < 0.6 * first["loss"] and last["accuracy"] > 0.4


@pytest.mark.parametrize("objective", ["mlm,nsp", "rtd", "span"])
def test_half_the_digits_give_nearly_the_same_losses(objective, tmp_path):
    place = Place(tmp_path, objective)
    half, whole = (place.run(name, steps=3, precision=name) for name in ("bfloat16", "float32"))
    assert half.measures["loss"] == pytest.approx(whole.measures["loss"], rel=0.02)
    assert half.measures["loss"] != whole.measures["loss"]
    assert {value.dtype for value in weights(half.directory).values()} == {torch.float32}


# -- going on with a model -------------------------------------------------------------------------------------------


def test_a_model_goes_on_with_other_text(learned, tmp_path):
    """From the loss where it was, not from the beginning; its own tokeniser is taken."""
    data = write_texts(tmp_path / "texts.txt", repetitions(40, seed=5))
    texts = write_texts(tmp_path / "eval.txt", repetitions(30, seed=6))
    again = pretrain(data, tmp_path / "more", model=learned.directory, steps=4, evaluation=texts, **QUICK)
    assert again.curve[-1].validation["loss"] < 0.5 * learned.curve[0].validation["loss"]
    assert again.settings.learning_rate == 1e-4 and again.settings.ramp_steps == 0
    facts = manifest(again.directory)
    assert facts["start"]["sha256"] == manifest(learned.directory)["trained_sha256"]
    # those that say nearly the same as another are left out
    assert 10 < facts["data"]["documents"] < 40 and 8 < facts["data"]["held_out_documents"] < 30
    assert (again.directory / "tokenizer.json").is_file() and not list(tmp_path.glob("*.unfinished"))


def test_an_adapter_is_trained_beside_a_model(words, learned, tmp_path):
    before = weights(learned.directory)
    found = pretrain(
        words.data, tmp_path / "adapter", model=learned.directory, lora=2, steps=5, learning_rate=5e-3, **QUICK
    )
    assert (found.directory / "adapter_model.safetensors").is_file()
    assert not (found.directory / "model.safetensors").exists()
    loaded = bothways.AutoModelForMaskedLM.from_pretrained(found.directory).eval()
    plain = bothways.AutoModelForMaskedLM.from_pretrained(learned.directory).eval()
    vectors = [model.get_input_embeddings().weight for model in (loaded, plain)]
    assert torch.equal(*vectors)
    ids = torch.tensor([[2, 7, 8, 4, 10, 3]])
    with torch.no_grad():
        assert (loaded(ids).logits - plain(ids).logits).abs().max() > 1e-3
    assert measured_again(words, found, loaded) == pytest.approx(found.measures, rel=1e-4)
    assert all(torch.equal(before[name], value) for name, value in weights(learned.directory).items())


def test_an_adapter_for_pairs_tells_second_texts_in_its_own_way(tmp_path):
    place = Place(tmp_path, "mlm,nsp")
    first = place.run("first", steps=2, learning_rate=5e-3).directory
    found = place.run("adapter", model=first, lora=2, steps=2, learning_rate=5e-3).directory
    before, after = (bothways.AutoModelForPreTraining.from_pretrained(directory) for directory in (first, found))
    moved = [m.bert.embeddings.token_type_embeddings.weight for m in (before, after)]
    assert not torch.allclose(*moved, atol=1e-5)


def measured_again(place, found, model):
    """What the loaded model says of the documents that were held out."""
    goal = goal_for(found.settings, place.tokenizer)
    held = held_out(open_shards(place.data), found.settings.seed)[1]
    return judge(model, goal, validation_parts(held, goal, found.settings), found.settings, Processes())


def test_what_is_written_is_what_was_judged(words):
    found = words.run("judged", learning_rate=5e-3)
    model = bothways.AutoModelForMaskedLM.from_pretrained(found.directory)
    assert measured_again(words, found, model) == pytest.approx(found.measures, rel=1e-6)


def test_an_adapter_goes_on_as_one_or_as_a_whole_model(words, learned, tmp_path):
    options = {"steps": 2, "learning_rate": 5e-3, **QUICK}
    first = pretrain(words.data, tmp_path / "first", model=learned.directory, lora=2, **options).directory
    with pytest.raises(UsageError, match=r"--lora 4: the adapter has the rank 2, which cannot change"):
        pretrain(words.data, tmp_path / "none", model=first, lora=4, **options)
    muon = {"lora": 2, "optimizer": "muon"}
    further = pretrain(words.data, tmp_path / "further", model=first, **options, **muon).directory
    settings = [(place / "adapter_config.json").read_text() for place in (first, further)]
    assert settings[0] == settings[1]
    before, after = (bothways.AutoModelForMaskedLM.from_pretrained(place, merge=False) for place in (first, further))
    changed = {name for name, p in after.named_parameters() if not torch.equal(p, before.get_parameter(name))}
    assert changed and all("lora_" in name or name.startswith("cls.") for name in changed)
    whole = pretrain(words.data, tmp_path / "second", model=first, **options).directory
    bothways.AutoModelForMaskedLM.from_pretrained(whole)
    assert (whole / "model.safetensors").is_file()


def test_both_models_of_replaced_words_go_on(tmp_path):
    place = Place(tmp_path, "rtd")
    first = place.run("first", steps=3, learning_rate=5e-3)
    second = place.run("second", model=first.directory, steps=1, learning_rate=1e-9)
    for part in (".", "generator"):
        one, two = (weights(found.directory / part) for found in (first, second))
        assert set(one) == set(two) and all(torch.allclose(one[name], two[name], atol=1e-6) for name in one)


# -- text, the end, options ------------------------------------------------------------------------------------------


def test_text_and_its_shards_give_the_same_model(words, tmp_path):
    one = words.run("of-shards")
    two = pretrain(
        [words.directory / "texts.txt"],
        tmp_path / "model",
        config=words.config,
        tokenizer=words.directory / "tokenizer",
        steps=6,
        **QUICK,
    )
    theirs = weights(one.directory)
    # near duplicates are left out where nobody asks for them, and there are none here
    assert all(torch.equal(value, theirs[name]) for name, value in weights(two.directory).items())


def test_the_end_is_the_first_of_steps_epochs_and_minutes(words):
    whole = words.run("one", steps=None)  # one epoch where nothing is said
    assert whole.settings.epochs == 1 and manifest(whole.directory)["training"]["epoch"] == 1
    count = whole.curve[-1].step
    tokens = manifest(whole.directory)["data"]["tokens"]
    assert tokens < whole.tokens < 1.4 * tokens
    assert words.run("two", steps=count - 1, epochs=1).curve[-1].step == count - 1
    short = words.run("short", steps=None, minutes=1e-6)
    assert short.curve[-1].step == 1
    (note,) = short.notes
    assert note.startswith("The 1e-06 minutes were over after 1 step of about ")
    assert "20 or more are needed" in note and "--batch-tokens (now 320)" in note


def test_options_do_what_they_say(words):
    falling = words.run("falling", mask_rate="0.5:0.1", whole_words=True, optimizer="muon", batch_ramp=3)
    assert falling.settings.mask_rate == (0.5, 0.1) and falling.settings.whole_words
    assert falling.settings.ramp_steps == 3 and falling.tokens < 0.8 * words.run("level").tokens
    other = words.run("other", seed=43)
    assert not torch.equal(*(weights(found.directory)[NAME] for found in (other, falling)))
    rate = words.run("rate", learning_rate=1e-9, warmup=0.0, weight_decay=0.0, steps=1)
    plain = weights(rate.directory)
    (words.directory / "rate").rename(words.directory / "rate-1")
    again = weights(words.run("rate", learning_rate=1e-9, warmup=0.0, weight_decay=0.0, steps=3).directory)
    assert all(torch.allclose(plain[name], again[name], atol=1e-7) for name in plain)


def test_nothing_is_dropped_unless_asked_for(words, tmp_path):
    """Whatever the configuration says, which keeps it for fine-tuning."""

    def run(name, said, **options):
        p = {"hidden_dropout_prob": said, "attention_probs_dropout_prob": said}
        return words.run(name, config=config_file(tmp_path / "config.json", "mlm", **p), steps=2, **options).directory

    much, none, asked = run("said", 0.5), run("unsaid", 0.0), run("asked", 0.0, dropout=0.5)
    assert json.loads((much / "config.json").read_text())["hidden_dropout_prob"] == 0.5
    found = [weights(directory)[NAME] for directory in (much, none, asked)]
    assert torch.equal(found[0], found[1]) and not torch.allclose(found[0], found[2], atol=1e-4)


NAME = "bert.encoder.layer.0.attention.self.query.weight"


# -- stopping and going on -------------------------------------------------------------------------------------------


def same(one, two):
    assert {n: v.tobytes() for n, v in arrays(one).items()} == {n: v.tobytes() for n, v in arrays(two).items()}
    curves = [
        [{k: v for k, v in point.items() if k != "seconds"} for point in manifest(place)["curve"]]
        for place in (one, two)
    ]
    assert curves[0] == curves[1]


def arrays(directory):
    return {name: value.numpy() for name, value in weights(directory).items()}


def test_a_run_that_is_stopped_goes_on_by_the_same_call_or_its_command(words, command):
    whole = words.run("whole", steps=None, epochs=2, dropout=0.1, mask_rate=(0.3, 0.15))
    lines = []

    def stop(line):
        lines.append(line)
        if line.startswith("step "):
            signal.raise_signal(signal.SIGINT)

    options = {"steps": None, "epochs": 2, "dropout": 0.1, "mask_rate": (0.3, 0.15)}
    with pytest.raises(Interrupted, match="Continue with: bothways pretrain --data") as caught:
        words.run("stopped", say=stop, **options)
    assert "--mask-rate 0.3:0.15" in str(caught.value) and "--batch-ramp 0" in str(caught.value)
    with pytest.raises(Interrupted):
        words.run("stopped", say=stop, **{**options, "mask_rate": "0.3:0.15"})
    with pytest.raises(UsageError, match="holds an unfinished run that differs: epochs 2, now 3"):
        words.run("stopped", **{**options, "epochs": 3})
    import shlex

    words_of = shlex.split(str(caught.value).partition("Continue with: bothways ")[2])
    code, out, err = command(*words_of)
    assert code == 0 and "Going on from step " in err, err
    assert f"Model: {words.directory / 'stopped'}" in out.replace("\n", "")
    same(whole.directory, words.directory / "stopped")


def test_a_kill_at_a_checkpoint_loses_nothing(words):
    """A real process and a real kill -9."""
    options = {"steps": 400, "checkpoint_steps": 4, "dropout": 0.1}
    output = words.directory / "killed"
    program = (
        "import sys, json; from bothways import pretrain\n"
        "data, output, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])\n"
        "pretrain(data, output, **options)\n"
    )
    given = {**QUICK, "config": str(words.config), **options}
    process = subprocess.Popen([sys.executable, "-c", program, str(words.data), str(output), json.dumps(given)])
    store = CheckpointStore(words.directory / "killed.unfinished")
    for _ in range(int(LIMIT * 20)):
        if len(store.steps()) > 1:
            break
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it ended before it was to: {process.wait(0.05)}")
    process.kill()
    process.wait()
    step = store.newest().step
    assert 4 <= step < 400 and not output.exists()
    # what follows is a shorter run than was begun: its checkpoint, and the steps behind it
    said = []
    with pytest.raises(Interrupted):
        words.run("killed", **options, say=lambda line: said.append(line) or stop_at_curve(line))
    assert said[3].startswith(f"Going on from step {step} (")
    reached = store.newest().step
    assert reached > step

    def stop(line):
        if line.startswith(f"step {reached // 20 * 20},"):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        words.run("not-killed", **options, say=stop)
    other = CheckpointStore(words.directory / "not-killed.unfinished").newest()
    assert other.step == reached
    same_files(store.newest().path, other.path)


def stop_at_curve(line):
    if line.startswith("step "):
        signal.raise_signal(signal.SIGINT)


def same_files(one, two):
    for name in ("model.safetensors", "trained.safetensors", "optimizer.safetensors"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_two_processes_learn_what_one_does(words, tmp_path):
    config = config_file(tmp_path / "config.json", "mlm,nsp", **NO_DROPOUT)
    given = ["pretrain", "--data", words.data, "--objective", "mlm,nsp", "--config", config, "--steps", 9]
    given += ["--max-length", 32, "--batch-tokens", 640, "--precision", "float32", "--batch-ramp", 4]
    code, out, err = ended(start("-m", "bothways", *given, "--learning-rate", 0.002, "-o", tmp_path / "two"))
    assert code == 0 and out.count("Model:") == 1 and err.count("to train on") == 1, err
    one = pretrain(
        words.data,
        tmp_path / "one",
        objective="mlm,nsp",
        config=config,
        steps=9,
        learning_rate=0.002,
        **{**QUICK, "batch_tokens": 640, "batch_ramp": 4},
    )
    two = manifest(tmp_path / "two")
    assert two["training"]["processes"] == 2 and two["training"]["step"] == one.curve[-1].step == 9
    assert two["training"]["tokens"] == one.tokens
    for name in ("loss", "pairs_loss"):
        assert two["measures"][name] == pytest.approx(one.measures[name], abs=1e-4)
    curves = [[point["train_loss"] for point in manifest(tmp_path / name)["curve"]] for name in ("one", "two")]
    assert curves[0] == pytest.approx(curves[1], abs=1e-3)


# -- what is refused -------------------------------------------------------------------------------------------------

REFUSED = [
    ({"objective": "mlm,nps"}, UsageError, r"--objective is 'mlm,nps'; known are 'mlm', .*Did you mean 'mlm,nsp'\?"),
    ({"config": "missing.json"}, UsageError, "--config is 'missing.json'; expected mini, small, base or a config.json"),
    ({"config": "smal"}, UsageError, r"--config is 'smal'; .* Did you mean 'small'\?"),
    ({"mask_rate": 0}, UsageError, "mask_rate is 0, expected a number between 0 and 1, or two: 0.3:0.15"),
    ({"mask_rate": 1.5}, UsageError, "mask_rate is 1.5, expected a number between 0 and 1"),
    ({"mask_rate": "0.3:1.5"}, UsageError, "mask_rate is 0.3:1.5, expected a number between 0 and 1"),
    ({"mask_rate": "a"}, UsageError, "mask_rate is 'a'; expected a share such as 0.15, or two: 0.3:0.15"),
    ({"mask_rate": "0.1:0.2:0.3"}, UsageError, "mask_rate is '0.1:0.2:0.3'; expected a share"),
    ({"mask_rate": float("nan")}, UsageError, "mask_rate is nan, expected a number between 0 and 1"),
    ({"max_length": 49}, UsageError, "max_length is 49; this model reads at most 48 tokens"),
    ({"max_length": 0}, UsageError, "max_length is 0, expected a whole number from 8"),
    ({"max_length": 40, "batch_tokens": 39}, UsageError, "batch_tokens is 39, expected at least max_length, 40"),
    ({"batch_tokens": 0}, UsageError, "batch_tokens is 0, expected at least max_length, 32"),
    ({"minutes": 0}, UsageError, "minutes is 0, expected a number above 0"),
    ({"minutes": -3.5, "steps": 0}, UsageError, "minutes is -3.5, expected .*; steps is 0, expected a whole number"),
    ({"minutes": "five"}, UsageError, "minutes is 'five', expected a number"),
    ({"epochs": 1.5}, UsageError, "epochs is 1.5, expected a whole number"),
    ({"checkpoint_steps": 0}, UsageError, "checkpoint_steps is 0, expected a whole number from 1"),
    ({"batch_ramp": -1}, UsageError, "batch_ramp is -1, expected a whole number from 0"),
    ({"learning_rate": 2}, UsageError, "learning_rate is 2, expected a number above 0 and below 1"),
    ({"warmup": 1.0}, UsageError, "warmup is 1.0, expected a number from 0 and below 1"),
    ({"dropout": 1.0}, UsageError, "dropout is 1.0, expected a number from 0 and below 1"),
    ({"optimizer": "sgd"}, UsageError, "optimizer is sgd, expected one of adamw, muon"),
    ({"precision": "half"}, UsageError, "precision is 'half'; expected one of auto, float32, bfloat16"),
    ({"seed": -1}, UsageError, "seed is -1, expected a whole number from 0 to 4294967295"),
    ({"lora": 4}, UsageError, "--lora learns beside a model that is there: name it with --model"),
    ({"model": "x", "config": "mini"}, UsageError, "--config is for random weights and --model goes on with some"),
    (
        {"objective": "clm", "whole_words": True},
        UsageError,
        "--whole-words is about masked words.*clm hides none",
    ),
    (
        {"objective": "clm", "mask_rate": 0.3},
        UsageError,
        "--mask-rate is about what is hidden.*clm hides nothing",
    ),
    ({"objective": "rtd", "lora": 4, "model": "x"}, UsageError, "--lora trains beside one model, and rtd trains two"),
    ({"objective": "span"}, UsageError, "BertTokenizer\\w* has no marks for missing spans"),
    ({"objective": "mlm,sop"}, UsageError, r"bert has no head for .*order of sentences \(mlm,sop\); albert has"),
    ({"objective": "rtd"}, UsageError, r"bert has no head for replaced words \(rtd\); electra has"),
    ({"short_rows": 1.5}, UsageError, "short_rows is 1.5, expected a share from 0 to 1"),
    ({"objective": "mlm,nsp", "short_rows": 0.5}, UsageError, "--short-rows is for mlm and rtd; --objective mlm,nsp"),
    ({"evaluation": "nothing.txt"}, UsageError, "nothing.txt: no such file or directory"),
]


@pytest.mark.parametrize(("options", "kind", "message"), REFUSED)
def test_what_cannot_be_is_refused_before_any_work(options, kind, message, words, monkeypatch):
    def work(*arguments, **more):
        raise AssertionError("shards were asked for")

    for name in ("build_shards", "held_out", "documents_of"):
        monkeypatch.setattr(job, name, work)
    more = {**QUICK, "config": words.config, **options}
    if "model" in options and "config" not in options:
        more["config"] = None
    with pytest.raises(kind, match=message):
        pretrain(words.data, words.directory / "refused", **more)
    assert not (words.directory / "refused.unfinished").exists()


def test_a_family_without_the_head_is_refused(words, tmp_path):
    config = config_file(tmp_path / "config.json", "clm")
    with pytest.raises(UsageError, match="gpt2 has no head for 'masked-lm'.*Take another --objective"):
        pretrain(words.data, tmp_path / "model", config=config, **QUICK)
    config.write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(BothwaysError, match="model_type is 'nothing'; expected one of albert, "):
        pretrain(words.data, tmp_path / "model", config=config, **QUICK)
    config = config_file(tmp_path / "config.json", "mlm", vocab_size=50)
    with pytest.raises(UsageError, match=r"has vocab_size 50, and the tokeniser has 98 tokens"):
        pretrain(words.data, tmp_path / "model", config=config, **QUICK)


def test_tokenisers_that_do_not_fit_are_refused(words, learned, tmp_path):
    text = write_texts(tmp_path / "texts.txt", language(9))
    with pytest.raises(UsageError, match="no tokeniser: give --tokenizer DIR, or --model"):
        pretrain(text, tmp_path / "model", config=words.config, **QUICK)
    with pytest.raises(UsageError, match=r"GPT2Tokenizer\w* has no mask token"):
        pretrain(text, tmp_path / "model", tokenizer=gpt2(tmp_path), config=words.config, **QUICK)
    other = tmp_path / "other"
    other.mkdir()
    vocabulary = (words.directory / "tokenizer" / "vocab.txt").read_text()
    (other / "vocab.txt").write_text(vocabulary + "more\n")
    bothways.BertTokenizerFast(str(other / "vocab.txt")).save_pretrained(other)
    with pytest.raises(DataError, match=r"was made with another tokeniser: BertTokenizer with 98 tokens.*with 99"):
        pretrain(words.data, tmp_path / "model", tokenizer=other, config=words.config, **QUICK)
    with pytest.raises(UsageError, match=r"the tokeniser has 99 tokens, and --model .* has word vectors for 98"):
        pretrain(text, tmp_path / "model", tokenizer=other, model=learned.directory, **QUICK)


def test_a_tokeniser_that_gives_known_words_other_ids_is_refused(words, learned, tmp_path):
    """One with new words in place of unused ones goes: its known words have the ids that the model learned."""
    text = write_texts(tmp_path / "texts.txt", language(8))
    lines = (learned.directory / "vocab.txt").read_text().splitlines()

    def tokenizer(name, entries):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vocab.txt").write_text("\n".join(entries))
        bothways.BertTokenizer(str(tmp_path / name / "vocab.txt")).save_pretrained(tmp_path / name)
        return tmp_path / name

    swapped = tokenizer("swapped", [*lines[:-2], lines[-1], lines[-2]])
    at = len(lines) - 2
    with pytest.raises(UsageError, match=f"2 of its {len(lines)} tokens other ids .*'{lines[at]}' has {at + 1}, there"):
        pretrain(text, tmp_path / "model", tokenizer=swapped, model=learned.directory, **QUICK)
    renewed = tokenizer("renewed", [*lines[:-1], "brandnew"])
    found = pretrain(text, tmp_path / "model", tokenizer=renewed, model=learned.directory, steps=1, **QUICK)
    assert "brandnew" in (found.directory / "vocab.txt").read_text()


def test_shards_with_another_token_are_refused(words, tmp_path):
    data = tmp_path / "shards"
    shutil.copytree(words.data, data)
    tokens = bytearray((data / "tokens-00000.bin").read_bytes())
    tokens[20] ^= 1
    (data / "tokens-00000.bin").write_bytes(tokens)
    with pytest.raises(DataError, match="not those of its manifest: tokens-00000.bin has another content"):
        pretrain(data, tmp_path / "model", config=words.config, steps=1, **QUICK)


def test_documents_of_one_sentence_have_no_next_one(words, tmp_path):
    text = write_texts(tmp_path / "texts.txt", [f"w{i % 7} v{i % 5} w3" for i in range(30)])
    options = {"config": words.config, "tokenizer": words.directory / "tokenizer", "steps": 1, **QUICK}
    with pytest.raises(UsageError, match=r"each of the \d+ documents is one sentence, so that none follows another"):
        pretrain(text, tmp_path / "pairs", objective="mlm,nsp", **options)


def test_figures_that_say_less_than_they_seem_to_are_told(words, tmp_path):
    said = []
    words.run("judged", evaluation=words.data, steps=1, say=said.append)
    assert "--eval holds the texts that it trains on: the figures will say how well it remembers them." in said
    said = []
    pretrain(
        words.data, tmp_path / "pairs", objective="mlm,nsp", config=words.config, steps=1, say=said.append, **QUICK
    )
    share = float(re.search(r"Of the pairs to judge by (.*)% have the same answer", " ".join(said))[1])
    assert 50 <= share <= 100 and not any("--eval holds" in line for line in said)


def test_a_run_that_made_no_step_is_in_nobody_s_way(words, tmp_path):
    text = write_texts(tmp_path / "texts.txt", language(1, seed=3))
    options = {"config": words.config, "tokenizer": words.directory / "tokenizer", "steps": 1, **QUICK}
    with pytest.raises(UsageError, match="Blank lines divide documents"):
        pretrain(text, tmp_path / "model", objective="mlm,nsp", **options)
    assert (tmp_path / "model.unfinished" / "shards").is_dir()
    write_texts(text, language(20))
    with pytest.raises(KeyboardInterrupt):
        pretrain(text, tmp_path / "model", objective="mlm,nsp", say=stop_before_the_first_step, **options)
    shards_made = (tmp_path / "model.unfinished" / "shards" / "manifest.json").stat().st_mtime_ns
    with pytest.raises(KeyboardInterrupt):  # of other options: the shards of the same texts stay
        pretrain(text, tmp_path / "model", **{**options, "steps": 2}, say=stop_before_the_first_step)
    assert (tmp_path / "model.unfinished" / "shards" / "manifest.json").stat().st_mtime_ns == shards_made
    pretrain(text, tmp_path / "model", objective="mlm,nsp", **options)
    assert not (tmp_path / "model.unfinished").exists()


def stop_before_the_first_step(line):
    if line.startswith("This machine multiplies"):
        raise KeyboardInterrupt


def test_other_texts_for_a_run_that_made_steps_are_told_by_their_hashes(words, tmp_path):
    text = write_texts(tmp_path / "texts.txt", language(20))
    options = {"config": words.config, "tokenizer": words.directory / "tokenizer", "steps": 9, **QUICK}
    with pytest.raises(Interrupted):
        pretrain(text, tmp_path / "model", say=stop_at_curve, **options)
    write_texts(text, language(21))
    with pytest.raises(UsageError, match=r"differs: data \['[0-9a-f]{12}…'\], now \['[0-9a-f]{12}…'\]\. Give its"):
        pretrain(text, tmp_path / "model", **options)


def gpt2(tmp_path):
    tokenizer_for("clm", tmp_path / "gpt2")
    return tmp_path / "gpt2"


def test_paths_that_are_none_and_shards_among_others_are_refused(words, tmp_path):
    for data, output in ((3, tmp_path / "model"), (words.data, None), ([None], tmp_path / "model")):
        with pytest.raises(UsageError, match="(3|None).* was given; expected the path of a file or directory"):
            pretrain(data, output, config=words.config, **QUICK)
    with pytest.raises(UsageError, match="2 places were given as --data, and one of them holds shards"):
        pretrain([words.data, words.config], tmp_path / "model", config=words.config, **QUICK)


def test_one_document_cannot_have_pairs_nor_be_judged_by(words, tmp_path):
    text = write_texts(tmp_path / "texts.txt", language(1, seed=3))
    options = {"config": words.config, "tokenizer": words.directory / "tokenizer", "steps": 1, **QUICK}
    with pytest.raises(UsageError, match="there is 1 document, and next sentences need a text of another"):
        pretrain(text, tmp_path / "pairs", objective="mlm,nsp", **options)
    said = []
    found = pretrain(text, tmp_path / "words", say=said.append, **options)
    assert found.measures == {} and found.words == {}
    assert any("none to judge by: they are fewer than four; give --eval" in line for line in said)


def test_an_output_with_other_things_is_left_alone(words, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("ten years of work")
    with pytest.raises(UsageError, match="is not empty .thesis.txt. and not an earlier result"):
        pretrain(words.data, tmp_path / "model", config=words.config, **QUICK)
    assert (tmp_path / "model" / "thesis.txt").read_text() == "ten years of work"


def test_an_adapter_does_not_replace_its_encoder(words, learned, tmp_path):
    """Neither from the encoder itself nor from another adapter of it; an adapter may replace itself."""
    encoder = shutil.copytree(learned.directory, tmp_path / "encoder")
    options = {**QUICK, "lora": 2, "steps": 1}
    message = rf"--output {encoder} is the encoder that the adapter needs, and would be replaced by it\."
    with pytest.raises(UsageError, match=message):
        pretrain(words.data, encoder, model=encoder, **options)
    adapter = pretrain(words.data, tmp_path / "adapter", model=encoder, **options).directory
    with pytest.raises(UsageError, match=message):
        pretrain(words.data, encoder, model=adapter, **options)
    with pytest.raises(UsageError, match=message):
        bothways.train([write_rows(tmp_path)], encoder, model=str(encoder), lora=2)
    assert (encoder / "model.safetensors").is_file()
    again = pretrain(words.data, adapter, model=adapter, **options).directory
    bothways.AutoModelForMaskedLM.from_pretrained(again)
    settings = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": "some/encoder"}))
    check_encoder_stays(tmp_path / "new", adapter, 2)  # what is still to be downloaded is in nobody's way


def write_rows(directory):
    path = directory / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": f"w{i} v{i}", "label": "ab"[i % 2]}) + "\n" for i in range(9)))
    return path


def test_what_is_wrong_with_texts_is_told_as_an_option_of_shard(words, tmp_path):
    latin = tmp_path / "latin.txt"
    latin.write_bytes("w1 v2 b\u00e4d\n".encode("latin-1") * 9)
    with pytest.raises(DataError, match=r"--encoding .*That is an option of 'bothways shard', whose shards --data"):
        pretrain(latin, tmp_path / "m", config=words.config, tokenizer=words.directory / "tokenizer", steps=1, **QUICK)


def test_two_texts_need_two_segments(words, tmp_path):
    config = json.loads(words.config.read_text()) | {"type_vocab_size": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    options = {"config": tmp_path / "config.json", "steps": 1, **QUICK}
    with pytest.raises(UsageError, match="mlm,nsp has two texts in a row, and with type_vocab_size 1 the model cannot"):
        pretrain(words.data, tmp_path / "m", objective="mlm,nsp", **options)
    pretrain(words.data, tmp_path / "m", **options)


def test_short_rows_are_learned_from_and_judged_by(words, tmp_path):
    found = words.run("rows", short_rows=1.0, epochs=1, steps=None)
    assert found.settings.short_rows == 1.0
    whole = words.run("whole-rows", epochs=1, steps=None)
    assert found.tokens > whole.tokens + 100  # the special tokens of more rows around the same text
    assert manifest(found.directory)["data"]["tokens"] == manifest(whole.directory)["data"]["tokens"]


@pytest.mark.parametrize(("steps", "ramp"), [(None, 300), (2, 0), (40, 10), (5_000, 300)])
def test_the_ramp_ends_within_the_run(steps, ramp):
    options = {"minutes": None, "epochs": None, "model": None, "lora": None, "config": "mini", "batch_ramp": None}
    options |= {"max_length": None, "batch_tokens": None, "learning_rate": None, "warmup": 0.05, "optimizer": "adamw"}
    options |= {"weight_decay": 0.0, "dropout": 0.0, "mask_rate": 0.15, "whole_words": False, "short_rows": 0.0}
    options |= {"seed": 1}
    options |= {"precision": "float32", "checkpoint_steps": None, "steps": steps}
    assert settings_of(options, "mlm", 512).ramp_steps == ramp
    assert settings_of({**options, "batch_ramp": 7}, "mlm", 512).ramp_steps == 7


def test_hidden_words_need_both_sides(words, tmp_path):
    config = json.loads(words.config.read_text()) | {"is_decoder": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match='with "is_decoder": true a token sees nothing behind it, and masked words'):
        pretrain(words.data, tmp_path / "m", config=tmp_path / "config.json", steps=1, **QUICK)


def test_a_slip_in_a_configuration_is_told(words, tmp_path):
    config = json.loads(words.config.read_text())
    config["num_hiden_layers"] = config.pop("num_hidden_layers")
    (tmp_path / "config.json").write_text(json.dumps(config))
    message = "num_hiden_layers is no field of BertConfig. Did you mean num_hidden_layers?"
    with pytest.raises(ConfigError, match=message):
        pretrain(words.data, tmp_path / "m", config=tmp_path / "config.json", steps=1, **QUICK)


@pytest.mark.parametrize("objective", ["clm", "span"])
def test_models_without_a_head_of_their_own_learn_thin_matrices_under_muon(objective, tmp_path):
    place = Place(tmp_path, objective)
    first = place.run("first", steps=1).directory
    found = place.run("adapter", model=first, lora=2, steps=2, optimizer="muon", checkpoint_steps=1)
    assert found.curve[-1].step == 2 and (found.directory / "adapter_model.safetensors").is_file()


def test_families_of_sizes_are_those_of_the_objectives():
    assert set(FAMILY_OF) == set(GOALS)


def test_wordpiece_knows_the_language(tmp_path):
    tokenizer = wordpiece(tmp_path)
    assert not any(tokenizer.unk_token_id in row for row in tokenizer(language(5))["input_ids"])
