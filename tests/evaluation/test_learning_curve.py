"""Would more labels help: curves whose law is known, and sentences that keep to it."""

import numpy as np
import pytest

from bothways.evaluation.learning_curve import fit_power_law, learning_curve, no_curve, parts_of

SIZES = np.array([100, 100, 100, 200, 200, 400, 400, 800, 1600], dtype=float)


def answers(law, n=1_500, seed=0):
    """Right labels, and for each size answers of which as many are wrong as a law says."""
    rng = np.random.default_rng(seed)
    gold = ["a" if i % 2 else "b" for i in range(n)]
    hard = rng.permutation(n) / n  # the same texts are hard for all
    told = []
    for size in SIZES:
        blur = hard + rng.normal(0, 0.02, n)
        told.append([g if h > law(size) else ("b" if g == "a" else "a") for g, h in zip(gold, blur, strict=True)])
    return gold, told


@pytest.mark.parametrize(("floor", "factor", "exponent"), [(0.05, 2.0, 0.5), (0.0, 1.0, 0.25), (0.1, 0.0, 0.5)])
def test_a_law_is_found_again(floor, factor, exponent):
    errors = floor + factor * SIZES**-exponent
    found = fit_power_law(SIZES, errors[None], SIZES**0.5)[0]
    assert found[0] + found[1] * SIZES ** -found[2] == pytest.approx(errors, abs=2e-3)
    if factor:
        assert found[2] == pytest.approx(exponent, abs=0.06)


def test_neither_number_is_negative():
    rng = np.random.default_rng(0)
    found = fit_power_law(SIZES, rng.random((50, len(SIZES))), SIZES**0.5)
    assert (found >= 0).all()


def test_more_labels_help_and_how_many():
    gold, told = answers(lambda n: 2 * n**-0.4)
    curve = learning_curve("single", gold, SIZES.astype(int).tolist(), told, name="bag", items="texts")
    assert curve.answer.startswith("Yes: by the curve twice as many texts (3,200) would raise the accuracy of bag")
    truth = 2 * 1600**-0.4 - 2 * 3200**-0.4
    gain = curve.forecasts[0].gain
    assert gain.low <= truth <= gain.high and [f.n for f in curve.forecasts] == [3_200, 6_400, 16_000]
    # one point more: 2 n^-0.4 = 2 * 1600^-0.4 - 0.01
    needed = (2 / (2 * 1600**-0.4 - 0.01)) ** 2.5 - 1600
    assert 0.5 * needed < curve.needed < 2 * needed
    assert f"{curve.needed:,}"[:1] in curve.answer and "one point more" in curve.answer


def test_labels_that_no_longer_help():
    gold, told = answers(lambda n: 0.15 + 0.0 * n)
    curve = learning_curve("single", gold, SIZES.astype(int).tolist(), told, name="bag")
    assert curve.answer.startswith(("Hardly", "It cannot be told")) and curve.needed is None


def test_what_cannot_be_told_is_said():
    gold, told = answers(lambda n: 0.3 + 0.5 * n**-0.5, n=24)
    curve = learning_curve("single", gold, SIZES.astype(int).tolist(), told, name="bag")
    assert curve.answer.startswith("It cannot be told")
    few = learning_curve("single", gold[:5], [100, 200], [t[:5] for t in told[:2]], name="bag")
    assert "200 training and 5 judged texts" in few.answer and few.forecasts == ()
    assert "12 training and 3 judged" in no_curve(12, 3, name="b", measure="accuracy", items="texts").answer


def test_of_many_labels_it_is_not_tried():
    curve = no_curve(20_000, 500, name="b", measure="accuracy", items="texts", n_labels=2_000)
    assert "on 20,000 texts with 2,000 labels" in curve.answer and not curve.steps


def test_intervals_cover_the_gain():
    """In most samples the interval of the gain holds the true one."""
    law, held = (lambda n: 0.05 + 1.5 * n**-0.45), 0
    truth = law(1600) - law(3200)
    for seed in range(20):
        gold, told = answers(law, n=600, seed=seed)
        gain = learning_curve("single", gold, SIZES.astype(int).tolist(), told, name="bag").forecasts[0].gain
        held += gain.low <= truth <= gain.high
    assert held >= 16


def test_parts_are_disjoint_and_the_same_for_a_seed():
    parts = parts_of(1_000, seed=3)
    assert [len(part) for part in parts] == [62, 62, 62, 125, 125, 250, 250, 500]
    assert not set(parts[0]) & set(parts[1]) and not set(parts[5]) & set(parts[6])
    assert all((a == b).all() for a, b in zip(parts, parts_of(1_000, seed=3), strict=True))
    assert parts_of(159) == []
