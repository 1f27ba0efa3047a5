"""What subclasses of ``Trainer`` put in place of its parts is called as in version 4, or refused."""

from __future__ import annotations

import glob
import os
import re

import pytest
import torch

import bothways
from bothways.errors import UsageError
from bothways.trainer.overriding import NOT_CALLED
from tests.trainer.small import WORDS, arguments, bert, equal, padded, weights


@pytest.fixture(autouse=True)
def of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def trainer(cls, **settings):
    return cls(bert(), arguments(**settings), train_dataset=WORDS, eval_dataset=WORDS, data_collator=padded)


def calls_by(library):
    """The calls of the overridden parts, in their order, of a trainer of either library."""
    seen = []

    class Own(library.Trainer):
        def _save_checkpoint(self, model, trial, metrics=None):
            seen.append(f"checkpoint {self.state.global_step}")
            return super()._save_checkpoint(model, trial)

        def _save(self, output_dir=None, state_dict=None):
            seen.append("save")
            return super()._save(output_dir, state_dict)

        def _evaluate(self, trial, ignore_keys_for_eval, skip_scheduler=False):
            seen.append("evaluate")
            return super()._evaluate(trial, ignore_keys_for_eval, skip_scheduler)

        def _load_best_model(self):
            seen.append("best")
            return super()._load_best_model()

    return Own, seen


def test_saving_of_a_subclass_is_called_as_in_the_reference():
    transformers = pytest.importorskip("transformers")
    settings = {"max_steps": 4, "save_steps": 2, "eval_steps": 2, "load_best_model_at_end": True, "use_cpu": True}
    settings |= {"save_strategy": "steps", "eval_strategy": "steps", "report_to": "none"}
    ours, seen = calls_by(bothways)
    trainer(ours, **settings).train()
    theirs, expected = calls_by(transformers)
    config = transformers.BertConfig(**{k: v for k, v in bert().config.to_dict().items() if k != "torch_dtype"})
    theirs(
        transformers.BertForSequenceClassification(config),
        transformers.TrainingArguments("theirs", disable_tqdm=True, **settings),
        train_dataset=WORDS,
        eval_dataset=WORDS,
        data_collator=padded,
    ).train()
    assert seen == expected == ["evaluate", "checkpoint 2", "save", "evaluate", "checkpoint 4", "save", "best"]


def test_a_program_saves_something_else_in_place_of_a_checkpoint():
    """As programs do that train a projector: only it is written, and nothing of the house's."""

    class Own(bothways.Trainer):
        def _save_checkpoint(self, model, trial, metrics=None):
            directory = os.path.join(self._get_output_dir(trial=trial), f"checkpoint-{self.state.global_step}")
            os.makedirs(directory)
            torch.save(model.classifier.state_dict(), os.path.join(directory, "head.bin"))

    trainer(Own, max_steps=4, save_steps=2, save_strategy="steps").train()
    assert sorted(glob.glob("out/*")) == ["out/checkpoint-2", "out/checkpoint-4"]
    assert os.listdir("out/checkpoint-4") == ["head.bin"]


def test_weights_that_a_subclass_changes_as_it_saves():
    class Own(bothways.Trainer):
        def _save(self, output_dir=None, state_dict=None):
            own = {name: torch.zeros_like(value) for name, value in self.model.state_dict().items()}
            super()._save(output_dir, state_dict=own)

    trainer(Own).save_model("zeros")
    saved = bothways.BertForSequenceClassification.from_pretrained("zeros")
    assert not any(value.any() for value in saved.state_dict().values())


def test_inputs_pass_through_the_subclass():
    seen = []

    class Own(bothways.Trainer):
        def _prepare_input(self, data):
            seen.append(type(data).__name__)
            return super()._prepare_input(data)

    trainer(Own).train()
    assert {"dict", "Tensor"} <= set(seen)


def test_layers_with_rates_of_their_own():
    """The recipe of competitions: groups of the program, class and arguments of the trainer."""

    class Own(bothways.Trainer):
        def create_optimizer(self):
            kind, options = bothways.Trainer.get_optimizer_cls_and_kwargs(self.args)
            rate = options.pop("lr")
            named = list(self.model.named_parameters())
            head = [p for n, p in named if "classifier" in n]
            body = [p for n, p in named if "classifier" not in n]
            groups = [{"params": head, "lr": 10 * rate}, {"params": body, "lr": rate}]
            self.optimizer = kind(groups, lr=rate, **options)
            return self.optimizer

    plain, own = trainer(bothways.Trainer, learning_rate=1e-3), trainer(Own, learning_rate=1e-3)
    assert equal(weights(plain.model), weights(own.model))
    assert [group["lr"] for group in own.create_optimizer().param_groups] == [1e-2, 1e-3]
    assert type(own.optimizer) is type(plain.create_optimizer())
    own.train()


@pytest.mark.parametrize("name", NOT_CALLED)
def test_a_part_that_nothing_calls_is_refused_where_it_is_written(name):
    with pytest.raises(UsageError, match=rf"^Own\.{name} would never be called.*{re.escape(NOT_CALLED[name])}"):
        type("Own", (bothways.Trainer,), {name: lambda self, *args: None, "__module__": "program"})


def test_without_training_there_is_no_checkpoint():
    own = trainer(bothways.Trainer)
    with pytest.raises(UsageError, match=r"save_model\(\) writes the model"):
        own._save_checkpoint(own.model, None)
    assert not own.is_model_parallel and own.place_model_on_device and not own.is_deepspeed_enabled
