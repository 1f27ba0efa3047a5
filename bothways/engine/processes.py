"""The processes that train together: who this one is, and the few exchanges that training needs.

``torchrun`` starts them and says in the environment how many there are. One process alone needs nothing of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """Attributes:
    rank: number of this process among all, from 0.
    count: how many there are.
    local_rank: number of this process on its machine; it takes the GPU of that number.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files and speaks."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up in place over all processes; every process gets the same bits."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def largest(self, tensor: Tensor) -> Tensor:
        """Element-wise maximum in place over all processes."""
        if self.count > 1:
            dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return tensor

    def gather(self, value: T) -> list[T]:
        """The values of all processes by rank, in each of them."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, value)
        return found

    def share(self, value: T) -> T:
        """What the first process has."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def first_does(self, work: Callable[[], T]) -> T:
        """Let the first process do something and give its result to all; its error is raised in all."""
        if self.count == 1:
            return work()
        result: Any = None
        problem: Exception | None = None
        if self.is_first:
            try:
                result = work()
            except Exception as found:
                problem = found
        result, told = self.share((result, None if problem is None else str(problem)))
        if problem is not None:
            raise problem
        if told is not None:
            raise RuntimeError(f"the first process failed: {told}")
        return result

    def own(self, rows: Sequence[T]) -> Sequence[T]:
        """The contiguous part of ``rows`` that is this process's; the parts of all ranks in order are ``rows``."""
        start, end = (len(rows) * r // self.count for r in (self.rank, self.rank + 1))
        return rows[start:end]


def processes(timeout_seconds: float = 1800) -> Processes:
    """The processes of this run: joins those that ``torchrun`` started, at the first call."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 and not dist.is_initialized():
        return Processes()
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout_seconds))
    return Processes(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))


def sync_gradients(group: Processes, parameters: Sequence[torch.nn.Parameter], loss: Tensor) -> Tensor:
    """Add up the gradients of all processes in place, and their losses; returns the sum of the losses.

    A parameter that had no gradient in any process keeps none, as it would in one process.
    """
    if group.count == 1:
        return loss
    present = torch.tensor([p.grad is not None for p in parameters], dtype=torch.uint8, device=loss.device)
    used = [p for p, there in zip(parameters, group.largest(present).tolist(), strict=True) if there]
    for parameter in used:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    kinds = {parameter.dtype for parameter in used}
    for dtype in sorted(kinds, key=str):
        gradients = [p.grad for p in used if p.dtype == dtype and p.grad is not None]
        flat = torch._utils._flatten_dense_tensors(gradients)
        group.sum(flat)
        for gradient, summed in zip(gradients, torch._utils._unflatten_dense_tensors(flat, gradients), strict=True):
            gradient.copy_(summed)
    return group.sum(loss.clone())


__all__ = ["Processes", "processes", "sync_gradients"]
