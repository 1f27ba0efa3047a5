"""A pretraining run: what happens around the steps, from wherever it was left."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bothways.engine.checkpoint_store import CheckpointStore
from bothways.engine.clock import Clock
from bothways.engine.interruption import Wish, stopping_gently
from bothways.engine.loop import Events, run
from bothways.engine.optimizers import parameter_groups
from bothways.engine.precision import computing_in
from bothways.engine.processes import Processes
from bothways.engine.saving import Saver
from bothways.engine.seeds import seed_for
from bothways.engine.steps import Stepper, StepResult
from bothways.errors import Interrupted
from bothways.evaluation.formats import seconds_text
from bothways.pretraining.documents import Documents
from bothways.pretraining.exercise import Exercise
from bothways.pretraining.goals import Counts, Goal
from bothways.pretraining.optimizer import make_optimizer
from bothways.pretraining.settings import CurvePoint, PretrainSettings, PretrainState
from bothways.pretraining.steps import CorpusSteps
from bothways.progress import progress_bar
from bothways.training.fit_state import read_training, write_training

LEAST_RATE = 1e-3
"""Of the highest rate, in the first step and the last."""
BAR_PARTS = 1000
SAMPLE_TOKENS = 65_536
"""What is held out and read for a point of the curve, about; the last point reads all of it.

800,000 tokens of Wikipedia at 20 points took longer than an hour's training of a small model (measured: 110 s a point).
Of so many about 10,000 are asked for: a measured share is known to half a per cent.
"""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What a run needs besides model and data.

    Attributes:
        store: of its checkpoints.
        write_model: writes the model as it is into a directory.
        going_on: the words that tell how to continue.
        say: is called with a line now and then.
        peak: operations a second of this machine. per_token: operations that training on one token takes.
    """

    store: CheckpointStore
    write_model: Callable[[Path], None]
    going_on: str
    say: Callable[[str], None]
    peak: float
    per_token: float


def pretrain_model(
    model: Any,
    goal: Goal,
    documents: Documents,
    parts: list[Exercise],
    settings: PretrainSettings,
    watch: Watch,
    group: Processes,
    *,
    show_progress: bool | None = None,
) -> PretrainState:
    """Train ``model`` in place until its time, steps or epochs are over; from the newest good checkpoint on.

    Args:
        parts: what it is judged by, see ``validation_parts``.

    Raises:
        BothwaysError: the loss is no finite number.
        Interrupted: Ctrl-C or SIGTERM; what was done is saved.
    """
    with stopping_gently() as wish:
        going = _Run(model, goal, documents, parts, settings, watch, group, wish)
        show = show_progress if group.is_first else False
        with progress_bar("Pretraining", BAR_PARTS, "parts", show=show) as advance:
            going.advance = advance
            going.go()
    return going.state


class _Run(Events):
    def __init__(
        self,
        model: Any,
        goal: Goal,
        documents: Documents,
        parts: list[Exercise],
        settings: PretrainSettings,
        watch: Watch,
        group: Processes,
        wish: Wish,
    ) -> None:
        self.model, self.goal, self.parts, self.settings = model, goal, parts, settings
        # rising lengths, so that every so-manieth part has all of them
        self.sample = parts[:: max(1, sum(part.total_tokens for part in parts) // SAMPLE_TOKENS)]
        self.watch, self.group, self.wish = watch, group, wish
        self.device = next(model.parameters()).device
        self.advance: Callable[..., None] = lambda n=1, note="": None
        self.shown = 0
        groups = parameter_groups(model, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay)
        self.optimizer = make_optimizer(settings.optimizer, groups, model)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.stepper = Stepper(
            model, self.optimizer, self._backward, seed=settings.seed, max_grad_norm=settings.max_grad_norm, group=group
        )
        self.saver = Saver(watch.store, group, settings.checkpoint_steps)
        self.saved = (-1, 0)
        self.state = self._found() or PretrainState()
        self.clock = Clock(settings.minutes, self.state.clock, group)
        self.begun_at = self.state.progress.tokens, self.state.progress.seconds
        self.loss_sum = torch.tensor(self.state.losses[0], dtype=torch.float64, device=self.device)
        self.loss_count = self.state.losses[1]
        self.source = CorpusSteps(documents, goal, settings, self.state.progress, group, self.share)

    def go(self) -> None:
        """Train to the end, or until stopped."""
        self.model.train()
        if not self._is_over():
            self._judge_if_due(self.share())  # it was left before it judged
            run(self.stepper, self.source, self.state.progress, self)
        if self.wish and self.group.count == 1:
            self._leave()
        if not self.state.curve or self.state.curve[-1].step != self.state.progress.step:
            self._judge(self.parts)
        self.model.eval()

    def share(self) -> float:
        """How much of the run is over, 0 to 1."""
        progress, settings = self.state.progress, self.settings
        found = self.clock.share(progress)
        if settings.steps:
            found = max(found, progress.step / settings.steps)
        if settings.epochs:
            found = max(found, (progress.epoch + self.source.epoch_share()) / settings.epochs)
        return min(1.0, found)

    # -- around the steps --------------------------------------------------------------------------------------------

    def flag(self) -> bool:
        return bool(self.wish)

    def epoch_begin(self) -> None:
        self.model.train()

    def step_begin(self) -> None:
        factor = rate_factor(self.share(), self.settings.warmup)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def step_end(self, result: StepResult) -> None:
        self.loss_sum = self.loss_sum + result.loss.double()
        self.loss_count += 1
        if result.flagged or (self.wish and self.group.count == 1):
            self._leave()
        share = self.share()
        self._show(share)
        if self._is_over():
            self.stop = True
        else:
            self._judge_if_due(share)
        if not self.stop and self.saver.is_due(self.state.progress.step):
            self._save()

    def epoch_end(self) -> None:
        if self._is_over():
            self.stop = True

    def _is_over(self) -> bool:
        progress, settings = self.state.progress, self.settings
        return (
            self.clock.is_over(progress)
            or (settings.steps is not None and progress.step >= settings.steps)
            or (settings.epochs is not None and progress.epoch >= settings.epochs)
        )

    def _backward(self, part: Exercise, share: float, items: float) -> Tensor:
        with computing_in(self.settings.precision, self.device):
            loss = self.goal.loss(self.model, part.to(self.device))
        loss.backward()
        return loss.detach()

    # -- what is seen of it ------------------------------------------------------------------------------------------

    def _show(self, share: float) -> None:
        parts = int(share * BAR_PARTS)
        tokens, seconds = self.state.progress.tokens - self.begun_at[0], self.state.progress.seconds - self.begun_at[1]
        rate = tokens / max(seconds, 1e-9)
        used = rate * self.watch.per_token / self.watch.peak
        last = self.state.curve[-1].validation.get("loss") if self.state.curve else None
        note = f"step {self.state.progress.step:,}, {rate:,.0f} tokens/s, {used:.0%} of the peak"
        self.advance(parts - self.shown, note + (f", validation loss {last:.3f}" if last is not None else ""))
        self.shown = parts

    def _judge_if_due(self, share: float) -> None:
        part = int(share * self.settings.evaluations)
        if part > self.state.judged:
            self._judge(self.sample)
            self.state.judged = part

    def _judge(self, parts: list[Exercise]) -> None:
        """One more point of the curve."""
        self.stepper.settle()
        measured = self._measured(parts)
        progress = self.state.progress
        loss = self.loss_sum.item() / max(1, self.loss_count)
        self.loss_sum, self.loss_count = torch.zeros_like(self.loss_sum), 0
        point = CurvePoint(
            step=progress.step,
            tokens=progress.tokens,
            seconds=progress.seconds,
            train_loss=loss,
            validation=measured,
        )
        self.state.curve.append(point)
        if self.group.is_first:
            self.watch.say(sentence_of(point, self.goal) + self._left())

    def _measured(self, parts: list[Exercise]) -> dict[str, float]:
        """What is found; a wish to stop meanwhile is granted at once, and who goes on judges first.

        Several processes see a signal at different moments: they never stop within.
        """
        if self.group.count > 1:
            return judge(self.model, self.goal, parts, self.settings, self.group)
        try:
            with self.wish.at_once():
                return judge(self.model, self.goal, parts, self.settings, self.group)
        except KeyboardInterrupt:
            self._leave()
            raise

    def _left(self) -> str:
        """How long it will go on, from how long it has taken."""
        share = self.share()
        if not 0 < share < 1 or self._is_over():
            return ""
        return f", about {seconds_text(self.state.progress.seconds * (1 - share) / share)} left"

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        self.stepper.settle()
        self.state.losses = (self.loss_sum.item(), self.loss_count)

        def write(directory: Path) -> None:
            self.watch.write_model(directory)
            write_training(directory, self.state, self._trained(), self.optimizer)

        self.saver.save(self.state.progress.step, write)
        self.saved = self.state.progress.step, self.state.judged

    def _found(self) -> PretrainState | None:
        found = self.watch.store.newest()
        if found is None:
            return None
        state = read_training(found.path, self._trained(), self.optimizer, PretrainState.from_json)
        self.saver.step = state.progress.step
        self.saved = state.progress.step, state.judged
        return state

    def _leave(self) -> None:
        """Save and end."""
        step = self.state.progress.step
        if self.saved != (step, self.state.judged):
            self._save()
        where = self.watch.store.directory / f"checkpoint-{step}"
        raise Interrupted(
            f"Stopped after step {step:,}. {where} is saved and loads like any model. {self.watch.going_on}",
            self.wish.exit_code if self.wish else 130,
        )

    def _trained(self) -> dict[str, Any]:
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}


def rate_factor(share: float, warmup: float) -> float:
    """What the highest rate is multiplied by: up in a straight line over the warm-up, and down to the end."""
    if share < warmup:
        return max(LEAST_RATE, share / warmup)
    return max(LEAST_RATE, (1 - share) / (1 - warmup))


def judge(
    model: Any, goal: Goal, parts: list[Exercise], settings: PretrainSettings, group: Processes
) -> dict[str, float]:
    """Loss, perplexity and the goal's measures on what was held out; nothing where nothing was."""
    model.eval()
    device = next(model.parameters()).device
    sums: Counts = {}
    with torch.no_grad(), computing_in(settings.precision, device):
        for number, part in enumerate(parts):
            torch.manual_seed(seed_for(settings.seed, number))  # what a generator guesses
            if number % group.count == group.rank and not goal.is_empty(part):
                for name, (value, count) in goal.counts(model, part.to(device)).items():
                    before = sums.get(name, (0.0, 0.0))
                    sums[name] = (before[0] + value, before[1] + count)
    model.train()
    found: dict[str, float] = {}
    for name in sorted({name for own in group.gather(sorted(sums)) for name in own}):
        value, count = group.sum(torch.tensor(sums.get(name, (0.0, 0.0)), dtype=torch.float64)).tolist()
        if count:
            found[name] = value / count
    if "loss" in found:
        found["perplexity"] = math.exp(min(found["loss"], 700.0))
    return found


def sentence_of(point: CurvePoint, goal: Goal) -> str:
    """One line of the curve for people."""
    measured = point.validation
    words = [f"step {point.step:,}", f"{point.tokens / 1e6:,.1f} M tokens", f"training loss {point.train_loss:.3f}"]
    if measured:
        words.append(f"validation loss {measured['loss']:.3f}")
        words += [f"{text} {measured[name]:.1%}" for name, text in goal.measures.items() if name in measured]
    return ", ".join(words)
