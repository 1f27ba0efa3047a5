"""Parts of the data with scores of their own, against other ways of computing them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from bothways.errors import InputError
from bothways.evaluation.facets import (
    column_facets,
    entity_facets,
    label_facets,
    question_facets,
    text_facets,
)
from bothways.evaluation.intervals import wilson_interval
from bothways.evaluation.row_scores import row_scores
from bothways.evaluation.slices import Facet, find_slices, holm
from bothways.metrics import multilabel_scores
from bothways.metrics.entities import entity_scores


def _weak_part(n=400, seed=0):
    """Answers that are wrong in 40 % of a tenth of the texts, and in 5 % elsewhere."""
    rng = np.random.default_rng(seed)
    part = ["weak" if i % 10 == 0 else "strong" for i in range(n)]
    gold = ["a" if i % 2 else "b" for i in range(n)]
    wrong = [rng.random() < (0.4 if p == "weak" else 0.05) for p in part]
    predicted = [("b" if g == "a" else "a") if w else g for g, w in zip(gold, wrong, strict=True)]
    return gold, predicted, part


def test_a_weak_part_is_first_and_its_numbers_are_scipys():
    gold, predicted, part = _weak_part()
    chance = ["x" if i % 3 else "y" for i in range(len(gold))]
    found = find_slices(
        row_scores("single", gold, predicted), [Facet(name="chance", values=chance), Facet(name="part", values=part)]
    )
    first = found.slices[0]
    assert (first.facet, first.value, first.support, first.worse) == ("part", "weak", 40, True)
    assert [s.worse for s in found.slices].count(True) == 1 and found.compared == 4 and found.small == 0
    right = np.array([g == p for g, p in zip(gold, predicted, strict=True)])
    weak = np.array([p == "weak" for p in part])
    assert first.score.estimate == right[weak].mean() and first.rest == right[~weak].mean()
    assert first.score == wilson_interval(int(right[weak].sum()), 40)
    table = [[right[m].sum(), (~right[m]).sum()] for m in (weak, ~weak)]
    # the smallest of four p-values; both parts of a facet have the same one
    assert first.p_value == pytest.approx(4 * fisher_exact(table)[1])


def test_holm_is_the_published_example():
    # Holm 1979; the numbers as statsmodels' multipletests(method="holm") gives them
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_keeps_order_and_never_lowers(p_values):
    corrected = holm(p_values)
    assert all(p <= c <= 1 for p, c in zip(p_values, corrected, strict=True))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert all(corrected[a] <= corrected[b] for a, b in zip(order, order[1:], strict=False))


def test_nothing_is_found_where_there_is_nothing():
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(40):
        gold = ["a"] * 300
        predicted = ["a" if rng.random() < 0.8 else "b" for _ in gold]
        facets = [Facet(name=str(k), values=rng.choice(["x", "y", "z"], 300).tolist()) for k in range(8)]
        alarms += bool(find_slices(row_scores("single", gold, predicted), facets).worse)
    assert alarms <= 5  # 2 of 40 are expected; without a correction it would be about 25


def test_small_parts_are_left_out_and_counted():
    gold, predicted, _ = _weak_part(100)
    values = ["few"] * 9 + [None] * 11 + ["many"] * 80
    found = find_slices(row_scores("single", gold, predicted), [Facet(name="f", values=values)])
    assert (found.slices, found.compared, found.small) == ((), 0, 2)  # the rest of "many" is "few"
    with pytest.raises(InputError, match="'g' has 3 values for 100 examples"):
        find_slices(row_scores("single", gold, predicted), [Facet(name="g", values=["a"] * 3)])


def test_a_single_class_file_gives_slices_too():
    found = find_slices(row_scores("single", ["a"] * 30, ["a"] * 30), label_facets("single", ["a"] * 30))
    assert found.slices == () and found.overall.estimate == 1.0 and found.overall.low < 1


def test_scores_are_those_of_the_metrics():
    rng = np.random.default_rng(1)
    names = ["a", "b", "c"]
    gold, predicted = ([tuple(n for n in names if rng.random() < 0.4) for _ in range(80)] for _ in range(2))
    assert row_scores("multi", gold, predicted).sums().value == pytest.approx(
        multilabel_scores(gold, predicted, names)["micro_f1"]
    )
    tags = [[["O", "B-PER", "B-LOC"][rng.integers(3)] for _ in range(6)] for _ in range(60)]
    other = [[t if rng.random() < 0.8 else "O" for t in row] for row in tags]
    assert row_scores("entities", tags, other).sums().value == pytest.approx(entity_scores(tags, other)["f1"])
    assert row_scores("regression", [1.0, 2.0], [2.0, 4.0]).sums().value == 1.5
    assert row_scores("answers", [("Paris",), ("",)], ["in Paris", ""]).sums().value == pytest.approx((2 / 3 + 1) / 2)


def test_interval_of_a_ratio_is_the_bootstraps():
    rng = np.random.default_rng(5)
    tags = [[["O", "B-PER"][rng.integers(2)] for _ in range(rng.integers(1, 12))] for _ in range(400)]
    other = [[t if rng.random() < 0.8 else "O" for t in row] for row in tags]
    rows = row_scores("entities", tags, other)
    draws = []
    for _ in range(2_000):
        chosen = rng.integers(400, size=400)
        draws.append(rows.parts[chosen].sum() / rows.wholes[chosen].sum())
    found = rows.sums().interval()
    assert [found.low, found.high] == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.004)


def test_larger_errors_are_worse():
    gold = [0.0] * 60
    predicted = [3.0 + i % 3 if i < 20 else 0.1 * (i % 3) for i in range(60)]
    values = ["far" if i < 20 else "near" for i in range(60)]
    found = find_slices(row_scores("regression", gold, predicted), [Facet(name="f", values=values)])
    assert [(s.value, s.worse) for s in found.slices] == [("far", True), ("near", False)]


def test_facets_of_texts():
    texts = ["I do NOT like it", "ALL LOUD", "all quiet", "123 😀", "لا إله", "don't", "x " * 500_000]
    by_name = {facet.name: facet.values for facet in text_facets(texts, None, [8, 5, 4, 4, 9, 5, 510])}
    assert by_name["negation"][0] == by_name["negation"][5] == "with a negating word"
    assert by_name["negation"][1] == "without a negating word"
    assert by_name["case"] == [
        "both",
        "all capitals",
        "no capitals",
        "no letters with case",
        "no letters with case",
        "no capitals",
        "no capitals",
    ]
    assert by_name["length"][6] == "more than 8 tokens" and by_name["length"][2] == "up to 4 tokens"


def test_pieces_of_words():
    facets = text_facets(["a b c d e"] * 3, None, [7, 9, 14])
    values = next(facet.values for facet in facets if facet.name == "pieces of a word")
    assert [v.split(" (")[0] for v in values] == ["whole words", "some unknown words", "many unknown words"]


def test_facets_of_pairs():
    facets = {f.name: f.values for f in text_facets(["a b c", "a b c"], ["a b c", "x y z"])}
    assert facets["words in both"] == ["over two thirds", "under a third"]


def test_columns_with_few_values_divide():
    columns = {"source": ["web", None, "mail"], "id": [1, 2, 3], "same": ["x"] * 3, "lists": [[1], [2], [3]]}
    found = {f.name: f.values for f in column_facets(columns)}
    assert found == {"column source": ["web", None, "mail"], "column id": ["1", "2", "3"]}
    many = {"number": [str(i) for i in range(30)]}
    assert column_facets(many) == []


def test_entities_by_type_and_by_whether_training_named_them():
    gold = [["B-PER", "O"], ["B-LOC", "I-LOC"], ["B-PER", "B-PER"]] * 10
    predicted = [["B-PER", "O"], ["O", "O"], ["B-PER", "O"]] * 10
    words = [["Ann", "went"], ["New", "York"], ["Ann", "Bob"]] * 10
    facets = {f.name: f.parts for f in entity_facets(gold, predicted, words, frozenset({"Ann"}))}
    seen, new = facets["name"]["seen in training"], facets["name"]["new"]
    assert (seen.part, seen.whole, new.part, new.whole) == (20, 20, 0, 20)
    assert facets["entity type"]["PER"].value == pytest.approx(2 / 3)
    assert facets["words of the entity"]["two"].n == 10
    found = find_slices(row_scores("entities", gold, predicted), [], list(entity_facets(gold, predicted, words, None)))
    assert found.slices[0].value == "LOC" and found.slices[0].measure == "recall" and found.slices[0].worse


def test_questions_by_their_word_and_answer():
    facets = {
        f.name: f.values
        for f in question_facets(
            ["Who is it?", "In which year?", "Name it"], [("Ann", "Ann B"), ("1990",), ("",)], frozenset({"Ann"})
        )
    }
    assert facets["question word"] == ["who", "which", "other"]
    assert facets["answer"] == ["in the text", "in the text", "none in the text"]
    assert facets["answer in training"] == ["seen in training", "new", None]
    assert facets["length of the answer"][0] == "one word" and facets["length of the answer"][2] is None
