"""A run that is left after any step goes on to the same bits, wherever it was left."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import torch

from bothways.engine.checkpoint_store import CheckpointStore
from bothways.errors import Interrupted, OutOfMemoryError
from bothways.training.features import Features
from bothways.training.fit import Keeping, fit
from bothways.training.fit_state import digest_of
from bothways.training.settings import FitSettings
from tests.training.test_fit import tiny_features, tiny_model

SETTINGS = FitSettings(epochs=3, batch_size=5, learning_rate=1e-2, max_tokens=20, precision="float32")
STEPS = 15
SCORES = {1: 0.5, 2: 0.9, 3: 0.7}


def keeping_in(directory: Path, model) -> Keeping:
    def write(place: Path, weights: dict) -> None:
        model.save_pretrained(place, state_dict=model.state_dict() | weights)

    return Keeping(store=CheckpointStore(directory, keep=2), write_model=write, going_on="Continue with: this.")


def trained(directory: Path | None, stop_after: int | None = None, settings: FitSettings = SETTINGS, **more):
    """A new model, as a new process would have it, trained from what the directory has."""
    torch.manual_seed(12345 + (stop_after or 0))  # nothing may hang on what was drawn before
    model = tiny_model(dropout=0.2)
    epochs = iter(range(1, 99))

    def evaluate() -> float:
        return SCORES.get(next(epochs), 0.1)

    if directory is not None:
        found = CheckpointStore(directory).newest()
        if found is not None:
            done = len(json.loads((found.path / "fit.json").read_text())["history"])
            for _ in range(done):
                next(epochs)
    keeping = None if directory is None else keeping_in(directory, model)
    result = fit(model, tiny_features(), settings, evaluate, keeping=keeping, stop_after=stop_after, **more)
    return model, result


@pytest.fixture(scope="module")
def whole():
    model, result = trained(None)
    return digest_of(dict(model.named_parameters())), result


@pytest.mark.parametrize("step", range(1, STEPS))
def test_any_step_can_be_the_last_before_a_pause(step, whole, tmp_path):
    with pytest.raises(Interrupted, match=rf"Stopped after step {step} of 15\. .*checkpoint-{step} is saved.*this\."):
        trained(tmp_path, stop_after=step)
    model, result = trained(tmp_path)
    assert digest_of(dict(model.named_parameters())) == whole[0]
    assert result.resumed_at == step
    assert [(r.epoch, r.score) for r in result.history] == [(r.epoch, r.score) for r in whole[1].history]
    assert [r.train_loss for r in result.history] == [r.train_loss for r in whole[1].history]
    assert (result.best_epoch, result.steps, result.tokens, result.digests) == (
        2,
        STEPS,
        whole[1].tokens,
        whole[1].digests,
    )


def test_many_pauses_and_a_damaged_checkpoint(whole, tmp_path):
    for step in (2, 5, 6, 10, 13):
        with pytest.raises(Interrupted):
            trained(tmp_path, stop_after=step)
    weights = tmp_path / "checkpoint-13" / "trained.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    model, result = trained(tmp_path)
    assert result.resumed_at == 10 and digest_of(dict(model.named_parameters())) == whole[0]


def test_the_checkpoint_is_a_model_with_the_best_weights_so_far(tmp_path):
    from bothways import AutoModelForSequenceClassification

    with pytest.raises(Interrupted, match=r"with the weights of epoch 2, score 0\.900"):
        trained(tmp_path, stop_after=13)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "checkpoint-13")
    best, _ = trained(None, settings=SETTINGS)  # ends with those of epoch 2
    for a, b in zip(loaded.parameters(), best.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step(number, whole, tmp_path, monkeypatch):
    batches = []
    plain = Features.batch

    def batch(self, indices):
        batches.append(indices)
        if len(batches) == 9:
            signal.raise_signal(number)
        return plain(self, indices)

    monkeypatch.setattr(Features, "batch", batch)
    with pytest.raises(Interrupted) as stopped:
        trained(tmp_path)
    assert stopped.value.exit_code == 128 + number
    monkeypatch.undo()
    model, _ = trained(tmp_path)
    assert digest_of(dict(model.named_parameters())) == whole[0]


def test_a_signal_while_evaluating_is_granted_at_once_and_the_evaluation_repeated(whole, tmp_path):
    model = tiny_model(dropout=0.2)

    def evaluate() -> float:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("went on")

    with pytest.raises(Interrupted, match="Stopped after step 5 of 15"):
        fit(model, tiny_features(), SETTINGS, evaluate, keeping=keeping_in(tmp_path, model))
    model, result = trained(tmp_path)
    assert len(result.history) == 3 and digest_of(dict(model.named_parameters())) == whole[0]


def test_a_signal_in_the_last_evaluation_of_a_run_against_the_clock(tmp_path):
    limited = FitSettings(epochs=40, batch_size=5, learning_rate=1e-2, precision="float32", minutes=1e-6)
    model = tiny_model(dropout=0.2)

    def evaluate() -> float:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("went on")

    with pytest.raises(Interrupted, match="Stopped after step 1 of 200"):
        fit(model, tiny_features(), limited, evaluate, keeping=keeping_in(tmp_path, model))
    _, result = trained(tmp_path, settings=limited)
    assert (result.steps, result.best_epoch, len(result.history), result.stopped) == (1, 1, 1, "time")


def test_a_run_against_the_clock_can_be_repeated_from_its_notes():
    limited = FitSettings(epochs=40, batch_size=5, learning_rate=1e-2, precision="float32", minutes=0.01)
    model, again = tiny_model(dropout=0.2), tiny_model(dropout=0.2)
    rising = iter(range(99))
    result = fit(model, tiny_features(), limited, lambda: float(next(rising)))
    assert result.stopped == "time" and result.clock
    with pytest.raises(Interrupted):
        fit(again, tiny_features(), limited, lambda: 0.0, stop_after=result.steps, clock=list(result.clock))
    assert digest_of(dict(again.named_parameters())) == digest_of(dict(model.named_parameters()))


def test_too_little_memory_saves_and_says_how_much_is_held(tmp_path):
    tight = FitSettings(epochs=3, batch_size=5, max_memory=1_000_000, precision="float32")
    with pytest.raises(
        OutOfMemoryError, match=r"holds [\d,]+ MB after step 1, and 1 MB are allowed.*checkpoint-1 is saved"
    ):
        trained(tmp_path, settings=tight)
    assert CheckpointStore(tmp_path).newest().step == 1
