"""A ``Trainer`` that is told to stop at an awkward moment does, when it goes on, what was still to be done."""

from __future__ import annotations

import signal

import pytest
import torch

from benchmarks.crash_programs.own_script import rows
from bothways import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

TIMES = ("runtime", "per_second")


class Signals(TrainerCallback):
    """Raises a signal the nth time that the trainer comes to an event."""

    def __init__(self, event: str, nth: int, number: int) -> None:
        self.event, self.left, self.number = event, nth, number

    def __getattribute__(self, name: str):
        if name.startswith("on_") and name == object.__getattribute__(self, "event"):
            return object.__getattribute__(self, "_count")
        return object.__getattribute__(self, name)

    def _count(self, *arguments, **more) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(self.number)


def trainer(output, *callbacks, **more) -> Trainer:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
    )
    args = TrainingArguments(
        output_dir=str(output),
        num_train_epochs=2,
        per_device_train_batch_size=8,
        learning_rate=1e-2,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        **{"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True, **more},
    )
    model = BertForSequenceClassification(config)
    return Trainer(model, args, train_dataset=rows(), eval_dataset=rows()[:16], callbacks=list(callbacks))


def outcome(done: Trainer) -> tuple:
    """All that is no measured time."""
    history = [{n: v for n, v in line.items() if not n.endswith(TIMES)} for line in done.state.log_history]
    told = [line for line in history if "train_loss" not in line]  # which a second part knows only of itself
    weights = {name: tensor.clone() for name, tensor in done.model.state_dict().items()}
    return told, done.state.best_metric, done.state.best_global_step, weights


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("event", "nth", "step"),
    [
        ("on_step_end", 2, 2),
        ("on_step_end", 3, 3),  # the last of an epoch: its evaluation is still to be made
        ("on_step_end", 6, 6),  # the last of the run
        ("on_prediction_step", 1, 3),  # within an evaluation
        ("on_prediction_step", 4, 6),  # within the last one: two batches each
        ("on_save", 1, 3),
    ],
)
def test_epochs(event, nth, step, number, tmp_path, capfd):
    whole = trainer(tmp_path / "whole")
    whole.train()
    before = signal.getsignal(number)
    with pytest.raises((SystemExit, KeyboardInterrupt)) as stop:
        trainer(tmp_path / "one", Signals(event, nth, number)).train()
    if number == signal.SIGTERM:
        assert stop.value.code == 143
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"Stopped after step {max(step, 4) if event == 'on_save' else step} of 6; ")
    assert said.endswith("is saved. Continue with trainer.train(resume_from_checkpoint=True).")
    assert signal.getsignal(number) is before
    again = trainer(tmp_path / "one")
    again.train(resume_from_checkpoint=True)
    expected, found = outcome(whole), outcome(again)
    assert found[:3] == expected[:3]
    assert all(torch.equal(found[3][name], tensor) for name, tensor in expected[3].items())


def test_an_evaluation_between_the_steps_of_an_epoch(tmp_path):
    steps = {"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": 2, "save_steps": 2}
    whole = trainer(tmp_path / "whole", **steps)
    whole.train()
    with pytest.raises(SystemExit):
        trainer(tmp_path / "one", Signals("on_prediction_step", 3, signal.SIGTERM), **steps).train()
    again = trainer(tmp_path / "one", **steps)
    again.train(resume_from_checkpoint=True)
    expected, found = outcome(whole), outcome(again)
    assert found[:3] == expected[:3]
    assert all(torch.equal(found[3][name], tensor) for name, tensor in expected[3].items())


def test_a_finished_run_that_is_begun_again_evaluates_nothing_twice(tmp_path):
    trainer(tmp_path).train()
    again = trainer(tmp_path)
    again.train(resume_from_checkpoint=True)
    assert [line["step"] for line in again.state.log_history if "eval_loss" in line] == [3, 6]
