"""``trainer.accelerator``: what programs that override steps of the ``Trainer`` ask of it.

One process, or those that ``torchrun`` started; nothing is prepared here, so that models, optimizers and loaders
come back as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from bothways.engine.processes import Processes
from bothways.errors import UsageError


class Accelerator:
    """Attributes:
    device: where the model is.
    num_processes, process_index, local_process_index: of this run.
    gradient_accumulation_steps: as in the training arguments.
    """

    def __init__(self, group: Processes, device: torch.device, gradient_accumulation_steps: int) -> None:
        self._group = group
        self.device = device
        self.num_processes, self.process_index, self.local_process_index = group.count, group.rank, group.local_rank
        self.gradient_accumulation_steps = gradient_accumulation_steps

    @property
    def is_main_process(self) -> bool:
        return self._group.is_first

    @property
    def is_local_main_process(self) -> bool:
        return self.local_process_index == 0

    @property
    def sync_gradients(self) -> bool:
        """Gradients of processes meet at the end of a step, whatever happens within."""
        return True

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Gradients of a loss."""
        loss.backward(**kwargs)

    def unwrap_model(self, model: nn.Module, *_: Any, **__: Any) -> nn.Module:
        """The model itself: none is wrapped."""
        return model

    def prepare(self, *things: Any) -> Any:
        """The things as they are."""
        return things[0] if len(things) == 1 else things

    def prepare_model(self, model: nn.Module, *_: Any, **__: Any) -> nn.Module:
        """The model as it is."""
        return model

    def accumulate(self, *_: Any) -> AbstractContextManager[None]:
        """Steps of the ``Trainer`` accumulate by themselves."""
        return nullcontext()

    def autocast(self, *_: Any, **__: Any) -> AbstractContextManager[None]:
        """The ``Trainer`` has decided in which numbers a model computes."""
        return nullcontext()

    def clip_grad_norm_(self, parameters: Any, max_norm: float, norm_type: float = 2.0) -> Tensor:
        """As torch's."""
        return nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)

    def gather(self, value: Any) -> Any:
        """Tensors of all processes one behind the other, by rank; also in lists, tuples and dictionaries.

        Raises:
            UsageError: neither a tensor nor one of these.
        """
        if self.num_processes == 1:
            return value
        if isinstance(value, Mapping):
            return {name: self.gather(one) for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.gather(one) for one in value)
        if not isinstance(value, Tensor):
            raise UsageError(f"gather() takes tensors, got {type(value).__name__}.")
        parts = self._group.gather(value.detach().cpu())
        return torch.cat([part[None] if part.ndim == 0 else part for part in parts]).to(value.device)

    gather_for_metrics = gather

    def wait_for_everyone(self) -> None:
        """Until all processes are here."""
        self._group.gather(None)

    def print(self, *words: Any, **options: Any) -> None:
        """By the first process of a machine."""
        if self.is_local_main_process:
            print(*words, **options)
