"""Runs that train a part of a model go on to the same bits: LoRA, and a head on vectors that are computed anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bothways import AutoModelForSequenceClassification, add_lora
from bothways.engine.checkpoint_store import CheckpointStore
from bothways.engine.processes import Processes
from bothways.engine.shared_runner import SharedRunner
from bothways.errors import Interrupted
from bothways.training.fit import Keeping, fit
from bothways.training.fit_state import digest_of
from bothways.training.frozen import freeze_body, frozen_features, vector_logits
from bothways.training.learner import write_model
from bothways.training.objectives import CrossEntropy
from bothways.training.settings import FitSettings
from tests.training.test_fit import tiny_features, tiny_model

SETTINGS = FitSettings(epochs=3, batch_size=5, learning_rate=1e-2, max_tokens=20, precision="float32", head_factor=2.0)
SCORES = [0.5, 0.9, 0.7]


class NoTokenizer:
    def save_pretrained(self, place: Path) -> None:
        """Nothing to write."""


def trained(part: str, directory: Path | None, stop_after: int | None = None):
    """As a new process would have it, from what the directory has."""
    model = tiny_model(dropout=0.2)
    features, objective = tiny_features(), CrossEntropy(weights=torch.tensor([1.0, 2.0, 0.5]), smoothing=0.1)
    torch.manual_seed(5)
    if part == "lora":
        add_lora(model, r=3, dropout=0.1)
    else:
        freeze_body(model)
        features = frozen_features(model, features, SharedRunner(model, Processes()))
        objective.forward = vector_logits
    torch.manual_seed(12345 + (stop_after or 0))  # nothing may hang on what was drawn before
    found = None if directory is None else CheckpointStore(directory).newest()
    done = 0 if found is None else len(json.loads((found.path / "fit.json").read_text())["history"])
    scores = iter(SCORES[done:])
    keeping = None
    if directory is not None:
        keeping = Keeping(
            store=CheckpointStore(directory, keep=2),
            write_model=lambda place, weights: write_model(place, model, NoTokenizer(), weights),
        )
    result = fit(
        model, features, SETTINGS, lambda: next(scores), objective=objective, keeping=keeping, stop_after=stop_after
    )
    return model, result


@pytest.fixture(scope="module", params=["lora", "freeze"])
def whole(request):
    model, result = trained(request.param, None)
    return request.param, digest_of(dict(model.named_parameters())), result


@pytest.mark.parametrize("steps", [(1,), (5,), (7,), (10,), (12,), (2, 6, 11, 14)])
def test_the_same_bits_wherever_it_was_left(steps, whole, tmp_path):
    part, digest, wanted = whole
    for step in steps:
        with pytest.raises(Interrupted, match=f"Stopped after step {step} of 15"):
            trained(part, tmp_path, stop_after=step)
    model, result = trained(part, tmp_path)
    assert result.resumed_at == steps[-1] and result.best_epoch == 2
    assert digest_of(dict(model.named_parameters())) == digest
    assert result.digests == wanted.digests
    assert [r.train_loss for r in result.history] == [r.train_loss for r in wanted.history]


def test_the_checkpoint_is_a_whole_model_with_the_best_weights_so_far(whole, tmp_path):
    part, _, _ = whole
    with pytest.raises(Interrupted, match=r"with the weights of epoch 2, score 0\.900"):
        trained(part, tmp_path, stop_after=13)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "checkpoint-13")
    best, _ = trained(part, None)
    batch = tiny_features().batch(range(6))
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(batch).logits, best.eval()(batch).logits, atol=1e-5, rtol=0)


def test_another_part_is_not_gone_on_with(tmp_path):
    from bothways.errors import CheckpointError

    with pytest.raises(Interrupted):
        trained("lora", tmp_path, stop_after=2)
    with pytest.raises(CheckpointError, match=r"a run with other parameters: \d+ differ"):
        trained("freeze", tmp_path)
