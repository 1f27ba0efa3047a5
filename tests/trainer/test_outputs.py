"""What the ``Trainer`` hands out, beside the reference."""

from __future__ import annotations

import os

import numpy as np
import pytest

from bothways import EvalPrediction, IntervalStrategy
from bothways.errors import ModelNotFoundError, UsageError
from bothways.trainer import outputs

theirs = pytest.importorskip("transformers.trainer_utils")


@pytest.mark.parametrize("more", [{}, {"inputs": [1]}, {"losses": [2.0]}, {"inputs": [1], "losses": [2.0]}])
def test_an_evaluation_unpacks_into_what_is_there(more):
    ours, other = (kind(np.ones(2), np.zeros(2), **more) for kind in (EvalPrediction, theirs.EvalPrediction))
    assert len(list(ours)) == len(list(other)) == 2 + len(more)
    for index, (a, b) in enumerate(zip(ours, other, strict=True)):
        assert np.array_equal(a, b) and np.array_equal(ours[index], b)
    for index in (-1, 2 + len(more)):
        with pytest.raises(IndexError):
            ours[index]
    logits, labels = list(ours)[:2]
    assert logits is ours.predictions and labels is ours.label_ids


@pytest.mark.parametrize("name", ["EvalLoopOutput", "PredictionOutput", "TrainOutput"])
def test_results_are_the_tuples_of_the_reference(name):
    assert getattr(outputs, name)._fields == getattr(theirs, name)._fields


@pytest.mark.parametrize("name", ["IntervalStrategy", "SaveStrategy", "EvaluationStrategy", "HubStrategy"])
def test_words_are_those_of_the_reference_and_equal_their_text(name):
    ours, other = getattr(outputs, name), getattr(theirs, name)
    assert [(m.name, m.value) for m in ours] == [(m.name, m.value) for m in other]
    for member in ours:
        assert member == member.value == ours(member.value) and str(member) == str(other(member.value))
    with pytest.raises(UsageError, match=f"'weekly' is not a valid {name}. Choose one of: '"):
        ours("weekly")
    assert IntervalStrategy.STEPS != "epoch"


def test_the_last_checkpoint_is_the_one_with_the_largest_number(tmp_path):
    assert outputs.get_last_checkpoint(tmp_path) is None
    for name in (
        "checkpoint-9",
        "checkpoint-10",
        "checkpoint-200-old",
        "my-checkpoint-300",
        "checkpoint-",
        "checkpoint-x",
    ):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-500").write_text("a file")
    found = outputs.get_last_checkpoint(tmp_path)
    assert found == str(tmp_path / "checkpoint-10") == theirs.get_last_checkpoint(str(tmp_path))
    assert outputs.get_last_checkpoint(str(tmp_path)) == found
    with pytest.raises(ModelNotFoundError, match="is not a directory") as caught:
        outputs.get_last_checkpoint(tmp_path / "nowhere")
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("counts", [(), (100,), (100, 7), (None, 7), (100, 7, 5000)])
def test_speeds_are_counts_over_seconds(counts, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 103.00004)
    ours = outputs.speed_metrics("eval", 100.0, *counts)
    assert ours == theirs.speed_metrics("eval", 100.0, *counts)
    assert ours["eval_runtime"] == 3.0
    assert outputs.speed_metrics("eval", 103.00004, 5, 5) == {"eval_runtime": 0.0}


def test_full_determinism_refuses_operations_without_a_deterministic_form(monkeypatch):
    import torch

    for name in ("CUDA_LAUNCH_BLOCKING", "CUBLAS_WORKSPACE_CONFIG", "FLASH_ATTENTION_DETERMINISTIC"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", torch.backends.cudnn.deterministic)
    try:
        outputs.enable_full_determinism(5, warn_only=True)
        first = torch.rand(3)
        assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.backends.cudnn.deterministic and os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
        outputs.enable_full_determinism(5)
        assert torch.equal(first, torch.rand(3)) and not torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
