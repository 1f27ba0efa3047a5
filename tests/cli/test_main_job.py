"""train, evaluate and predict as a user runs them, on a tiny model."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import sys

import pytest
import transformers

from tests.conftest import json_lines, sentences


def test_train_leaves_an_ordinary_directory(trained):
    names = {p.name for p in trained.iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt"}
    assert names >= {"bothways.json", "report.html", "report.json"}
    reference = transformers.AutoModelForSequenceClassification.from_pretrained(trained)
    assert reference.config.id2label == {0: "neg", 1: "pos"}
    assert reference.config.problem_type == "single_label_classification"
    assert not list(trained.parent.glob(".*"))


def test_manifest_says_what_was_read_done_and_measured(trained, reviews):
    manifest = json.loads((trained / "bothways.json").read_text())
    assert manifest["kind"] == "single" and manifest["labels"] == ["neg", "pos"]
    assert manifest["data"]["train"]["count"] + manifest["data"]["evaluation"]["count"] == 120
    assert manifest["data"]["evaluation"]["held_out"] is True
    assert len(manifest["data"]["train"]["sha256"]) == 64
    assert manifest["metrics"]["accuracy"] > 0.9
    assert [row["name"] for row in manifest["comparison"]["rows"]][2] == "tiny-bert"
    assert f"bothways train {reviews} --output {trained}" in manifest["command"]
    assert set(manifest["versions"]) >= {"bothways", "torch", "python", "tokenizers"}


def test_the_recorded_command_repeats_the_run(tiny_model, reviews, command, tmp_path):
    import shlex

    words = ["--eval", reviews, "--model", tiny_model, "--epochs", 1, "--seed", 7]
    assert command("train", reviews, "-o", tmp_path / "one", *words)[0] == 0
    recorded = json.loads((tmp_path / "one" / "bothways.json").read_text())["command"]
    again = [word.replace(str(tmp_path / "one"), str(tmp_path / "two")) for word in shlex.split(recorded)]
    assert again[:2] == ["bothways", "train"] and command(*again[1:])[0] == 0
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]


def test_predictions_are_the_pipeline_s_and_keep_the_order(trained, command, tmp_path):
    from bothways import pipeline

    texts = [text for text, _ in sentences(40, seed=5)]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    code, out, err = command("predict", trained, tmp_path / "texts.txt", "--precision", "float32")
    lines = json_lines(out)
    assert code == 0 and [line["row"] for line in lines] == list(range(1, 41))
    for line, expected in zip(lines, pipeline("text-classification", model=trained)(texts), strict=True):
        assert line["label"] == expected["label"] and abs(line["score"] - expected["score"]) < 1e-5
        assert line["n_windows"] == 1 and line["truncated"] is False


def test_predict_reads_standard_input_and_writes_a_whole_file(trained, command, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a good film\n\nan awful book\n")))
    output = tmp_path / "answers.jsonl"
    code, out, _ = command("predict", trained, "-", "--output", output, "--top-k", "2")
    assert code == 0 and out == ""
    lines = json_lines(output.read_text())
    assert [line["labels"][0]["label"] for line in lines][::2] == ["pos", "neg"]
    assert all(len(line["labels"]) == 2 for line in lines)


def test_long_texts_are_windowed_and_counted(trained, command, tmp_path):
    (tmp_path / "t.txt").write_text("a good film\n" + "good " * 200 + "\n")
    code, out, err = command("predict", trained, tmp_path / "t.txt")
    assert code == 0 and json_lines(out)[1]["n_windows"] > 5 and json_lines(out)[1]["n_tokens"] == 202
    assert "1 of 2 inputs were windowed." in err
    code, _, err = command("predict", trained, tmp_path / "t.txt", "--long-input", "error")
    assert code == 1 and "t.txt: row 2 has 202 tokens, but the limit is 32" in " ".join(err.split())


def test_evaluate_prints_scores_and_writes_json(trained, command, reviews, tmp_path):
    code, out, _ = command("evaluate", trained, reviews, "--output", tmp_path / "scores.json")
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert code == 0 and "accuracy" in out and "pos" in out
    assert scores["count"] == 120 and scores["metrics"]["accuracy"] > 0.9
    assert scores["intervals"]["accuracy"]["low"] < scores["metrics"]["accuracy"]


def test_same_command_same_weights(tiny_model, reviews, command, tmp_path):
    def weights(name: str) -> bytes:
        code, *_ = command("train", reviews, "-o", tmp_path / name, "--model", tiny_model, "--epochs", 1)
        assert code == 0
        return (tmp_path / name / "model.safetensors").read_bytes()

    assert weights("one") == weights("two")


@pytest.mark.parametrize("kind", ["pairs", "multi", "regression"])
def test_other_kinds_of_labels(kind, tiny_model, command, tmp_path):
    rows = []
    for text, label in sentences(80, seed=3):
        rows.append(
            {
                "pairs": {"text_a": text, "text_b": "the film was good", "label": label},
                "multi": {"text": text, "labels": [label, "long"] if len(text) > 35 else [label]},
                "regression": {"text": text, "score": 0.5 if label == "pos" else -1.25},
            }[kind]
        )
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = tmp_path / "model"
    code, out, err = command("train", tmp_path / "d.jsonl", "-o", output, "--model", tiny_model, "--epochs", 2)
    assert code == 0, err
    manifest = json.loads((output / "bothways.json").read_text())
    assert manifest["kind"] == {"pairs": "single"}.get(kind, kind)
    assert command("evaluate", output, tmp_path / "d.jsonl")[0] == 0
    code, out, _ = command("predict", output, tmp_path / "d.jsonl")
    line = json_lines(out)[0]
    assert code == 0 and len(json_lines(out)) == 80
    assert ("labels" in line) if kind == "multi" else isinstance(line["score"], float)
    assert "<table" in (output / "report.html").read_text()


def test_an_earlier_result_is_replaced_whole(trained, tiny_model, reviews, command, tmp_path):
    output = tmp_path / "model"
    command("train", reviews, "-o", output, "--model", tiny_model, "--epochs", 1)
    again = ["train", reviews, "-o", output, "--model", tiny_model, "--epochs", 1]
    assert command(*again)[0] == 0 and not list(tmp_path.glob(".model*"))
    (output / "notes.txt").write_text("mine")
    code, _, err = command(*again)
    assert code == 2 and "notes.txt in it is not from that run and would be lost" in err
    assert (output / "notes.txt").read_text() == "mine"


def test_links_are_followed(trained, tiny_model, reviews, command, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert command("train", reviews, "-o", tmp_path / "link", "--model", tiny_model, "--epochs", 1)[0] == 0
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "bothways.json").is_file()
    (tmp_path / "t.txt").write_text("good\n")
    (tmp_path / "answers").symlink_to(tmp_path / "target.jsonl")
    assert command("predict", trained, tmp_path / "t.txt", "-o", tmp_path / "answers")[0] == 0
    assert (tmp_path / "answers").is_symlink() and json_lines((tmp_path / "target.jsonl").read_text())


def test_a_device_is_written_to_and_stays_one(trained, command, tmp_path):
    (tmp_path / "t.txt").write_text("good\n")
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True)
    assert command("predict", trained, tmp_path / "t.txt", "-o", tmp_path / "pipe")[0] == 0
    assert json_lines(reader.communicate()[0])[0]["row"] == 1
    assert (tmp_path / "pipe").is_fifo()


STOP_AT = (
    "import os, signal, sys\n"
    "from bothways.engine import steps\n"
    "from bothways.cli import main\n"
    "plain, at, how = steps.Stepper.step, int(sys.argv.pop()), int(sys.argv.pop())\n"
    "def step(self, batches, number, **more):\n"
    "    if number + 1 == at: os.kill(os.getpid(), how)\n"
    "    return plain(self, batches, number, **more)\n"
    "steps.Stepper.step = step\n"
    "main()\n"
)


def stopped_run(words: list[str], how: int, at: int) -> subprocess.CompletedProcess:
    """The command line, sent a signal within a step."""
    arguments = [sys.executable, "-c", STOP_AT, *words, str(how), str(at)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_same_command_goes_on_to_the_same_weights(how, tiny_model, reviews, tmp_path):
    words = ["train", str(reviews), "--model", str(tiny_model), "--epochs", "3", "-o"]
    whole = stopped_run([*words, str(tmp_path / "whole")], how, 10**6)
    assert whole.returncode == 0, whole.stderr
    one = [*words, str(tmp_path / "one")]
    stopped = stopped_run(one, how, 4)
    assert stopped.returncode == 128 + how and "Traceback" not in stopped.stderr
    said = " ".join(stopped.stderr.split())
    assert "Stopped after step 4 of" in said and "checkpoint-4 is saved" in said
    again = said[said.index("Continue with: bothways ") + len("Continue with: bothways ") :]
    assert not (tmp_path / "one").exists() and (tmp_path / "one.unfinished" / "checkpoint-4").is_dir()
    done = stopped_run(shlex.split(again), how, 10**6)
    assert done.returncode == 0 and "Going on from step 4" in done.stderr
    assert not (tmp_path / "one.unfinished").exists()
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "one")]
    assert weights[0] == weights[1]


def test_kill_9_in_training_goes_on_from_the_last_checkpoint(tiny_model, reviews, tmp_path):
    words = ["train", str(reviews), "--model", str(tiny_model), "--epochs", "3", "--checkpoint-steps", "3", "-o"]
    stopped_run([*words, str(tmp_path / "whole")], 9, 10**6)
    killed = stopped_run([*words, str(tmp_path / "one")], 9, 8)
    assert killed.returncode == -9
    done = stopped_run([*words, str(tmp_path / "one")], 9, 10**6)
    assert done.returncode == 0 and "Going on from step 6" in done.stderr
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "one")]
    assert weights[0] == weights[1]


def test_another_run_does_not_go_on_with_an_unfinished_one(tiny_model, reviews, tmp_path):
    words = ["train", str(reviews), "--model", str(tiny_model), "--epochs", "3", "-o", str(tmp_path / "one")]
    assert stopped_run(words, signal.SIGTERM, 4).returncode == 143
    other = stopped_run([*words, "--seed", "7"], 9, 10**6)
    assert other.returncode == 2 and "differs: seed 42, now 7" in other.stderr and "--fresh" in other.stderr
    assert stopped_run([*words, "--seed", "7", "--fresh"], 9, 10**6).returncode == 0


def test_kill_9_while_publishing_leaves_the_earlier_result(trained, tiny_model, reviews, tmp_path):
    output = tmp_path / "model"
    script = (
        "import os, signal, sys\n"
        "from bothways import directories\n"
        "from bothways.cli import main\n"
        "if sys.argv.pop() == 'kill': directories._take_place = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "main()\n"
    )
    words = ["train", str(reviews), "-o", str(output), "--model", str(tiny_model), "--epochs", "1"]
    subprocess.run([sys.executable, "-c", script, *words, "no"], check=True, capture_output=True, timeout=120)
    before = {p.name: p.read_bytes() for p in output.iterdir()}
    killed = subprocess.run([sys.executable, "-c", script, *words, "kill"], capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert {p.name: p.read_bytes() for p in output.iterdir()} == before
    subprocess.run([sys.executable, "-c", script, *words, "no"], check=True, capture_output=True, timeout=120)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]  # what the killed run left beside it is gone too


def test_a_reader_that_goes_away_is_no_error(trained, tmp_path):
    (tmp_path / "t.txt").write_text("a good film\n" * 20_000)
    words = [sys.executable, "-m", "bothways", "predict", str(trained), str(tmp_path / "t.txt")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ}) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
