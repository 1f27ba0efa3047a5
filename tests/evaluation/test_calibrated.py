"""Temperatures against other optimisers, risk-coverage curves against their definition, promises on unseen data."""

from __future__ import annotations

import gzip
import json
import os
import random
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from bothways.errors import InputError
from bothways.evaluation.baseline import train_baseline
from bothways.evaluation.calibrated import fit_calibration, measure_calibration, measure_confidences
from bothways.evaluation.conformal import nonconformity, rounded_up, stored_quantiles
from bothways.evaluation.reliability import reliability
from bothways.evaluation.risk_coverage import risk_coverage, risk_table, spread
from bothways.evaluation.temperature import HIGHEST, fit_label_temperatures, fit_temperature
from bothways.metrics import brier, expected_calibration_error
from bothways.tasks.calibration import Calibration, answer_doubt, tempered
from bothways.tasks.sure_answers import conformal_doubt, doubt_at_risk, label_sets
from bothways.tasks.text_classification import sigmoid, softmax


def classified(n: int, seed: int, *, classes: int = 6, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the truth, and labels drawn from it."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, classes)) * spread
    draws = generator.random(n)[:, None]
    return logits, np.minimum((softmax(logits).cumsum(axis=1) < draws).sum(axis=1), classes - 1)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_is_that_of_torch_and_of_scipy(factor: float) -> None:
    logits, gold = classified(2_000, 1)
    given_logits = torch.tensor(logits * factor)
    inverse = torch.ones(1, dtype=torch.float64, requires_grad=True)
    exact = {"tolerance_grad": 1e-12, "tolerance_change": 1e-14}
    optimizer = torch.optim.LBFGS([inverse], max_iter=200, line_search_fn="strong_wolfe", **exact)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(given_logits * inverse, torch.tensor(gold))
        loss.backward()
        return loss

    optimizer.step(closure)
    rows = np.arange(len(gold))
    other = minimize_scalar(
        lambda t: -np.log(softmax(logits * factor / t)[rows, gold]).mean(),
        bounds=(0.02, 50),
        method="bounded",
        options={"xatol": 1e-9},
    )
    found = fit_temperature(softmax(logits * factor), gold)
    assert found == pytest.approx(1 / inverse.item(), rel=1e-6)
    assert found == pytest.approx(other.x, rel=1e-6)
    assert found == pytest.approx(factor, rel=0.1)


def test_float32_probabilities_give_the_same_temperature() -> None:
    logits, gold = classified(1_000, 2)
    wide = logits * 20  # most of the probabilities are below what float32 holds
    assert fit_temperature(softmax(wide.astype(np.float32)), gold) == pytest.approx(20, rel=0.15)


def test_temperatures_that_have_no_maximum() -> None:
    sure = softmax(np.array([[4.0, 0.0], [0.0, 3.0]]))
    assert fit_temperature(sure, [0, 1]) is None  # never wrong: surer is always likelier
    assert fit_temperature(sure, [1, 0]) == pytest.approx(HIGHEST)  # always wrong: it knows nothing
    assert fit_label_temperatures([[0.9, 0.1]] * 50, [[1, 0]] * 50) == ()


def test_label_temperatures_are_logistic_regressions_without_intercept() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(3_000, 3)) * 2
    marks = (generator.random(truth.shape) < sigmoid(truth)).astype(int)
    logits = truth * np.array([0.5, 1.5, 3.0])
    found = fit_label_temperatures(sigmoid(logits), marks)
    for column in range(3):
        model = LogisticRegression(C=1e10, fit_intercept=False, tol=1e-10).fit(logits[:, [column]], marks[:, column])
        assert 1 / found[column] == pytest.approx(model.coef_[0, 0], rel=1e-4)


def test_rare_labels_share_a_temperature() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(400, 3)) * 2 - np.array([0, 9, 9])
    marks = (generator.random(truth.shape) < sigmoid(truth)).astype(int)
    assert marks[:, 1:].sum(axis=0).max() < 20 < marks[:, 0].sum()
    first, second, third = fit_label_temperatures(sigmoid(truth * 2), marks)
    assert second == third != first


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.3]) | st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_the_curve_is_its_definition(answers) -> None:
    doubt, right = map(np.array, zip(*answers, strict=True))
    found = risk_coverage(doubt, right)
    for point in found.points:
        inside = doubt <= point.doubt
        assert point.coverage == pytest.approx(inside.mean())
        assert point.risk == pytest.approx((~right[inside]).mean())
    assert found.points[-1].coverage == 1
    assert found.excess_area >= -1e-12 and found.area <= 1
    if len(set(doubt)) == len(doubt):
        wrong = ~right[np.argsort(doubt)]
        assert found.area == pytest.approx((wrong.cumsum() / np.arange(1, len(wrong) + 1)).mean())
    mistakes = np.sort(~right)
    assert found.best_area == pytest.approx((mistakes.cumsum() / np.arange(1, len(right) + 1)).mean())


def test_ties_are_the_mean_over_their_orders() -> None:
    found = risk_coverage([0.5, 0.5], [True, False])
    assert found.area == pytest.approx(((0 + 1 / 2) / 2 + (1 + 1 / 2) / 2) / 2)
    assert len(risk_coverage(np.arange(1_000) / 1_000, np.ones(1_000)).points) == 200
    assert spread(10, 4) == [1, 4, 7, 9] and spread(3, 4) == [0, 1, 2]


def test_a_table_is_stored_without_promising_more() -> None:
    doubts = np.random.default_rng(0).random(10_000)
    ranks, values = stored_quantiles(doubts)
    assert len(ranks) == 250 and ranks[-1] == 10_000
    for rank, value in zip(ranks, values, strict=True):
        assert 0 <= value - np.sort(doubts)[rank - 1] < 1e-6
        assert float(f"{value:.8g}") == value
    assert rounded_up(1 / 3) >= 1 / 3 and rounded_up(0.0) == 0.0


@pytest.mark.parametrize("error", [0.1, 0.3])
def test_sets_cover_what_they_promise_on_twenty_splits(error: float) -> None:
    logits, gold = classified(24_000, 7, spread=1.2)
    kept, sizes = covered(softmax(logits * 3), gold, 4_000, error)
    assert np.mean(kept) == pytest.approx(1 - error, abs=0.01)
    assert max(abs(np.array(kept) - (1 - error))) < 0.03
    assert 1 < np.mean(sizes) < 6


@pytest.mark.data
@pytest.mark.skipif("BOTHWAYS_DATA" not in os.environ, reason="BOTHWAYS_DATA is not set")
@pytest.mark.parametrize(("name", "n_train"), [("ag_news", 4_000), ("banking77", 4_000)])
def test_they_do_on_real_texts(name: str, n_train: int) -> None:
    with gzip.open(Path(os.environ["BOTHWAYS_DATA"]) / name / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    random.Random(0).shuffle(rows)
    names = sorted({row["label"] for row in rows})
    texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    model = train_baseline(texts[:n_train], None, labels[:n_train], kind="single", label_names=names)
    scores = model.predict(texts[n_train:]).probabilities
    gold = np.array([names.index(label) for label in labels[n_train:]])
    for error in (0.1, 0.05):
        kept, sizes = covered(scores, gold, len(gold) // 2, error)
        assert np.mean(kept) == pytest.approx(1 - error, abs=0.01)
        assert np.mean(sizes) < 2


def covered(scores: np.ndarray, gold: np.ndarray, n_fitted: int, error: float) -> tuple[list[float], list[float]]:
    """Share of sets that hold the right label, and their mean size, on the rest of each of twenty splits."""
    kept, sizes = [], []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(gold))
        one, two = order[:n_fitted], order[n_fitted:]
        stored = fit_calibration("single", scores[one], gold[one])
        inside = label_sets(stored, stored.scores(scores[two]), error)
        kept.append(float(inside[np.arange(len(two)), gold[two]].mean()))
        sizes.append(float(inside.sum(axis=1).mean()))
    return kept, sizes


def test_sets_of_several_labels_and_intervals_cover_what_they_promise() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(20_000, 4)) * 2
    marks = (generator.random(truth.shape) < sigmoid(truth)).astype(int)
    scores = sigmoid(truth * 2)
    stored = fit_calibration("multi", scores[:5_000], marks[:5_000])
    inside = label_sets(stored, stored.scores(scores[5_000:]), 0.1)
    assert (inside | (marks[5_000:] == 0)).all(axis=1).mean() == pytest.approx(0.9, abs=0.015)
    numbers = truth[:, 0] + generator.standard_t(3, 20_000)
    stored = fit_calibration("regression", truth[:5_000, 0], numbers[:5_000])
    half = conformal_doubt(stored, 0.1)
    assert (np.abs(numbers - truth[:, 0])[5_000:] <= half).mean() == pytest.approx(0.9, abs=0.015)


def test_the_risk_is_kept_as_often_as_promised() -> None:
    broken, answered = 0, []
    for seed in range(80):
        logits, gold = classified(600, seed, spread=3.0)
        scores = softmax(logits)
        stored = fit_calibration("single", scores, gold)
        other_logits, other_gold = classified(4_000, 10_000 + seed, spread=3.0)
        other = stored.scores(softmax(other_logits))
        try:
            inside = answer_doubt(other, "single") <= doubt_at_risk(stored, 0.1)
        except InputError:  # it cannot be promised, and is not
            continue
        answered.append(inside.mean())
        broken += (other.argmax(axis=1) != other_gold)[inside].mean() > 0.1
    assert broken <= 4  # at most 5 %; the bound is shared by ten walks, so that it is fewer
    assert len(answered) > 40 and np.mean(answered) > 0.2


def test_calibration_is_measured_where_it_was_not_fitted() -> None:
    logits, gold = classified(2_000, 3)
    scores = softmax(logits * 2.5)
    found = measure_calibration("single", scores, gold, seed=5)
    assert found.before == reliability("single", scores, gold)
    assert found.before.error == pytest.approx(expected_calibration_error(scores, gold))
    assert found.before.brier == pytest.approx(brier(scores, gold))
    assert found.calibration.temperatures[0] == pytest.approx(fit_temperature(scores, gold))
    order = np.random.default_rng(5).permutation(2_000)
    after = np.empty_like(scores)
    for fitted, measured in ((order[:1_000], order[1_000:]), (order[1_000:], order[:1_000])):
        after[measured] = tempered(scores[measured], [fit_temperature(scores[fitted], gold[fitted])], "single")
    assert found.after.error == pytest.approx(expected_calibration_error(after, gold))
    assert found.after.log_loss == pytest.approx(-np.log(after[np.arange(2_000), gold]).mean())
    assert found.after.error < 0.03 < 0.1 < found.before.error and found.after.brier < found.before.brier
    assert found.measured_on == "other halves" and found.count == 2_000


def test_other_texts_are_measured_with_the_stored_calibration() -> None:
    logits, gold = classified(1_000, 3, spread=4.0)
    other_logits, other_gold = classified(700, 4, spread=4.0)
    scores, other = softmax(logits * 3), softmax(other_logits * 3)
    found = measure_calibration("single", scores, gold, other=(other, other_gold))
    expected = expected_calibration_error(tempered(other, found.calibration.temperatures, "single"), other_gold)
    assert found.after.error == pytest.approx(expected)
    assert found.count == 700 and found.calibration.count == 1_000 and found.measured_on == "other texts"
    inside = label_sets(found.calibration, found.calibration.scores(other), 0.1)
    sets = found.sets[0]
    assert sets.promised == 0.9 and sets.mean_size == inside.sum(axis=1).mean()
    assert sum(size.count for size in sets.by_size) == 700
    assert sum(size.covered for size in sets.by_size) / 700 == pytest.approx(sets.coverage)
    for asked in found.abstention:
        answered = answer_doubt(found.calibration.scores(other), "single") <= 1 - asked.confidence + 1e-12
        assert asked.answered == answered.sum()
    assert found.abstention


def test_what_is_found_says_itself_and_is_json() -> None:
    logits, gold = classified(3_000, 3, spread=4.0)
    found = measure_calibration("single", softmax(logits * 2), gold)
    temperature, sets = found.calibration.temperatures[0], found.sets[0]
    assert f"Temperature {temperature:.2f}, fitted on 3,000 texts" in found.sentences[0]
    assert f"from {found.before.error * 100:.1f} to {found.after.error * 100:.1f} %" in found.sentences[0]
    assert f"{sets.coverage * 100:.1f} % of the texts" in found.sentences[2]
    assert "each half of the texts" in found.sentences[-1]
    assert json.loads(json.dumps(found.summary()))["temperatures"] == [temperature]
    json.dumps(asdict(found))


def test_a_model_without_mistakes_keeps_its_scores() -> None:
    scores = np.full((300, 2), 0.1)
    gold = np.arange(300) % 2
    scores[np.arange(300), gold] = 0.9
    found = measure_calibration("single", scores, gold)
    assert found.calibration.temperatures == () and found.after is None
    assert "None of 300 texts is answered wrongly" in found.sentences[0]
    assert doubt_at_risk(found.calibration, 0.02) == pytest.approx(0.1)


def test_what_only_the_whole_shows_is_said_and_not_measured() -> None:
    generator = np.random.default_rng(0)
    scores = softmax(np.stack([generator.normal(3, 1, 400), np.zeros(400)], axis=1))
    found = measure_calibration("single", scores, (scores[:, 0] < 0.5).astype(int))  # 400 show it, 200 do not
    assert found.abstention[0].asked > 0.02
    assert "from a confidence of" in found.sentences[1] and "half of the texts" in found.sentences[1]
    assert 0 < doubt_at_risk(found.calibration, 0.02) < 1


def test_a_temperature_that_does_not_help_is_not_stored() -> None:
    logits, gold = classified(60, 8)  # the truth, and too few to tell it better
    found = measure_calibration("single", softmax(logits), gold)
    assert found.calibration.temperatures == () and found.after is None
    assert "is not used" in found.sentences[0] and f"from {found.before.log_loss:.4f} to" in found.sentences[0]


def test_a_single_class_in_the_data_is_no_error() -> None:
    generator = np.random.default_rng(0)
    scores = softmax(generator.normal(size=(200, 3)))
    found = measure_calibration("single", scores, np.zeros(200, dtype=int))
    assert found.after is None or found.after.log_loss < found.before.log_loss
    assert found.sets and found.sets[0].by_size


@pytest.mark.parametrize("kind", ["multi", "regression"])
def test_other_kinds_are_measured_too(kind: str) -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(600, 3)) * 2
    marks = (generator.random(truth.shape) < sigmoid(truth)).astype(int)
    if kind == "multi":
        found = measure_calibration("multi", sigmoid(truth * 3), marks)
        assert found.after.error < found.before.error and len(found.calibration.temperatures) == 3
        assert found.before.brier == pytest.approx(((sigmoid(truth * 3) - marks) ** 2).mean())
    else:
        found = measure_calibration("regression", truth[:, 0], truth[:, 0] + generator.normal(size=600))
        assert found.before is found.after is found.risk_coverage is None
        assert found.sets[0].coverage == pytest.approx(0.9, abs=0.05) and "intervals" in found.sentences[0]
    assert Calibration.from_json(found.calibration.to_json()) == found.calibration


def test_confidences_alone_are_measured_and_nothing_is_fitted() -> None:
    found = measure_confidences([0.9, 0.8, 0.7, 0.9], [True, True, False, True], items="entities")
    assert found.calibration is found.after is None and found.items == "entities"
    assert found.before.brier == pytest.approx((0.01 + 0.04 + 0.49 + 0.01) / 4)
    assert found.risk_coverage.area == pytest.approx((1 / 4) / 4)
    assert "4 entities" in found.sentences[0]


def test_nonconformity_by_hand() -> None:
    scores = np.array([[0.7, 0.3], [0.2, 0.8]])
    assert nonconformity(scores, [0, 0], "single").tolist() == pytest.approx([0.3, 0.8])
    assert nonconformity(scores, [[1, 1], [0, 0]], "multi").tolist() == pytest.approx([0.7, 0.0])
    assert nonconformity([1.0, 2.0], [1.5, 0.0], "regression").tolist() == [0.5, 2.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_calibration("single", np.full((49, 2), 0.5), [0] * 49), "49 labelled texts .* at least 50"),
        (lambda: fit_temperature([[0.5, 0.5]], [0, 1]), r"shape \(1, 2\) and gold \(2,\)"),
        (lambda: fit_label_temperatures([[0.5]], [0]), r"shape \(1, 1\) and marks \(1,\)"),
        (lambda: risk_table([], []), r"shape \(0,\)"),
        (lambda: nonconformity([[0.5]], [[1], [0]], "multi"), r"shape \(1, 1\) and gold \(2, 1\)"),
        (lambda: measure_calibration("single", np.full((60, 2), 0.5), [0] * 60, other=([], [])), "no texts to measure"),
    ],
)
def test_impossible_input_is_named(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
