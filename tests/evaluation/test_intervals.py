"""Intervals and tests against SciPy, hand-made numbers and their own properties."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.evaluation import bootstrap_interval, mcnemar, paired_bootstrap, wilson_interval
from bothways.evaluation import intervals as module
from bothways.evaluation.intervals import resample_statistic


@pytest.mark.parametrize(("right", "n"), [(0, 7), (7, 7), (1, 10), (410, 500), (81_234, 100_000)])
def test_wilson_is_scipys(right, n):
    reference = scipy.stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    ours = wilson_interval(right, n)
    assert (ours.estimate, ours.low, ours.high) == pytest.approx((right / n, *reference))


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_test(only_first, only_second):
    exact = mcnemar(only_first, only_second, mid_p=False)
    n = only_first + only_second
    assert exact == pytest.approx(scipy.stats.binomtest(only_first, n).pvalue if n else 1.0)
    assert mcnemar(only_first, only_second) <= exact
    assert mcnemar(only_first, only_second) == mcnemar(only_second, only_first)


def test_mcnemar_mid_p_of_a_published_table():
    # Fagerland et al. 2013, table 1 (airway hyper-responsiveness): 1 against 7; exact 0.070, mid-p 0.039.
    assert mcnemar(1, 7, mid_p=False) == pytest.approx(0.0703, abs=1e-4)
    assert mcnemar(1, 7) == pytest.approx(0.0391, abs=1e-4)


def test_bootstrap_agrees_with_scipy():
    values = np.random.default_rng(3).normal(size=150).round(1)
    reference = scipy.stats.bootstrap((values,), np.mean, n_resamples=4_000, method="percentile", rng=0)
    ours = bootstrap_interval(values, n_resamples=4_000)
    assert ours.estimate == pytest.approx(values.mean())
    spread = ours.high - ours.low
    assert ours.low == pytest.approx(reference.confidence_interval.low, abs=0.04 * spread)
    assert ours.high == pytest.approx(reference.confidence_interval.high, abs=0.04 * spread)


def test_both_ways_of_drawing_have_the_moments_of_the_multinomial():
    for counts in (np.array([300, 100]), np.full(20, 2)):  # multinomial, example by example
        n = counts.sum()
        weights = []
        resample_statistic(counts, lambda w, seen=weights: seen.append(w) or w[:, 0], n_resamples=4_000)
        drawn = np.concatenate(weights)
        assert (drawn.sum(axis=1) == n).all()
        share = counts[0] / n
        assert drawn[:, 0].mean() == pytest.approx(counts[0], rel=0.05)
        assert drawn[:, 0].var() == pytest.approx(n * share * (1 - share), rel=0.1)


def test_blocks_are_bounded_and_cover_all_resamples(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", 35)
    sizes = []
    draws = resample_statistic(np.ones(10, int), lambda w: sizes.append(w.size) or w[:, 0], n_resamples=20)
    assert max(sizes) <= 35 and len(draws) == 20 and sum(sizes) == 200


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80), st.integers(0, 9))
def test_swapping_the_models_mirrors_the_difference(pairs, seed):
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    one, other = (paired_bootstrap(*order, n_resamples=300, seed=seed) for order in ((a, b), (b, a)))
    assert one.estimate == pytest.approx(-other.estimate) and one.p_value == other.p_value
    assert one.low <= one.estimate + 1e-12 and one.estimate <= one.high + 1e-12
    assert one == paired_bootstrap(a, b, n_resamples=300, seed=seed)


def test_paired_bootstrap_sees_what_unpaired_intervals_hide():
    rng = np.random.default_rng(0)
    a = rng.random(1_000) < 0.8
    b = a.copy()
    b[np.flatnonzero(a)[:15]] = False  # b is wrong wherever a is, and 15 times more
    result = paired_bootstrap(a, b)
    assert result.estimate == pytest.approx(0.015)
    assert result.low > 0 and result.p_value < 0.001
    assert wilson_interval(int(b.sum()), 1_000).high > wilson_interval(int(a.sum()), 1_000).low


def test_p_value_of_numbers_counts_resamples():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=400)
    assert paired_bootstrap(noise + 1, noise * 0).p_value == pytest.approx(2 / 2_001)
    assert paired_bootstrap([0.5, 0.2], [0.5, 0.2]).p_value == 1.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: wilson_interval(8, 7), "8 successes of 7"),
        (lambda: bootstrap_interval([]), r"shape \(0,\)"),
        (lambda: bootstrap_interval([1.0, float("nan")]), "1 values that are not finite"),
        (lambda: paired_bootstrap([1, 0], [1]), "first has 2 examples and second 1"),
        (lambda: bootstrap_interval([1, 0], confidence=95), "confidence is 95"),
        (lambda: bootstrap_interval([1, 0], n_resamples=0), "n_resamples is 0"),
        (lambda: mcnemar(-1, 2), "-1 and 2"),
    ],
)
def test_impossible_arguments(call, words):
    with pytest.raises(InputError, match=words):
        call()
