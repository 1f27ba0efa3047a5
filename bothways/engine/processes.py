"""The processes that train together: who this one is, and the few exchanges that training needs.

``torchrun`` starts them and says in the environment how many there are. One process alone needs nothing of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from bothways.engine.shared_sums import SharedSums, shared_sums
from bothways.errors import BothwaysError, ToldElsewhereError

T = TypeVar("T")

LARGE = 65_536
"""Numbers from which a gradient is exchanged by itself; copying it together with others would cost more."""


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
        return self._reduced(tensor, dist.ReduceOp.SUM) if self.count > 1 else tensor

    def sum_all(self, tensors: Sequence[Tensor]) -> None:
        """Add up many tensors in place, each over all processes; every process gets the same bits."""
        if self.count == 1 or not tensors:
            return
        if all(tensor.is_cpu and tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in tensors):
            memory = _shared_memory(self, dist.group.WORLD)
            if memory is not None:
                memory.add_up(tensors)
                return
        if dist.get_backend() == "nccl" and any(tensor.is_cpu for tensor in tensors):
            for tensor in tensors:
                self.sum(tensor)
            return
        with _exchanging(self.rank):
            for work in [dist.all_reduce(tensor, async_op=True) for tensor in tensors]:
                work.wait()

    def largest(self, tensor: Tensor) -> Tensor:
        """Element-wise maximum in place over all processes."""
        return self._reduced(tensor, dist.ReduceOp.MAX) if self.count > 1 else tensor

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process."""
        return bool(self.largest(torch.tensor([flag], dtype=torch.uint8)).item()) if self.count > 1 else flag

    def gather(self, value: T) -> list[T]:
        """The values of all processes by rank, in each of them."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        with _exchanging(self.rank):
            dist.all_gather_object(found, value)
        return found

    def share(self, value: T) -> T:
        """What the first process has."""
        if self.count == 1:
            return value
        box = [value]
        with _exchanging(self.rank):
            dist.broadcast_object_list(box)
        return box[0]

    def first_does(self, work: Callable[[], T]) -> T:
        """Let the first process do something and give its result to all; its error is raised in all."""
        if self.count == 1:
            return work()
        result, problem = _outcome(work) if self.is_first else (None, None)
        shared: tuple[Any, Any] = (result, _told(problem))
        result, told = self.share(shared)
        if problem is not None:
            raise problem
        if told is not None:
            raise _elsewhere(0, *told)
        return result

    def all_do(self, work: Callable[[], T]) -> T:
        """Let every process do something; if one fails all do, and the first that failed raises its own error."""
        if self.count == 1:
            return work()
        result, problem = _outcome(work)
        told = self.gather(_told(problem))
        failed = next((rank for rank, found in enumerate(told) if found is not None), None)
        if problem is not None and failed == self.rank:
            raise problem
        if failed is not None:
            raise _elsewhere(failed, *(told[failed] or ("", 1)))
        return result

    def common(self, problem: BothwaysError) -> BothwaysError:
        """What to raise where all processes meet the same problem at once: the first tells it."""
        return problem if self.is_first else _elsewhere(0, str(problem), problem.exit_code)

    def own(self, rows: Sequence[T]) -> Sequence[T]:
        """The contiguous part of ``rows`` that is this process's; the parts of all ranks in order are ``rows``."""
        start, end = (len(rows) * r // self.count for r in (self.rank, self.rank + 1))
        return rows[start:end]

    def _reduced(self, tensor: Tensor, operation: Any) -> Tensor:
        with _exchanging(self.rank):
            if tensor.is_cpu and dist.get_backend() == "nccl":  # a program chose it, and it knows GPUs only
                on_gpu = tensor.to(torch.device("cuda", self.local_rank))
                dist.all_reduce(on_gpu, op=operation)
                return tensor.copy_(on_gpu)
            dist.all_reduce(tensor, op=operation)
        return tensor


def processes(timeout_seconds: float = 1800) -> Processes:
    """The processes of this run: joins those that ``torchrun`` started, at the first call."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 and not dist.is_initialized():
        return Processes()
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout_seconds))
    return Processes(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))


@lru_cache(maxsize=1)
def _shared_memory(group: Processes, world: Any) -> SharedSums | None:
    """Made at the first call for ``world``, torch's present group of all processes."""
    return shared_sums(group)


def _outcome(work: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return work(), None
    except Exception as problem:
        return None, problem


def _told(problem: Exception | None) -> tuple[str, int] | None:
    return None if problem is None else (str(problem) or type(problem).__name__, getattr(problem, "exit_code", 1))


def _elsewhere(rank: int, told: str, exit_code: int) -> ToldElsewhereError:
    problem = ToldElsewhereError(f"process {rank} failed: {told}")
    problem.exit_code = exit_code
    return problem


@contextmanager
def _exchanging(rank: int) -> Iterator[None]:
    """A process that waits for one which has ended gets an error of the backend, about sockets."""
    try:
        yield
    except RuntimeError as problem:
        reason = str(problem).splitlines()[0]
        raise BothwaysError(
            f"process {rank} lost the others that train with it: one has ended, and its message says why. ({reason})"
        ) from problem


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
    gradients = [p.grad for p in used if p.grad is not None]
    large = [g for g in gradients if g.numel() >= LARGE and g.is_contiguous()]
    small = [g for g in gradients if g.numel() < LARGE or not g.is_contiguous()]
    group.sum_all(large)
    for dtype in sorted({gradient.dtype for gradient in small}, key=str):
        own = [gradient for gradient in small if gradient.dtype == dtype]
        flat = torch._utils._flatten_dense_tensors(own)
        group.sum(flat)
        for gradient, summed in zip(own, torch._utils._unflatten_dense_tensors(flat, own), strict=True):
            gradient.copy_(summed)
    return group.sum(loss.clone())


__all__ = ["Processes", "processes", "sync_gradients"]
