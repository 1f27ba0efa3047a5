"""The callbacks that come along: the flow of a run, early stopping, the progress bar, lines, TensorBoard."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from typing import Any

from bothways.errors import UsageError
from bothways.progress import progress_bar
from bothways.trainer.callback_handler import CallbackHandler, TrainerCallback
from bothways.trainer.outputs import IntervalStrategy, SaveStrategy
from bothways.trainer.state import ExportableState, TrainerControl, TrainerState

__all__ = [
    "CallbackHandler",
    "DefaultFlowCallback",
    "EarlyStoppingCallback",
    "ExportableState",
    "PrinterCallback",
    "ProgressCallback",
    "TensorBoardCallback",
    "TrainerCallback",
    "TrainerControl",
    "TrainerState",
]

logger = logging.getLogger(__name__)


class DefaultFlowCallback(TrainerCallback):
    """When to log, evaluate, save and stop, as the arguments say."""

    decides_the_flow = True

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> TrainerControl:
        step = state.global_step
        if step == 1 and args.logging_first_step:
            control.should_log = True
        if args.logging_strategy == IntervalStrategy.STEPS and step % state.logging_steps == 0:
            control.should_log = True
        if args.eval_strategy == IntervalStrategy.STEPS and step % state.eval_steps == 0 and args.eval_delay <= step:
            control.should_evaluate = True
        if args.save_strategy == SaveStrategy.STEPS and state.save_steps > 0 and step % state.save_steps == 0:
            control.should_save = True
        if step >= state.max_steps:
            control.should_training_stop = True
            if args.save_strategy == SaveStrategy.STEPS:
                control.should_save = True
        return control

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> TrainerControl:
        if args.logging_strategy == IntervalStrategy.EPOCH:
            control.should_log = True
        if args.eval_strategy == IntervalStrategy.EPOCH and args.eval_delay <= (state.epoch or 0):
            control.should_evaluate = True
        if args.save_strategy == SaveStrategy.EPOCH:
            control.should_save = True
        return control


class EarlyStoppingCallback(TrainerCallback, ExportableState):
    """Ends training when the metric for the best model has not improved for some evaluations.

    Args:
        early_stopping_patience: evaluations without improvement before training ends.
        early_stopping_threshold: an improvement must be larger than this to count.
    """

    def __init__(self, early_stopping_patience: int = 1, early_stopping_threshold: float | None = 0.0) -> None:
        self.early_stopping_patience = early_stopping_patience
        self.early_stopping_threshold = early_stopping_threshold or 0.0
        self.early_stopping_patience_counter = 0

    def check_metric_value(self, args: Any, state: TrainerState, control: TrainerControl, metric_value: float) -> None:
        """Count an evaluation that is not better than the best one. The ``Trainer`` keeps ``state.best_metric``."""
        best = state.best_metric
        if best is not None:
            is_better = metric_value > best if args.greater_is_better else metric_value < best
            if not is_better or abs(metric_value - best) <= self.early_stopping_threshold:
                self.early_stopping_patience_counter += 1
                return
        self.early_stopping_patience_counter = 0

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if not args.load_best_model_at_end:
            logger.warning(
                "EarlyStoppingCallback without load_best_model_at_end=True keeps the last model, not the best."
            )
        if args.metric_for_best_model is None:
            raise UsageError("EarlyStoppingCallback needs metric_for_best_model, for example 'loss' or 'accuracy'.")
        if args.eval_strategy == IntervalStrategy.NO:
            raise UsageError("EarlyStoppingCallback needs evaluations, but eval_strategy is 'no'. Set it to 'epoch'.")

    def on_evaluate(
        self, args: Any, state: TrainerState, control: TrainerControl, metrics: Any = None, **_: Any
    ) -> None:
        name = args.metric_for_best_model
        name = name if name.startswith("eval_") else f"eval_{name}"
        value = (metrics or {}).get(name)
        if value is None:
            logger.warning("Early stopping found no %s among %s and does nothing.", name, sorted(metrics or {}))
            return
        self.check_metric_value(args, state, control, value)
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True

    def state(self) -> dict[str, Any]:
        return {
            "args": {
                "early_stopping_patience": self.early_stopping_patience,
                "early_stopping_threshold": self.early_stopping_threshold,
            },
            "attributes": {"early_stopping_patience_counter": self.early_stopping_patience_counter},
        }


class ProgressCallback(TrainerCallback):
    """A bar on stderr if that is a terminal, and each log as a line on stdout.

    Args:
        max_str_len: longer texts in a log are replaced by their length.
    """

    def __init__(self, max_str_len: int = 100) -> None:
        self.max_str_len = max_str_len
        self.is_training = False
        self.current_step = 0
        self._training, self._prediction = _Bar(), _Bar()

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.is_training = True
        self.current_step = state.global_step
        if state.is_world_process_zero:
            self._training.open("Training", state.max_steps, "steps")
            self._training.advance(state.global_step)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self._training.advance(state.global_step - self.current_step)
            self.current_step = state.global_step

    def on_prediction_step(
        self, args: Any, state: TrainerState, control: TrainerControl, eval_dataloader: Any = None, **kwargs: Any
    ) -> None:
        # one bar at a time: a terminal shows only one that lives
        if state.is_world_process_zero and not self.is_training and _has_length(eval_dataloader):
            if not self._prediction.is_open:
                self._prediction.open("Evaluating", len(eval_dataloader), "batches")
            self._prediction.advance(1)

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._prediction.close()

    def on_predict(self, args: Any, state: TrainerState, control: TrainerControl, metrics: Any, **kwargs: Any) -> None:
        self._prediction.close()

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero and self.is_training:
            shown = {name: self._short(value) for name, value in (logs or {}).items() if name != "total_flos"}
            if "epoch" in shown:
                shown["epoch"] = round(shown["epoch"], 2)
            print_line(str(shown))

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._training.close()
        self.is_training = False

    def _short(self, value: Any) -> Any:
        if not isinstance(value, str) or len(value) <= self.max_str_len:
            return value
        return (
            f"[String too long to display, length: {len(value)} > {self.max_str_len}. "
            "Consider increasing `max_str_len` if needed.]"
        )


class PrinterCallback(TrainerCallback):
    """Prints each log."""

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        if state.is_local_process_zero:
            print({name: value for name, value in (logs or {}).items() if name != "total_flos"})


class TensorBoardCallback(TrainerCallback):
    """Writes the numbers of each log for TensorBoard into ``args.logging_dir``: ``train/loss``, ``eval/loss``.

    Args:
        tb_writer: a ``SummaryWriter``; None makes one when training begins.
    """

    def __init__(self, tb_writer: Any = None) -> None:
        self.tb_writer = tb_writer

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        if self.tb_writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.tb_writer = SummaryWriter(log_dir=args.logging_dir)
        self.tb_writer.add_text("args", args.to_json_string())

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        if not state.is_world_process_zero or self.tb_writer is None:
            return
        for name, value in (logs or {}).items():
            if isinstance(value, (int, float)):
                self.tb_writer.add_scalar(_tag(name), value, state.global_step)
        self.tb_writer.flush()

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.tb_writer is not None:
            self.tb_writer.close()
            self.tb_writer = None


def print_line(line: str) -> None:
    """Print on stdout, above a bar that is shown there.

    A bar on stderr takes stdout over, so that lines stay above it on a terminal; into a file they go directly.
    """
    stdout = getattr(sys.stdout, "rich_proxied_file", sys.stdout)
    print(line, file=sys.stdout if stdout.isatty() else stdout, flush=True)


def _tag(name: str) -> str:
    for split in ("eval", "test"):
        if name.startswith(f"{split}_"):
            return f"{split}/{name.removeprefix(f'{split}_')}"
    return f"train/{name}"


def _has_length(thing: Any) -> bool:
    try:
        return len(thing) is not None
    except (TypeError, AttributeError, NotImplementedError):
        return False


class _Bar:
    """A progress bar that is opened and closed by different hooks."""

    def __init__(self) -> None:
        self._stack: ExitStack | None = None

    @property
    def is_open(self) -> bool:
        return self._stack is not None

    def open(self, title: str, total: int, unit: str) -> None:
        self.close()
        self._stack = ExitStack()
        self._advance = self._stack.enter_context(progress_bar(title, total, unit))

    def advance(self, steps: int) -> None:
        if self.is_open:
            self._advance(steps)

    def close(self) -> None:
        if self._stack is not None:
            self._stack.close()
            self._stack = None
