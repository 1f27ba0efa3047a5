"""Calibration measures against published implementations, and what must hold for any confidences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from bothways.errors import InputError
from bothways.metrics import brier, confidence_brier, confidence_error, expected_calibration_error, reliability_bins

ANSWERS = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]) | st.floats(0, 1), st.booleans()), min_size=1)


def table(n: int = 2_000, classes: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, classes)) * 3
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gold = np.where(generator.random(n) < 0.6, probabilities.argmax(axis=1), generator.integers(0, classes, n))
    return probabilities, gold


def guo(probabilities: torch.Tensor, labels: torch.Tensor, n_bins: int = 15) -> float:
    """The expected calibration error as its authors wrote it (gpleiss/temperature_scaling, ``_ECELoss``)."""
    boundaries = torch.linspace(0, 1, n_bins + 1, dtype=torch.float64)
    confidences, predictions = torch.max(probabilities, 1)
    accuracies = predictions.eq(labels)
    error = torch.zeros(1, dtype=torch.float64)
    for low, high in zip(boundaries[:-1], boundaries[1:], strict=True):
        inside = confidences.gt(low.item()) * confidences.le(high.item())
        share = inside.double().mean()
        if share.item() > 0:
            error += torch.abs(confidences[inside].mean() - accuracies[inside].double().mean()) * share
    return float(error)


@pytest.mark.parametrize("seed", range(5))
def test_the_error_is_that_of_its_authors(seed: int) -> None:
    probabilities, gold = table(seed=seed)
    expected = guo(torch.tensor(probabilities), torch.tensor(gold))
    assert expected > 0.05
    assert expected_calibration_error(probabilities, gold) == pytest.approx(expected, abs=1e-12)


def test_the_brier_score_is_scikit_learn_s() -> None:
    probabilities, gold = table(classes=2)
    assert brier(probabilities, gold) / 2 == pytest.approx(brier_score_loss(gold, probabilities[:, 1]))
    right = probabilities.argmax(axis=1) == gold
    sure = probabilities.max(axis=1)
    assert confidence_brier(sure, right) == pytest.approx(brier_score_loss(right, sure))


@pytest.mark.parametrize(("adaptive", "strategy"), [(False, "uniform"), (True, "quantile")])
def test_the_diagram_is_scikit_learn_s(adaptive: bool, strategy: str) -> None:
    generator = np.random.default_rng(3)
    sure = generator.random(1_000)
    right = generator.random(1_000) < sure**2
    accuracy, confidence = calibration_curve(right, sure, n_bins=10, strategy=strategy)
    found = reliability_bins(sure, right, 10, adaptive=adaptive)
    assert [b.accuracy for b in found] == pytest.approx(accuracy.tolist(), abs=0.011 if adaptive else 1e-12)
    assert [b.confidence for b in found] == pytest.approx(confidence.tolist(), abs=0.011 if adaptive else 1e-12)
    assert {b.count for b in found} == {100} if adaptive else sum(b.count for b in found) == 1_000


def test_adaptive_bins_by_hand() -> None:
    found = reliability_bins([0.9, 0.6, 0.6, 0.3], [True, True, False, False], 2, adaptive=True)
    assert [(b.low, b.high, b.count) for b in found] == [(0.0, 0.6, 3), (0.6, 0.9, 1)]
    assert [b.accuracy for b in found] == [pytest.approx(1 / 3), 1.0]
    error = confidence_error([0.9, 0.6, 0.6, 0.3], [True, True, False, False], 2, adaptive=True)
    assert error == pytest.approx((3 * abs(0.5 - 1 / 3) + 0.1) / 4)


@given(ANSWERS, st.integers(1, 20), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_bins_hold_every_answer_once_in_any_order(answers, bins, adaptive, shuffle) -> None:
    found = reliability_bins(*zip(*answers, strict=True), bins, adaptive=adaptive)
    assert sum(b.count for b in found) == len(answers)
    assert all(b.low <= b.confidence <= b.high + 1e-12 for b in found if b.count)
    assert [b.low for b in found[1:]] == [b.high for b in found[:-1]]
    shuffled = list(answers)
    shuffle.shuffle(shuffled)
    again = reliability_bins(*zip(*shuffled, strict=True), bins, adaptive=adaptive)
    assert [(b.low, b.high, b.count, b.accuracy) for b in again] == [
        (b.low, b.high, b.count, b.accuracy) for b in found
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reliability_bins([0.5], [True, False]), r"shape \(1,\) and right \(2,\)"),
        (lambda: reliability_bins([], []), r"shape \(0,\)"),
        (lambda: reliability_bins([0.5, 1.2], [1, 0]), "confidence 1 is 1.2000; expected numbers from 0 to 1"),
        (lambda: reliability_bins([float("nan")], [1]), "confidence 0 is nan"),
        (lambda: confidence_brier([0.5], [2]), "True and False"),
        (lambda: confidence_error([0.5], [1], 0), "bins is 0"),
    ],
)
def test_impossible_input_is_named(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
