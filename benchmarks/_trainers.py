"""The trainers that are compared: the reference library's ``Trainer``, this library's, and this library's loop.

All read the same examples and starting weights with the same settings, and all are timed by the same clock.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._clock import StepClock, packed_tokens, unmasked_tokens
from bothways.errors import BothwaysError
from bothways.files import read_json


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to train on.

    Attributes:
        bfloat16: whether matrices are multiplied in bfloat16.
        thread_count: of torch.
        settings: fields of ``FitSettings`` other than its defaults.
        rows: JSON file of encoded examples (``Maker.encode_sentences``, ``Maker.encode_words``), for ``timed_steps``.
        labels_of_words: whether a row has a label for every token.
        texts, labels: of the training part, for ``full_run``; labels are ids.
        held_texts, held_labels: of the part to score on.
        label_count: number of classes.
        max_length: tokens of a text that training reads.
    """

    bfloat16: bool
    thread_count: int
    settings: dict[str, Any]
    rows: Path | None = None
    labels_of_words: bool = False
    texts: Sequence[str] = ()
    labels: Sequence[int] = ()
    held_texts: Sequence[str] = ()
    held_labels: Sequence[int] = ()
    label_count: int = 2
    max_length: int = 128

    @property
    def model_class(self) -> str:
        """The automatic class of its models, of the same name in both libraries."""
        return f"AutoModelFor{'Token' if self.labels_of_words else 'Sequence'}Classification"

    def read_rows(self) -> list[dict[str, Any]]:
        """The encoded examples: ``input_ids``, ``attention_mask`` and ``labels``."""
        if self.rows is None:
            raise BothwaysError("this job has no file of encoded rows.")
        return read_json(self.rows)


class OurTraining:
    """``bothways.training.fit.fit``, the loop of the main job."""

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
        """The clock's reading of training from the weights in ``directory``."""
        gc.collect()  # a model of the repetition before
        model = load(self.job, "bothways", directory)
        features = features_of(self.job)
        clock = StepClock(packed_tokens, warm_up, steps)
        with clock.watching(model):
            self._fit(model, features, 0, lambda: 0.0)
        return clock.reading()

    def full_run(self, directory: Path, seed: int) -> dict[str, Any]:
        """Accuracy after each epoch, and the seconds of training."""
        import torch

        from bothways.models.runner import PackedRunner
        from bothways.training.features import Features

        job = self.job
        model = load(job, "bothways", directory)
        held = self.encode(directory, job.held_texts).input_ids
        # scored in fp32 for both: only training differs
        runner = PackedRunner(model)
        truth = np.array(job.held_labels)
        features = Features(self.encode(directory, job.texts).input_ids, None, torch.tensor(list(job.labels)))
        result = self._fit(
            model, features, seed, lambda: float((runner.sequence_logits(held).argmax(1) == truth).mean())
        )
        return {"accuracy": [record.score for record in result.history], "seconds": result.seconds}

    def _fit(self, model: Any, features: Any, seed: int, evaluate: Callable[[], float]) -> Any:
        from bothways.training.fit import fit
        from bothways.training.settings import FitSettings

        precision: Any = "bfloat16" if self.job.bfloat16 else "float32"
        settings = FitSettings(**{**self.job.settings, "seed": seed, "precision": precision})
        return fit(model, features, settings, evaluate, show_progress=False)


class OurTrainer:
    """``bothways.Trainer``, called as a program that was written for the reference calls it."""

    def __init__(self, job: Job) -> None:
        import torch

        torch.set_num_threads(job.thread_count)
        self.job = job

    def timed_steps(self, directory: Path, warm_up: int, steps: int) -> dict[str, Any]:
        """The clock's reading of training from the weights in ``directory``."""
        import bothways

        gc.collect()
        clock = StepClock(unmasked_tokens, warm_up, steps)
        with tempfile.TemporaryDirectory() as folder:
            tokenizer = bothways.AutoTokenizer.from_pretrained(directory)
            words = self.job.labels_of_words
            trainer = bothways.Trainer(
                model=load(self.job, "bothways", directory),
                args=bothways.TrainingArguments(**arguments_of(self.job, Path(folder), 0)),
                data_collator=bothways.DataCollatorForTokenClassification(tokenizer) if words else None,
                train_dataset=self.job.read_rows(),
                processing_class=tokenizer,
            )
            with clock.watching(trainer.model):
                trainer.train()
        return clock.reading()


class ReferenceTraining:
    """``transformers.Trainer`` with its defaults and our settings.

    Args:
        group_by_length: its own option against padding: batches of like length.
        frozen: whether embeddings and encoder are left as they are.
    """

    def __init__(self, job: Job, group_by_length: bool = False, frozen: bool = False) -> None:
        import torch
        from transformers.utils import logging

        torch.set_num_threads(job.thread_count)
        logging.set_verbosity_error()
        self.job = job
        self.group_by_length = group_by_length
        self.frozen = frozen

    def timed_steps(self, directory: Path, warm_up: int, steps: int) -> dict[str, Any]:
        """The clock's reading of training from the weights in ``directory``.

        The examples come in the order of our loop: both compute the same batches, unless they are grouped by length.
        """
        from bothways.engine.seeds import epoch_order

        gc.collect()
        rows = self.job.read_rows()
        if not self.group_by_length:
            rows = [rows[i] for i in epoch_order(len(rows), 0, 1).tolist()]
        clock = StepClock(unmasked_tokens, warm_up, steps)
        with tempfile.TemporaryDirectory() as folder:
            trainer = self._trainer(directory, Path(folder), 0, rows, None, in_order=not self.group_by_length)
            with clock.watching(trainer.model):
                trainer.train()
        return clock.reading()

    def full_run(self, directory: Path, seed: int) -> dict[str, Any]:
        """Accuracy after each epoch, and the seconds of training and its evaluations."""
        job = self.job
        with tempfile.TemporaryDirectory() as folder:
            train = self._rows(directory, job.texts, job.labels)
            held = self._rows(directory, job.held_texts, job.held_labels)
            trainer = self._trainer(directory, Path(folder), seed, train, held)
            outcome = trainer.train()
        accuracy = [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry]
        evaluating = sum(entry.get("eval_runtime", 0.0) for entry in trainer.state.log_history)
        return {"accuracy": accuracy, "seconds": outcome.metrics["train_runtime"] - evaluating}

    def _trainer(
        self, directory: Path, folder: Path, seed: int, train: list[Any], held: list[Any] | None, in_order: bool = False
    ) -> Any:
        import transformers
        from torch.utils.data import SequentialSampler

        class InOrder(transformers.Trainer):
            def _get_train_sampler(self, train_dataset: Any = None) -> Any:
                return SequentialSampler(train)

        tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
        words = self.job.labels_of_words
        pads = transformers.DataCollatorForTokenClassification if words else transformers.DataCollatorWithPadding
        model = load(self.job, "transformers", directory)
        if self.frozen:
            for part in (model.base_model.embeddings, model.base_model.encoder):
                part.requires_grad_(False)
        arguments = arguments_of(self.job, folder, seed) | {
            "group_by_length": self.group_by_length,
            "eval_strategy": "no" if held is None else "epoch",
        }
        return (InOrder if in_order else transformers.Trainer)(
            model=model,
            args=transformers.TrainingArguments(**arguments),
            data_collator=pads(tokenizer),
            train_dataset=train,
            eval_dataset=held,
            compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(1) == p.label_ids).mean())},
        )

    def _rows(self, directory: Path, texts: Sequence[str], labels: Sequence[int]) -> list[dict[str, Any]]:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(directory)
        encoded = tokenizer(list(texts), truncation=True, max_length=self.job.max_length)
        return [
            {"input_ids": ids, "attention_mask": mask, "labels": label}
            for ids, mask, label in zip(encoded["input_ids"], encoded["attention_mask"], labels, strict=True)
        ]


def load(job: Job, library: str, directory: Path) -> Any:
    """The model in ``directory``, by ``bothways`` or ``transformers``."""
    import importlib

    return getattr(importlib.import_module(library), job.model_class).from_pretrained(directory)


def features_of(job: Job) -> Any:
    """The rows of a job as our loop takes them."""
    import torch

    from bothways.training.features import Features

    rows = job.read_rows()
    labels: Any = [row["labels"] for row in rows]
    labels = [np.array(own, dtype=np.int64) for own in labels] if job.labels_of_words else torch.tensor(labels)
    return Features([np.array(row["input_ids"], dtype=np.int32) for row in rows], None, labels)


def arguments_of(job: Job, folder: Path, seed: int) -> dict[str, Any]:
    """What either library's ``TrainingArguments`` is given to train with our settings."""
    from bothways.training.settings import FitSettings

    ours = FitSettings(**job.settings)
    return {
        "output_dir": str(folder),
        "num_train_epochs": ours.epochs,
        "learning_rate": ours.learning_rate,
        "per_device_train_batch_size": ours.batch_size,
        "warmup_ratio": ours.warmup_ratio,
        "weight_decay": ours.weight_decay,
        "max_grad_norm": ours.max_grad_norm,
        "seed": seed,
        "bf16": job.bfloat16,
        "use_cpu": True,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }
