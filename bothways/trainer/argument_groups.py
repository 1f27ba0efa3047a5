"""Setting arguments by topic: ``args.set_training(...).set_evaluate(...)``."""

from __future__ import annotations

from typing import TypeVar

from bothways.errors import UsageError
from bothways.trainer.argument_checks import complete_reports, optimizer_of, schedule_of
from bothways.trainer.argument_fields import ArgumentFields
from bothways.trainer.outputs import IntervalStrategy, SaveStrategy

Args = TypeVar("Args", bound="ArgumentGroups")


class ArgumentGroups(ArgumentFields):
    """One method for each topic; each sets all its fields, and gives the arguments back."""

    def set_training(
        self: Args,
        learning_rate: float = 5e-5,
        batch_size: int = 8,
        weight_decay: float = 0,
        num_epochs: float = 3,
        max_steps: int = -1,
        gradient_accumulation_steps: int = 1,
        seed: int = 42,
        gradient_checkpointing: bool = False,
    ) -> Args:
        """What training takes first; sets ``do_train`` too."""
        self.do_train = True
        self.learning_rate = learning_rate
        self.per_device_train_batch_size = batch_size
        self.weight_decay = weight_decay
        self.num_train_epochs = num_epochs
        self.max_steps = max_steps
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.seed = seed
        self.gradient_checkpointing = gradient_checkpointing
        return self

    def set_evaluate(
        self: Args,
        strategy: str | IntervalStrategy = "no",
        steps: float = 500,
        batch_size: int = 8,
        accumulation_steps: int | None = None,
        delay: float | None = None,
        loss_only: bool = False,
        jit_mode: bool = False,
    ) -> Args:
        """When and how to evaluate; ``do_eval`` follows the strategy."""
        self.eval_strategy = IntervalStrategy(strategy)
        if self.eval_strategy == IntervalStrategy.STEPS:
            _check_steps("steps", steps)
        self.do_eval = self.eval_strategy != IntervalStrategy.NO
        self.eval_steps = steps
        self.per_device_eval_batch_size = batch_size
        self.eval_accumulation_steps = accumulation_steps
        self.eval_delay = delay or 0
        self.prediction_loss_only = loss_only
        _refuse_jit(jit_mode)
        return self

    def set_testing(self: Args, batch_size: int = 8, loss_only: bool = False, jit_mode: bool = False) -> Args:
        """What ``predict`` takes; sets ``do_predict`` too."""
        self.do_predict = True
        self.per_device_eval_batch_size = batch_size
        self.prediction_loss_only = loss_only
        _refuse_jit(jit_mode)
        return self

    def set_save(
        self: Args,
        strategy: str | SaveStrategy = "steps",
        steps: float = 500,
        total_limit: int | None = None,
        on_each_node: bool = False,
    ) -> Args:
        """When checkpoints are written and how many are kept."""
        self.save_strategy = SaveStrategy(strategy)
        if self.save_strategy == SaveStrategy.STEPS:
            _check_steps("steps", steps)
        self.save_steps = steps
        self.save_total_limit = total_limit
        self.save_on_each_node = on_each_node
        return self

    def set_logging(
        self: Args,
        strategy: str | IntervalStrategy = "steps",
        steps: float = 500,
        report_to: str | list[str] = "none",
        level: str = "passive",
        first_step: bool = False,
        nan_inf_filter: bool = False,
        on_each_node: bool = False,
        replica_level: str = "passive",
    ) -> Args:
        """When and where to log."""
        self.logging_strategy = IntervalStrategy(strategy)
        if self.logging_strategy == IntervalStrategy.STEPS:
            _check_steps("steps", steps)
        self.logging_steps = steps
        self.report_to = report_to
        complete_reports(self)
        self.log_level = level
        self.logging_first_step = first_step
        self.logging_nan_inf_filter = nan_inf_filter
        self.log_on_each_node = on_each_node
        self.log_level_replica = replica_level
        return self

    def set_optimizer(
        self: Args,
        name: str = "adamw_torch",
        learning_rate: float = 5e-5,
        weight_decay: float = 0,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        args: str | None = None,
    ) -> Args:
        """The optimizer and its numbers."""
        self.optim = optimizer_of(name)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.adam_beta1 = beta1
        self.adam_beta2 = beta2
        self.adam_epsilon = epsilon
        self.optim_args = args
        return self

    def set_lr_scheduler(
        self: Args,
        name: str = "linear",
        num_epochs: float = 3.0,
        max_steps: int = -1,
        warmup_ratio: float = 0,
        warmup_steps: float = 0,
    ) -> Args:
        """The schedule of the learning rate and the length of the run."""
        self.lr_scheduler_type = schedule_of(name)
        self.num_train_epochs = num_epochs
        self.max_steps = max_steps
        self.warmup_ratio = warmup_ratio
        self.warmup_steps = warmup_steps
        return self

    def set_dataloader(
        self: Args,
        train_batch_size: int = 8,
        eval_batch_size: int = 8,
        drop_last: bool = False,
        num_workers: int = 0,
        pin_memory: bool = True,
        persistent_workers: bool = False,
        prefetch_factor: int | None = None,
        auto_find_batch_size: bool = False,
        ignore_data_skip: bool = False,
        sampler_seed: int | None = None,
    ) -> Args:
        """How batches are made."""
        self.per_device_train_batch_size = train_batch_size
        self.per_device_eval_batch_size = eval_batch_size
        self.dataloader_drop_last = drop_last
        self.dataloader_num_workers = num_workers
        self.dataloader_pin_memory = pin_memory
        self.dataloader_persistent_workers = persistent_workers
        self.dataloader_prefetch_factor = prefetch_factor
        self.auto_find_batch_size = auto_find_batch_size
        self.ignore_data_skip = ignore_data_skip
        self.data_seed = sampler_seed
        return self


def _check_steps(name: str, value: float) -> None:
    if value == 0:
        raise UsageError(f"{name} is 0; with the strategy 'steps' it must be above 0.")


def _refuse_jit(jit_mode: bool) -> None:
    if jit_mode:
        raise UsageError("jit_mode=True is not supported. Use torch_compile=True.")
