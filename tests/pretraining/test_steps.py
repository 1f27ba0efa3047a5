"""Steps by counters: the ramp, each row once an epoch, from anywhere, for any number of processes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from bothways.engine.loop import Progress
from bothways.engine.processes import Processes
from bothways.errors import DataError
from bothways.pretraining.goal_table import GOALS
from bothways.pretraining.steps import CorpusSteps
from tests.pretraining.small import documents_with, goal_for, settings_for, tokenizer_for

LENGTHS = [30, 44, 7, 60, 21, 9, 50, 33] * 4


@pytest.fixture(params=list(GOALS))
def goal(request, tmp_path):
    settings = settings_for(request.param)
    return goal_for(settings, tokenizer_for(request.param, tmp_path))


class Noted:
    """Which rows each step asked for, noted on the way."""

    def __init__(self, goal, monkeypatch):
        self.asked = []
        before = goal.exercise

        def exercise(documents, rows, indices, *, seed, share):
            self.asked.append((list(indices), seed, share))
            return before(documents, rows, indices, seed=seed, share=share)

        monkeypatch.setattr(goal, "exercise", exercise)


def source_of(goal, progress=None, group=None, share=lambda: 0.0, **more):
    settings = settings_for(
        next(name for name, cls in GOALS.items() if cls is type(goal)), **{"max_tokens": 60, **more}
    )
    return CorpusSteps(documents_with(LENGTHS), goal, settings, progress or Progress(), group or Processes(), share)


def ids(batches):
    return [(b.inputs.batch.input_ids.tolist(), b.inputs.asked_share, b.items, b.tokens, b.count) for b in batches]


def test_every_row_comes_once_an_epoch_in_an_order_of_its_own(goal, monkeypatch):
    noted = Noted(goal, monkeypatch)
    orders = []
    for epoch in (0, 1):
        noted.asked.clear()
        source = source_of(goal, Progress(step=40 * epoch, epoch=epoch))
        steps = list(source.steps(epoch, 0))
        rows = [i for own, _, _ in noted.asked for i in own]
        assert sorted(rows) == list(range(len(source.rows(epoch)))) and len(steps) > 5
        assert len({seed for _, seed, _ in noted.asked}) == len(steps)
        orders.append(rows)
    assert orders[0] != orders[1]


def test_steps_have_about_the_tokens_that_were_asked_for(goal):
    steps = list(source_of(goal, batch_tokens=200).steps(0, 0))
    sizes = [sum(b.tokens for b in batches) for batches in steps[:-1]]
    assert 200 <= np.mean(sizes) <= 330  # special tokens and targets come on top


@pytest.mark.parametrize("epoch", [0, 1])
def test_steps_from_anywhere_are_those_from_the_beginning(goal, epoch):
    """Also where the ramp has not ended, and in an epoch whose forerunner this process has not seen."""
    more = {"ramp_steps": 9, "batch_tokens": 150}
    progress = Progress()
    running = source_of(goal, progress, **more)
    for number in range(epoch):
        for _ in running.steps(number, 0):
            progress.step, progress.epoch_step = progress.step + 1, progress.epoch_step + 1
        progress.epoch, progress.epoch_step = number + 1, 0
    begun = progress.step
    whole = [ids(batches) for batches in running.steps(epoch, 0)]
    assert len(whole) > 5
    for first in (1, 4, len(whole) - 1, len(whole)):
        progress = Progress(step=begun + first, epoch=epoch, epoch_step=first)
        rest = [ids(batches) for batches in source_of(goal, progress, **more).steps(epoch, first)]
        assert rest == whole[first:]


def test_the_size_of_steps_grows_over_the_ramp_from_an_eighth(goal):
    source = source_of(goal, batch_tokens=1600, ramp_steps=7)
    sizes = [source.rows_of_step(step) for step in range(9)]
    full = 1600 / source.rows(0).n_tokens.mean()
    assert sizes == [round(full * (1 + min(step, 7)) / 8) for step in range(9)]
    assert source_of(goal, group=Processes(0, 50), ramp_steps=4).rows_of_step(0) == 50


def test_the_share_of_an_epoch_does_not_hang_on_who_asks(goal):
    progress = Progress(step=3)
    running = source_of(goal, progress, ramp_steps=5)
    shares = [running.epoch_share()]
    for _ in running.steps(0, 0):
        progress.step, progress.epoch_step = progress.step + 1, progress.epoch_step + 1
        shares.append(running.epoch_share())
    assert shares[0] == 0 and shares[-1] == 1 and all(a < b for a, b in pairwise(shares))
    for step, share in enumerate(shares):
        assert source_of(goal, Progress(step=3 + step, epoch_step=step), ramp_steps=5).epoch_share() == share


def test_the_share_of_the_run_is_asked_before_each_step(goal, monkeypatch):
    noted = Noted(goal, monkeypatch)
    shares = iter([0.1, 0.2, 0.3])
    source = source_of(goal, share=lambda: next(shares))
    for _, _ in zip(source.steps(0, 0), range(2), strict=False):
        pass
    assert [share for _, _, share in noted.asked] == [0.1, 0.2, 0.3]


def test_processes_have_parts_of_the_same_exercise(goal, monkeypatch):
    noted = Noted(goal, monkeypatch)
    alone = next(source_of(goal, batch_tokens=300).steps(0, 0))
    three = [next(source_of(goal, group=Processes(rank, 3), batch_tokens=300).steps(0, 0)) for rank in range(3)]
    assert all(asked == noted.asked[0] for asked in noted.asked)
    for count in ("items", "tokens", "count"):
        assert sum(getattr(b, count) for own in three for b in own) == sum(getattr(b, count) for b in alone)
    assert sum(b.inputs.asked_share for own in three for b in own) == pytest.approx(1)
    sizes = [sum(b.tokens for b in own) for own in three]
    assert max(sizes) - min(sizes) <= 2 * 48
    assert max(b.tokens for own in [alone, *three] for b in own) <= 60 + 48


def test_what_is_asked_about_does_not_follow_the_order_of_the_rows(tmp_path):
    """The draws of pairs in the first epoch are not those of its order, and another seed has others."""
    settings = settings_for("mlm,nsp")
    goal = goal_for(settings, tokenizer_for("mlm,nsp", tmp_path))
    drawn = {}
    for seed in (0, 1):
        for epoch in (0, 1):
            source = source_of(goal, Progress(epoch=epoch), seed=seed)
            drawn[seed, epoch] = tuple(map(tuple, source.rows(epoch).second))
    assert len(set(drawn.values())) == 4
    used = []
    rows = goal.rows
    goal.rows = lambda documents, rng: used.append(rng.bit_generator.state["state"]["state"]) or rows(documents, rng)
    for epoch in (0, 1, 2):
        source_of(goal, Progress(epoch=epoch), seed=7)
    orders = [np.random.default_rng([7, epoch + 1]).bit_generator.state["state"]["state"] for epoch in range(4)]
    assert not set(used) & set(orders) and len(set(used)) == 3


def test_documents_without_a_row_are_refused(tmp_path):
    settings = settings_for("span")
    goal = goal_for(settings, tokenizer_for("span", tmp_path))
    with pytest.raises(DataError, match="the 3 tokens of 3 documents are too few for a row"):
        CorpusSteps(documents_with([1, 1, 1]), goal, settings, Progress(), Processes(), lambda: 0.0)
