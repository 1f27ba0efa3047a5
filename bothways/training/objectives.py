"""What a packed batch teaches: its loss, and how many items that is the mean of.

A step weighs the loss of each micro-batch by its items (``engine/steps.py``), so that micro-batches add up to the step
exactly. With class weights an item counts as much as its label weighs: torch's weighted cross entropy is the mean
over the sum of the weights.

Shapes: R labelled rows (examples or tokens), C classes.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bothways.errors import UsageError, nearest
from bothways.models.losses import sequence_loss
from bothways.training.features import labelled_items
from bothways.training.label_watch import LabelWatch
from bothways.training.writing_features import PairBatch

IGNORED = -100
BALANCED = "balanced"

Forward = Callable[[Any, Any], Tensor]
"""From a model and a batch to the logits of its rows."""


class Objective(ABC):
    """What is minimised: a mean over items."""

    watch: LabelWatch | None = None
    """Is told the logits of every batch, where somebody wants to know."""

    def told(self, logits: Tensor, examples: Sequence[int]) -> None:
        """Tell the watch."""
        if self.watch is not None:
            self.watch.note(logits, examples)

    @abstractmethod
    def items(self, batch: Any) -> float:
        """How many items the loss of a batch is the mean of."""

    @abstractmethod
    def loss(self, model: Any, batch: Any, examples: Sequence[int]) -> Tensor:
        """() the loss of a batch with labels; ``examples`` are the numbers of its examples in the training set."""


class ModelLoss(Objective):
    """The model's own loss."""

    def items(self, batch: Any) -> float:
        return labelled_items(batch)

    def loss(self, model: Any, batch: Any, examples: Sequence[int]) -> Tensor:
        output = output_of(model, batch)
        if self.watch is not None:  # not every output has logits, those of classes have
            self.told(output.logits, examples)
        return output.loss


def packed_logits(model: Any, batch: Any) -> Tensor:
    """The logits that a model gives for a packed batch."""
    return output_of(model, batch, with_loss=False).logits


def output_of(model: Any, batch: Any, *, with_loss: bool = True) -> Any:
    """What a model says of a packed batch, or of a batch of sources and targets."""
    if isinstance(batch, PairBatch):
        return batch.output(model, with_loss=with_loss)
    return model(batch)


class SequenceLoss(Objective):
    """Mean squared error or binary cross entropy, by the problem type; for logits that no forward of a model made."""

    def __init__(self, problem_type: str, forward: Forward) -> None:
        self.problem_type, self.forward = problem_type, forward

    def items(self, batch: Any) -> float:
        return labelled_items(batch)

    def loss(self, model: Any, batch: Any, examples: Sequence[int]) -> Tensor:
        return sequence_loss(self.forward(model, batch), batch.labels, self.problem_type)


class CrossEntropy(Objective):
    """Cross entropy of classes: ``torch.nn.functional.cross_entropy`` with its weights and label smoothing.

    Args:
        weights: float32 (C,), of each class; None weighs all alike.
        smoothing: probability that is given to all classes alike. Source: Szegedy et al. 2016, section 7.
        forward: gives the logits.
    """

    def __init__(
        self, *, weights: Tensor | None = None, smoothing: float = 0.0, forward: Forward = packed_logits
    ) -> None:
        self.weights, self.smoothing, self.forward = weights, smoothing, forward

    def items(self, batch: Any) -> float:
        return float(self.item_weights(batch.labels).sum())

    def loss(self, model: Any, batch: Any, examples: Sequence[int]) -> Tensor:
        logits = self.forward(model, batch)
        self.told(logits, examples)
        return self.of(logits, batch.labels)

    def of(self, logits: Tensor, labels: Tensor) -> Tensor:
        """() from logits (R, C) and labels int64 (R,), of which those that are -100 do not count."""
        weights = None if self.weights is None else self.weights.to(logits.device)
        return F.cross_entropy(
            logits.float(), labels.long(), weight=weights, ignore_index=IGNORED, label_smoothing=self.smoothing
        )

    def item_weights(self, labels: Tensor) -> Tensor:
        """float32 (counted,): what each label that is not -100 weighs."""
        counted = labels[labels != IGNORED].long()
        if self.weights is None:
            return torch.ones(len(counted), device=labels.device)
        return self.weights.to(labels.device)[counted]


def class_weights(asked: str, label_names: Sequence[str], labels: Any) -> Tensor:
    """What the classes weigh.

    Args:
        asked: ``"balanced"``, or ``"pos=2,neg=1"``; classes without a number weigh 1.
        label_names: the C classes in the order of their ids.
        labels: of the training set, int64 (n,), or an array of them for each example; -100 does not count.

    Returns:
        float32 (C,). Balanced: n / (C n_c) with n_c labels of class c, so that every class weighs the same in sum; C
        are the classes that occur, and one that does not weighs 1. Source: King and Zeng 2001, section 4.

    Raises:
        UsageError: no such class, or a weight that is no number above 0.
    """
    if asked.strip() == BALANCED:
        return _balanced(len(label_names), labels)
    weights = torch.ones(len(label_names))
    for name, weight in parse_weights(asked).items():
        if name not in label_names:
            like = nearest(name, list(label_names), most=1)
            raise UsageError(
                f"class_weights names {name!r}, which is no label of the data. Labels: {_some(label_names)}."
                + (f" Did you mean {like[0]!r}?" if like else "")
            )
        weights[list(label_names).index(name)] = weight
    return weights


def parse_weights(asked: str) -> dict[str, float]:
    """``"pos=2,neg=1"`` as a dictionary. A name may hold commas and signs of equality.

    Raises:
        UsageError: it cannot be read so.
    """
    found: dict[str, float] = {}
    rest = asked.strip()
    while rest:
        match = re.match(r"\s*(.+?)\s*=\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(?:,|$)", rest)
        weight = _number(match[2]) if match else None
        if match is None or weight is None or match[1] in found:
            break
        found[match[1]] = weight
        rest = rest[match.end() :]
    if rest or not found:
        raise UsageError(
            f"class_weights is {asked!r:.80}; expected 'balanced', or each label once with a number above 0: "
            "'pos=2,neg=1'."
        )
    return found


def weights_text(weights: Mapping[str, float]) -> str:
    """The inverse of ``parse_weights``."""
    return ",".join(f"{name}={float(weight)!r}" for name, weight in weights.items())


def _balanced(classes: int, labels: Any) -> Tensor:
    flat = labels if isinstance(labels, Tensor) else torch.cat([torch.as_tensor(own) for own in labels])
    counts = torch.bincount(flat[flat != IGNORED].long(), minlength=classes).double()
    occur = counts > 0
    weights = torch.ones(classes, dtype=torch.float64)
    weights[occur] = counts.sum() / (occur.sum() * counts[occur])
    return weights.float()


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1e6 else None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


__all__ = ["CrossEntropy", "ModelLoss", "Objective", "SequenceLoss", "class_weights"]
