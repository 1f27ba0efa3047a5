"""Sums through shared memory: every number once, the same bits for all, nothing left behind, and sockets without it."""

from __future__ import annotations

import functools
import mmap
import os
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.engine import shared_sums as module
from bothways.engine.processes import Processes
from bothways.engine.shared_sums import SharedSums, blocks_of, shared_sums
from bothways.errors import BothwaysError


@given(st.lists(st.integers(0, 50), max_size=8), st.integers(1, 20))
def test_blocks_hold_every_number_once_and_have_no_holes(lengths, most):
    blocks = list(blocks_of(lengths, most))
    seen = [(i, j) for block in blocks for i, start, end, _ in block for j in range(start, end)]
    assert seen == [(i, j) for i, length in enumerate(lengths) for j in range(length)]
    for number, block in enumerate(blocks):
        places = [place for _, start, end, first in block for place in range(first, first + end - start)]
        assert places == list(range(len(places))) and 0 < len(places) <= most
        assert len(places) == most or number == len(blocks) - 1


@settings(deadline=None, max_examples=20)
@given(
    count=st.integers(2, 4),
    calls=st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=4), min_size=1, max_size=4),
    seed=st.integers(0, 100),
)
def test_all_get_the_same_sums_call_after_call(count, calls, seed):
    """Threads in the place of processes: they share memory and meet too."""
    block = 16
    memory = mmap.mmap(-1, 2 * count * block * 4)
    meeting = threading.Barrier(count)
    generator = torch.Generator().manual_seed(seed)
    given_ = [
        [[torch.randn(n, generator=generator).view(-1, 1) for n in shapes] for shapes in calls] for _ in range(count)
    ]
    expected = [
        [functools.reduce(torch.add, (given_[r][c][t] for r in range(count))) for t in range(len(shapes))]
        for c, shapes in enumerate(calls)
    ]

    def work(rank: int) -> None:
        sums = SharedSums(memory, rank, count, meeting.wait, block)
        for tensors in given_[rank]:
            sums.add_up(tensors)

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for own in given_:
        for found, wanted in zip(own, expected, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


class Two(Processes):
    """The first of two, whose other one answers as it is told."""

    def share(self, value):
        return value

    def any(self, flag):
        return flag or self.other_lacks

    other_lacks = False


@pytest.mark.skipif(not module.MEMORY.is_dir(), reason="this system has no /dev/shm")
@pytest.mark.parametrize("lacks", [False, True])
def test_the_file_has_no_name_for_long(lacks, monkeypatch):
    before = set(os.listdir(module.MEMORY))
    monkeypatch.setattr(Two, "other_lacks", lacks)
    found = shared_sums(Two(rank=0, count=2))
    assert (found is None) == lacks
    assert not {name for name in set(os.listdir(module.MEMORY)) - before if name.startswith("bothways-")}


@pytest.mark.skipif(not module.MEMORY.is_dir(), reason="this system has no /dev/shm")
def test_nor_where_another_process_is_lost_meanwhile(monkeypatch):
    before = set(os.listdir(module.MEMORY))

    def lost(self, value):
        raise BothwaysError("process 0 lost the others")

    monkeypatch.setattr(Two, "share", lost)
    with pytest.raises(BothwaysError, match="lost the others"):
        shared_sums(Two(rank=0, count=2))
    assert not {name for name in set(os.listdir(module.MEMORY)) - before if name.startswith("bothways-")}


def test_without_room_or_with_many_processes_there_is_none(monkeypatch, tmp_path):
    assert shared_sums(Processes()) is None and shared_sums(Two(rank=0, count=9)) is None
    monkeypatch.setattr(module, "MEMORY", tmp_path / "nowhere")
    assert shared_sums(Two(rank=0, count=2)) is None
    monkeypatch.setattr(module, "MEMORY", tmp_path)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    assert shared_sums(Two(rank=0, count=2)) is None and list(tmp_path.iterdir()) == []


def test_the_file_of_another_machine_is_not_taken(tmp_path):
    path = tmp_path / "memory"
    path.write_bytes(b"other token here" + bytes(4080))
    assert module._opened(str(path), 4096, b"0123456789abcdef") is None
    assert module._opened(str(path), 4096, b"other token here") is not None
    assert module._opened(str(Path(tmp_path, "absent")), 4096, b"") is None
