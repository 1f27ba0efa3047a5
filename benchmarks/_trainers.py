"""The two trainers that are compared: the reference library's ``Trainer`` and this library's loop.

Both read the same texts, labels and starting weights with the same settings, and both are timed by the same clock.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to train on.

    Attributes:
        texts, labels: of the training part; labels are ids.
        held_texts, held_labels: of the part to score on.
        label_count: number of classes.
        max_length: tokens of a text that training reads.
        bfloat16: whether matrices are multiplied in bfloat16.
        thread_count: of torch.
        settings: fields of ``FitSettings`` other than its defaults.
    """

    texts: Sequence[str]
    labels: Sequence[int]
    held_texts: Sequence[str]
    held_labels: Sequence[int]
    label_count: int
    max_length: int
    bfloat16: bool
    thread_count: int
    settings: dict[str, Any]


class Enough(Exception):
    """Ends a training that is only timed."""


class StepClock:
    """A hook before each forward call of a training model: when it began, and how many real tokens it got.

    The time of a step is that from its forward call to the next, so that whatever a trainer does between counts.

    Args:
        tokens_of: counts the tokens in the arguments (args, kwargs) of a forward call, padding left out.
        warm_up: steps that do not count.
        steps: steps that do; the call after them raises ``Enough``.
    """

    def __init__(self, tokens_of: Callable[[Any, Any], int], warm_up: int, steps: int) -> None:
        self.tokens_of = tokens_of
        self.warm_up = warm_up
        self.last = warm_up + steps
        self.begun: list[float] = []
        self.tokens: list[int] = []

    def __call__(self, module: Any, args: Any, kwargs: Any) -> None:
        if not module.training:
            return
        self.begun.append(time.perf_counter())
        if len(self.begun) > self.last:
            raise Enough
        self.tokens.append(self.tokens_of(args, kwargs))

    def reading(self) -> dict[str, Any]:
        """Seconds of each step, and the tokens of all; fewer steps if training ended before."""
        seconds = np.diff(self.begun)[self.warm_up :].tolist()
        return {"step_seconds": seconds, "tokens": sum(self.tokens[self.warm_up : self.warm_up + len(seconds)])}


class OurTraining:
    """``bothways.training.fit.fit``."""

    def __init__(self, job: Job) -> None:
        import torch

        from bothways.tasks.encoded import encode
        from bothways.tokenizers import AutoTokenizer

        torch.set_num_threads(job.thread_count)
        self.job = job
        self.encode: Callable[[Path, Sequence[str]], Any] = lambda directory, texts: encode(
            AutoTokenizer.from_pretrained(directory), texts, max_length=job.max_length, long_input="truncate"
        )

    def timed_steps(self, directory: Path, warm_up: int, steps: int) -> dict[str, Any]:
        """Seconds of each step and tokens of all, from the weights in ``directory``."""
        model = self._model(directory)
        clock = StepClock(lambda args, kwargs: args[0].total_tokens, warm_up, steps)
        model.register_forward_pre_hook(clock, with_kwargs=True)
        with suppress(Enough):
            self._fit(model, directory, 0, lambda: 0.0)
        return clock.reading()

    def full_run(self, directory: Path, seed: int) -> dict[str, Any]:
        """Accuracy after each epoch, and the seconds of training."""
        from bothways.models.runner import PackedRunner

        model = self._model(directory)
        held = self.encode(directory, self.job.held_texts).input_ids
        # scored in fp32 for both: only training differs
        runner = PackedRunner(model)
        truth = np.array(self.job.held_labels)
        result = self._fit(
            model, directory, seed, lambda: float((runner.sequence_logits(held).argmax(1) == truth).mean())
        )
        return {"accuracy": [record.score for record in result.history], "seconds": result.seconds}

    def _model(self, directory: Path) -> Any:
        from bothways import AutoModelForSequenceClassification

        return AutoModelForSequenceClassification.from_pretrained(directory)

    def _fit(self, model: Any, directory: Path, seed: int, evaluate: Callable[[], float]) -> Any:
        import torch

        from bothways.training.features import Features
        from bothways.training.fit import fit
        from bothways.training.settings import FitSettings

        features = Features(self.encode(directory, self.job.texts).input_ids, None, torch.tensor(list(self.job.labels)))
        precision: Any = "bfloat16" if self.job.bfloat16 else "float32"
        settings = FitSettings(**{**self.job.settings, "seed": seed, "precision": precision})
        return fit(model, features, settings, evaluate, show_progress=False)


class ReferenceTraining:
    """``transformers.Trainer`` with its defaults and our settings.

    Args:
        group_by_length: its own option against padding: batches of like length.
    """

    def __init__(self, job: Job, group_by_length: bool = False) -> None:
        import torch
        from transformers.utils import logging

        torch.set_num_threads(job.thread_count)
        logging.set_verbosity_error()
        self.job = job
        self.group_by_length = group_by_length

    def timed_steps(self, directory: Path, warm_up: int, steps: int) -> dict[str, Any]:
        """Seconds of each step and tokens of all, from the weights in ``directory``.

        The examples come in the order of our loop: both compute the same batches, unless they are grouped by length.
        """
        from bothways.engine.seeds import epoch_order

        order = epoch_order(len(self.job.texts), 0, 1).tolist()
        clock = StepClock(lambda args, kwargs: int(kwargs["attention_mask"].sum()), warm_up, steps)
        with tempfile.TemporaryDirectory() as folder:
            trainer = self._trainer(directory, Path(folder), 0, order, evaluate=False)
            trainer.model.register_forward_pre_hook(clock, with_kwargs=True)
            with suppress(Enough):
                trainer.train()
        return clock.reading()

    def full_run(self, directory: Path, seed: int) -> dict[str, Any]:
        """Accuracy after each epoch, and the seconds of training and its evaluations."""
        with tempfile.TemporaryDirectory() as folder:
            trainer = self._trainer(directory, Path(folder), seed, None, evaluate=True)
            outcome = trainer.train()
        accuracy = [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry]
        evaluating = sum(entry.get("eval_runtime", 0.0) for entry in trainer.state.log_history)
        return {"accuracy": accuracy, "seconds": outcome.metrics["train_runtime"] - evaluating}

    def _trainer(self, directory: Path, folder: Path, seed: int, order: list[int] | None, evaluate: bool) -> Any:
        from torch.utils.data import SequentialSampler
        from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer

        tokenizer = AutoTokenizer.from_pretrained(directory)
        job = self.job
        train = self._rows(tokenizer, job.texts, job.labels)
        in_order = order is not None and not self.group_by_length
        if in_order:
            train = [train[i] for i in order or []]

        class InOrder(Trainer):
            def _get_train_sampler(self, train_dataset: Any = None) -> Any:
                return SequentialSampler(train)

        kind = InOrder if in_order else Trainer
        return kind(
            model=AutoModelForSequenceClassification.from_pretrained(directory),
            args=self._arguments(folder, seed, evaluate),
            data_collator=DataCollatorWithPadding(tokenizer),
            train_dataset=train,
            eval_dataset=self._rows(tokenizer, job.held_texts, job.held_labels) if evaluate else None,
            compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(1) == p.label_ids).mean())},
        )

    def _arguments(self, folder: Path, seed: int, evaluate: bool) -> Any:
        from transformers import TrainingArguments

        from bothways.training.settings import FitSettings

        ours = FitSettings(**self.job.settings)
        return TrainingArguments(
            output_dir=str(folder),
            num_train_epochs=ours.epochs,
            learning_rate=ours.learning_rate,
            per_device_train_batch_size=ours.batch_size,
            warmup_ratio=ours.warmup_ratio,
            weight_decay=ours.weight_decay,
            max_grad_norm=ours.max_grad_norm,
            seed=seed,
            bf16=self.job.bfloat16,
            group_by_length=self.group_by_length,
            use_cpu=True,
            eval_strategy="epoch" if evaluate else "no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )

    def _rows(self, tokenizer: Any, texts: Sequence[str], labels: Sequence[int]) -> list[dict[str, Any]]:
        encoded = tokenizer(list(texts), truncation=True, max_length=self.job.max_length)
        return [
            {"input_ids": ids, "attention_mask": mask, "label": label}
            for ids, mask, label in zip(encoded["input_ids"], encoded["attention_mask"], labels, strict=True)
        ]
