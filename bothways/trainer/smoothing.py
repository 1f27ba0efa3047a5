"""Label smoothing: some of the probability is asked for the other classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class LabelSmoother:
    """Cross entropy against labels that are not quite sure. Source: Szegedy et al. 2016, section 7.

    Attributes:
        epsilon: probability given to all classes alike.
        ignore_index: label of items that do not count.
    """

    epsilon: float = 0.1
    ignore_index: int = -100

    def __call__(self, model_output: Any, labels: Tensor, shift_labels: bool = False) -> Tensor:
        """The mean over the labels that count.

        Args:
            model_output: a dictionary with ``logits``, or a tuple with them first; (..., C).
            labels: (...), in one shape with the logits but for the classes.
            shift_labels: the logits of a token are for the label of the next one.
        """
        logits = model_output["logits"] if hasattr(model_output, "keys") else model_output[0]
        if shift_labels:
            logits, labels = logits[..., :-1, :], labels[..., 1:]
        log_probs = -torch.log_softmax(logits, dim=-1)
        labels = labels.unsqueeze(-1) if labels.dim() == log_probs.dim() - 1 else labels
        ignored = labels.eq(self.ignore_index)
        nll = log_probs.gather(dim=-1, index=labels.clamp(min=0)).masked_fill(ignored, 0.0)
        smoothed = log_probs.sum(dim=-1, keepdim=True, dtype=torch.float32).masked_fill(ignored, 0.0)
        active = ignored.numel() - ignored.long().sum()
        return (1 - self.epsilon) * nll.sum() / active + self.epsilon * smoothed.sum() / (active * log_probs.shape[-1])
