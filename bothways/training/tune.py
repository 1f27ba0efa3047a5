"""``bothways train --tune N``: the search over the trainings of a job."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bothways.errors import BothwaysError, OutOfMemoryError
from bothways.training.fit import fit
from bothways.training.judge import Judge
from bothways.training.learner import make_lesson
from bothways.training.search import FailedTrialError, Say, Search, search
from bothways.training.settings import FitSettings
from bothways.training.task import TrainingTask
from bothways.training.trials import SEARCHED

if TYPE_CHECKING:
    from bothways.training.job import Prepared

OPTION_OF = {"warmup_ratio": "warmup"}


def tune(prepared: Prepared, defaults: FitSettings, directory: Path, command: str, say: Say) -> Search:
    """Search settings for a job, as many trials as its options ask for.

    Args:
        prepared: the job; its model is left as it is.
        defaults: of the job, with what the user asked for.
        directory: of the run.
        command: that goes on with it.

    Raises:
        see ``search``.
    """
    options = prepared.options
    return search(
        options["tune"],
        prepared.job,
        defaults,
        _Trainings(prepared),
        directory,
        given=[name for name in SEARCHED if options.get(OPTION_OF.get(name, name)) is not None],
        going_on=f"Continue with: {command}",
        say=say,
        group=prepared.group,
    )


class _Trainings:
    """Trainings of copies of a model; what they share is encoded once."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.job: TrainingTask | None = None
        self.lesson: Any = None
        self.encoded: Any = None

    def __call__(self, job: TrainingTask, settings: FitSettings, judged: Callable[[Sequence[Any]], float]) -> bool:
        prepared = self.prepared
        if self.job is not job:
            self._encode(job, settings)
        model = copy.deepcopy(prepared.learner)
        judge = Judge(model, job, self.encoded, settings, prepared.group, frozen=prepared.method.freeze)
        try:
            result = fit(
                model,
                self.lesson.features,
                settings,
                lambda: judged(job.answer(judge.often, judge.encoded).labels),
                objective=self.lesson.objective,
                group=prepared.group,
            )
        except BothwaysError as problem:
            if prepared.group.share(isinstance(problem, OutOfMemoryError)):
                raise
            raise FailedTrialError(str(problem)) from problem  # a loss that is no finite number
        return result.stopped == "time"

    def _encode(self, job: TrainingTask, settings: FitSettings) -> None:
        prepared = self.prepared
        model, limit = prepared.learner, prepared.limit
        features = job.training_set(prepared.tokenizer, limit, model.config).features
        self.job = job
        self.lesson = make_lesson(model, job, features, prepared.method, settings, limit, prepared.group)
        self.encoded = job.encode_evaluation(prepared.tokenizer, prepared.most)
