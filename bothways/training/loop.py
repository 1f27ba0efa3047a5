"""The training loop: packed batches of so many examples, bfloat16 where the machine has it, the best epoch kept.

Shapes: n examples, C labels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from bothways.batching import PackedBatch, collate
from bothways.engine.compact_vocabulary import CompactVocabulary
from bothways.engine.optimizers import AdamW, parameter_groups
from bothways.engine.schedules import linear
from bothways.engine.seeds import epoch_order, seed_for
from bothways.errors import BothwaysError, UsageError
from bothways.nn.linear import has_fast_bfloat16
from bothways.progress import accept_stop, progress_bar

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How to train. The defaults are those known to work for BERT: Devlin et al. 2019, appendix A.3.

    Attributes:
        epochs: passes over the examples.
        learning_rate: the highest rate, after the warm-up.
        head_factor: the new head's rate as a multiple of ``learning_rate``: it begins at random, the body does not
            (measured on 432 messages in 6 classes, 4 epochs: last loss 0.39 with 20, 0.95 with 1).
        batch_size: examples a step.
        warmup_ratio: share of the steps in which the rate rises.
        weight_decay: of matrices; biases and norms do not decay.
        max_grad_norm: gradients are scaled down to this norm.
        seed: of the order of examples and of dropout.
        minutes: stop after this time; the rate falls to 0 by then. None has no limit.
        precision: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 where this machine multiplies it in hardware.
    """

    epochs: int = 3
    learning_rate: float = 5e-5
    head_factor: float = 20.0
    batch_size: int = 16
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    seed: int = 42
    minutes: float | None = None
    precision: str = "auto"

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}, expected {expected}"
            for name, value, ok, expected in (
                ("epochs", self.epochs, self.epochs >= 1, "a whole number from 1"),
                ("learning_rate", self.learning_rate, 0 < self.learning_rate < 1, "a number above 0 and below 1"),
                ("batch_size", self.batch_size, self.batch_size >= 1, "a whole number from 1"),
                (
                    "minutes",
                    self.minutes,
                    self.minutes is None or 0 < self.minutes < 1e6,
                    "a number above 0 and below 1e6",
                ),
                ("seed", self.seed, 0 <= self.seed < 2**32, "a whole number from 0 to 4294967295"),
            )
            if not ok
        ]
        if problems:
            raise UsageError("; ".join(problems) + ".")


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One line of the training history."""

    epoch: int
    train_loss: float
    score: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """Attributes:
    history: one record per finished epoch.
    best_epoch: the epoch whose weights the model has now; 0 if none finished.
    steps, tokens: work done.
    seconds: of training, evaluation left out.
    stopped: why training ended before its last epoch, or None.
    precision: in which matrices were multiplied.
    """

    history: tuple[EpochRecord, ...]
    best_epoch: int
    steps: int
    tokens: int
    seconds: float
    stopped: Literal["time", "interrupt"] | None
    precision: str


@dataclass
class Features:
    """Encoded examples.

    Attributes:
        input_ids: the sequences, lists or arrays of ids; those of one example side by side.
        token_type_ids: the same shape; None when all of them are 0.
        labels: a row for each example, (n,) or (n, C); or for each example an array with a label for every token.
        sequences: how many belong to one example: 1, or the number of choices.
    """

    input_ids: Sequence[Any]
    token_type_ids: Sequence[Any] | None
    labels: Tensor | Sequence[np.ndarray]
    sequences: int = 1

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Sequence[int]) -> PackedBatch:
        """The examples as one packed batch, sorted by length: equal lengths share one attention call."""
        chosen = sorted(indices, key=lambda i: len(self.input_ids[i * self.sequences]))
        rows = [i * self.sequences + k for i in chosen for k in range(self.sequences)]
        types = None if self.token_type_ids is None else [self.token_type_ids[row] for row in rows]
        packed = collate([self.input_ids[row] for row in rows], types)
        if isinstance(self.labels, Tensor):
            return replace(packed, labels=self.labels[torch.as_tensor(chosen)])
        return replace(packed, labels=torch.from_numpy(np.concatenate([self.labels[i] for i in chosen])))


def fit(
    model: nn.Module,
    features: Features,
    settings: FitSettings,
    evaluate: Callable[[], float],
    *,
    show_progress: bool | None = None,
) -> FitResult:
    """Train ``model`` in place and leave it with the weights of its best epoch.

    Ctrl-C ends training; the best finished epoch is kept, and ``KeyboardInterrupt`` is raised only if there is none.

    Args:
        model: returns an output with ``loss`` for a ``PackedBatch`` with labels.
        evaluate: gives the score of the model as it is, higher is better; called after every epoch.
        show_progress: None shows a bar if stderr is a terminal.

    Raises:
        BothwaysError: the loss is not a finite number; the step and its examples are named.
    """
    run = _Run(model, features, settings)
    steps_per_epoch = -(-len(features) // settings.batch_size)
    stopped: Literal["time", "interrupt"] | None = None
    try:
        with progress_bar("Training", settings.epochs * len(features), "texts", show=show_progress) as advance:
            for epoch in range(1, settings.epochs + 1):
                if not run.epoch(epoch, settings.epochs * steps_per_epoch, advance):
                    stopped = "time"
                run.finish_epoch(epoch, evaluate)
                if stopped:
                    break
    except KeyboardInterrupt:
        if not run.history:
            raise
        stopped = "interrupt"
        accept_stop()
    run.restore_best()
    return FitResult(
        history=tuple(run.history),
        best_epoch=run.best_epoch,
        steps=run.step,
        tokens=run.tokens,
        seconds=run.seconds,
        stopped=stopped,
        precision=run.precision,
    )


def resolve_precision(precision: str, device: torch.device) -> str:
    """``"auto"`` becomes bfloat16 where the machine multiplies it in hardware, else float32."""
    if precision != "auto":
        return precision
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else has_fast_bfloat16()
    return "bfloat16" if fast else "float32"


@dataclass
class _Run:
    model: Any
    features: Features
    settings: FitSettings
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    best_score: float = -float("inf")
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[EpochRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = self.settings
        self.vocabulary = None
        if self.model.get_output_embeddings() is None and self.model.get_input_embeddings().weight.requires_grad:
            self.vocabulary = CompactVocabulary(self.model, self.features.input_ids)
            self.vocabulary.enter()
        groups = parameter_groups(
            self.model,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            head_factor=settings.head_factor,
        )
        self.optimizer = AdamW(groups, eps=1e-8)
        self.rates = [group["lr"] for group in groups]
        self.trainable = [p for group in groups for p in group["params"]]
        self.device = next(self.model.parameters()).device
        self.precision = resolve_precision(settings.precision, self.device)

    def epoch(self, epoch: int, total_steps: int, advance: Callable[..., None]) -> bool:
        """One pass; False if the time ran out before its end."""
        self.model.train()
        if self.vocabulary:
            self.vocabulary.enter()
        self.losses: list[Tensor] = []
        for indices in self._batches(epoch):
            start = time.perf_counter()
            loss, tokens = self._step(indices, total_steps)
            self.losses.append(loss)
            self.tokens += tokens
            self.seconds += time.perf_counter() - start
            advance(len(indices), f"epoch {epoch} of {self.settings.epochs}")
            if self.settings.minutes is not None and self.seconds >= self.settings.minutes * 60:
                return False
        return True

    def finish_epoch(self, epoch: int, evaluate: Callable[[], float]) -> None:
        """Evaluate, and remember the weights if they are the best so far."""
        self.model.eval()
        if self.vocabulary:
            self.vocabulary.leave()
        score = evaluate()
        loss = float(torch.stack(self.losses).mean())
        self.history.append(EpochRecord(epoch=epoch, train_loss=loss, score=score, seconds=self.seconds))
        if score > self.best_score:
            self.best_score, self.best_epoch = score, epoch
            self.best_weights = {name: p.detach().clone() for name, p in self.model.named_parameters()}

    def restore_best(self) -> None:
        """Give the model its whole vocabulary and the weights of its best epoch, in evaluation mode."""
        if self.vocabulary:
            self.vocabulary.leave()
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(self.best_weights[name])
        self.model.eval()

    def _batches(self, epoch: int) -> Iterator[list[int]]:
        order = epoch_order(len(self.features), self.settings.seed, epoch).tolist()
        size = self.settings.batch_size
        return (order[i : i + size] for i in range(0, len(order), size))

    def _step(self, indices: list[int], total_steps: int) -> tuple[Tensor, int]:
        settings = self.settings
        torch.manual_seed(seed_for(settings.seed, self.step))
        batch = self.features.batch(indices)
        if self.vocabulary:
            batch = replace(batch, input_ids=self.vocabulary.translate(batch.input_ids))
        batch = batch.to(self.device)
        low = torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bfloat16" else nullcontext()
        with low:
            loss = self.model(batch).loss
        if not torch.isfinite(loss):
            shown = ", ".join(map(str, sorted(indices)[:8]))
            raise BothwaysError(
                f"the loss is {loss.item()} at step {self.step + 1} (examples {shown}, …). "
                f"Lower the learning rate (now {settings.learning_rate:g}) or look at these examples."
            )
        loss.backward()
        # the optimizer divides by this as it reads the gradients: no pass of its own to scale them
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.trainable if p.grad is not None])
        self.optimizer.grad_scale = (norm / settings.max_grad_norm).clamp(min=1.0)
        factor = self._rate_factor(total_steps)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return loss.detach(), batch.total_tokens

    def _rate_factor(self, total_steps: int) -> float:
        """Warm-up and linear decay over the steps, or over the minutes where these end sooner."""
        warmup = int(self.settings.warmup_ratio * total_steps)
        factor = linear(self.step + 1, warmup, total_steps + 1)
        if self.settings.minutes is not None:
            factor = min(factor, max(0.0, 1 - self.seconds / (self.settings.minutes * 60)))
        return factor


__all__ = ["EpochRecord", "Features", "FitResult", "FitSettings", "fit", "resolve_precision"]
