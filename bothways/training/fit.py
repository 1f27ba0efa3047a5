"""Fitting a model to features: the best epoch kept, checkpoints by the way, and going on from them to the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from bothways.engine.checkpoint_store import CheckpointStore
from bothways.engine.clock import Clock
from bothways.engine.compact_vocabulary import CompactVocabulary
from bothways.engine.interruption import Wish, stopping_gently
from bothways.engine.loop import Events, run
from bothways.engine.memory import resident_bytes
from bothways.engine.optimizers import AdamW, parameter_groups
from bothways.engine.precision import computing_in, resolve_precision
from bothways.engine.processes import Processes
from bothways.engine.saving import Saver
from bothways.engine.schedules import linear
from bothways.engine.state_files import load_state, save_state
from bothways.engine.steps import Stepper, StepResult
from bothways.errors import Interrupted, OutOfMemoryError
from bothways.progress import progress_bar
from bothways.training.features import MAX_TOKENS, MAX_TOKENS_ELSEWHERE, Features, FeatureSteps, Portion
from bothways.training.fit_state import BEST, FitState, digest_of, read_training, write_training
from bothways.training.label_watch import EPOCHS_WATCHED, LabelWatch
from bothways.training.objectives import ModelLoss, Objective
from bothways.training.settings import EpochRecord, FitResult, FitSettings


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """Where a run keeps its checkpoints.

    Attributes:
        store: of the checkpoints.
        write_model: writes a model directory with the weights it is given.
        going_on: the words that tell the user how to continue.
    """

    store: CheckpointStore
    write_model: Callable[[Path, dict[str, Tensor]], None]
    going_on: str = ""


def fit(
    model: Any,
    features: Features,
    settings: FitSettings,
    evaluate: Callable[[], float],
    *,
    objective: Objective | None = None,
    watch: LabelWatch | None = None,
    keeping: Keeping | None = None,
    group: Processes | None = None,
    stop_after: int | None = None,
    clock: list[tuple[int, int]] | None = None,
    show_progress: bool | None = None,
) -> FitResult:
    """Train ``model`` in place and leave it with the weights of its best epoch.

    Args:
        model: returns an output with ``loss`` for a ``PackedBatch`` with labels. What is frozen stays as it is.
        evaluate: gives the score of the model as it is, higher is better; called after every epoch.
        objective: what is minimised; by default the model's own loss.
        watch: is told what the model says of every example in the first epochs; the first process has it in the end.
        keeping: where checkpoints go; from the newest good one there training goes on. None writes none.
        group: the processes that train together.
        stop_after: end after that many steps, as if the process had been asked to stop.
        clock: of an earlier run whose rate followed the time, to repeat it exactly; its ``FitResult.clock``.
        show_progress: None shows a bar if stderr is a terminal.

    Raises:
        BothwaysError: the loss is not a finite number; the step and its examples are named.
        Interrupted: Ctrl-C, SIGTERM or ``stop_after``; what was done is saved.
        OutOfMemoryError: more than ``settings.max_memory``; what was done is saved.
    """
    with stopping_gently() as wish:
        fitting = _Fit(
            model, features, settings, evaluate, objective or ModelLoss(), watch, keeping, group or Processes(), wish
        )
        fitting.stop_after = stop_after
        fitting.clock.replayed = None if clock is None else dict(clock)
        with fitting.shown(show_progress):
            fitting.go()
    return fitting.result()


class _Fit(Events):
    def __init__(
        self,
        model: Any,
        features: Features,
        settings: FitSettings,
        evaluate: Callable[[], float],
        objective: Objective,
        watch: LabelWatch | None,
        keeping: Keeping | None,
        group: Processes,
        wish: Wish,
    ) -> None:
        self.model, self.settings, self.evaluate, self.objective = model, settings, evaluate, objective
        self.watch, self.keeping, self.group, self.wish = watch, keeping, group, wish
        self.stop_after: int | None = None
        self.stopped: Literal["time"] | None = None
        self.device = next(model.parameters()).device
        self.precision = resolve_precision(settings.precision, self.device)
        self.trains_part = not all(parameter.requires_grad for parameter in model.parameters())
        self.vocabulary = None
        if model.get_output_embeddings() is None and model.get_input_embeddings().weight.requires_grad:
            self.vocabulary = CompactVocabulary(model, features.input_ids)
            self.vocabulary.enter()
        groups = parameter_groups(
            model,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            head_factor=settings.head_factor,
            layer_decay=settings.layer_decay,
        )
        self.rates = [group["lr"] for group in groups]
        self.optimizer = AdamW(groups, eps=1e-8)
        self.stepper = Stepper(
            model,
            self.optimizer,
            self._backward,
            seed=settings.seed,
            max_grad_norm=settings.max_grad_norm,
            group=group,
        )
        fallback = MAX_TOKENS.get(self.device.type, MAX_TOKENS_ELSEWHERE)
        self.source = FeatureSteps(
            features,
            settings.batch_size,
            seed=settings.seed,
            max_tokens=settings.max_tokens or fallback,
            items=objective.items,
            group=group,
        )
        self.total_steps = settings.epochs * (self.source.steps_per_epoch or 0)
        self.state = FitState()
        self.best_weights: dict[str, Tensor] = {}
        self.resumed_at = 0
        self.loss_sum: Tensor = torch.zeros((), dtype=torch.float64, device=self.device)
        self.loss_count = 0
        self.saver = None if keeping is None else Saver(keeping.store, group, settings.checkpoint_steps)
        if keeping is not None:
            self._resume(keeping)
        self.clock = Clock(settings.minutes, self.state.clock, group)

    # -- the run -----------------------------------------------------------------------------------------------------

    def go(self) -> None:
        """Train to the end, or until stopped."""
        self.model.train()
        state = self.state
        if self.clock.is_over(state.progress):
            self.stopped = "time"
        epoch_is_over = state.progress.epoch_step == 0 or self.stopped is not None
        if state.progress.step > state.evaluated_step and epoch_is_over:  # it was left while it evaluated
            self.epoch_end()
        if state.progress.step < self.total_steps and self.stopped is None:
            run(self.stepper, self.source, state.progress, self)
        if self.wish and self.group.count == 1:  # it came after the last step
            self._leave()
        if self.watch:
            self.watch.collect(self.group)
        self._restore_best()

    def result(self) -> FitResult:
        """What came of it."""
        progress = self.state.progress
        return FitResult(
            digests=tuple(self.state.digests),
            clock=tuple(self.state.clock),
            history=tuple(self.state.history),
            best_epoch=self.state.best_epoch,
            steps=progress.step,
            tokens=progress.tokens,
            seconds=progress.seconds,
            stopped=self.stopped,
            precision=self.precision,
            resumed_at=self.resumed_at,
        )

    @contextmanager
    def shown(self, show: bool | None) -> Iterator[None]:
        """A progress bar in the first process."""
        total = self.settings.epochs * len(self.source.features)
        with progress_bar("Training", total, "texts", show=show if self.group.is_first else False) as advance:
            self.advance = advance
            if self.state.progress.examples:
                advance(self.state.progress.examples)
            yield

    # -- around the steps --------------------------------------------------------------------------------------------

    def flag(self) -> bool:
        return bool(self.wish) or self.state.progress.step + 1 == self.stop_after

    def epoch_begin(self) -> None:
        self.model.train()
        self.objective.watch = self.watch if self.state.progress.epoch < EPOCHS_WATCHED else None
        if self.vocabulary:
            self.vocabulary.enter()

    def step_begin(self) -> None:
        factor = self._rate_factor()
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def step_end(self, result: StepResult) -> None:
        self.loss_sum = self.loss_sum + result.loss.double()
        self.loss_count += 1
        progress = self.state.progress
        if result.flagged or (self.wish and self.group.count == 1):
            self._leave()
        self.advance(result.examples, f"epoch {progress.epoch + 1} of {self.settings.epochs}")
        self._watch_memory()
        if self.clock.is_over(progress):
            self.stopped, self.stop = "time", True
        elif progress.step >= self.total_steps:
            self.stop = True
        elif self._is_due():
            self.save()

    def epoch_end(self) -> None:
        self.model.eval()
        progress = self.state.progress
        if all(step != progress.step for step, _ in self.state.digests):
            self.state.digests.append((progress.step, digest_of(self._trained())))
        if self.vocabulary:
            self.vocabulary.leave()
        score = self._evaluated()
        state = self.state
        loss = self.loss_sum.item() / max(1, self.loss_count)
        self.loss_sum, self.loss_count = torch.zeros_like(self.loss_sum), 0
        epoch = len(state.history) + 1
        state.evaluated_step = progress.step
        state.history.append(EpochRecord(epoch=epoch, train_loss=loss, score=score, seconds=progress.seconds))
        if state.best_score is None or score > state.best_score:
            state.best_score, state.best_epoch = score, epoch
            self.best_weights = {name: p.detach().clone() for name, p in self._trained().items()}
        if self.vocabulary:
            self.vocabulary.enter()
        self.model.train()
        if self._is_due() and not self.stop and progress.step < self.total_steps:
            self.save()

    def _evaluated(self) -> float:
        """The score; a wish to stop meanwhile is granted at once, and the evaluation is made again later.

        Several processes see a signal at different moments: they agree before, and never stop within.
        """
        if self.group.count > 1:
            if self.group.any(bool(self.wish)):
                self._enter_and_leave()
            return self.evaluate()
        try:
            with self.wish.at_once():
                return self.evaluate()
        except KeyboardInterrupt:
            if self.keeping is None:
                raise
            self._enter_and_leave()
            raise

    def _enter_and_leave(self) -> None:
        """Save and end where an evaluation would begin."""
        if self.vocabulary:
            self.vocabulary.enter()
        self._leave()

    def _backward(self, portion: Portion, share: float, items: float) -> Tensor:
        batch = portion.batch
        if self.vocabulary:
            batch = replace(batch, input_ids=self.vocabulary.translate(batch.input_ids))
        batch = batch.to(self.device)
        with computing_in(self.precision, self.device):
            loss = self.objective.loss(self.model, batch, portion.examples)
        (loss * share).backward()
        return loss.detach() * share

    def _rate_factor(self) -> float:
        """Warm-up and linear decay over the steps, or over the minutes where these end sooner."""
        step, settings = self.state.progress.step, self.settings
        warmup = int(settings.warmup_ratio * self.total_steps)
        factor = linear(step + 1, warmup, self.total_steps + 1)
        return min(factor, 1 - self.clock.share(self.state.progress))

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint; the first process does."""
        if self.saver is None:
            return
        self.stepper.settle()
        self.state.losses = (self.loss_sum.item(), self.loss_count)
        if self.watch:
            self.watch.collect(self.group)
        self.saver.save(self.state.progress.step, self._write)

    def _write(self, directory: Path) -> None:
        assert self.keeping is not None
        with self._whole_vocabulary():
            self.keeping.write_model(directory, self.best_weights)
        write_training(directory, self.state, self._trained(), self.optimizer)
        if self.watch:
            self.watch.save(directory)
        if self.best_weights and self.trains_part:  # the model's files have LoRA merged
            save_state(directory, BEST, self.best_weights)

    def _is_due(self) -> bool:
        return self.saver is not None and self.saver.is_due(self.state.progress.step)

    def _leave(self) -> None:
        """Save and end."""
        progress = self.state.progress
        code = self.wish.exit_code if self.wish else 130
        if self.saver is None:
            if self.vocabulary:
                self.vocabulary.leave()
            raise Interrupted(f"Stopped after step {progress.step:,} of {self.total_steps:,}.", code)
        if self.saver.step != progress.step or self.state.progress.epoch_step == 0:
            self.save()
        raise Interrupted(f"Stopped after step {progress.step:,} of {self.total_steps:,}. {self._kept()}", code)

    def _kept(self) -> str:
        assert self.keeping is not None
        where = self.keeping.store.directory / f"checkpoint-{self.state.progress.step}"
        state = self.state
        best = f"with the weights of epoch {state.best_epoch}, score {state.best_score:.3f}" if state.history else ""
        return (
            f"{where} is saved and loads like any model{', ' + best if best else ''}. {self.keeping.going_on}".strip()
        )

    def _watch_memory(self) -> None:
        limit, held = self.settings.max_memory, resident_bytes() if self.settings.max_memory else None
        if limit is None or held is None:
            return
        held = int(self.group.largest(torch.tensor([held])).item())
        if held <= limit:
            return
        if self.saver is not None and self.saver.step != self.state.progress.step:
            self.save()
        problem = OutOfMemoryError(
            f"The process holds {held / 1e6:,.0f} MB after step {self.state.progress.step:,}, and "
            f"{limit / 1e6:,.0f} MB are allowed. Allow more, or take a shorter max_length."
            + (f" {self._kept()}" if self.keeping else "")
        )
        raise self.group.common(problem)

    def _resume(self, keeping: Keeping) -> None:
        found = keeping.store.newest()
        if found is None:
            return
        self.state = read_training(found.path, self._trained(), self.optimizer, FitState.from_json)
        self.loss_sum += self.state.losses[0]
        self.loss_count = self.state.losses[1]
        if self.watch:
            self.watch.load(found.path, self.group)
        assert self.saver is not None
        self.resumed_at = self.saver.step = self.state.progress.step
        if self.state.best_epoch and self.trains_part:
            self.best_weights = load_state(found.path, BEST)
        elif self.state.best_epoch:
            best = type(self.model).from_pretrained(found.path, config=self.model.config)
            self.best_weights = {name: p.detach() for name, p in self._trained(best).items()}

    def _trained(self, model: Any = None) -> dict[str, Any]:
        return {name: p for name, p in (model or self.model).named_parameters() if p.requires_grad}

    @contextmanager
    def _whole_vocabulary(self) -> Iterator[None]:
        if self.vocabulary:
            self.vocabulary.leave()
        yield
        if self.vocabulary:
            self.vocabulary.enter()

    def _restore_best(self) -> None:
        """Give the model its whole vocabulary and the weights of its best epoch, in evaluation mode."""
        if self.vocabulary:
            self.vocabulary.leave()
        with torch.no_grad():
            for name, parameter in self._trained().items():
                parameter.copy_(self.best_weights[name])
        self.model.eval()


__all__ = ["Keeping", "fit"]
