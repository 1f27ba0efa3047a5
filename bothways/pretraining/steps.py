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
from bothways.errors import DataError
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

    Raises:
        DataError: documents without a row.
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
        self._rows: tuple[int, Rows] | None = None
        self._ends: list[int] = []
        self._mean_tokens = 1.0
        self.rows(progress.epoch)

    def rows(self, epoch: int) -> Rows:
        """The rows of an epoch, in the order of the corpus."""
        if self._rows is None or self._rows[0] != epoch:
            # counted from 1, as NumPy takes missing numbers for 0: these would be the draws of an epoch's order
            found = self.goal.rows(self.documents, np.random.default_rng([self.settings.seed, ROWS, epoch + 1]))
            if not len(found):
                raise DataError(
                    f"the {self.documents.n_tokens:,} tokens of {len(self.documents):,} documents are too few for a "
                    "row of this objective. Give more text."
                )
            self._rows, self._ends = (epoch, found), [0]
            # of this epoch alone: a run that is gone on with does not know the rows of earlier ones
            self._mean_tokens = float(found.n_tokens.mean())
        return self._rows[1]

    def steps(self, epoch: int, first: int) -> Iterator[list[MicroBatch]]:
        rows = self.rows(epoch)
        order = epoch_order(len(rows), self.settings.seed, epoch + 1)
        number = self.progress.step - first  # of the epoch's first step, among all
        step = first
        while self._end(step, number) < len(order):
            chosen = order[self._end(step, number) : self._end(step + 1, number)]
            step += 1
            yield self._micro_batches(rows, chosen, number + step)

    def epoch_share(self) -> float:
        """How much of the epoch that is not finished is over, 0 to 1."""
        step = self.progress.epoch_step
        rows = self.rows(self.progress.epoch)
        return min(1.0, self._end(step, self.progress.step - step) / len(rows))

    def _end(self, step: int, number: int) -> int:
        """How many rows so many steps of the epoch have, if the first is step ``number`` of all."""
        while len(self._ends) <= step:
            self._ends.append(self._ends[-1] + self.rows_of_step(number + len(self._ends) - 1))
        return self._ends[step]

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
        asked = max(1, self.goal.items(whole))
        return [self._micro_batch(part, self.goal.items(part) / asked) for part in self._own_parts(whole)]

    def _own_parts(self, whole: Exercise) -> list[Exercise]:
        """Every so-manieth part within the budget of tokens."""
        count = self.group.count
        rounds = -(-whole.total_tokens // (self.settings.max_tokens * count))
        return whole.parts(rounds * count)[self.group.rank :: count]

    def _micro_batch(self, part: Exercise, asked_share: float) -> MicroBatch:
        tokens = part.total_tokens
        return MicroBatch(
            inputs=replace(part, asked_share=asked_share),
            items=0 if self.goal.is_empty(part) else tokens,
            count=part.n_rows,
            tokens=tokens,
        )


def validation_parts(documents: Documents, goal: Goal, settings: PretrainSettings) -> list[Exercise]:
    """What a run is judged by: all rows of the held-out documents, with questions that stay the same."""
    rows = goal.rows(documents, np.random.default_rng([settings.seed, ROWS]))
    indices = np.argsort(rows.n_tokens, kind="stable").tolist()
    if not indices:
        return []
    whole = goal.exercise(documents, rows, indices, seed=seed_for(settings.seed, ASKED), share=1.0)
    return whole.parts(-(-whole.total_tokens // settings.max_tokens))
