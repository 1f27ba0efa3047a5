"""What programs that override steps of ``Trainer`` ask of ``trainer.accelerator``."""

from __future__ import annotations

import pytest
import torch

import bothways
import bothways.trainer.accelerator
from bothways.errors import UsageError
from tests.trainer.small import WORDS, arguments, bert, equal, padded, weights


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


class Older(bothways.Trainer):
    """A step as programs write it, with the accelerator for the gradients."""

    def training_step(self, model, inputs, num_items_in_batch=None):
        model.train()
        inputs = self._prepare_inputs(inputs)
        loss = self.compute_loss(self.accelerator.unwrap_model(model), inputs)
        self.accelerator.backward(loss)
        return loss.detach()


def trained(kind):
    model = bert()
    kind(model, arguments(per_device_train_batch_size=3), padded, WORDS).train()
    return weights(model)


def test_steps_with_its_backward_are_the_same_steps():
    assert equal(trained(Older), trained(bothways.Trainer))


def test_what_it_tells_and_hands_back(capsys):
    trainer = bothways.Trainer(bert(), arguments(gradient_accumulation_steps=3), padded, WORDS)
    own = trainer.accelerator
    assert (own.num_processes, own.process_index, own.is_main_process) == (1, 0, True)
    assert own.is_local_main_process and own.sync_gradients and own.gradient_accumulation_steps == 3
    assert own.device == trainer.args.device
    assert own.prepare(trainer.model) is own.prepare_model(trainer.model) is trainer.model and own.prepare(1, 2) == (
        1,
        2,
    )
    with own.accumulate(trainer.model), own.autocast():
        own.print("once")
    assert capsys.readouterr().out == "once\n"
    own.wait_for_everyone()
    assert own.gather_for_metrics({"a": [torch.ones(2)]})["a"][0].tolist() == [1, 1]
    gradient = torch.nn.Parameter(torch.zeros(2))
    gradient.grad = torch.tensor([3.0, 4.0])
    assert own.clip_grad_norm_([gradient], 1.0) == 5 and gradient.grad.norm() == pytest.approx(1, abs=1e-5)


def test_gathering_from_processes():
    class Two:
        count, rank, local_rank, is_first = 2, 1, 1, False

        def gather(self, value):
            return [value, value + 1]

    own = bothways.trainer.accelerator.Accelerator(Two(), torch.device("cpu"), 1)
    assert own.gather(torch.tensor([1, 2])).tolist() == [1, 2, 2, 3]
    assert own.gather((torch.tensor(1), [torch.tensor([5])]))[0].tolist() == [1, 2]
    with pytest.raises(UsageError, match="takes tensors, got int"):
        own.gather(3)
