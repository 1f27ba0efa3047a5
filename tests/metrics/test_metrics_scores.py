"""Scores against scikit-learn and scipy, and the cases that those leave undefined."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from bothways.errors import InputError
from bothways.metrics import (
    brier,
    classification_scores,
    expected_calibration_error,
    multilabel_scores,
    regression_scores,
)

LABELS = ["neg", "neutral", "pos", "unused"]
PAIRS = st.lists(st.tuples(*[st.sampled_from(LABELS[:3])] * 2), min_size=1, max_size=40)
FINITE = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))


def plain(value: Any) -> bool:
    """Only plain Python values: JSON writes them and gives them back."""
    return json.loads(json.dumps(value, allow_nan=False)) == value


@settings(deadline=None)
@given(pairs=PAIRS)
def test_classification_agrees_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    gold, predicted = [g for g, _ in pairs], [p for _, p in pairs]
    scores = classification_scores(gold, predicted, LABELS)
    assert plain(scores)
    assert scores["confusion"] == reference.confusion_matrix(gold, predicted, labels=LABELS).tolist()
    assert scores["examples"] == len(pairs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert scores["accuracy"] == scores["micro_f1"] == pytest.approx(reference.accuracy_score(gold, predicted))
        assert scores["mcc"] == pytest.approx(reference.matthews_corrcoef(gold, predicted))
        for average in ("macro", "weighted", "micro"):
            expected = reference.f1_score(gold, predicted, average=average, zero_division=0)
            assert scores[f"{average}_f1"] == pytest.approx(expected)
        table = reference.precision_recall_fscore_support(gold, predicted, labels=LABELS, zero_division=0)
    for name, row in zip(("precision", "recall", "f1", "support"), table, strict=True):
        assert [scores["per_label"][label][name] for label in LABELS] == pytest.approx(row.tolist())


def test_classification_by_hand() -> None:
    scores = classification_scores(["a", "a", "a", "b"], ["a", "a", "b", "c"], ["a", "b", "c", "d"])
    assert scores["accuracy"] == 0.5
    assert scores["confusion"] == [[2, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert scores["per_label"]["a"] == {
        "precision": 1.0,
        "recall": pytest.approx(2 / 3),
        "f1": 0.8,
        "support": 3,
        "predicted": 2,
    }
    assert scores["per_label"]["d"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0, "predicted": 0}
    assert scores["macro_f1"] == pytest.approx(0.8 / 3)  # a, b and c occur; d does not lower it
    assert classification_scores(["a", "a"], ["a", "a"], ["a", "b"])["mcc"] == 0.0


SETS = st.lists(st.tuples(*[st.sets(st.sampled_from(LABELS[:3]))] * 2), min_size=1, max_size=30)


def test_a_matrix_of_thousands_of_labels_is_left_out():
    names = [str(i) for i in range(201)]
    scores = classification_scores(["7", "200"], ["7", "0"], names)
    assert "confusion" not in scores and scores["accuracy"] == 0.5 and scores["per_label"]["200"]["support"] == 1
    assert "confusion" in classification_scores(["7"], ["7"], names[:200])


@settings(deadline=None)
@given(pairs=SETS)
def test_multilabel_agrees_with_scikit_learn(pairs: list[tuple[set[str], set[str]]]) -> None:
    gold, predicted = [g for g, _ in pairs], [p for _, p in pairs]
    scores = multilabel_scores(gold, [list(p) for p in predicted], LABELS)
    assert plain(scores)
    present = [name for name in LABELS if any(name in g | p for g, p in pairs)]
    table = [np.array([[name in s for name in LABELS] for s in side], dtype=int) for side in (gold, predicted)]
    assert scores["subset_accuracy"] == pytest.approx(reference.accuracy_score(*table))
    assert scores["micro_f1"] == pytest.approx(reference.f1_score(*table, average="micro", zero_division=0))
    assert scores["weighted_f1"] == pytest.approx(reference.f1_score(*table, average="weighted", zero_division=0))
    columns = [LABELS.index(name) for name in present]
    macro = reference.f1_score(*table, labels=columns, average="macro", zero_division=0) if present else 0.0
    assert scores["macro_f1"] == pytest.approx(macro)
    recall = reference.recall_score(*table, average=None, zero_division=0)
    assert [scores["per_label"][name]["recall"] for name in LABELS] == pytest.approx(recall.tolist())


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(FINITE, FINITE), min_size=2, max_size=40))
def test_regression_agrees_with_scipy(pairs: list[tuple[float, float]]) -> None:
    gold, predicted = [g for g, _ in pairs], [p for _, p in pairs]
    scores = regression_scores(gold, predicted)
    assert plain(scores)
    assert scores["mse"] == pytest.approx(reference.mean_squared_error(gold, predicted))
    assert scores["mae"] == pytest.approx(reference.mean_absolute_error(gold, predicted))
    if len(set(gold)) > 1 and len(set(predicted)) > 1:
        assert scores["spearman"] == pytest.approx(stats.spearmanr(gold, predicted).statistic, abs=1e-9)
        assert scores["pearson"] == pytest.approx(stats.pearsonr(gold, predicted).statistic, abs=1e-6)
    else:
        assert scores["spearman"] == scores["pearson"] == 0.0


def test_regression_limits() -> None:
    assert regression_scores([1.0, 2.0, 4.0], [3.0] * 3) == {
        "examples": 3,
        "pearson": 0.0,
        "spearman": 0.0,
        "mse": pytest.approx(2.0),
        "mae": pytest.approx(4 / 3),
    }
    assert regression_scores([1.0], [2.0])["spearman"] == 0.0
    tiny = regression_scores([1e-200, 2e-200, 3e-200], [2e100, 4e100, 6e100])
    assert tiny["pearson"] == pytest.approx(1.0)


def test_calibration_by_hand() -> None:
    probabilities = [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.5, 0.5]]
    # confidences .9 .8 .6 .5 are each alone in one of ten bins; right, wrong, right, right (ties: the first class)
    assert expected_calibration_error(probabilities, [0, 1, 1, 0], bins=10) == pytest.approx(
        (0.1 + 0.8 + 0.4 + 0.5) / 4
    )
    assert expected_calibration_error(probabilities, [0, 1, 1, 0], bins=1) == pytest.approx(abs(2.8 / 4 - 3 / 4))
    assert expected_calibration_error([[1.0, 0.0]], [0]) == 0.0
    assert brier([[1.0, 0.0], [0.0, 1.0]], [0, 0]) == 1.0
    given_rows = np.array(probabilities)
    assert type(brier(given_rows, [0, 1, 1, 0])) is type(expected_calibration_error(given_rows, [0, 1, 1, 0])) is float
    assert given_rows.tolist() == probabilities  # left as it was


@settings(deadline=None)
@given(rows=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=50))
def test_calibration_agrees_with_its_definition(rows: list[tuple[float, int]]) -> None:
    probabilities, gold = [[1 - p, p] for p, _ in rows], [g for _, g in rows]
    positive = np.array([p for p, _ in rows])
    assert brier(probabilities, gold) == pytest.approx(2 * np.mean((positive - gold) ** 2))
    bins: dict[int, list[float]] = {}
    for p, g in rows:
        confidence = max(1 - p, p)
        right = float((p > 1 - p) == bool(g))
        place = next(k for k in range(15) if confidence * 15 <= k + 1)
        bins.setdefault(place, []).append(confidence - right)
    expected = sum(abs(sum(gaps)) for gaps in bins.values()) / len(rows)
    assert expected_calibration_error(probabilities, gold) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: classification_scores([], [], ["a"]), "there are no examples"),
        (lambda: classification_scores(["a"], ["a", "a"], ["a"]), "gold has 1 labels and predicted has 2"),
        (lambda: classification_scores(["a"], ["b"], ["a"]), "predicted has 1 labels that are not among the 1 .*'b'"),
        (lambda: classification_scores(["a"], ["a"], ["a", "a"]), "labels holds 'a' more than once"),
        (lambda: multilabel_scores([["a"]], ["a"], ["a"]), "example 0 has one string"),
        (lambda: multilabel_scores([["b"]], [["a"]], ["a"]), "gold has 1 labels"),
        (lambda: regression_scores([1.0], [1.0, 2.0]), "gold has 1 scores and predicted has 2"),
        (lambda: regression_scores([1.0, float("nan")], [1.0, 2.0]), r"gold\[1\] is nan; all 2 scores"),
        (lambda: regression_scores([], []), "no examples"),
        (lambda: brier([[0.5, 0.6]], [0]), "row 0 of probabilities sums to 1.1000"),
        (lambda: brier([[1.5, -0.5]], [0]), "row 0 of probabilities"),
        (lambda: brier([[float("nan"), 1.0]], [0]), "row 0 of probabilities sums to nan"),
        (lambda: brier([[0.5, 0.5]], [2]), "class indices from 0 to 1"),
        (lambda: brier([[0.5, 0.5]], [0, 1]), r"gold has shape \(2,\); expected \(1,\)"),
        (lambda: brier([0.5, 0.5], [0, 1]), r"shape \(2,\); expected \(examples, classes\)"),
        (lambda: expected_calibration_error([[1.0]], [0], bins=0), "bins is 0"),
    ],
)
def test_impossible_arguments(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
