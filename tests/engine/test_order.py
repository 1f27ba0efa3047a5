"""The order of an epoch: permutations, groups of similar lengths as the reference makes them, fair division."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.engine.order import contiguous_shards, length_grouped_order, shard
from bothways.engine.seeds import epoch_order
from bothways.errors import InputError

LENGTHS = st.lists(st.integers(0, 30), min_size=1, max_size=400)


@settings(deadline=None, max_examples=60)
@given(LENGTHS, st.integers(1, 9), st.none() | st.integers(1, 6), st.integers(0, 3))
def test_grouped_by_length_as_the_reference(lengths, batch_size, mega_factor, epoch):
    """The same list as the reference's, once its random permutation is ours."""
    from transformers.trainer_pt_utils import get_length_grouped_indices

    with pytest.MonkeyPatch.context() as patch:
        drawn = torch.from_numpy(epoch_order(len(lengths), 7, epoch))
        patch.setattr(torch, "randperm", lambda count, generator=None: drawn)
        expected = get_length_grouped_indices(lengths, batch_size, mega_factor)
    found = length_grouped_order(lengths, batch_size, 7, epoch, mega_factor)
    assert found.dtype == np.int64 and found.tolist() == expected
    assert sorted(expected) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 9))
def test_the_longest_example_comes_first(lengths, batch_size):
    order = length_grouped_order(np.array(lengths, dtype=np.uint8), batch_size, 0, 0)
    assert lengths[order[0]] == max(lengths)


def test_grouping_saves_padding_and_differs_by_epoch_and_seed():
    lengths = np.random.default_rng(0).integers(1, 500, 1000)
    orders = [length_grouped_order(lengths, 8, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert orders[0].tolist() == orders[3].tolist()
    assert orders[0].tolist() != orders[1].tolist() != orders[2].tolist() != orders[0].tolist()
    padded, shuffled = (8 * lengths[o].reshape(-1, 8).max(1).sum() for o in (orders[0], epoch_order(1000, 0, 0)))
    assert padded < 1.1 * lengths.sum() < 1.5 * lengths.sum() < shuffled


def test_no_examples_have_an_order():
    assert length_grouped_order([], 4, 0, 0).tolist() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1, 2], 0, 0, 0), "batch_size is 0 and mega_factor None"),
        (([1, 2], 2, 0, 0, 0), "batch_size is 2 and mega_factor 0"),
        (([[1], [2]], 2, 0, 0), r"lengths has shape \(2, 1\), expected one number"),
    ],
)
def test_impossible_groups(arguments, said):
    with pytest.raises(InputError, match=said):
        length_grouped_order(*arguments)


def test_shards_by_hand():
    order = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
    assert [shard(order, r, 2, 2).tolist() for r in (0, 1)] == [[10, 11, 14, 15, 18, 19], [12, 13, 16, 17, 20]]
    assert [shard(order, r, 2, 2, "drop").tolist() for r in (0, 1)] == [[10, 11, 14, 15], [12, 13, 16, 17]]
    wrapped = [shard(order, r, 2, 2, "wrap").tolist() for r in (0, 1)]
    assert wrapped == [[10, 11, 14, 15, 18, 19], [12, 13, 16, 17, 20, 10]]
    assert shard([5], 1, 3, 2).tolist() == [] and shard([5], 1, 3, 2, "wrap").tolist() == [5, 5]


@given(st.integers(0, 60), st.integers(1, 5), st.integers(1, 4))
def test_a_step_of_all_processes_is_a_step_of_one(count, world_size, batch_size):
    order = epoch_order(count, 3, 1)
    parts = [shard(order, rank, world_size, batch_size) for rank in range(world_size)]
    step = world_size * batch_size
    for number, start in enumerate(range(0, count, step)):
        of_step = [p[number * batch_size : (number + 1) * batch_size].tolist() for p in parts]
        assert sum(of_step, []) == order[start : start + step].tolist()
        assert max(map(len, of_step)) - min(map(len, of_step)) <= 1
    assert sum(map(len, parts)) == count


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 4), st.sampled_from(["wrap", "drop"]))
def test_wrapped_and_dropped_as_accelerate_does(count, world_size, batch_size, last):
    from accelerate.data_loader import BatchSamplerShard
    from torch.utils.data import BatchSampler

    for rank in range(world_size):
        batches = BatchSampler(range(count), batch_size, drop_last=last == "drop")
        theirs = batches if world_size == 1 else BatchSamplerShard(batches, world_size, rank)
        assert shard(range(count), rank, world_size, batch_size, last).tolist() == sum(theirs, [])


@given(st.integers(0, 100), st.integers(1, 9))
def test_contiguous_shards_cover_every_row_once_in_order(count, world_size):
    parts = [list(range(count))[part] for part in contiguous_shards(count, world_size)]
    assert len(parts) == world_size and sum(parts, []) == list(range(count))
    sizes = [len(p) for p in parts]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: shard([1], 2, 2, 1), "rank 2 of 2 processes"),
        (lambda: shard([1], 0, 1, 0), "batch_size is 0"),
        (lambda: shard([1], 0, 1, 1, "some"), "last 'some'"),
        (lambda: contiguous_shards(3, 0), "rank 0 of 0 processes"),
        (lambda: contiguous_shards(-1, 2), "n is -1"),
    ],
)
def test_impossible_divisions(call, said):
    with pytest.raises(InputError, match=said):
        call()
