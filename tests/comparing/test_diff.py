"""A model in the place of another one: its twin, its opposite, and what the budget says."""

from __future__ import annotations

import pytest

from bothways.comparing.changes import Counts
from bothways.comparing.diff import ScoreChange, diff_models, judge
from bothways.errors import BothwaysError, UsageError
from bothways.evaluation.intervals import Difference, Interval
from bothways.evaluation.verdict import Score


@pytest.fixture(scope="module")
def opposite(contest):
    return diff_models(contest / "first", contest / "opposite", contest / "texts.csv", examples=3)


def test_a_twin_changes_nothing(contest):
    diff = diff_models(contest / "first", contest / "twin", contest / "texts.csv", max_regressions=0)
    assert diff.passed and diff.agreement == 1.0 and diff.p_value == 1.0
    assert diff.counts == Counts(both_right=60, both_wrong=0, newly_right=0, newly_wrong=0)
    assert diff.newly_wrong == diff.newly_right == ()
    assert diff.verdict == (
        "PASS: first → twin: accuracy +0.0 points (95 % interval +0.0 to +0.0, p = 1; budget 1.0 points); "
        "0 newly wrong (at most 0), 0 newly right."
    )


def test_an_opposite_gets_all_wrong(opposite, contest):
    assert not opposite.passed and opposite.agreement == 0.0
    assert opposite.counts.newly_wrong == 60 and opposite.counts.newly_right == 0
    assert opposite.p_value == pytest.approx(2 * 0.5**60)
    assert opposite.scores[0].difference.estimate == -1.0
    assert opposite.verdict.startswith("FAIL: first → opposite: accuracy -100.0 points")
    assert opposite.verdict.endswith("60 newly wrong, 0 newly right: the score fell.")
    lines = (contest / "texts.csv").read_text().splitlines()
    assert len(opposite.newly_wrong) == 3
    for flip in opposite.newly_wrong:
        text, label, _ = lines[flip.number].split(",")
        assert (flip.text, flip.gold, flip.before) == (text, label, label) and flip.after != label


def test_parts_are_those_of_label_and_column(opposite):
    parts = {(part.group, part.value): part for part in opposite.groups}
    assert {("label", "neg"), ("label", "pos"), ("site", "a"), ("site", "b")} <= set(parts)
    site = parts["site", "a"]
    assert (site.n, site.before, site.after, site.newly_wrong) == (30, 1.0, 0.0, 30)


def test_the_way_back_mirrors_it(opposite, contest):
    back = diff_models(contest / "opposite", contest / "first", contest / "texts.csv", max_regressions=0)
    assert back.passed and back.counts.newly_right == 60 and len(back.newly_right) == 10
    assert back.scores[0].difference.estimate == -opposite.scores[0].difference.estimate


def test_the_same_call_gives_the_same_result(opposite, contest):
    assert diff_models(contest / "first", contest / "opposite", contest / "texts.csv", examples=3) == opposite


def test_entities_are_compared_one_by_one(contest):
    diff = diff_models(contest / "tagger", contest / "tagger_twin", contest / "tags.jsonl")
    assert diff.kind == "entities" and diff.agreement == 1.0 and diff.counts.newly_wrong == 0
    assert diff.counts.total >= 24, "two entities in each of 12 sentences, and what was found beside them"
    assert any("Flips are counted by entity" in note for note in diff.notes)


def test_questions_are_compared(contest):
    diff = diff_models(contest / "reader", contest / "reader_opposite", contest / "questions.jsonl")
    assert diff.kind == "answers" and diff.counts.total == diff.n == 10
    assert [change.after.name for change in diff.scores] == ["f1", "exact"]


def test_models_of_different_tasks_cannot_be_compared(contest):
    with pytest.raises(BothwaysError, match="two models are needed that answer the same. tagger is left out"):
        diff_models(contest / "first", contest / "tagger", contest / "texts.csv")


@pytest.mark.parametrize(
    "limits, said",
    [
        ({"budget": -0.1}, "--budget is -0.1"),
        ({"budget": float("nan")}, "--budget is nan"),
        ({"max_regressions": -1}, "--max-regressions is -1"),
        ({"examples": -1}, "--examples is -1"),
    ],
)
def test_impossible_limits(contest, limits, said):
    with pytest.raises(UsageError, match=said):
        diff_models(contest / "first", contest / "twin", contest / "texts.csv", **limits)


def change(estimate: float, low: float, high: float, p_value: float) -> ScoreChange:
    score = Score(name="f1", title="entity F1", percent=True, interval=Interval(estimate=0.9, low=0.88, high=0.92))
    difference = Difference(estimate=estimate, low=low, high=high, p_value=p_value)
    return ScoreChange(before=score, after=score, difference=difference)


COUNTS = Counts(both_right=80, both_wrong=5, newly_right=3, newly_wrong=12)


@pytest.mark.parametrize(
    "moved, limit, kept, end",
    [
        (change(-0.03, -0.05, -0.01, 0.002), None, False, ": the score fell."),
        (change(-0.03, -0.07, 0.01, 0.2), None, True, "the fall is beyond the budget and may be chance, judge on more"),
        (change(-0.005, -0.008, -0.002, 0.001), None, True, "12 newly wrong, 3 newly right."),
        (change(-0.005, -0.008, -0.002, 0.001), 12, True, "12 newly wrong (at most 12), 3 newly right."),
        (change(0.02, 0.01, 0.03, 0.001), 11, False, ": too many are newly wrong."),
        (change(-0.03, -0.05, -0.01, 0.002), 1, False, ": the score fell and too many are newly wrong."),
    ],
)
def test_the_budget(moved, limit, kept, end):
    passed, verdict = judge("old", "new", moved, COUNTS, 0.01, limit)
    assert passed is kept and end in verdict and verdict.startswith("PASS" if kept else "FAIL")
    assert "\n" not in verdict
