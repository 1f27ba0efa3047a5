"""Evaluation and prediction: the methods of ``Trainer`` that score a model without changing it."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from bothways.engine.processes import Processes
from bothways.trainer.arguments import TrainingArguments
from bothways.trainer.callback_handler import CallbackHandler
from bothways.trainer.evaluation import checked_metric, evaluation_loop, prediction_step, steps_of
from bothways.trainer.outputs import EvalLoopOutput, PredictionOutput, speed_metrics
from bothways.trainer.state import TrainerControl, TrainerState


class Evaluates:
    """Mixed into ``Trainer``, whose attributes it reads."""

    args: TrainingArguments
    callback_handler: CallbackHandler
    compute_metrics: Any
    control: TrainerControl
    eval_dataset: Any
    group: Processes
    lr_scheduler: Any
    state: TrainerState
    get_eval_dataloader: Any
    get_test_dataloader: Any
    log: Any

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Loss and metrics on a data set, or on each of several; memory does not grow with the data.

        Args:
            eval_dataset: in place of the one of ``__init__``; a name among several, a data set, or several by name.
            ignore_keys: outputs of the model that are no predictions.
            metric_key_prefix: put before the names of the metrics.
        """
        chosen = self.eval_dataset if eval_dataset is None else eval_dataset
        if type(chosen) is dict:
            metrics: dict[str, float] = {}
            for name, one in chosen.items():
                metrics |= self.evaluate(one, ignore_keys, f"{metric_key_prefix}_{name}")
            return metrics
        start = time.time()
        loader = self.get_eval_dataloader(chosen)
        output = self.evaluation_loop(
            loader,
            description="Evaluation",
            prediction_loss_only=True if self.compute_metrics is None else None,
            ignore_keys=ignore_keys,
            metric_key_prefix=metric_key_prefix,
        )
        metrics = self._with_speed(output, start, metric_key_prefix)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def predict(
        self, test_dataset: Any, ignore_keys: list[str] | None = None, metric_key_prefix: str = "test"
    ) -> PredictionOutput:
        """Predictions of every row in order, labels if there are any, and metrics."""
        start = time.time()
        output = self.evaluation_loop(
            self.get_test_dataloader(test_dataset),
            description="Prediction",
            ignore_keys=ignore_keys,
            metric_key_prefix=metric_key_prefix,
        )
        metrics = self._with_speed(output, start, metric_key_prefix)
        self.control = self.callback_handler.on_predict(self.args, self.state, self.control, metrics)
        return PredictionOutput(output.predictions, output.label_ids, metrics)

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """All batches of a loader: predictions in the order of the data, none lost, none twice."""
        return evaluation_loop(self, dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Any, Any]:
        """Loss, logits and labels of one batch; each may be None."""
        return prediction_step(self, model, inputs, prediction_loss_only, ignore_keys)

    def _evaluate(
        self, trial: Any = None, ignore_keys_for_eval: list[str] | None = None, skip_scheduler: bool = False
    ) -> dict[str, float]:
        """Evaluate while training, as version 4 calls it; ``trial`` has no effect."""
        metrics = self.evaluate(ignore_keys=ignore_keys_for_eval)
        if isinstance(self.lr_scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau) and not skip_scheduler:
            self.lr_scheduler.step(checked_metric(metrics, self.args.metric_for_best_model or "loss"))
        return metrics

    def _with_speed(self, output: EvalLoopOutput, start: float, prefix: str) -> dict[str, Any]:
        steps = steps_of(output.num_samples or 0, self.args.eval_batch_size * self.group.count)
        return (output.metrics or {}) | speed_metrics(prefix, start, num_samples=output.num_samples, num_steps=steps)
