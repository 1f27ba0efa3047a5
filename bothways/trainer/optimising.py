"""The part of a ``Trainer`` that makes its optimizer and schedule."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from bothways.engine.optimizers import decay_parameter_names, optimizer_kind, parse_optim_args
from bothways.engine.schedules import get_scheduler
from bothways.errors import UsageError
from bothways.trainer.arguments import TrainingArguments


class Optimises:
    """Optimizer and schedule of a trainer, by its arguments or as they were given."""

    args: TrainingArguments
    model: nn.Module
    optimizer: torch.optim.Optimizer | None
    lr_scheduler: Any
    optimizer_cls_and_kwargs: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None
    _own_scheduler: bool

    def create_optimizer_and_scheduler(self, num_training_steps: int) -> None:
        """Both, unless they were given."""
        self.create_optimizer()
        self.create_scheduler(num_training_steps, self.optimizer)

    def create_optimizer(self) -> torch.optim.Optimizer:
        """The optimizer of ``args.optim``; biases and norms do not decay."""
        if self.optimizer is None:
            args = self.args
            decaying = set(self.get_decay_parameter_names(self.model))
            named = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
            groups = [
                {"params": [p for n, p in named if n in decaying], "weight_decay": args.weight_decay},
                {"params": [p for n, p in named if n not in decaying], "weight_decay": 0.0},
            ]
            kind, options = self.optimizer_cls_and_kwargs or self.get_optimizer_cls_and_kwargs(args)
            self.optimizer = kind(groups, **options)
        return self.optimizer

    @staticmethod
    def get_optimizer_cls_and_kwargs(args: Any, model: Any = None) -> tuple[Any, dict[str, Any]]:
        """The class of ``args.optim`` and its arguments, for subclasses that group the parameters themselves."""
        return optimizer_kind(
            args.optim,
            learning_rate=args.learning_rate,
            betas=(args.adam_beta1, args.adam_beta2),
            eps=args.adam_epsilon,
            **parse_optim_args(args.optim_args),
        )

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> LRScheduler:
        """The schedule of ``args.lr_scheduler_type``; a new one for every ``train`` unless it was given."""
        if not self._own_scheduler:
            chosen = self.optimizer if optimizer is None else optimizer
            assert chosen is not None
            self.lr_scheduler = get_scheduler(
                self.args.lr_scheduler_type,
                chosen,
                num_warmup_steps=self.args.get_warmup_steps(num_training_steps),
                num_training_steps=num_training_steps,
                scheduler_specific_kwargs=self.args.lr_scheduler_kwargs or None,
            )
        assert self.lr_scheduler is not None
        return self.lr_scheduler

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Parameters that decay."""
        return decay_parameter_names(model)

    def get_num_trainable_parameters(self) -> int:
        """Numbers that training may change."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def get_learning_rates(self) -> list[float]:
        """The rate of each group of parameters now."""
        if self.optimizer is None:
            raise UsageError("there is no optimizer yet: train() or create_optimizer() makes it.")
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def _get_learning_rate(self) -> float:
        return self.get_learning_rates()[0]
