"""Scores of a model on the evaluation examples, after every epoch and at the end."""

from __future__ import annotations

import time
from typing import Any

from bothways.engine.precision import resolve_precision
from bothways.engine.processes import Processes
from bothways.engine.shared_runner import SharedRunner
from bothways.evaluation.baseline import Predictions
from bothways.training.frozen import HeadRunner
from bothways.training.settings import FitSettings
from bothways.training.task import TrainingTask


class Judge:
    """Scores a model on the evaluation examples, by the way that predicts.

    Args:
        encoded: the evaluation part, as ``job.answer`` takes it.
        frozen: only the head changes from epoch to epoch.
    """

    def __init__(
        self,
        model: Any,
        job: TrainingTask,
        encoded: Any,
        settings: FitSettings,
        group: Processes,
        *,
        frozen: bool = False,
    ) -> None:
        self.job = job
        self.encoded = encoded
        dtype = resolve_precision(settings.precision, model.device)
        self.runner = SharedRunner(model, group, dtype=dtype)
        self.often = HeadRunner(model, group, dtype=dtype) if frozen else self.runner

    def score(self) -> float:
        """The number by which the best epoch is chosen; higher is better."""
        return self.job.quick_score(self.often, self.encoded)

    def timed(self) -> tuple[Predictions, float]:
        """The answers, and the seconds that they took without tokenisation."""
        start = time.perf_counter()
        return self.job.answer(self.runner, self.encoded), time.perf_counter() - start


__all__ = ["Judge"]
