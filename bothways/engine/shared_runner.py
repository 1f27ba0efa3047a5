"""Prediction shared among the processes that train together: each computes a part, all get everything, in order."""

from __future__ import annotations

from typing import Any

import numpy as np

from bothways.engine.processes import Processes
from bothways.models.runner import Ids, PackedRunner


class SharedRunner(PackedRunner):
    """A ``PackedRunner`` whose sequences are divided among processes.

    Args:
        group: the processes; all must call the same methods with the same sequences.
    """

    def __init__(self, model: Any, group: Processes, **options: Any) -> None:
        super().__init__(model, **options)
        self.group = group

    def sequence_logits(self, input_ids: Ids, token_type_ids: Ids | None = None) -> np.ndarray:
        parts = self.group.gather(super().sequence_logits(*self._own(input_ids, token_type_ids)))
        return np.concatenate(parts)

    def token_logits(self, input_ids: Ids, token_type_ids: Ids | None = None) -> list[np.ndarray]:
        parts = self.group.gather(super().token_logits(*self._own(input_ids, token_type_ids)))
        return [logits for part in parts for logits in part]

    def hidden(self, input_ids: Ids, token_type_ids: Ids | None = None) -> list[np.ndarray]:
        parts = self.group.gather(super().hidden(*self._own(input_ids, token_type_ids)))
        return [vectors for part in parts for vectors in part]

    def pooled(self, input_ids: Ids, token_type_ids: Ids | None = None, *, pooling: str = "mean") -> np.ndarray:
        parts = self.group.gather(super().pooled(*self._own(input_ids, token_type_ids), pooling=pooling))
        return np.concatenate(parts)

    def _own(self, *columns: Ids | None) -> list[Any]:
        return [None if column is None else self.group.own(column) for column in columns]
