"""Steps over a corpus, by counters: shuffled, divided among processes, begun again anywhere to the same bits.

Shapes: N rows of an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from bothways.engine.loop import Progress
from bothways.engine.processes import Processes
from bothways.engine.seeds import epoch_order, seed_for
from bothways.engine.steps import MicroBatch
from bothways.pretraining.documents import Documents
from bothways.pretraining.exercise import Exercise
from bothways.pretraining.goals import Goal
from bothways.pretraining.rows import Rows
from bothways.pretraining.settings import PretrainSettings

ROWS, ASKED = 1, 2
"""What a seed is for: the rows of an epoch, and what is asked in a step."""
RAMP_FROM = 1 / 8


class CorpusSteps:
    """The source of a run's steps. Each process makes the same exercise of a step and takes its parts of it.

    Args:
        documents: to train on.
        progress: of the run; what is asked depends on the number of the step.
        share: how much of the run is over.

    Attributes:
        epoch_share: how much of the epoch has been handed out.
    """

    steps_per_epoch: int | None = None  # only the end tells: pairs of sentences are others in each epoch

    def __init__(
        self,
        documents: Documents,
        goal: Goal,
        settings: PretrainSettings,
        progress: Progress,
        group: Processes,
        share: Callable[[], float],
    ) -> None:
        self.documents, self.goal, self.settings = documents, goal, settings
        self.progress, self.group, self.share = progress, group, share
        self.epoch_share = 0.0
        self._rows: tuple[int, Rows] | None = None
        self._mean_tokens = max(1.0, float(self.rows(progress.epoch).n_tokens.mean()))

    def rows(self, epoch: int) -> Rows:
        """The rows of an epoch, in the order of the corpus."""
        if self._rows is None or self._rows[0] != epoch:
            rng = np.random.default_rng([self.settings.seed, ROWS, epoch])
            self._rows = (epoch, self.goal.rows(self.documents, rng))
        return self._rows[1]

    def steps(self, epoch: int, first: int) -> Iterator[list[MicroBatch]]:
        rows = self.rows(epoch)
        order = epoch_order(len(rows), self.settings.seed, epoch + 1)
        number = self.progress.step - first  # of the epoch's first step, among all
        place = 0
        for _ in range(first):
            place += self.rows_of_step(number)
            number += 1
        while place < len(order):
            count = self.rows_of_step(number)
            chosen = order[place : place + count]
            place, number = place + count, number + 1
            self.epoch_share = min(1.0, place / len(order))
            yield self._micro_batches(rows, chosen, number)

    def rows_of_step(self, step: int) -> int:
        """How many rows a step has; over the ramp the number grows. Source: Smith et al. 2018, section 3."""
        full = self.settings.batch_tokens / self._mean_tokens
        ramp = self.settings.ramp_steps
        part = 1.0 if step >= ramp else RAMP_FROM + (1 - RAMP_FROM) * step / ramp
        return max(self.group.count, round(full * part))

    def _micro_batches(self, rows: Rows, chosen: np.ndarray, number: int) -> list[MicroBatch]:
        # equal lengths side by side share one attention call
        indices = chosen[np.argsort(rows.n_tokens[chosen], kind="stable")]
        whole = self.goal.exercise(
            self.documents,
            rows,
            indices.tolist(),
            seed=seed_for(self.settings.seed, ASKED, number),
            share=self.share(),
        )
        whole = replace(whole, step_rows=whole.n_rows, step_tokens=whole.total_tokens)
        return [self._micro_batch(part) for part in self._own_parts(whole)]

    def _own_parts(self, whole: Exercise) -> list[Exercise]:
        """Every so-manieth part within the budget of tokens."""
        count = self.group.count
        rounds = -(-whole.total_tokens // (self.settings.max_tokens * count))
        return whole.parts(rounds * count)[self.group.rank :: count]

    def _micro_batch(self, part: Exercise) -> MicroBatch:
        return MicroBatch(inputs=part, items=self.goal.items(part), count=part.n_rows, tokens=part.total_tokens)


def validation_parts(documents: Documents, goal: Goal, settings: PretrainSettings) -> list[Exercise]:
    """What a run is judged by: all rows of the held-out documents, with questions that stay the same."""
    rows = goal.rows(documents, np.random.default_rng([settings.seed, ROWS]))
    indices = np.argsort(rows.n_tokens, kind="stable").tolist()
    if not indices:
        return []
    whole = goal.exercise(documents, rows, indices, seed=seed_for(settings.seed, ASKED), share=1.0)
    whole = replace(whole, step_rows=whole.n_rows, step_tokens=whole.total_tokens)
    return whole.parts(-(-whole.total_tokens // settings.max_tokens))
