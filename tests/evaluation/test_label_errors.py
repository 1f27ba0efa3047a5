"""Suspected labels: what of injected noise is found, and by the definition of confident learning."""

import numpy as np
import pytest

from bothways.errors import InputError
from bothways.evaluation.label_errors import (
    cross_fitted,
    encoded_labels,
    from_array,
    listed,
    rank_labels,
    together,
)
from bothways.evaluation.label_set_errors import cross_fitted_sets, marked_labels, rank_label_sets, several_labels
from bothways.evaluation.name_errors import name_errors


def topics(n=800, labels=5, seed=0):
    """Texts of which some words tell the topic and most are common to all; some have words of another topic too."""
    rng = np.random.default_rng(seed)
    own = [[f"t{label}w{i}" for i in range(40)] for label in range(labels)]
    common = [f"c{i}" for i in range(150)]
    gold = rng.integers(labels, size=n)
    texts = []
    for label in gold:
        words = [*rng.choice(own[label], 3), *rng.choice(common, rng.integers(4, 12))]
        if rng.random() < 0.3:
            words.append(rng.choice(own[rng.integers(labels)]))
        texts.append(" ".join(words))
    return texts, gold


@pytest.mark.parametrize("seed", [0, 1])
def test_most_injected_errors_are_among_the_first_tenth(seed):
    texts, gold = topics(seed=seed)
    rng = np.random.default_rng(seed + 10)
    flipped = rng.choice(len(gold), len(gold) // 20, replace=False)
    noisy = gold.copy()
    noisy[flipped] = (gold[flipped] + rng.integers(1, 5, size=len(flipped))) % 5
    ranking = rank_labels(noisy, cross_fitted(texts, None, noisy, 5, seed=seed), 5)
    first = ranking.order[: len(gold) // 10]
    assert np.isin(flipped, first).mean() >= 0.8
    # the labels that are suggested instead are the true ones
    found = flipped[ranking.suspected[flipped]]
    assert len(found) >= 0.5 * len(flipped) and (ranking.better[found] == gold[found]).mean() > 0.9
    # and few of the right labels are suspected
    assert ranking.suspected.sum() - len(found) < 0.05 * len(gold)


def test_ranking_is_the_definition():
    """By hand: the mean probability of each label where it is given is 0.52 and 0.60; the last two are beyond."""
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.3, 0.7], [0.15, 0.85], [0.71, 0.29]])
    labels = np.array([0, 0, 1, 1, 0, 1])
    ranking = rank_labels(labels, from_array(probabilities), 2)
    assert ranking.suspected.tolist() == [False, False, False, False, True, True]
    margins = np.array([0.8, 0.0, 0.6, 0.4, -0.7, -0.42])
    assert ranking.order.tolist() == np.argsort(margins).tolist()
    assert ranking.own.tolist() == pytest.approx([0.9, 0.5, 0.8, 0.7, 0.15, 0.29])
    assert ranking.better.tolist() == [1, 1, 0, 0, 1, 0]


def test_a_text_and_its_equals_never_judge_each_other():
    """Three copies of a text with a wrong label: a fold with two of them would believe the third."""
    texts, gold = topics(300, labels=3)
    wrong = [0, 1, 2]
    labels = gold.copy()
    true = labels[0]
    for i, variant in zip(wrong, (texts[0], texts[0].upper(), f"  {texts[0]} "), strict=True):
        texts[i], labels[i] = variant, (true + 1) % 3
    ranking = rank_labels(labels, cross_fitted(texts, None, labels, 3), 3)
    assert set(wrong) <= set(ranking.order[:30].tolist())
    assert ranking.own[wrong].tolist() == pytest.approx([ranking.own[0]] * 3)


def test_rare_labels_are_left_out_and_counted():
    """Ten labels of which three have two examples."""
    texts, gold = topics(200, labels=7)
    labels = [f"l{g}" for g in gold] + ["r1", "r1", "r2", "r2", "r3", "r3"]
    texts += [f"rare {i}" for i in range(6)]
    names = sorted(set(labels))
    numbers = encoded_labels(labels, names)
    assert (numbers == -1).tolist() == [False] * 200 + [True] * 6
    ranking = rank_labels(numbers, cross_fitted(texts, None, numbers, len(names)), len(names))
    found = together([(ranking, listed(ranking, "training", texts, None, names, labels), "How.", len(labels))])
    assert (found.judged, found.left_out, found.methods) == (200, 6, ("How.",))
    assert not {206, 205, 204, 203, 202, 201} & {suspect.number for suspect in found.suspects}


def test_one_label_gives_no_suspects():
    texts, _ = topics(50)
    labels = np.zeros(50, dtype=int)
    assert not rank_labels(labels, cross_fitted(texts, None, labels, 1), 1).suspected.any()
    assert together([]) is None


def test_suspects_name_row_and_place():
    probabilities = np.array([[0.95, 0.05]] * 5 + [[0.05, 0.95]] * 6)
    labels = ["a"] * 5 + ["b"] * 5 + ["a"]
    numbers = encoded_labels(labels, ["a", "b"])
    ranking = rank_labels(numbers, from_array(probabilities), 2)
    (found,) = listed(ranking, "judged", ["t"] * 10 + ["<b>" + "x" * 10**6], None, ["a", "b"], labels, range(3, 14))
    assert (found.number, found.row, found.given, found.better) == (11, 13, "a", "b")
    assert found.better_probability == 0.95 and len(found.text) <= 300 and "[1,000,003 characters]" in found.text


def test_probabilities_must_be_a_rectangle():
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        from_array(np.ones(3))


def test_missing_and_surplus_labels_of_several():
    """Of sets of labels 5 % have one that is dropped or added; most are among the first tenth."""
    rng = np.random.default_rng(4)
    n, names = 600, [f"l{i}" for i in range(4)]
    marks = rng.random((n, 4)) < 0.35
    texts = []
    for own in marks:
        words = [f"t{label}w{rng.integers(15)}" for label in np.flatnonzero(own) for _ in range(3)]
        texts.append(" ".join([*words, *(f"c{rng.integers(60)}" for _ in range(6))]))
    noisy = marks.copy()
    flipped = rng.choice(n, n // 20, replace=False)
    noisy[flipped, rng.integers(4, size=len(flipped))] ^= True
    ranking = rank_label_sets(noisy, cross_fitted_sets(texts, None, noisy))
    assert np.isin(flipped, ranking.order[: n // 10]).mean() >= 0.8
    labels = [tuple(name for name, has in zip(names, row, strict=True) if has) for row in noisy]
    assert (marked_labels(labels, names) == noisy).all()
    found = listed(ranking, "training", texts, None, names, labels, shown=several_labels)
    assert {suspect.better.split()[0] for suspect in found} == {"also", "without"}
    for suspect in found:
        word, label = suspect.better.split()
        assert (label in suspect.given.split(", ")) == (word == "without")


def test_names_that_are_tagged_otherwise_elsewhere():
    rng = np.random.default_rng(6)
    types = {f"Name{i}": ["PER", "LOC", "ORG"][i % 3] for i in range(12)}
    sentences, right = [], []
    for _ in range(400):
        name = f"Name{rng.integers(12)}"
        sentences.append(["the", name, "went", "there"])
        right.append(["O", f"B-{types[name]}", "O", "O"])
    tags = [list(row) for row in right]
    flipped = rng.choice(400, 20, replace=False)
    for i in flipped:
        tags[i][1] = "O" if i % 2 else "B-PER" if right[i][1] != "B-PER" else "B-ORG"
    found = name_errors(
        [("training", sentences[:300], tags[:300], range(1, 301)), ("judged", sentences[300:], tags[300:], range(100))]
    )
    told = {s.number - 1 + (300 if s.part == "judged" else 0) for s in found.suspects}
    assert len(told & set(flipped.tolist())) >= 16 and len(told) <= 22
    assert found.judged == 400 and found.left_out == 0
    one = next(s for s in found.suspects if s.given == "(no entity)")
    assert one.better in ("PER", "LOC", "ORG") and "[Name" in one.text and one.better_probability >= 0.85


def test_names_that_are_rare_say_nothing():
    assert name_errors([("judged", [["Ann"]], [["B-PER"]], [1])]) is None


def test_many_labels_are_counted_instead_of_regressed():
    """Hundreds of labels: probabilities of all of them for all texts would not fit; blocks are read in turn."""
    rng = np.random.default_rng(0)
    gold = np.repeat(np.arange(600), 6)
    texts = [f"word{g} word{g}x c{rng.integers(50)} c{rng.integers(50)}" for g in gold]
    noisy = gold.copy()
    noisy[::200] = (noisy[::200] + 7) % 600
    ranking = rank_labels(noisy, cross_fitted(texts, None, noisy, 600), 600)
    assert np.isin(np.arange(0, len(gold), 200), ranking.order[:240]).mean() >= 0.8
