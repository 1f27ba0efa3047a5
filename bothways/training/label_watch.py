"""What a model says of each training example whenever training comes by, before it learns from it once more.

A label that is wrong is learned late or never, so that the mean of these answers speaks against it; the better the
model, the clearer, and it costs nothing. Source: Pleiss et al. 2020, "Identifying mislabeled data using the area under
the margin ranking", section 3. Later epochs, which know the labels by heart, are left out, as there.

Shapes: n training examples, C labels, b examples of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bothways.data import TextExample
from bothways.engine.processes import Processes
from bothways.engine.state_files import load_state, save_state

EPOCHS_WATCHED = 5
"""The first ones (a head on a frozen encoder, AG News, 5 % of the labels flipped: of those 90 % are found with 3 to 8
epochs, 87 % with 30)."""
MOST_NUMBERS = 10_000_000
"""n x C that are kept, 40 MB."""
WATCHED = "watched"
_ONE = 2**16  # whole numbers: sums are the same whichever process adds first


class LabelWatch:
    """Sums of the probabilities that one-label examples were given.

    Args:
        count: n. n_labels: C.
    """

    def __init__(self, count: int, n_labels: int, device: torch.device | str = "cpu") -> None:
        self.sums = torch.zeros(count, n_labels, dtype=torch.int32, device=device)
        self.visits = torch.zeros(count, dtype=torch.int32, device=device)

    def note(self, logits: Tensor, examples: Sequence[int]) -> None:
        """Add what was said of some examples: logits (b, C)."""
        numbers = torch.as_tensor(examples, device=self.sums.device)
        shares = logits.detach().float().softmax(dim=-1)
        self.sums.index_add_(0, numbers, (shares * _ONE).round().int())
        self.visits.index_add_(0, numbers, torch.ones_like(numbers, dtype=torch.int32))

    def means(self) -> NDArray[np.float32]:
        """float32 (n, C) the mean probabilities; NaN for examples that training never came to."""
        visits = self.visits.cpu().numpy()[:, None]
        with np.errstate(invalid="ignore"):
            return (self.sums.cpu().numpy() / (visits * _ONE)).astype(np.float32)

    def collect(self, group: Processes) -> None:
        """Give the first process what all have seen."""
        for tensor in (self.sums, self.visits):
            group.sum(tensor)
            if not group.is_first:
                tensor.zero_()

    def save(self, directory: Path) -> None:
        """Write what the first process has, after ``collect``."""
        save_state(directory, WATCHED, {"sums": self.sums, "visits": self.visits})

    def load(self, directory: Path, group: Processes) -> None:
        """Go on from what ``save`` wrote.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        if group.is_first:
            stored = load_state(directory, WATCHED)
            self.sums.copy_(stored["sums"])
            self.visits.copy_(stored["visits"])


def label_watch(job: Any, count: int, model: Any) -> LabelWatch | None:
    """A watch over the training texts of a task with one label each; None for other tasks, or where it would be large.

    Args:
        job: the ``TrainingTask``. count: examples that training reads.
    """
    texts, n_labels = job.split.train, len(job.label_names)
    if job.kind != "single" or not isinstance(texts[0], TextExample) or len(texts) != count:
        return None
    return LabelWatch(count, n_labels, model.device) if count * n_labels <= MOST_NUMBERS else None


__all__ = ["EPOCHS_WATCHED", "LabelWatch", "label_watch"]
