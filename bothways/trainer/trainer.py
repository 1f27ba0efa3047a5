"""``Trainer``: the loop that existing programs call, over the engine of all training here.

What a subclass may override is what programs of the ecosystem do override; each hook says what it is for.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from bothways.engine.checkpoint_store import CheckpointStore
from bothways.engine.interruption import stopping_gently
from bothways.engine.loop import Progress
from bothways.engine.loop import run as run_loop
from bothways.engine.precision import computing_in
from bothways.engine.processes import processes
from bothways.engine.seeds import set_seed
from bothways.engine.steps import Stepper
from bothways.errors import InputError, UsageError
from bothways.run_lock import RunLock
from bothways.trainer.accelerator import Accelerator
from bothways.trainer.arguments import TrainingArguments
from bothways.trainer.batch_size import with_fitting_batch
from bothways.trainer.batches import columns_in, tokens_in
from bothways.trainer.callback_handler import CallbackHandler
from bothways.trainer.collators import DataCollatorWithPadding, default_data_collator
from bothways.trainer.compiled import compiled
from bothways.trainer.datasets import as_dataset, label_names_of
from bothways.trainer.demands import check_arguments, check_head
from bothways.trainer.evaluating import Evaluates
from bothways.trainer.hooks import HasCallbacks, callbacks_of
from bothways.trainer.loading import LoadsData
from bothways.trainer.noise import noisy_embeddings
from bothways.trainer.optimising import Optimises
from bothways.trainer.outputs import TrainOutput, enable_full_determinism, speed_metrics
from bothways.trainer.overriding import MayBeOverridden
from bothways.trainer.run import TrainerRun
from bothways.trainer.saving import batch_size_of, find_checkpoint, read_checkpoint
from bothways.trainer.smoothing import LabelSmoother
from bothways.trainer.state import TrainerControl, TrainerState


class Trainer(LoadsData, Optimises, Evaluates, HasCallbacks, MayBeOverridden):
    """Trains and evaluates a model. Arguments, defaults, files and logs are those of the ecosystem.

    Args:
        model: one of this library's, or any ``nn.Module`` whose forward returns a loss, as ``loss`` or first.
        args: how to train.
        data_collator: from a list of rows to the model's inputs; pads if there is a tokeniser.
        train_dataset: a list of dictionaries, a torch ``Dataset`` or ``IterableDataset``, a ``datasets.Dataset``, or a
            ``BatchEncoding`` with labels.
        eval_dataset: the same, or several by name.
        processing_class, tokenizer: saved with the model; two names of one thing.
        model_init: makes the model at each ``train``.
        compute_loss_func: from outputs, labels and ``num_items_in_batch`` to a loss that is a sum over items divided by
            that number.
        compute_metrics: from an ``EvalPrediction`` to a dictionary.
        callbacks: classes or instances.
        optimizers: an optimizer and a schedule of one's own, either may be None.
        optimizer_cls_and_kwargs: a class and its arguments; the parameters are filled in.
        preprocess_logits_for_metrics: applied to the logits of each batch before they are kept.

    Raises:
        UsageError, InputError: arguments that do not go together.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        args: TrainingArguments | None = None,
        data_collator: Callable[[list[Any]], Any] | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        model_init: Callable[..., nn.Module] | None = None,
        compute_loss_func: Callable[..., Tensor] | None = None,
        compute_metrics: Callable[..., dict[str, Any]] | None = None,
        callbacks: list[Any] | None = None,
        optimizers: tuple[torch.optim.Optimizer | None, LRScheduler | None] = (None, None),
        optimizer_cls_and_kwargs: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None,
        preprocess_logits_for_metrics: Callable[..., Any] | None = None,
        tokenizer: Any = None,
    ) -> None:
        self.args = TrainingArguments(output_dir="tmp_trainer") if args is None else args
        self.processing_class = processing_class if tokenizer is None else tokenizer
        self.compute_loss_func, self.compute_metrics = compute_loss_func, compute_metrics
        self.preprocess_logits_for_metrics = preprocess_logits_for_metrics
        self.train_dataset = as_dataset(train_dataset)
        several = type(eval_dataset) is dict
        self.eval_dataset = (
            {name: as_dataset(one) for name, one in eval_dataset.items()} if several else as_dataset(eval_dataset)
        )
        self.optimizer, self.lr_scheduler = optimizers
        self.optimizer_cls_and_kwargs = optimizer_cls_and_kwargs
        self._own_scheduler = optimizers[1] is not None
        check_arguments(self, model, model_init)
        enable_full_determinism(self.args.seed) if self.args.full_determinism else set_seed(self.args.seed)
        self.group = processes(self.args.ddp_timeout)
        self.model_init = model_init
        self.model: nn.Module = self.call_model_init() if model is None else model
        check_head(self.model)
        self.model.to(self.args.device)
        self.model_wrapped = self.model
        pads = DataCollatorWithPadding(self.processing_class) if self._has_tokenizer() else default_data_collator
        self.data_collator = data_collator or pads
        self.accelerator = Accelerator(self.group, self.args.device, self.args.gradient_accumulation_steps)
        self.label_names = label_names_of(self.model) if self.args.label_names is None else self.args.label_names
        loss_asked = inspect.signature(self.model.forward).parameters.get("return_loss")
        self.can_return_loss = loss_asked is not None and loss_asked.default is True
        smoothing = self.args.label_smoothing_factor
        self.label_smoother = LabelSmoother(smoothing) if smoothing else None
        self.model_accepts_loss_kwargs = False
        self.is_in_train = False
        self._train_batch_size = self.args.train_batch_size
        self._columns_read = 0
        self.state = TrainerState(
            is_local_process_zero=self.is_local_process_zero(), is_world_process_zero=self.is_world_process_zero()
        )
        self.control = TrainerControl()
        made = callbacks_of(self.args, callbacks)
        self.callback_handler = CallbackHandler(
            made, self.model, self.processing_class, self.optimizer, self.lr_scheduler
        )
        self.control = self.callback_handler.on_init_end(self.args, self.state, self.control)

    # -- training ------------------------------------------------------------------------------------------------

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
        **old: Any,
    ) -> TrainOutput:
        """Train.

        Ctrl-C and SIGTERM finish the step, save a checkpoint, say how to go on, and end the program; a second Ctrl-C
        ends it at once.

        Args:
            resume_from_checkpoint: a checkpoint, or True for the newest good one in ``output_dir``. The run goes on to
                the same weights, bit by bit, that it would have had.
            ignore_keys_for_eval: outputs that the evaluations leave out.

        Raises:
            BothwaysError: the loss is no finite number; its step and rows are named. UsageError: another run is
            training in ``output_dir``. CheckpointError: a checkpoint could not be written, or not be gone on from.
        """
        resume = resume_from_checkpoint or old.pop("model_path", None) or self.args.resume_from_checkpoint
        if old or trial is not None:
            raise UsageError(f"train() does not take {', '.join([*old, *(['trial'] if trial is not None else [])])}.")
        if self.train_dataset is None and not self._has_own_loader():
            raise UsageError("Trainer has no train_dataset to train on. Pass one.")
        if self.model_init is not None:
            set_seed(self.args.seed)
            self._take_model(self.call_model_init())
        self.is_in_train = True
        try:
            with ExitStack() as held, stopping_gently() as wish:
                self.group.first_does(lambda: self._lock(held))
                return with_fitting_batch(self, lambda: self._train(resume, ignore_keys_for_eval, wish))
        finally:
            self.is_in_train = False

    def _train(self, resume: str | bool | None, ignore_keys: list[str] | None, wish: Any) -> TrainOutput:
        args = self.args
        start = time.time()
        limit = args.save_total_limit
        store = CheckpointStore(self._directory, keep=limit if limit and limit > 0 else None)
        checkpoint = find_checkpoint(store, resume) if resume else None
        if checkpoint is not None and args.auto_find_batch_size:
            self._train_batch_size = batch_size_of(checkpoint) or self._train_batch_size
        source = self._train_steps()
        epochs, max_steps = self._length_of_run(source)
        self.create_optimizer_and_scheduler(num_training_steps=max_steps)
        progress = Progress()
        self.state = TrainerState(epoch=0, stateful_callbacks=self._exportable())
        if checkpoint is not None:
            progress = read_checkpoint(self, checkpoint)
            self._restore_callbacks()
            if args.ignore_data_skip:
                progress.epoch_step = 0
        self.state.compute_steps(args, max_steps)
        self.state.train_batch_size = self._train_batch_size
        self.state.init_training_references(self, max_steps, epochs)
        if args.gradient_checkpointing:
            self.model.gradient_checkpointing_enable(args.gradient_checkpointing_kwargs)  # type: ignore[operator]
        self.callback_handler.model, self.callback_handler.optimizer = self.model, self.optimizer
        self.callback_handler.lr_scheduler = self.lr_scheduler
        self.callback_handler.train_dataloader = self.get_train_dataloader()
        run = TrainerRun(
            self, progress, store, wish, batches_per_epoch=source.batches, ignore_keys=ignore_keys, start=start
        )
        assert self.optimizer is not None
        stepper = Stepper(
            self.model, self.optimizer, self._backward, seed=args.seed, max_grad_norm=args.max_grad_norm or 0.0,
            group=self.group, parameters=[p for p in self.model.parameters() if p.requires_grad],
        )  # fmt: skip
        stepper.drop_gradients()
        self.model.train()
        self.control = self.callback_handler.on_train_begin(args, self.state, self.control)
        noise = noisy_embeddings(self.model, args.neftune_noise_alpha)
        with noise, compiled(self.model, args), self._saving_with(run.save):
            if args.eval_on_start and not resume:
                self._evaluate(None, ignore_keys, skip_scheduler=True)
            if resume:
                run.catch_up(source.steps_per_epoch)
            if progress.step < max_steps:
                run_loop(stepper, source, progress, run)
        return self._finish(run, start)

    def _finish(self, run: TrainerRun, start: float) -> TrainOutput:
        args, state = self.args, self.state
        if args.load_best_model_at_end and state.best_model_checkpoint is not None:
            self._load_best_model()
        loss = (run.total_loss + run.loss.item()) / max(state.global_step, 0.001)
        tokens = run.progress.tokens - run.first_tokens if args.include_tokens_per_second else None
        done = {"num_samples": run.progress.examples, "num_steps": state.max_steps, "num_tokens": tokens}
        metrics: dict[str, Any] = speed_metrics("train", start, **done)
        state.total_flos = float(6 * run.progress.tokens * self._numbers_per_token())
        metrics |= {"total_flos": state.total_flos, "train_loss": loss}
        self.log(metrics)
        if self.is_world_process_zero() and args.save_total_limit == 1 and state.best_model_checkpoint:
            run.store.prune([int(state.best_model_checkpoint.rpartition("-")[2])], keep=0)
        self.control = self.callback_handler.on_train_end(args, state, self.control)
        return TrainOutput(state.global_step, loss, metrics)

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Forward and backward of one micro-batch; returns its loss as its share of the step, detached."""
        model.train()
        inputs = self._prepare_inputs(inputs)
        with self.compute_loss_context_manager():
            if self._takes_items:
                loss = self.compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
            else:
                loss = self.compute_loss(model, inputs)
        # a loss function that was told the number of items has divided by it already
        share = 1.0 if self.compute_loss_func is not None else self._share
        loss = loss.mean() * share
        loss.backward()
        return loss.detach()

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The loss of a batch, a mean over its items: what programs override to have a loss of their own.

        ``num_items_in_batch``: labelled items of the whole step, all micro-batches and processes together.
        """
        labels = None
        if (self.label_smoother is not None or self.compute_loss_func is not None) and "labels" in inputs:
            inputs = dict(inputs)
            labels = inputs.pop("labels")
        outputs = model(**inputs)
        if self.compute_loss_func is not None:
            loss = self.compute_loss_func(outputs, labels, num_items_in_batch=num_items_in_batch)
        elif labels is not None and self.label_smoother is not None:
            loss = self.label_smoother(outputs, labels, shift_labels=self._is_causal())
        else:
            loss = _loss_of(outputs, inputs)
        return (loss, outputs) if return_outputs else loss

    def compute_loss_context_manager(self) -> AbstractContextManager:
        """In which numbers the model computes: bfloat16 products with ``bf16=True``."""
        low = "bfloat16" if self.args.bf16 else "float16" if self.args.fp16 else "float32"
        return computing_in(low, self.args.device)

    def floating_point_ops(self, inputs: dict[str, Any]) -> float:
        """Operations of forward and backward over a batch: 6 for each token and number outside the embeddings.

        Source: Kaplan et al. 2020, section 2.1.
        """
        return float(6 * tokens_in(inputs) * self._numbers_per_token())

    def _numbers_per_token(self) -> int:
        embedded = {id(p) for m in self.model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        return sum(p.numel() for p in self.model.parameters() if id(p) not in embedded)

    def _backward(self, inputs: Any, share: float, items: float) -> Tensor:
        self._share = share
        self._columns_read += columns_in(inputs)
        return self.training_step(self.model, inputs, torch.tensor(items, device=self.args.device))

    # -- what it was made of ---------------------------------------------------------------------------------------

    def call_model_init(self, trial: Any = None) -> nn.Module:
        """A new model of ``model_init``."""
        assert self.model_init is not None
        takes = len(inspect.signature(self.model_init).parameters)
        model = self.model_init(trial) if takes else self.model_init()
        if model is None:
            raise UsageError("model_init returned None; it must return a model.")
        return model

    def is_world_process_zero(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.group.is_first

    def is_local_process_zero(self) -> bool:
        """Whether this process is the first on its machine."""
        return self.group.local_rank == 0

    @property
    def tokenizer(self) -> Any:
        """The older name of ``processing_class``."""
        return self.processing_class

    @tokenizer.setter
    def tokenizer(self, value: Any) -> None:
        self.processing_class = value

    def _lock(self, held: ExitStack) -> None:
        held.enter_context(RunLock(self._directory))

    def _has_tokenizer(self) -> bool:
        return hasattr(self.processing_class, "pad")

    def _take_model(self, model: nn.Module) -> None:
        self.model = self.model_wrapped = model.to(self.args.device)
        self.optimizer = None
        self.callback_handler.model = self.model

    @property
    def _takes_items(self) -> bool:
        parameters = inspect.signature(self.compute_loss).parameters
        return "num_items_in_batch" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _loss_of(outputs: Any, inputs: dict[str, Any]) -> Tensor:
    if hasattr(outputs, "keys"):
        if outputs.get("loss") is None:
            raise InputError(
                f"the model gave no loss, only {', '.join(outputs.keys())}; its inputs were {', '.join(inputs)}. "
                "Training needs labels: name the column as the model does, or override compute_loss."
            )
        return outputs["loss"]
    return outputs[0] if isinstance(outputs, (list, tuple)) else outputs
