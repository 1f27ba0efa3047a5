"""``bothways train --tune`` as a user runs it, on a tiny model."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
import torch

from bothways.engine import steps
from bothways.training import search as search_module
from bothways.training import train
from bothways.training.fit import fit
from bothways.training.method import LORA_RATE
from tests.cli.test_other_tasks import questions, tagged
from tests.conftest import sentences

RATE = 3e-3


@pytest.fixture
def seen(monkeypatch):
    """Every split that a trial got, and the settings of every call of ``fit``."""
    from bothways.training import job, tune

    found: dict[str, list] = {"splits": [], "final": [], "trials": []}
    plain = tune._Trainings._encode

    def encode(self, inner, settings):
        found["splits"].append((self.prepared.job.split, inner.split))
        return plain(self, inner, settings)

    def trial(model, features, settings, evaluate, **more):
        found["trials"].append((settings, features))
        return fit(model, features, settings, evaluate, **more)

    def final(model, features, settings, evaluate, **more):
        found["final"].append((settings, features))
        return fit(model, features, settings, evaluate, **more)

    monkeypatch.setattr(tune._Trainings, "_encode", encode)
    monkeypatch.setattr(tune, "fit", trial)
    monkeypatch.setattr(job, "fit", final)
    return found


def manifest_of(directory):
    return json.loads((directory / "bothways.json").read_text())


def test_the_search_never_sees_the_evaluation_part(tiny_model, reviews, command, tmp_path, seen):
    words = ["train", reviews, "--model", tiny_model, "--epochs", 2, "--learning-rate", RATE, "--tune", 4]
    code, out, err = command(*words, "-o", tmp_path / "one")
    assert code == 0, err
    ((whole, inner),) = seen["splits"]
    rows = {name: {e.row for e in part} for name, part in (("train", inner.train), ("judge", inner.evaluation))}
    final = {e.row for e in whole.evaluation}
    assert rows["train"] | rows["judge"] == {e.row for e in whole.train} and not rows["train"] & rows["judge"]
    assert not (rows["train"] | rows["judge"]) & final and len(rows["train"] | rows["judge"] | final) == 120
    assert {e.text for e in whole.evaluation}.isdisjoint(e.text for e in (*inner.train, *inner.evaluation))
    assert [len(features) for _, features in seen["trials"]] == [len(rows["train"])] * 4

    ((settings, features),) = seen["final"]
    assert len(features) == len(whole.train)
    manifest = manifest_of(tmp_path / "one")
    search, best = manifest["search"], manifest["search"]["trials"][manifest["search"]["best"]]
    assert search["asked"] == 4 and len(search["trials"]) == 4 and search["metric"] == "accuracy"
    assert (search["train"], search["judge"]) == (len(rows["train"]), len(rows["judge"]))
    assert search["trials"][0]["values"] == {
        "learning_rate": RATE,
        "epochs": 2,
        "batch_size": 16,
        "warmup_ratio": 0.1,
    }
    assert all(manifest["settings"][name] == value for name, value in best["values"].items())
    assert (settings.batch_size, settings.warmup_ratio) == (
        best["values"]["batch_size"],
        best["values"]["warmup_ratio"],
    )
    assert "--tune 4" in manifest["command"]

    lines = err.splitlines()
    head = next(i for i, line in enumerate(lines) if line.split()[:2] == ["trial", "rate"])
    assert [line.split()[0] for line in lines[head + 1 : head + 5]] == ["1", "2", "3", "4"]
    shown = " ".join(out.split())
    assert "The search never saw the evaluation texts." in shown and "Of 4 trials, judged on " in shown
    assert "The search never saw the evaluation texts." in (tmp_path / "one" / "report.html").read_text()
    assert not (tmp_path / "one.unfinished").exists()


def test_the_same_command_searches_and_trains_the_same(tiny_model, reviews, command, tmp_path):
    for name in ("one", "two"):
        words = ["--model", tiny_model, "--epochs", 1, "--tune", 3, "-o", tmp_path / name]
        assert command("train", reviews, *words)[0] == 0
    searches = [manifest_of(tmp_path / name)["search"] for name in ("one", "two")]
    for search in searches:
        search["seconds"] = 0
        for trial in search["trials"]:
            trial["seconds"] = 0
    assert searches[0] == searches[1]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]


def test_with_an_evaluation_file_all_data_is_for_training(tiny_model, reviews, command, tmp_path, seen):
    held = tmp_path / "held.csv"
    held.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in sentences(40, seed=9)))
    words = ["--eval", held, "--model", tiny_model, "--epochs", 1, "--tune", 2, "-o", tmp_path / "one"]
    assert command("train", reviews, *words)[0] == 0
    ((whole, inner),) = seen["splits"]
    assert len(whole.train) == len(inner.train) + len(inner.evaluation) == 120 and len(whole.evaluation) == 40


@pytest.mark.parametrize("task, metric", [("ner", "f1"), ("question-answering", "f1"), ("freeze", "accuracy")])
def test_other_tasks_and_ways_are_searched_too(task, metric, tiny_model, reviews, command, tmp_path, seen):
    words = ["--task", task]
    if task == "ner":
        data = tmp_path / "d.conll"
        data.write_text("\n\n".join("\n".join(map(" ".join, zip(*row, strict=True))) for row in tagged(60)) + "\n")
    elif task == "question-answering":
        data = tmp_path / "d.json"
        data.write_text(json.dumps(questions(60, impossible=True)))
    else:
        data, words = reviews, ["--freeze"]
    words += ["--epochs", 1, "--learning-rate", 1e-3, "--tune", 3, "--model", tiny_model, "-o", tmp_path / "one"]
    code, _, err = command("train", data, *words)
    assert code == 0, err
    manifest = manifest_of(tmp_path / "one")
    assert manifest["search"]["metric"] == metric and len(manifest["search"]["trials"]) == 3
    ((whole, inner),) = seen["splits"]
    assert {e.row for e in whole.train} == {e.row for e in (*inner.train, *inner.evaluation)}


def test_lora_is_searched_on_copies(tiny_model, reviews, command, tmp_path, seen):
    words = ["--lora", 2, "--epochs", 1, "--tune", 2, "--model", tiny_model, "-o", tmp_path / "one"]
    code, _, err = command("train", reviews, *words)
    assert code == 0, err
    trials, final = seen["trials"], seen["final"]
    assert len(trials) == 2 and len(final) == 1
    assert trials[0][0].learning_rate == LORA_RATE and (tmp_path / "one" / "adapter_config.json").is_file()


def stopped_run(words: list, at: int) -> int:
    """The command line in a process of its own, killed in its step number ``at``, counted over all trials."""
    script = (
        "import os, sys\n"
        "from bothways.engine import steps\n"
        "from bothways.cli import main\n"
        "plain, at, done = steps.Stepper.step, int(sys.argv.pop()), []\n"
        "def step(self, batches, number, **more):\n"
        "    done.append(number)\n"
        "    if len(done) == at: os.kill(os.getpid(), 9)\n"
        "    return plain(self, batches, number, **more)\n"
        "steps.Stepper.step = step\n"
        "main()\n"
    )
    arguments = [sys.executable, "-c", script, *map(str, words), str(at)]
    return subprocess.run(arguments, capture_output=True, timeout=120).returncode


@pytest.fixture
def signal_at(monkeypatch):
    """Sends this process SIGTERM in a step, counted over all trainings from now."""

    def arrange(at: int) -> list[int]:
        done: list[int] = []

        def step(self, batches, number, **more):
            done.append(number)
            if len(done) == at:
                signal.raise_signal(signal.SIGTERM)
            return plain(self, batches, number, **more)

        monkeypatch.setattr(steps.Stepper, "step", step)
        return done

    plain = steps.Stepper.step
    return arrange


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_model, reviews):
    """Words of a command with 3 trials of 10 to 20 steps, its directory and the lines that it printed."""
    words = ["train", reviews, "--model", tiny_model, "--epochs", 2, "--batch-size", 16, "--tune", 3, "-o"]
    directory, lines = tmp_path_factory.mktemp("whole") / "whole", []
    train(reviews, directory, model=tiny_model, epochs=2, batch_size=16, tune=3, say=lines.append)
    return words, directory, lines


def test_a_search_that_was_killed_goes_on_to_the_same_weights(whole, command, tmp_path):
    words, directory, lines = whole
    # 77 texts make 5 steps an epoch: step 14 is in the second trial
    assert stopped_run([*words, tmp_path / "one"], 14) == -9
    kept = json.loads((tmp_path / "one.unfinished" / search_module.JOURNAL).read_text())
    assert len(kept["trials"]) == 1
    code, _, err = command(*words, tmp_path / "one")
    assert code == 0 and not (tmp_path / "one.unfinished").exists()
    assert rows(err) == rows("\n".join(lines))
    same_weights(directory, tmp_path / "one")


def test_a_signal_in_a_trial_keeps_those_before_it(whole, command, tmp_path, signal_at):
    words, directory, _ = whole
    signal_at(14)
    code, _, err = command(*words, tmp_path / "one")
    said = " ".join(err.split())
    assert code == 143 and "Stopped in trial 2 of 3. The best so far is number 1: learning rate 5e-05, 2 epochs" in said
    assert "Finished trials are kept in " in said and "Continue with: bothways train" in said
    done = signal_at(10**6)
    assert command(*words, tmp_path / "one")[0] == 0
    assert len(done) == 2 * 10 + 12  # two trials and the final training
    same_weights(directory, tmp_path / "one")


def test_a_final_training_that_was_ended_goes_on_without_a_search(whole, command, tmp_path, signal_at):
    words, directory, _ = whole
    signal_at(3 * 10 + 3)
    code, _, err = command(*words, tmp_path / "one")
    assert code == 143 and "Stopped after step 3 of 12" in " ".join(err.split())
    done = signal_at(10**6)
    code, _, err = command(*words, tmp_path / "one")
    assert code == 0 and "Going on from step 3" in err and len(done) == 12 - 3
    same_weights(directory, tmp_path / "one")


def test_a_loss_that_is_no_number_is_told_and_the_search_goes_on(tiny_model, reviews, command, tmp_path, monkeypatch):
    from bothways.training import tune

    calls = []

    def broken(model, *given, **more):
        calls.append(model)
        if len(calls) == 2:
            with torch.no_grad():
                next(model.parameters()).fill_(float("nan"))
        return fit(model, *given, **more)

    monkeypatch.setattr(tune, "fit", broken)
    words = ["--model", tiny_model, "--epochs", 1, "--tune", 3, "-o", tmp_path / "one"]
    code, _, err = command("train", reviews, *words)
    assert code == 0, err
    trials = manifest_of(tmp_path / "one")["search"]["trials"]
    assert [trial["state"] for trial in trials] == ["complete", "failed", "complete"]
    assert "nan" in trials[1]["problem"] and f"failed: {trials[1]['problem'][:20]}" in " ".join(err.split())


def same_weights(one, other) -> None:
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def rows(errors: str) -> list[str]:
    """The lines of the table."""
    return [line for line in errors.splitlines() if line.split()[:1] and line.split()[0].isdigit()]


def test_mistakes_are_told_before_any_work(tiny_model, reviews, command, tmp_path, monkeypatch):
    code, _, err = command("train", reviews, "--tune", 1, "--model", tiny_model, "-o", tmp_path / "one")
    assert code == 2 and "tune is 1; expected a whole number of trials from 2" in " ".join(err.split())
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = command("train", reviews, "--tune", 5, "--model", tiny_model, "-o", tmp_path / "one")
    assert code == 2 and "--tune needs Optuna. Install it: pip install 'bothways[tune]'" in " ".join(err.split())
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
    few = tmp_path / "few.csv"
    few.write_text("text,label\ngood,pos\nbad,neg\n")
    words = ["--eval", reviews, "--tune", 5, "--model", tiny_model, "-o", tmp_path / "two"]
    code, _, err = command("train", few, *words)
    assert code == 1 and "2 texts to train on are too few to hold a part out on which settings" in " ".join(err.split())


def test_advice_is_printed_and_kept(tiny_model, reviews, command, tmp_path):
    words = ["--model", tiny_model, "--epochs", 1, "--batch-size", 200, "-o", tmp_path / "one"]
    code, out, err = command("train", reviews, *words)
    sentence = "Batches of 200 are larger than the 4 to 128 that fine-tuning is known to work with"
    assert code == 0 and sentence in err and sentence in " ".join(out.split())
    assert any(sentence in line for line in manifest_of(tmp_path / "one")["advice"])
    code, out, err = command("train", reviews, "--model", tiny_model, "-o", tmp_path / "two")
    assert code == 0 and manifest_of(tmp_path / "two")["advice"] == [] and "known to work" not in err + out
