"""Scores of counted outcomes: equal to the metrics package, and resampled as the metrics would be."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.evaluation.scores import METRICS, count_outcomes, score, score_difference
from bothways.metrics import classification_scores, multilabel_scores, regression_scores

LABELS = ("a", "b", "c", "d")


def _estimates(kind, outcomes, weights=None):
    weights = outcomes.counts[None].astype(float) if weights is None else weights
    return {metric.name: metric.of(outcomes, 0)(weights)[0] for metric in METRICS[kind]}


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=40))
def test_single_equals_the_metrics_package(pairs):
    gold, predicted = zip(*pairs, strict=True)
    expected = classification_scores(gold, predicted, LABELS)
    outcomes = count_outcomes("single", gold, predicted, label_names=LABELS)
    assert outcomes.n == len(pairs)
    assert _estimates("single", outcomes) == pytest.approx({k: expected[k] for k in ("accuracy", "macro_f1")})


some_labels = st.sets(st.sampled_from(LABELS))


@given(st.lists(st.tuples(some_labels, some_labels), min_size=1, max_size=40))
def test_multi_equals_the_metrics_package(pairs):
    gold, predicted = zip(*pairs, strict=True)
    expected = multilabel_scores(gold, predicted, LABELS)
    got = _estimates("multi", count_outcomes("multi", gold, predicted, label_names=LABELS))
    assert got == pytest.approx({k: expected[k] for k in ("micro_f1", "macro_f1", "subset_accuracy")})


numbers = st.integers(-5, 5).map(float) | st.floats(-1e6, 1e6)


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=40))
def test_regression_equals_the_metrics_package(pairs):
    gold, predicted = zip(*pairs, strict=True)
    expected = regression_scores(gold, predicted)
    got = _estimates("regression", count_outcomes("regression", gold, predicted))
    assert got["mae"] == pytest.approx(expected["mae"])
    assert got["spearman"] == pytest.approx(expected["spearman"], abs=1e-6)
    if np.ptp(gold) > 1e-3 and np.ptp(predicted) > 1e-3:
        assert got["pearson"] == pytest.approx(expected["pearson"], abs=1e-4)


@pytest.mark.parametrize("kind", ["single", "multi", "regression"])
def test_weights_are_repetitions(kind):
    """A statistic of weights is the score of the examples repeated so many times: what the bootstrap relies on."""
    rng = np.random.default_rng(5)
    gold, predicted = rng.integers(3, size=30), rng.integers(3, size=30)
    repeats = rng.integers(0, 4, size=30)
    if kind == "single":
        columns = [gold.tolist(), predicted.tolist()]
    elif kind == "multi":
        columns = [[{int(x)} | ({9} if x else set()) for x in column] for column in (gold, predicted)]
    else:
        columns = [(gold + 0.0).tolist(), (predicted + 0.5).tolist()]
    repeated = [[x for x, n in zip(column, repeats, strict=True) for _ in range(n)] for column in columns]
    expected = _estimates(kind, count_outcomes(kind, *repeated))
    distinct = count_outcomes(kind, *columns)
    if kind == "regression":
        weights = repeats[None].astype(float)
    else:  # find the weight of each distinct outcome
        seen = count_outcomes(kind, *repeated, label_names=[0, 1, 2, 9] if kind == "multi" else [0, 1, 2])
        distinct = count_outcomes(kind, *columns, label_names=[0, 1, 2, 9] if kind == "multi" else [0, 1, 2])
        key = lambda o, i: (o.gold[i].tobytes(), o.predicted[0][i].tobytes())  # noqa: E731
        counts = {key(seen, i): c for i, c in enumerate(seen.counts)}
        weights = np.array([[counts.get(key(distinct, i), 0) for i in range(len(distinct.counts))]], dtype=float)
    assert _estimates(kind, distinct, weights) == pytest.approx(expected)


def test_spearman_interval_agrees_with_scipy():
    rng = np.random.default_rng(0)
    gold = rng.normal(size=120).round(1)
    predicted = (gold + rng.normal(size=120)).round(1)
    reference = scipy.stats.bootstrap(
        (gold, predicted),
        lambda x, y: scipy.stats.spearmanr(x, y)[0],
        paired=True,
        vectorized=False,
        n_resamples=600,
        method="percentile",
        rng=0,
    ).confidence_interval
    ours = score(METRICS["regression"][0], count_outcomes("regression", gold, predicted))
    assert ours.estimate == pytest.approx(scipy.stats.spearmanr(gold, predicted)[0])
    assert (ours.low, ours.high) == pytest.approx(tuple(reference), abs=0.03)


def test_a_perfect_model_has_an_honest_interval():
    ours = score(METRICS["single"][0], count_outcomes("single", ["a", "b"] * 5, ["a", "b"] * 5))
    assert ours.estimate == ours.high == 1.0 and ours.low == pytest.approx(0.7225, abs=1e-4)


def test_constant_predictions_have_no_correlation():
    outcomes = count_outcomes("regression", [1.0, 2.0, 4.0], [2.3333333] * 3)
    assert _estimates("regression", outcomes)["pearson"] == 0.0 == _estimates("regression", outcomes)["spearman"]


def test_difference_of_a_hundred_thousand_texts_stays_small_in_memory():
    rng = np.random.default_rng(0)
    gold = rng.integers(20, size=100_000)
    models = [np.where(rng.random(len(gold)) < right, gold, rng.integers(20, size=len(gold))) for right in (0.8, 0.79)]
    outcomes = count_outcomes("single", gold.tolist(), *(model.tolist() for model in models))
    assert len(outcomes.counts) < 4_000  # cells, not texts
    import tracemalloc

    tracemalloc.start()
    difference = score_difference(METRICS["single"][1], outcomes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    assert difference.low < difference.estimate < difference.high and difference.p_value < 0.01


def test_impossible_arguments():
    with pytest.raises(InputError, match="3 right answers and 2 predictions"):
        count_outcomes("single", ["a"] * 3, ["a"] * 2)
    with pytest.raises(InputError, match="0 right answers"):
        count_outcomes("single", [], [])
    with pytest.raises(InputError, match="kind is 'ranking'"):
        count_outcomes("ranking", ["a"], ["a"])
    with pytest.raises(InputError, match="1 of 2 values are not finite"):
        count_outcomes("regression", [1.0, float("nan")], [1.0, 2.0])
