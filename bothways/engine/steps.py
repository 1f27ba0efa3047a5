"""One exact step: micro-batches in, one update out, the same whatever the step was divided into.

The loss of a step is the mean over all its items (labelled tokens or examples). A micro-batch knows the mean over its
own items only, so its gradient counts with its share of the items. k micro-batches, in one process or in several,
give the gradient of one large batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bothways.engine.optimizers import AdamW
from bothways.engine.precision import computing_in
from bothways.engine.processes import Processes, sync_gradients
from bothways.engine.seeds import seed_for
from bothways.errors import BothwaysError

NAMED_EXAMPLES = 8


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """What goes through the model at once.

    Attributes:
        inputs: of the model.
        items: how many things its loss is the mean of: labelled examples or tokens.
        examples: their numbers in the training set; None when they have none.
        count: how many examples.
        tokens: without padding.
    """

    inputs: Any
    items: float
    count: int
    tokens: int
    examples: Sequence[int] | None = None


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """Attributes:
    loss: () the mean over all items of the step, in all processes.
    grad_norm: () before clipping.
    tokens, examples: of the step, in all processes.
    flagged: whether any process raised its flag.
    """

    loss: Tensor
    grad_norm: Tensor
    tokens: int
    examples: int
    flagged: bool


Backward = Callable[[Any, float, float], Tensor]
"""From inputs, their share of the step's items and the number of these: adds to the gradients, and returns the loss
times the share, detached."""


class Stepper:
    """Makes steps.

    Args:
        model: in training mode.
        optimizer: of the parameters to be trained.
        backward: see ``Backward``; ``mean_loss_backward`` suits models that return an output with ``loss``.
        seed: of dropout.
        max_grad_norm: gradients are scaled down to this norm; 0 leaves them.
        group: the processes that train together.
        parameters: those whose gradients are summed, measured and dropped, beside those of the optimizer: the clipping
            of the ecosystem measures a model's parameters, whatever its optimizer changes.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        backward: Backward,
        *,
        seed: int,
        max_grad_norm: float = 1.0,
        group: Processes | None = None,
        parameters: Iterable[nn.Parameter] = (),
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.backward = backward
        self.seed = seed
        self.max_grad_norm = max_grad_norm
        self.group = group or Processes()
        changed = [p for g in optimizer.param_groups for p in g["params"] if p.requires_grad]
        self.parameters = list(dict.fromkeys([*changed, *parameters]))
        # a GPU works ahead of Python: looking at a number at once would make both wait
        self.looks_back = self.parameters[0].device.type == "cuda" and self._scales_gradients
        self._unseen: _Unseen | None = None
        self._loss_dtype = torch.promote_types(self.parameters[0].dtype, torch.float32)

    def step(
        self,
        batches: Sequence[MicroBatch],
        number: int,
        *,
        flag: bool = False,
        between: Callable[[], None] = lambda: None,
        before_update: Callable[[], None] = lambda: None,
        after_update: Callable[[], None] = lambda: None,
    ) -> StepResult:
        """One update.

        Args:
            batches: of this process; may be empty where others have some.
            number: of the step, from 0: what dropout depends on.
            flag: shown to all processes in the result, so that all stop after the same step.
            between: called after each micro-batch but the last.
            before_update: called when the gradients are there, added up and clipped.
            after_update: called before the gradients are dropped.

        Raises:
            BothwaysError: a loss or gradient that is no finite number; the step and its examples are named and the
                weights are as before.
        """
        counts = [[0, 0, 0, flag], *([batch.items, batch.tokens, batch.count, 0] for batch in batches)]
        summed = self.group.sum(torch.tensor(counts, dtype=torch.float64).sum(dim=0))
        total, tokens, examples, flags = summed.tolist()
        if not total:
            where = self._named(_Part(False, *_examples(batches)))
            problem = BothwaysError(f"step {number + 1}{where} has nothing to learn from: no item has a label.")
            raise self.group.common(problem)
        # of one type in all processes, also in one that has no rows
        loss = torch.zeros((), device=self.parameters[0].device, dtype=self._loss_dtype)
        for i, batch in enumerate(batches):
            if not batch.items:
                continue  # the mean over nothing is no number
            torch.manual_seed(seed_for(self.seed, number, i, self.group.rank))
            loss = loss + self.backward(batch.inputs, batch.items / total, total).to(loss)
            if i + 1 < len(batches):
                between()
        own = loss
        loss = sync_gradients(self.group, self.parameters, own)
        norm = self._clip()
        self._watch(_Unseen(loss, norm, own, *_examples(batches), number))
        before_update()
        self.optimizer.step()
        after_update()
        self.drop_gradients()
        return StepResult(loss=loss, grad_norm=norm, tokens=int(tokens), examples=int(examples), flagged=flags > 0)

    def drop_gradients(self) -> None:
        """Leave no gradients behind."""
        for parameter in self.parameters:
            parameter.grad = None

    def settle(self) -> None:
        """Look at the last step, where looking is one step behind. Call it before weights are used or saved.

        Raises:
            BothwaysError: as ``step`` does.
        """
        unseen, self._unseen = self._unseen, None
        # the norm is finite only if every gradient is
        if unseen is not None and not torch.isfinite(unseen.loss + unseen.norm):
            self.drop_gradients()
            raise self.group.common(BothwaysError(self._not_finite(unseen)))

    def _watch(self, now: _Unseen) -> None:
        self.settle()
        self._unseen = now
        if self.looks_back:
            # the optimizer leaves the weights alone where this is not 0
            self.optimizer.found_inf = (~torch.isfinite(now.loss + now.norm)).float()  # type: ignore[attr-defined]
        else:
            self.settle()

    @property
    def _scales_gradients(self) -> bool:
        return isinstance(self.optimizer, AdamW)

    def _clip(self) -> Tensor:
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if not self.max_grad_norm:
            return norm
        if self._scales_gradients:
            # it divides as it reads the gradients: no pass of its own to scale them
            # (in float32, as torch's kernel reads the scale whatever the parameters are)
            self.optimizer.grad_scale = (norm / self.max_grad_norm).clamp(min=1.0).float()  # type: ignore[attr-defined]
        else:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.max_grad_norm, norm)
        return norm

    def _named(self, own: _Part) -> str:
        """The examples of a step in all processes, or of those alone whose loss is no number."""
        parts = self.group.gather(own)
        chosen = [part for part in parts if part.guilty] or parts
        examples = sorted(i for part in chosen for i in part.examples)
        if not examples:
            return f" ({sum(part.count for part in chosen)} examples)"
        more = ", …" if len(examples) > NAMED_EXAMPLES else ""
        return f" (examples {', '.join(map(str, examples[:NAMED_EXAMPLES]))}{more})"

    def _not_finite(self, found: _Unseen) -> str:
        loss, norm = found.loss.item(), found.norm.item()
        what = f"the gradient's norm is {norm}" if math.isfinite(loss) else f"the loss is {loss}"
        rate = max(group["lr"] for group in self.optimizer.param_groups)
        where = self._named(_Part(not math.isfinite(found.own.item()), found.examples, found.count))
        return (
            f"{what} at step {found.number + 1}{where}. The weights are those of step {found.number}. "
            f"Lower the learning rate (now {rate:g}) or look at these examples."
        )


@dataclass(frozen=True)
class _Unseen:
    """What may be no finite number, and where it came from; ``own`` is the loss of this process."""

    loss: Tensor
    norm: Tensor
    own: Tensor
    examples: list[int]
    count: int
    number: int


@dataclass(frozen=True)
class _Part:
    """The examples of one process in a step, and whether it is known that they are to blame."""

    guilty: bool
    examples: list[int]
    count: int


def _examples(batches: Sequence[MicroBatch]) -> tuple[list[int], int]:
    """Their numbers, where they have some, and how many they are."""
    return [int(i) for batch in batches for i in (batch.examples or ())], sum(batch.count for batch in batches)


def mean_loss_backward(model: nn.Module, precision: str, device: torch.device) -> Backward:
    """For a model that returns an output with ``loss``, a mean over its items."""

    def backward(inputs: Any, share: float, items: float) -> Tensor:
        with computing_in(precision, device):
            loss = model(inputs).loss
        (loss * share).backward()
        return loss.detach() * share

    return backward
