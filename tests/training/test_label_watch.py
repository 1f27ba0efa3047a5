"""What a model said of its training examples: whole after any pause, and the same from any number of processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bothways.data import TextExample
from bothways.engine.processes import Processes
from bothways.errors import CheckpointError, Interrupted
from bothways.training.label_watch import EPOCHS_WATCHED, MOST_NUMBERS, LabelWatch, label_watch
from bothways.training.objectives import CrossEntropy
from bothways.training.task import Split
from bothways.training.text_task import TextTask
from tests.training.test_fit import tiny_features, tiny_model
from tests.training.test_resume import SETTINGS, STEPS, trained

N = len(tiny_features())


class OneOfTwo(Processes):
    """Sums with what another process has; which of the two it is says ``rank``."""

    def __init__(self, rank: int, other: LabelWatch) -> None:
        super().__init__(rank=rank, count=2)
        object.__setattr__(self, "others", [other.sums.clone(), other.visits.clone()])

    def sum(self, tensor):
        return tensor.add_(self.others.pop(0))


def test_the_mean_of_what_was_said():
    watch, generator = LabelWatch(3, 4), torch.Generator().manual_seed(0)
    logits = [torch.randn(2, 4, generator=generator) * 3 for _ in range(3)]
    for said, examples in zip(logits, ([0, 2], [2, 0], [2, 0]), strict=True):
        watch.note(said, examples)
    soft = [said.softmax(-1) for said in logits]
    means = watch.means()
    assert means.dtype == np.float32 and np.isnan(means[1]).all()
    assert np.allclose(means[0], (soft[0][0] + soft[1][1] + soft[2][1]) / 3, atol=2**-16)
    assert np.allclose(means[2], (soft[0][1] + soft[1][0] + soft[2][0]) / 3, atol=2**-16)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30), st.integers(0, 9))
def test_two_processes_see_what_one_sees_wherever_they_meet(visits, seed):
    generator = torch.Generator().manual_seed(seed)
    said = [(torch.randn(1, 3, generator=generator), [example], first) for example, first in visits]
    alone, pair = LabelWatch(6, 3), [LabelWatch(6, 3), LabelWatch(6, 3)]
    for i, (logits, examples, first) in enumerate(said):
        alone.note(logits, examples)
        pair[first].note(logits, examples)
        if i % 7 == 3 or i == len(said) - 1:
            groups = [OneOfTwo(0, pair[1]), OneOfTwo(1, pair[0])]
            for watch, group in zip(pair, groups, strict=True):
                watch.collect(group)
    assert torch.equal(alone.sums, pair[0].sums) and torch.equal(alone.visits, pair[0].visits)
    assert not pair[1].sums.any() and not pair[1].visits.any()


@pytest.fixture(scope="module")
def whole():
    watch = LabelWatch(N, 3)
    trained(None, watch=watch)
    return watch


def test_fit_tells_it_every_example_once_an_epoch(whole):
    assert whole.visits.tolist() == [3] * N
    assert np.allclose(whole.means().sum(axis=1), 1, atol=1e-4)
    tiny = CrossEntropy()
    watch = LabelWatch(N, 3)
    trained(None, watch=watch, objective=tiny)
    assert torch.equal(watch.sums, whole.sums)
    trained(None, objective=tiny)
    assert watch.visits.tolist() == [3] * N


def test_later_epochs_know_the_labels_by_heart():
    watch = LabelWatch(N, 3)
    trained(None, settings=replace(SETTINGS, epochs=EPOCHS_WATCHED + 2), watch=watch)
    assert watch.visits.tolist() == [EPOCHS_WATCHED] * N


@pytest.mark.parametrize("step", [1, 4, 5, 11, STEPS - 1])
def test_a_pause_loses_nothing_of_it(step, whole, tmp_path):
    with pytest.raises(Interrupted):
        trained(tmp_path, stop_after=step, watch=LabelWatch(N, 3))
    watch = LabelWatch(N, 3)
    trained(tmp_path, watch=watch)
    assert torch.equal(watch.sums, whole.sums) and torch.equal(watch.visits, whole.visits)


def test_a_checkpoint_without_it_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"watched\.json"):
        LabelWatch(2, 2).load(tmp_path, Processes())


def test_it_is_for_texts_with_one_label():
    model = tiny_model()
    examples = [TextExample("x", None, "a", 1), TextExample("y", None, "b", 2)]
    task = TextTask(Split(train=examples, evaluation=examples, held_out=True), "single", ("a", "b"))
    assert label_watch(task, 2, model).means().shape == (2, 2)
    assert label_watch(task, 3, model) is None
    task.kind = "multi"
    assert label_watch(task, 2, model) is None
    task.kind, task.label_names = "single", tuple(map(str, range(MOST_NUMBERS)))
    assert label_watch(task, 2, model) is None
