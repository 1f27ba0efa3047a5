"""Parts of ``Trainer`` with an underscore that subclasses put their own in place of, and those that have no place here.

Version 4 called all of them. One that nothing calls would be passed over without a word, so it is refused where the
subclass is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from bothways.errors import UsageError
from bothways.trainer.reporting import Reports
from bothways.trainer.saving import read_model, write_model
from bothways.trainer.state import TrainerState

NOT_CALLED = {
    "_inner_training_loop": "training_step, compute_loss and callbacks",
    "_maybe_log_save_evaluate": "log, evaluate, _save_checkpoint and callbacks",
    "_rotate_checkpoints": "save_total_limit",
    "_wrap_model": "the model itself, before it is passed",
    "_get_eval_sampler": "get_eval_dataloader",
    "get_batch_samples": "get_train_dataloader",
    "_load_from_checkpoint": "callbacks, at on_train_begin",
    "_load_optimizer_and_scheduler": "callbacks, at on_train_begin",
    "_save_optimizer_and_scheduler": "_save_checkpoint",
    "_save_rng_state": "_save_checkpoint",
    "_load_rng_state": "callbacks, at on_train_begin",
    "_hp_search_setup": "model_init",
    "_tune_save_checkpoint": "_save_checkpoint",
}
"""Parts of version 4 that are not parts here, and what to override in their place."""


class MayBeOverridden(Reports):
    """Called by training as in version 4; a subclass may do more, or something else."""

    args: Any
    model: nn.Module
    state: TrainerState
    processing_class: Any
    _write_checkpoint: Callable[[], None] | None = None
    is_model_parallel: ClassVar[bool] = False
    place_model_on_device: ClassVar[bool] = True
    is_deepspeed_enabled: ClassVar[bool] = False
    is_fsdp_enabled: ClassVar[bool] = False
    deepspeed: ClassVar[None] = None
    hp_search_backend: ClassVar[None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__module__.partition(".")[0] == __name__.partition(".")[0]
        for name in () if own else NOT_CALLED.keys() & vars(cls).keys():
            raise UsageError(
                f"{cls.__name__}.{name} would never be called: training has no such step here. What it is for can be "
                f"done with {NOT_CALLED[name]}."
            )

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """The model with its tokeniser and the arguments, as ``from_pretrained`` loads it."""
        if self.args.should_save:
            self._save(output_dir)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """The files of the model, as ``save_model`` writes them."""
        directory = Path(output_dir or self._directory)
        write_model(self.model, directory, self.processing_class, self.args, state_dict)

    def _save_checkpoint(self, model: nn.Module, trial: Any = None, metrics: Any = None) -> None:
        """A checkpoint of now, ``checkpoint-N`` in the output directory.

        Raises:
            UsageError: nothing is being trained.
        """
        if self._write_checkpoint is None:
            raise UsageError("there is no training whose state could be saved: save_model() writes the model.")
        self._write_checkpoint()

    @contextmanager
    def _saving_with(self, write: Callable[[], None]) -> Iterator[None]:
        """While something is trained: how its state is written."""
        self._write_checkpoint = write
        try:
            yield
        finally:
            self._write_checkpoint = None

    def _get_output_dir(self, trial: Any = None) -> str:
        """Where checkpoints are written."""
        return str(self._directory)

    def _load_best_model(self) -> None:
        """Give the model the weights of the best checkpoint, at the end of training."""
        assert self.state.best_model_checkpoint is not None
        read_model(self.model, Path(self.state.best_model_checkpoint))

    def _prepare_input(self, data: Any) -> Any:
        """One value of a batch, or many in lists and dictionaries, on the model's device."""
        if isinstance(data, Tensor):
            return data.to(self.args.device, non_blocking=True)
        if hasattr(data, "items"):
            return {name: self._prepare_input(value) for name, value in data.items()}
        if isinstance(data, (list, tuple)):
            return type(data)(self._prepare_input(value) for value in data)
        return data

    def _prepare_inputs(self, inputs: Any) -> Any:
        """The tensors of a batch on the model's device."""
        return self._prepare_input(inputs)
