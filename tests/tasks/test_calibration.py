"""The stored calibration, what it does to scores, and the two guarantees."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from bothways.errors import ConfigError, InputError
from bothways.tasks.calibration import Calibration, answer_doubt, logit, same_head, tempered
from bothways.tasks.sure_answers import abstains, conformal_doubt, doubt_at_risk, label_sets, upper_bound
from bothways.tasks.text_classification import sigmoid, softmax

LOGITS = st.lists(st.lists(st.floats(-40, 40, width=32), min_size=4, max_size=4), min_size=1, max_size=8)
TEMPERATURES = st.floats(0.05, 20)
ONE = Calibration(
    kind="single",
    labels=3,
    count=100,
    temperatures=(1.5,),
    ranks=(50, 90, 100),
    nonconformity=(0.1, 0.4, 0.8),
    doubts=(0.1, 0.3, 0.6),
    covered=(60, 90, 100),
    wrong=(0, 3, 9),
    head=(0.25, -1.0),
)


@given(LOGITS, TEMPERATURES)
@settings(max_examples=100, deadline=None)
def test_dividing_logits_and_raising_probabilities_are_one(rows, temperature) -> None:
    logits = np.array(rows)
    expected = softmax(logits / temperature)
    assert np.allclose(tempered(softmax(logits), (temperature,), "single"), expected, atol=1e-12)
    close = np.clip(logits, -12, 12)  # nearer to 0 and 1 than float32 tells is all the same
    each = (temperature, 1.0, 2.0, 0.5)
    assert np.allclose(tempered(sigmoid(close), each, "multi"), sigmoid(close / np.array(each)), atol=1e-9)


@given(LOGITS, TEMPERATURES)
@settings(max_examples=100, deadline=None)
def test_no_answer_changes(rows, temperature) -> None:
    scores = softmax(np.array(rows, dtype=np.float32))
    assert np.array_equal(tempered(scores, (temperature,), "single").argmax(axis=1), scores.argmax(axis=1))
    marks = sigmoid(np.array(rows, dtype=np.float32))
    assert np.array_equal(tempered(marks, (temperature, 1.0, 3.0, 0.2), "multi") >= 0.5, marks >= 0.5)


def test_without_temperatures_scores_stay() -> None:
    scores = np.array([[0.2, 0.8]], dtype=np.float32)
    assert np.array_equal(replace(ONE, temperatures=()).scores(scores), scores)
    assert logit(np.array([0.5]))[0] == 0 and np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_doubt_of_an_answer() -> None:
    assert answer_doubt(np.array([[0.7, 0.3]]), "single").tolist() == pytest.approx([0.3])
    assert answer_doubt(np.array([[0.9, 0.2, 0.45]]), "multi").tolist() == pytest.approx([0.45])


def test_what_is_written_is_read() -> None:
    stored = json.loads(json.dumps(ONE.to_json()))
    assert Calibration.from_json(stored) == ONE
    assert all(isinstance(value, (int, str)) for value in stored.values())  # a line a table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2; expected 1"),
        ({"kind": "other"}, "values that cannot be"),
        ({"temperatures": "1.5 0.2"}, "values that cannot be"),
        ({"temperatures": "-1"}, "values that cannot be"),
        ({"temperatures": "nan"}, "values that cannot be"),
        ({"ranks": "50 90"}, "values that cannot be"),
        ({"ranks": "50 90 101"}, "values that cannot be"),
        ({"nonconformity": "0.4 0.1 0.8"}, "values that cannot be"),
        ({"wrong": "61 3 9"}, "values that cannot be"),
        ({"doubts": "a b c"}, "values that cannot be"),
        ({"doubts": None}, "values that cannot be"),
        ({"count": "100"}, "values that cannot be"),
        ({"head": "inf"}, "values that cannot be"),
    ],
)
def test_other_values_are_refused(change, message) -> None:
    with pytest.raises(ConfigError, match=message):
        Calibration.from_json({**ONE.to_json(), **change})
    with pytest.raises(ConfigError, match="format 'list'"):
        Calibration.from_json([])


def test_a_head_is_known_in_bfloat16_and_not_after_training() -> None:
    import torch

    head = torch.randn(16, generator=torch.Generator().manual_seed(0)) * 0.05
    assert same_head(head.tolist(), head.bfloat16().float().tolist())
    assert same_head(head.tolist(), head.half().float().tolist())
    assert not same_head(head.tolist(), (head + 1e-3).tolist())
    assert not same_head(head.tolist(), [])


@pytest.mark.parametrize(("wrong", "count"), [(0, 1), (0, 300), (3, 90), (50, 51), (7, 7)])
def test_the_bound_is_clopper_and_pearson_s(wrong: int, count: int) -> None:
    bound = upper_bound(wrong, count, 0.005)
    if wrong == count:
        assert bound == 1.0
        return
    assert bound == pytest.approx(beta.ppf(0.995, wrong + 1, count - wrong))
    assert binom.cdf(wrong, count, bound) == pytest.approx(0.005)


def test_the_threshold_is_the_last_that_is_shown() -> None:
    assert upper_bound(0, 60, 0.005) < 0.09 < upper_bound(3, 90, 0.005) < 0.15 < upper_bound(9, 100, 0.005)
    assert doubt_at_risk(ONE, 0.09) == 0.1
    assert doubt_at_risk(ONE, 0.15) == 0.3
    assert doubt_at_risk(ONE, 0.25) == 0.6
    scores = np.array([[0.95, 0.05, 0.0], [0.72, 0.18, 0.1], [0.5, 0.3, 0.2]])
    assert abstains(ONE, scores, 0.15).tolist() == [False, False, True]


def test_all_answers_are_given_where_only_all_together_show_the_risk() -> None:
    flawless = replace(ONE, count=400, covered=(100, 200, 400), wrong=(0, 0, 0))
    assert upper_bound(0, 200, 0.005) > 0.02 > upper_bound(0, 400, 0.005)
    assert doubt_at_risk(flawless, 0.02) == 0.6  # a search by halves would have given up at 200


def test_too_little_data_is_a_sentence_with_its_numbers() -> None:
    smallest = upper_bound(0, 60, 0.005)
    with pytest.raises(
        InputError, match=rf"the 100 texts .* 95 % .* at most 2 %; the smallest .* {smallest * 100:.1f} %"
    ):
        doubt_at_risk(ONE, 0.02)
    with pytest.raises(InputError, match="conformal=0.005: 199 labelled texts are needed, and the calibration has 100"):
        conformal_doubt(ONE, 0.005)
    with pytest.raises(InputError, match="answers with numbers"):
        doubt_at_risk(replace(ONE, kind="regression"), 0.1)


@pytest.mark.parametrize("value", [0, 1, -0.1, 2, "0.1", True, float("nan")])
def test_impossible_shares_are_refused(value) -> None:
    with pytest.raises(InputError, match="abstain_at_risk is"):
        doubt_at_risk(ONE, value)
    with pytest.raises(InputError, match="conformal is"):
        conformal_doubt(ONE, value)


def test_the_quantile_has_the_rank_of_the_theorem() -> None:
    full = replace(ONE, count=9, ranks=tuple(range(1, 10)), nonconformity=tuple(i / 10 for i in range(1, 10)))
    assert conformal_doubt(full, 0.1) == 0.9  # rank ceil(10 * 0.9) = 9
    assert conformal_doubt(full, 0.2) == 0.8
    assert conformal_doubt(full, 0.21) == 0.8  # rank 7.9, rounded up
    assert conformal_doubt(ONE, 0.3) == 0.4  # rank 71; the next that is stored is 90


def test_sets_hold_what_is_below_the_doubt_and_never_nothing() -> None:
    scores = np.array([[0.65, 0.3, 0.05], [0.4, 0.35, 0.25], [0.15, 0.61, 0.24]])
    assert label_sets(ONE, scores, 0.3).tolist() == [[True, False, False], [True, False, False], [False, True, False]]
    assert label_sets(ONE, scores, 0.05).tolist() == [[True, True, False], [True, True, True], [False, True, True]]
    several = replace(ONE, kind="multi")
    assert label_sets(several, scores, 0.3).tolist()[1] == [False, False, False]
