"""Flips and their test: literal cases, and McNemar's exact test against scipy's binomial test."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from bothways.comparing.changes import Decision, agreement, count_decisions, decisions_of
from bothways.comparing.groups import changes_by_group, columns_of, holm
from bothways.evaluation.intervals import mcnemar

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_each_text_is_a_decision():
    found = decisions_of("single", ["a", "b", "a", "b"], ["a", "b", "b", "a"], ["a", "a", "a", "a"])
    assert [(d.before, d.after) for d in found] == [(True, True), (True, False), (False, True), (False, False)]
    counts = count_decisions(found)
    assert (counts.both_right, counts.newly_wrong, counts.newly_right, counts.both_wrong) == (1, 1, 1, 1)
    assert counts.total == 4 and [d.labels for d in found] == [("a",), ("b",), ("a",), ("b",)]


def test_several_labels_are_right_together_only():
    (decision,) = decisions_of("multi", [("a", "b")], [("b", "a")], [("a",)])
    assert decision.before and not decision.after and decision.labels == ("a", "b")


def test_entities_are_decisions_whether_they_are_there_or_not():
    gold = [["B-PER", "I-PER", "O", "B-LOC", "O"]]
    before = [["B-PER", "I-PER", "O", "O", "O"]]
    after = [["B-PER", "O", "O", "B-LOC", "B-LOC"]]
    found = {d.span: (d.before, d.after, d.is_gold) for d in decisions_of("entities", gold, before, after)}
    assert found == {
        ("PER", 0, 2): (True, False, True),
        ("PER", 0, 1): (True, False, False),  # found where there is none of this length
        ("LOC", 3, 4): (False, True, True),
        ("LOC", 4, 5): (True, False, False),
    }


def test_answers_are_compared_as_squad_does():
    found = decisions_of("answers", [("the Nile", "Nile"), ("",)], ["Nile.", "Cairo"], ["The  nile", ""])
    assert [(d.before, d.after, d.labels[0]) for d in found] == [
        (True, True, "answered"),
        (False, True, "no answer"),
    ]
    assert agreement("answers", ["Nile.", "Cairo"], ["The  nile", ""]) == 0.5


def test_scores_have_no_right_and_wrong():
    assert decisions_of("regression", [1.0], [1.0], [2.0]) == []
    assert agreement("regression", [1.0], [1.0]) is None


@patient
@given(st.integers(0, 60), st.integers(0, 60))
def test_the_exact_test_is_scipys(one, other):
    expected = binomtest(one, one + other, 0.5).pvalue if one + other else 1.0
    assert mcnemar(one, other, mid_p=False) == pytest.approx(expected, rel=1e-9)


def test_holm_on_a_case_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0] and holm([]) == []


@patient
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_is_between_each_and_bonferroni(p_values):
    adjusted = holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert p <= q <= min(1.0, p * len(p_values)) + 1e-12
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_the_part_that_lost_most_comes_first():
    right, lost, won = (True, True), (True, False), (False, True)
    pattern = [lost] * 6 + [right] * 4 + [right] * 5 + [won] * 5
    decisions = [Decision(i, ("a" if i < 10 else "b",), *flip) for i, flip in enumerate(pattern)]
    columns = {"site": ["x"] * 2 + ["y"] * 17 + [None]}
    found = changes_by_group(decisions, ["word"] * 20, columns)
    assert [(c.group, c.value, c.n) for c in found] == [("label", "a", 10), ("site", "y", 17), ("label", "b", 10)]
    first = found[0]
    assert (first.before, first.after, first.newly_wrong, first.newly_right) == (1.0, 0.4, 6, 0)
    assert first.p_value == pytest.approx(binomtest(0, 6, 0.5).pvalue)
    assert first.adjusted == pytest.approx(3 * first.p_value), "three parts are looked at"


def test_parts_are_also_those_of_the_report():
    texts = ["good"] * 6 + ["it is not so good as all of us had thought at first"] * 6
    decisions = [Decision(i, ("a" if i % 2 else "b",), True, i < 6) for i in range(12)]
    found = {(change.group, change.value): change for change in changes_by_group(decisions, texts, {})}
    assert {group for group, _ in found} == {"label", "length", "negation"}, "all have the same case"
    lost = found["negation", "with a negating word"]
    assert (lost.n, lost.newly_wrong) == (6, 6) == (found["length", "more than 7 words"].n, 6)
    assert found["negation", "without a negating word"].newly_wrong == 0


def test_columns_are_those_with_few_values(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("id,text,label,site\n" + "".join(f"{i},text {i},a,{'xy'[i % 2]}\n" for i in range(8)))
    texts = [f"text {i}" for i in range(8)]
    found = columns_of(path, list(range(1, 9)), texts, ["text", "label"])
    assert found == {"site": ["x", "y"] * 4}
    assert columns_of(path, [2, 3], ["text 0", "text 2"], []) == {}, "rows that are not the examples"
    assert columns_of(tmp_path / "none.conll", [1], ["text"], []) == {}
