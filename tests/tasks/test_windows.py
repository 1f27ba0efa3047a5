"""Windows: nothing lost, order kept, limits held; and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.tasks.windows import best_windows, split


def single(n: int) -> list[int | None]:
    return [None, *[0] * n, None]


def pair(first: int, second: int) -> list[int | None]:
    return [None, *[0] * first, None, *[1] * second, None]


def test_example():
    assert [w.tolist() for w in split(single(7), 6, 1)] == [[0, 1, 2, 3, 4, 8], [0, 4, 5, 6, 7, 8]]


def test_short_texts_stay_whole():
    assert [w.tolist() for w in split(single(4), 6)] == [[0, 1, 2, 3, 4, 5]]
    assert len(split(single(510), 512)) == 1
    assert len(split(single(511), 512)) == 2


@given(
    layout=st.one_of(
        st.integers(0, 300).map(single), st.tuples(st.integers(0, 200), st.integers(0, 200)).map(lambda p: pair(*p))
    ),
    limit=st.integers(5, 80),
    overlap=st.integers(0, 100),
)
def test_every_token_is_covered_in_order(layout, limit, overlap):
    windows = split(layout, limit, overlap)
    ids = np.array([-1 if s is None else s for s in layout])
    special = set(np.flatnonzero(ids < 0).tolist())
    covered = set()
    for places in windows:
        assert len(places) <= max(limit, 0) or len(windows) == 1
        assert (np.diff(places) > 0).all()
        assert special <= set(places.tolist())
        for text in (0, 1):  # of each text a window shows one stretch without gaps
            own = places[ids[places] == text]
            assert (np.diff(own) == 1).all()
            assert len(own) or not (ids == text).any()
        covered |= set(places.tolist())
    assert covered == set(range(len(layout)))
    sizes = [len(places) for places in windows]
    assert len(layout) > limit or sizes == [len(layout)]


@given(n=st.integers(1, 500), limit=st.integers(6, 60), overlap=st.integers(0, 20))
def test_windows_of_one_text_are_few_equal_and_overlap(n, limit, overlap):
    windows = split(single(n), limit, overlap)
    if len(windows) == 1:
        return
    room = limit - 2
    overlap = min(overlap, room // 2)
    assert len({len(w) for w in windows}) == 1
    assert (len(windows) - 1) * (room - overlap) + overlap < n <= len(windows) * (room - overlap) + overlap
    for before, after in zip(windows, windows[1:], strict=False):
        assert len(set(before.tolist()) & set(after.tolist())) - 2 >= overlap


@given(question=st.integers(1, 15), context=st.integers(1, 300), swapped=st.booleans())
def test_the_shorter_text_of_a_pair_is_in_every_window(question, context, swapped):
    limit = 35  # 32 without special tokens
    layout = pair(context, question) if swapped else pair(question, context)
    ids = np.array([-1 if s is None else s for s in layout])
    if question > context:
        return
    for places in split(layout, limit, 4):
        assert (ids[places] == int(swapped)).sum() == question


def test_two_long_texts_go_side_by_side():
    windows = split(pair(100, 60), 23, 0)  # 20 without special tokens: 10 for each
    ids = np.array([-1 if s is None else s for s in pair(100, 60)])
    assert len(windows) == 10
    assert all((ids[w] == 0).sum() == 10 for w in windows)
    assert all((ids[w] == 1).sum() == 10 for w in windows)


@pytest.mark.parametrize(
    ("layout", "limit", "needs"), [(single(5), 2, "1 texts need 3"), (pair(5, 5), 4, "2 texts need 5")]
)
def test_no_room(layout, limit, needs):
    with pytest.raises(InputError, match=f"max_length={limit} leaves no room.*{needs}"):
        split(layout, limit)


def test_negative_overlap():
    with pytest.raises(InputError, match="window_overlap is -1"):
        split(single(5), 4, -1)


@given(n=st.integers(0, 300), limit=st.integers(4, 60), overlap=st.integers(0, 30))
def test_best_windows_find_each_token_with_most_context(n, limit, overlap):
    layout = single(n)
    windows = split(layout, limit, overlap)
    window, place = best_windows(windows, len(layout))
    assert [windows[w][p] for w, p in zip(window, place, strict=True)] == list(range(len(layout)))
    assert (np.diff(window) >= 0).all()
    assert window[0] == 0 and window[-1] == len(windows) - 1


def test_best_windows_by_hand():
    window, place = best_windows([np.array([0, 1, 2, 3, 4, 8]), np.array([0, 4, 5, 6, 7, 8])], 9)
    assert window.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert place.tolist() == [0, 1, 2, 3, 4, 2, 3, 4, 5]
