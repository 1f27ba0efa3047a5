"""What one process and two must compute alike: run under torchrun it writes its answers, imported it gives them.

Models are in float64, so that rounding in another order is not taken for a difference, nor hides one.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset

from bothways import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from bothways.engine.checkpoint_store import CheckpointStore
from bothways.engine.processes import processes
from bothways.errors import Interrupted
from bothways.training.features import Features
from bothways.training.fit import Keeping, fit
from bothways.training.fit_state import digest_of
from bothways.training.settings import FitSettings

POISON = 59  # a word that only the example of that number has
POISONED = 5


def model(task: str, dropout: float = 0.0) -> Any:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=20,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=3,
        initializer_range=0.2,
    )
    made = (BertForTokenClassification if task == "tokens" else BertForSequenceClassification)(config)
    return made.double() if not dropout else made


def rows(task: str, count: int) -> list[dict[str, Any]]:
    """Examples of unequal lengths; of the labels of tokens, more count in some than in others."""
    rng = np.random.default_rng(1)
    found = []
    for number in range(count):
        ids = rng.integers(1, 40, rng.integers(3, 14))
        labels: Any = int(ids[0]) % 3
        if task == "tokens":
            labels = np.where(rng.random(len(ids)) < rng.random(), ids % 3, -100)
            labels[0] = ids[0] % 3
        found.append({"input_ids": ids, "labels": labels, "number": number})
    return found


def features(task: str, count: int) -> Features:
    found = rows(task, count)
    labels = [row["labels"] for row in found]
    return Features([row["input_ids"] for row in found], None, labels if task == "tokens" else torch.tensor(labels))


def fitted(task: str, count: int, width: int, **more: Any) -> dict[str, Any]:
    """Losses and weights of ``fit``; ``width`` is the number of examples of a step in all processes."""
    group = processes()
    made = model(task)
    settings = FitSettings(
        epochs=2, batch_size=width // group.count, learning_rate=1e-2, precision="float32", head_factor=3.0, **more
    )
    result = fit(made, features(task, count), settings, lambda: 0.0, group=group)
    assert len(set(group.gather(digest_of(dict(made.named_parameters()))))) == 1
    losses = [record.train_loss for record in result.history]
    return {"losses": losses, "steps": result.steps, "tokens": result.tokens, **weights(made)}


def weights(made: Any) -> dict[str, Any]:
    return {"weights": {name: p.detach().clone() for name, p in made.named_parameters()}}


# -- the Trainer -----------------------------------------------------------------------------------------------------


class Stream(IterableDataset):
    def __init__(self, found: list[dict[str, Any]]) -> None:
        self.found = found

    def __iter__(self) -> Any:
        return iter(self.found)


class Losses(TrainerCallback):
    """The loss of each step as it is, before a log rounds it, and a signal to one process if asked."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.seen: list[float] = []
        self.before = 0.0
        self.stop_at = stop_at

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.seen.append(state.global_step)
        if state.global_step == self.stop_at and args.process_index == args.world_size - 1:
            os.kill(os.getpid(), signal.SIGTERM)


def collate(batch: list[dict[str, Any]]) -> dict[str, Any]:
    longest = max(len(row["input_ids"]) for row in batch)
    ids, mask = torch.zeros(len(batch), longest, dtype=torch.int64), torch.zeros(len(batch), longest, dtype=torch.int64)
    per_token = not isinstance(batch[0]["labels"], int)
    labels = torch.full((len(batch), longest) if per_token else (len(batch),), -100)
    for i, row in enumerate(batch):
        n = len(row["input_ids"])
        ids[i, :n], mask[i, :n] = torch.as_tensor(row["input_ids"]), 1
        if per_token:
            labels[i, :n] = torch.as_tensor(row["labels"])
        else:
            labels[i] = row["labels"]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def trainer(made: Any, directory: Path, train: Any, width: int, **more: Any) -> Trainer:
    group = processes()
    callbacks = more.pop("callbacks", None)
    options: dict[str, Any] = {"num_train_epochs": 2, "learning_rate": 1e-2, "save_strategy": "no", "logging_steps": 1}
    args = TrainingArguments(
        output_dir=str(directory),
        per_device_train_batch_size=width // group.count,
        per_device_eval_batch_size=2,
        report_to="none",
        remove_unused_columns=False,
        use_cpu=True,
        **{**options, **more},
    )
    return Trainer(
        model=made, args=args, train_dataset=train, eval_dataset=train, data_collator=collate, callbacks=callbacks
    )


def trained(task: str, count: int, width: int, directory: Path, stream: bool = False, **more: Any) -> dict[str, Any]:
    made = model(task)
    found: Any = rows(task, count)
    one = trainer(made, directory, Stream(found) if stream else found, width, **more)
    output = one.train()
    curve = [entry["loss"] for entry in one.state.log_history if "loss" in entry]
    digests = processes().gather(digest_of(dict(made.named_parameters())))
    assert len(set(digests)) == 1
    return {"losses": [output.training_loss], "curve": curve, "steps": output.global_step, **weights(made)}


def predicted(task: str, count: int, directory: Path, stream: bool = False) -> dict[str, Any]:
    found: Any = rows(task, count)
    data = Stream(found) if stream else found
    one = trainer(model(task), directory, found, 2)
    output = one.predict(data)
    metrics = one.evaluate(data)
    kept = {name: value for name, value in metrics.items() if not name.endswith(("runtime", "per_second"))}
    return {"predictions": output.predictions, "labels": output.label_ids, "metrics": kept}


# -- both -------------------------------------------------------------------------------------------------------------


def alike(directory: Path) -> dict[str, dict[str, Any]]:
    """Everything that must not depend on the number of processes, by name."""
    return {
        "fit": fitted("texts", 23, 8),
        "fit, a process without rows": fitted("texts", 17, 8),
        "fit, labels of tokens, divided steps": fitted("tokens", 21, 8, max_tokens=20),
        "trainer": trained("texts", 19, 4, directory),
        "trainer, a process without rows": trained("texts", 9, 4, directory),
        "trainer, accumulation": trained("texts", 19, 4, directory, gradient_accumulation_steps=2),
        "trainer, labels of tokens": trained("tokens", 19, 4, directory, gradient_accumulation_steps=2),
        "trainer, a stream": trained("tokens", 19, 4, directory, stream=True, max_steps=7, num_train_epochs=1),
        "trainer, lengths": trained("texts", 19, 4, directory, train_sampling_strategy="group_by_length"),
        "predict": predicted("texts", 11, directory),
        "predict one row": predicted("texts", 1, directory),
        "predict tokens": predicted("tokens", 13, directory),
        "predict a stream": predicted("tokens", 13, directory, stream=True),
    }


def stopped_and_resumed(directory: Path) -> dict[str, Any]:
    """Digests of the uninterrupted run and of the one that was stopped, with dropout, for ``fit`` and ``Trainer``."""
    return {"fit": _fit_stopped(directory / "fit"), "trainer": _trainer_stopped(directory / "trainer")}


def _fit_stopped(directory: Path) -> list[str]:
    group = processes()
    settings = FitSettings(epochs=2, batch_size=4, learning_rate=1e-2, precision="float32", max_tokens=20)

    def run(keeps: bool, stop_after: int | None = None) -> str:
        torch.manual_seed(group.rank)  # nothing may hang on it
        made = model("texts", dropout=0.2)

        def write(place: Path, replaced: dict[str, Any]) -> None:
            assert group.is_first
            made.save_pretrained(place, state_dict=made.state_dict() | replaced)

        keeping = Keeping(store=CheckpointStore(directory), write_model=write) if keeps else None
        fit(made, features("texts", 23), settings, lambda: 0.0, keeping=keeping, group=group, stop_after=stop_after)
        return digest_of(dict(made.named_parameters()))

    for step in (2, 4):
        message = caught(lambda step=step: run(True, stop_after=step), Interrupted)
        assert f"Stopped after step {step} of 6" in message
        group.share(None)
        assert CheckpointStore(directory).steps()[-1] == step
    return [run(False), run(True)]


def _trainer_stopped(directory: Path) -> list[str]:
    """One process alone gets a signal; all stop after the same step, and one checkpoint is there."""

    def run(where: Path, stop_at: int | None = None, resume: bool = False) -> str:
        made = model("tokens", dropout=0.2)
        one = trainer(made, where, rows("tokens", 19), 4, callbacks=[Losses(stop_at)], gradient_accumulation_steps=2)
        one.train(resume_from_checkpoint=resume or None)
        return digest_of(dict(made.named_parameters()))

    whole = run(directory / "whole")
    caught(lambda: run(directory / "stopped", stop_at=3), (KeyboardInterrupt, SystemExit))
    processes().share(None)
    steps = CheckpointStore(directory / "stopped").steps()
    assert len(set(processes().gather(steps))) == 1 and steps in ((3,), (4,))  # a signal is seen a step later elsewhere
    return [whole, run(directory / "stopped", resume=True)]


def broken(directory: Path) -> dict[str, Any]:
    """The messages of each process for problems that all meet at once."""
    group = processes()

    def poisoned() -> None:
        made, bad = model("texts"), features("texts", 16)
        bad.input_ids[POISONED][1] = POISON
        with torch.no_grad():
            made.get_input_embeddings().weight[POISON] = float("nan")
        settings = FitSettings(epochs=1, batch_size=4, precision="float32")
        fit(made, bad, settings, lambda: 0.0, group=group)

    def too_large() -> None:
        settings = FitSettings(epochs=1, batch_size=4, precision="float32", max_memory=1_000_000)
        fit(model("texts"), features("texts", 16), settings, lambda: 0.0, group=group)

    def one_fails() -> None:
        def work() -> None:
            if group.rank == 1:
                raise FileNotFoundError("no such file: data.csv")

        group.all_do(work)

    def first_fails() -> None:
        def work() -> None:
            raise ValueError("the first one")

        group.first_does(work)

    problems = (("nan", poisoned), ("memory", too_large), ("one", one_fails), ("first", first_fails))
    return {name: group.gather(caught(work, Exception, kind=True)) for name, work in problems}


def caught(work: Callable[[], Any], kinds: Any, kind: bool = False) -> str:
    try:
        work()
    except kinds as problem:
        return f"{type(problem).__name__}: {problem}" if kind else str(problem)
    raise AssertionError(f"{work} ended well")


def main(directory: Path) -> None:
    """Write all answers; only the first process does."""
    torch.set_num_threads(1)
    group = processes()
    answers = {
        "alike": alike(directory / "alike"),
        "resumed": stopped_and_resumed(directory / "resumed"),
        "broken": broken(directory / "broken"),
    }
    if group.is_first:
        torch.save(answers, directory / "answers.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
