"""Spans taken out: as many as published, anywhere with equal odds, and both halves give the text back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.objectives import corrupt_spans, corrupted_lengths, spans_input_length
from tests.objectives.statistics import evenly

SENTINEL, EOS = 32099, 1


def corrupted(ids, seed=0, **asked):
    rng = np.random.default_rng(seed)
    return corrupt_spans(ids, first_sentinel_id=SENTINEL, eos_token_id=EOS, rng=rng, **asked)


def put_back(source: list[int], target: list[int]) -> list[int]:
    """The text that both came from."""
    spans: dict[int, list[int]] = {}
    for token in target[:-1]:
        if token > SENTINEL - 100:
            spans[token] = []
        else:
            spans[max(spans) - len(spans) + 1].append(token)
    return [word for token in source[:-1] for word in spans.get(token, [token])]


@settings(max_examples=80, deadline=None)
@given(st.integers(2, 300), st.integers(0, 999), st.floats(0.01, 0.9), st.floats(1, 10))
def test_source_and_target_give_the_text_back(n, seed, density, mean):
    ids = np.arange(2, n + 2)
    source, target = corrupted(ids, seed, noise_density=density, mean_span=mean, n_sentinels=300)
    assert source.dtype == target.dtype == np.int64
    assert source[-1] == target[-1] == EOS
    assert (len(source), len(target)) == corrupted_lengths(n, noise_density=density, mean_span=mean)
    marks = [token for token in source.tolist() if token > 10000]
    assert marks == [SENTINEL - k for k in range(len(marks))] == [t for t in target.tolist() if t > 10000]
    assert source[0] == ids[0] and target[0] == SENTINEL and target[-2] == ids[-1]
    if len(marks) <= 100:
        assert put_back(source.tolist(), target.tolist()) == ids.tolist()
    again = corrupted(ids, seed, noise_density=density, mean_span=mean, n_sentinels=300)
    assert np.array_equal(again[0], source) and np.array_equal(again[1], target)


def test_numbers_of_tokens_and_spans_are_those_of_t5():
    """568 tokens: 85 hidden in 28 spans, so that the source has 512 and the target 114, as published."""
    source, target = corrupted(np.arange(2, 570))
    assert (len(source), len(target)) == (512, 114)
    assert (source > 10000).sum() == (target > 10000).sum() == 28
    assert spans_input_length(512) == 568 and corrupted_lengths(568) == (512, 114)


def test_mean_length_of_spans():
    for mean, density in ((3.0, 0.15), (5.0, 0.15), (2.0, 0.5)):
        _, target = corrupted(np.arange(2, 402), noise_density=density, mean_span=mean)
        marks = (target > 10000).sum()
        assert abs((len(target) - 1 - marks) / marks - mean) < 0.25


def published_length(inputs_length: int, density: float, mean: float) -> tuple[int, int]:
    """``compute_input_and_target_lengths`` written down again: lengths of text and target.

    It counts no span at all in the shortest texts, where the mask has one.
    """

    def lengths(n: int) -> tuple[int, int]:
        noise = int(round(n * density))
        spans = int(round(noise / mean))
        return n - noise + spans + 1, noise + spans + 1

    n = inputs_length
    while lengths(n + 1)[0] <= inputs_length:
        n += 1
    return n, lengths(n)[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(64, 1100), st.sampled_from([0.1, 0.15, 0.3]), st.sampled_from([3.0, 5.0, 8.0]))
def test_lengths_as_in_the_ecosystem_s_examples(inputs_length, density, mean):
    n, target = published_length(inputs_length, density, mean)
    asked = {"noise_density": density, "mean_span": mean}
    assert (spans_input_length(inputs_length, **asked), corrupted_lengths(n, **asked)[1]) == (n, target)


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 300), st.floats(0.02, 0.9), st.floats(1, 10))
def test_a_text_of_that_length_fits_and_a_longer_one_does_not(inputs_length, density, mean):
    asked = {"noise_density": density, "mean_span": mean}
    n = spans_input_length(inputs_length, **asked)
    assert corrupted_lengths(n, **asked)[0] <= inputs_length < corrupted_lengths(n + 1, **asked)[0]


def test_all_places_are_equally_likely():
    """7 tokens, 3 of them hidden in 2 spans: 2 divisions of the hidden and 3 of the others make 6 masks."""
    rng = np.random.default_rng(5)
    seen: dict[tuple[int, ...], int] = {}
    for _ in range(3000):
        found = corrupt_spans(
            np.arange(10, 17), first_sentinel_id=99, eos_token_id=EOS, rng=rng, noise_density=3 / 7, mean_span=1.5
        )
        key = tuple(found[0].tolist())
        seen[key] = seen.get(key, 0) + 1
    assert len(seen) == 6 and evenly(list(seen.values()))


def test_tensors_in_tensors_out():
    source, target = corrupted(torch.arange(2, 42))
    expected = corrupted(np.arange(2, 42))
    assert isinstance(source, torch.Tensor) and source.dtype == torch.int64
    assert (source.tolist(), target.tolist()) == (expected[0].tolist(), expected[1].tolist())


def test_the_text_stays_as_it_was():
    ids = np.arange(2, 42, dtype=np.uint16)
    source, _ = corrupted(ids)
    assert np.array_equal(ids, np.arange(2, 42)) and source.max() == SENTINEL


@pytest.mark.parametrize(
    ("ids", "asked", "says"),
    [
        (np.arange(1), {}, r"shape \(1,\).*at least 2"),
        (np.zeros((2, 2)), {}, r"shape \(2, 2\)"),
        (np.arange(2100), {}, "2,100 tokens give 105 spans, but there are only 100 sentinels"),
        (np.arange(20), {"noise_density": 1.0}, "noise_density is 1;"),
        (np.arange(20), {"mean_span": 0.5}, "mean_span is 0.5"),
    ],
)
def test_impossible_texts_and_settings(ids, asked, says):
    with pytest.raises(InputError, match=says):
        corrupted(ids, **asked)


def test_a_source_is_never_so_short():
    assert spans_input_length(3) == 2
    with pytest.raises(InputError, match="inputs_length is 2; .* 3"):
        spans_input_length(2)
