"""One call of ``Trainer.train``: what happens around the steps, in the order that callbacks rely on."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Any

import numpy as np
import torch

from bothways.engine.checkpoint_store import CheckpointStore
from bothways.engine.interruption import Wish
from bothways.engine.loop import Events, Progress
from bothways.engine.steps import StepResult
from bothways.trainer.evaluation import checked_metric
from bothways.trainer.outputs import SaveStrategy
from bothways.trainer.saving import write_checkpoint

logger = logging.getLogger("bothways")


class TrainerRun(Events):
    """Attributes:
    loss: () the sum of the losses since the last log; total_loss: of those before.
    """

    def __init__(
        self,
        trainer: Any,
        progress: Progress,
        store: CheckpointStore,
        wish: Wish,
        *,
        batches_per_epoch: int | None,
        ignore_keys: list[str] | None,
        start: float,
    ) -> None:
        self.trainer, self.progress, self.store, self.wish = trainer, progress, store, wish
        self.batches_per_epoch, self.ignore_keys = batches_per_epoch, ignore_keys
        self.loss = torch.zeros((), device=trainer.args.device)
        self.total_loss = 0.0
        self.logged_step = trainer.state.global_step
        self.saved_step = -1
        self.result: StepResult | None = None
        self.learning_rate: float | None = None
        self.start, self.first_tokens = start, progress.tokens

    def flag(self) -> bool:
        return bool(self.wish)

    def epoch_begin(self) -> None:
        self._call("on_epoch_begin")

    def step_begin(self) -> None:
        self._call("on_step_begin")

    def between(self) -> None:
        self._call("on_substep_end")

    def before_update(self) -> None:
        self._call("on_pre_optimizer_step")

    def after_update(self) -> None:
        self._call("on_optimizer_step")
        self.learning_rate = self.trainer._get_learning_rate()
        if not isinstance(self.trainer.lr_scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.trainer.lr_scheduler.step()

    def step_end(self, result: StepResult) -> None:
        trainer, state = self.trainer, self.trainer.state
        self.result = result
        self.loss = self.loss + result.loss.to(self.loss.device)
        state.global_step = self.progress.step
        state.epoch = self._epoch()
        self._count_tokens()
        if (every := trainer.args.torch_empty_cache_steps) and state.global_step % every == 0:
            torch.cuda.empty_cache()  # nothing happens where there is no GPU
        self._call("on_step_end")
        self._log_evaluate_save()
        if result.flagged or (self.wish and trainer.group.count == 1):
            self._leave()
        self._read_control()

    def epoch_end(self) -> None:
        self._call("on_epoch_end")
        self._log_evaluate_save()
        self._read_control()

    def catch_up(self, steps_per_epoch: int | None) -> None:
        """What the run still had to do after the step that it goes on from, when it was stopped."""
        trainer, progress = self.trainer, self.progress
        kept = (trainer.state.stateful_callbacks or {}).get("TrainerControl", {}).get("args", {})
        if kept.get("should_evaluate"):
            trainer.control.should_evaluate, trainer.control.should_save = True, bool(kept.get("should_save"))
            self._log_evaluate_save()
        if progress.step >= trainer.state.max_steps and progress.epoch_step == steps_per_epoch:
            progress.epoch, progress.epoch_step = progress.epoch + 1, 0
            self.epoch_end()
        self._read_control()

    def _checkpoint(self) -> None:
        """Have the trainer save, or do what a subclass does in its place."""
        self.trainer._save_checkpoint(self.trainer.model, None)
        self.saved_step = self.trainer.state.global_step

    def save(self) -> None:
        """A checkpoint of now; only the first process writes."""
        trainer, state = self.trainer, self.trainer.state
        step = state.global_step
        state.total_flos = float(6 * self.progress.tokens * trainer._numbers_per_token())
        if trainer.args.save_strategy in (SaveStrategy.STEPS, SaveStrategy.EPOCH) and state.best_global_step:
            best = os.path.join(self.store.directory, f"checkpoint-{state.best_global_step}")
            if state.best_global_step == step or os.path.exists(best):
                state.best_model_checkpoint = best
        elif trainer.args.save_strategy == SaveStrategy.BEST:
            state.best_model_checkpoint = os.path.join(self.store.directory, f"checkpoint-{step}")
        state.stateful_callbacks = trainer.callback_states()
        trainer.group.first_does(self._write)

    def _write(self) -> None:
        step = self.trainer.state.global_step
        self.store.save(step, lambda directory: write_checkpoint(self.trainer, self.progress, directory))
        limit, best = self.store.keep, self.trainer.state.best_model_checkpoint
        if best is None or limit is None:
            self.store.prune()
            return
        best_step = int(best.rpartition("-")[2])
        # the best one counts; with a limit of 1 the newest stays beside it, to go on from
        apart = limit > 1 and best_step not in self.store.steps()[-limit:]
        self.store.prune([best_step], keep=limit - apart)

    def _count_tokens(self) -> None:
        trainer, asked = self.trainer, self.trainer.args.include_num_input_tokens_seen
        if asked == "non_padding":
            trainer.state.num_input_tokens_seen = self.progress.tokens
        elif asked == "all":
            read = torch.tensor(trainer._columns_read, device=trainer.args.device)
            trainer.state.num_input_tokens_seen += int(trainer.group.sum(read))
        trainer._columns_read = 0

    def _leave(self) -> None:
        """Save what is not saved yet, say how to go on, and end as the signal wants it."""
        if self.saved_step != self.progress.step:
            self._checkpoint()
        where = os.path.join(self.store.directory, f"checkpoint-{self.progress.step}")
        if self.trainer.is_world_process_zero():
            print(
                f"\nStopped after step {self.progress.step:,} of {self.trainer.state.max_steps:,}; {where} is saved. "
                "Continue with trainer.train(resume_from_checkpoint=True).",
                file=sys.stderr,
            )
        if self.wish.signal == signal.SIGINT or not self.wish:
            raise KeyboardInterrupt
        raise SystemExit(self.wish.exit_code)

    def _log_evaluate_save(self) -> None:
        trainer, control = self.trainer, self.trainer.control
        if control.should_log and trainer.state.global_step > self.logged_step:
            self._log()
        if control.should_evaluate:
            metrics = self._evaluated()
            trainer.control.should_evaluate = False
            is_best = self._is_best(metrics)
            if trainer.args.save_strategy == SaveStrategy.BEST:
                trainer.control.should_save = is_best
        if trainer.control.should_save:
            self._checkpoint()
            self._call("on_save")

    def _evaluated(self) -> dict[str, float]:
        """The metrics; a wish to stop meanwhile is granted at once, and who goes on evaluates first.

        Several processes see a signal at different moments: they finish the evaluation.
        """
        if self.trainer.group.count > 1:
            return self.trainer._evaluate(None, self.ignore_keys)
        try:
            with self.wish.at_once():
                return self.trainer._evaluate(None, self.ignore_keys)
        except KeyboardInterrupt:
            self.saved_step = -1  # a checkpoint of this step does not know yet that the evaluation is still to be made
            self._leave()
            raise

    def _log(self) -> None:
        trainer = self.trainer
        steps = trainer.state.global_step - self.logged_step
        loss = self.loss.item()
        logs: dict[str, Any] = {"loss": round(loss / steps, 4)}
        if self.result is not None and trainer.args.max_grad_norm:
            logs["grad_norm"] = self.result.grad_norm.item()
        logs["learning_rate"] = trainer._get_learning_rate() if self.learning_rate is None else self.learning_rate
        self.total_loss += loss
        self.loss = torch.zeros_like(self.loss)
        self.logged_step = trainer.state.global_step
        if trainer.args.include_num_input_tokens_seen == "no":
            trainer.log(logs)  # subclasses of older programs know no start_time
        else:
            trainer.log(logs, self.start)

    def _is_best(self, metrics: dict[str, float]) -> bool:
        args, state = self.trainer.args, self.trainer.state
        if args.metric_for_best_model is None:
            return False
        value = checked_metric(metrics, args.metric_for_best_model)
        better = np.greater if args.greater_is_better else np.less
        if state.best_metric is not None and not better(value, state.best_metric):
            return False
        state.best_metric = value
        if args.save_strategy in (SaveStrategy.STEPS, SaveStrategy.EPOCH):
            state.best_global_step = state.global_step
        return True

    def _epoch(self) -> float:
        per_epoch = self.batches_per_epoch
        if per_epoch is None:  # a stream: the share of the whole run
            return self.progress.epoch + self.progress.epoch_step / max(1, self.trainer.state.max_steps)
        done = min(self.progress.epoch_step * self.trainer.args.gradient_accumulation_steps, per_epoch)
        return self.progress.epoch + done / per_epoch

    def _call(self, event: str) -> None:
        trainer = self.trainer
        handler = getattr(trainer.callback_handler, event)
        trainer.control = handler(trainer.args, trainer.state, trainer.control)

    def _read_control(self) -> None:
        self.stop = self.stop or self.trainer.control.should_training_stop
        self.end_epoch = self.trainer.control.should_epoch_stop
