"""What a ``Trainer`` must be given, checked before any work."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from bothways.errors import UsageError
from bothways.models.task_models import EncoderModel
from bothways.trainer.outputs import IntervalStrategy, SaveStrategy


def check_arguments(trainer: Any, model: nn.Module | None, model_init: Any) -> None:
    """Raises:
    UsageError: arguments that do not go together.
    """
    args = trainer.args
    if model is None and model_init is None:
        raise UsageError("Trainer needs a model or a model_init. Pass one of them.")
    if model_init is not None and any(part is not None for part in (trainer.optimizer, trainer.lr_scheduler)):
        raise UsageError("optimizers belong to a model, and model_init makes new ones. Pass a model instead.")
    if trainer.optimizer is not None and trainer.optimizer_cls_and_kwargs is not None:
        raise UsageError("both optimizers and optimizer_cls_and_kwargs were given. Pass one of them.")
    if args.eval_strategy != "no" and trainer.eval_dataset is None and not trainer._has_own_eval_loader():
        raise UsageError(
            f"eval_strategy is {IntervalStrategy(args.eval_strategy).value!r}, but there is no eval_dataset. "
            "Pass one, or set eval_strategy='no'."
        )
    if (args.save_strategy == SaveStrategy.BEST or args.load_best_model_at_end) and not args.metric_for_best_model:
        raise UsageError("the best model cannot be told without metric_for_best_model. Set it.")
    if not args.average_tokens_across_devices and args.world_size > 1:
        raise UsageError(
            f"average_tokens_across_devices is False, but {args.world_size} processes train together: the loss of a "
            "step is always the mean over the tokens of all. Leave it out."
        )
    takes = inspect.signature(trainer.compute_metrics).parameters if trainer.compute_metrics else {}
    if args.batch_eval_metrics and trainer.compute_metrics and "compute_result" not in takes:
        raise UsageError("with batch_eval_metrics, compute_metrics must take the argument compute_result.")


def check_head(model: nn.Module) -> None:
    """Raises:
    UsageError: a body without a head, which has no loss.
    """
    if isinstance(model, EncoderModel):
        raise UsageError(
            f"{type(model).__name__} has no head and no loss. Train one with a head, such as "
            f"{type(model).__name__.removesuffix('Model')}ForSequenceClassification."
        )
