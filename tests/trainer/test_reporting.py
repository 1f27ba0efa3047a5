"""Figures on the screen and in files beside the reference's, and the model card."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bothways
from bothways.errors import DataError, UsageError
from tests.trainer.small import NUMBERS, WORDS, Net, arguments, bert, padded

pytest.importorskip("transformers")

METRICS = st.dictionaries(
    st.sampled_from(["train_loss", "train_runtime", "eval_runtime", "total_flos", "train_samples", "epoch", "eval_f1"]),
    st.floats(0, 1e6) | st.integers(0, 10**6),
    min_size=1,
)


@pytest.fixture(autouse=True)
def of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def trainer_of(**settings):
    return bothways.Trainer(Net(), arguments(**settings), train_dataset=NUMBERS, eval_dataset=NUMBERS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(metrics=METRICS)
def test_the_table_is_the_reference_s(metrics, capsys):
    from transformers.trainer_pt_utils import log_metrics

    trainer_of().log_metrics("train", metrics)
    ours = capsys.readouterr().out
    log_metrics(SimpleNamespace(is_world_process_zero=lambda: True), "train", metrics)
    assert ours == capsys.readouterr().out


def test_metrics_are_formatted():
    found = trainer_of().metrics_format({"train_runtime": 3725.678, "loss": 0.123456, "train_mem_gpu": 1 << 21, "n": 7})
    assert found == {"train_runtime": "1:02:05.67", "loss": 0.1235, "train_mem_gpu": "2MB", "n": 7}


def test_metrics_in_files():
    trainer = trainer_of()
    trainer.save_metrics("train", {"train_loss": 0.5, "b": 1})
    trainer.save_metrics("eval", {"eval_loss": 0.25, "b": 2})
    trainer.save_metrics("test", {"c": 3}, combined=False)
    read = {path.name: json.loads(path.read_text()) for path in Path("out").glob("*.json")}
    assert read == {
        "train_results.json": {"train_loss": 0.5, "b": 1},
        "eval_results.json": {"eval_loss": 0.25, "b": 2},
        "test_results.json": {"c": 3},
        "all_results.json": {"train_loss": 0.5, "eval_loss": 0.25, "b": 2},
    }
    Path("out/all_results.json").write_text("[1]")
    with pytest.raises(DataError, match="holds a list"):
        trainer.save_metrics("train", {"a": 1})
    assert Path("out/all_results.json").read_text() == "[1]"


def card_of(trainer, **facts):
    import yaml

    trainer.create_model_card(**facts)
    _, head, body = Path("out/README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), body


def test_a_card_of_a_run():
    args = arguments(max_steps=4, eval_strategy="steps", eval_steps=2, logging_steps=2, learning_rate=1e-3)
    model = bert()
    model.name_or_path = "some/model"
    trainer = bothways.Trainer(
        model, args, train_dataset=WORDS, eval_dataset=WORDS, data_collator=padded,
        compute_metrics=lambda p: {"accuracy": 0.25},
    )  # fmt: skip
    trainer.train()
    head, body = card_of(trainer, model_name='a "model"', language="en", tags="tiny", tasks="text-classification")
    assert head == {
        "language": "en", "library_name": "bothways", "base_model": "some/model",
        "pipeline_tag": "text-classification", "tags": ["generated_from_trainer", "tiny", "text-classification"],
    }  # fmt: skip
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert '# a "model"' in body and "4 steps" in body and "`some/model`" in body and "| accuracy | 0.25 |" in body
    assert f"| loss | {losses[-1]:.4f}".rstrip("0") in body and "| learning_rate | 0.001 |" in body
    assert sum(line.startswith(("| 2 |", "| 4 |")) for line in body.splitlines()) == 2
    assert "runtime" not in body and "Not said yet" in body


def test_a_card_without_evaluation_says_so_and_long_runs_stay_short():
    trainer = trainer_of()
    head, body = card_of(trainer, dataset=["squad", "mine"], license="mit", finetuned_from="x/y")
    assert head["datasets"] == ["squad", "mine"] and head["license"] == "mit" and head["base_model"] == "x/y"
    assert "No evaluation was logged" in body and "It was not trained." in body and "## History" not in body
    trainer.state.log_history = [{"loss": 1.0 / step, "step": step, "epoch": step / 10} for step in range(1, 1001)]
    _, body = card_of(trainer)
    rows = [line for line in body.splitlines() if line.startswith("| ") and line.split("|")[1].strip().isdigit()]
    assert len(rows) == 50 and rows[-1].startswith("| 1000 |")


def test_nothing_is_sent_away():
    with pytest.raises(UsageError, match="nothing is sent away"):
        trainer_of().push_to_hub()
