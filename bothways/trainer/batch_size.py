"""Training with the largest batch that memory allows: halved, and begun again, each time it does not suffice."""

from __future__ import annotations

import copy
import gc
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from bothways.errors import OutOfMemoryError

logger = logging.getLogger("bothways")

T = TypeVar("T")


def with_fitting_batch(trainer: Any, train: Callable[[], T]) -> T:
    """Call ``train`` with ``trainer._train_batch_size``, half of it, a quarter, until memory suffices.

    Every attempt begins with the weights and the optimizer that the first one had; a copy is kept meanwhile. Several
    processes do not do this: one that runs out of memory cannot tell those that wait for it.
    """
    if not trainer.args.auto_find_batch_size or trainer.group.count > 1:
        return train()
    weights = {name: value.detach().to("cpu", copy=True) for name, value in trainer.model.state_dict().items()}
    given = trainer.optimizer
    optimizer = None if given is None else copy.deepcopy(given.state_dict())
    while True:
        try:
            return train()
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem) or trainer._train_batch_size == 1:
                raise
            reason = str(problem).split("\n")[0][:100]
        # outside of the handler: the exception holds the activations of the step that failed
        _begin_again(trainer, weights, given, optimizer)
        rows = trainer._train_batch_size
        logger.warning("Memory does not suffice (%s): training begins again with %d rows in a batch.", reason, rows)


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether a GPU or the CPU had no room for a tensor. A limit that the user has set is not meant."""
    if isinstance(problem, OutOfMemoryError):
        return False
    full = isinstance(problem, (torch.OutOfMemoryError, MemoryError))
    return full or "can't allocate memory" in str(problem)


def _begin_again(trainer: Any, weights: dict[str, Any], optimizer: Any, state: Any) -> None:
    trainer._train_batch_size //= 2
    trainer.model.zero_grad(set_to_none=True)
    trainer.optimizer = optimizer
    trainer.model.load_state_dict(weights)
    if optimizer is not None:
        optimizer.load_state_dict(copy.deepcopy(state))
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
