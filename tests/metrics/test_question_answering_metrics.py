"""SQuAD's measures: by hand, and against the official script's way of computing them."""

from __future__ import annotations

import collections
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.metrics import answer_exact, answer_f1, best_null_threshold, normalise_answer, question_answering_scores


def official_normalise(s):
    s = "".join(ch for ch in s.lower() if ch not in set(string.punctuation))
    return " ".join(re.compile(r"\b(a|an|the)\b", re.UNICODE).sub(" ", s).split())


def official_f1(a_gold, a_pred):
    gold_toks = official_normalise(a_gold).split() if a_gold else []
    pred_toks = official_normalise(a_pred).split() if a_pred else []
    common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(pred_toks)
    recall = 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


def official_scores(predictions, answers):
    exact, f1, has = {}, {}, {}
    for qid, (prediction, own) in enumerate(zip(predictions, answers, strict=True)):
        golds = [a for a in own if official_normalise(a)]
        has[qid] = bool(own)
        golds = golds or [""]
        exact[qid] = max(int(official_normalise(a) == official_normalise(prediction)) for a in golds)
        f1[qid] = max(official_f1(a, prediction) for a in golds)
    result = {}
    for prefix, chosen in (
        ("", list(exact)),
        ("HasAns_", [k for k in exact if has[k]]),
        ("NoAns_", [k for k in exact if not has[k]]),
    ):
        if chosen:
            result[f"{prefix}exact"] = 100.0 * sum(exact[k] for k in chosen) / len(chosen)
            result[f"{prefix}f1"] = 100.0 * sum(f1[k] for k in chosen) / len(chosen)
            result[f"{prefix}total"] = len(chosen)
    return result


def official_best_threshold(na_probs, scores, has_answer):
    cur = best = sum(not h for h in has_answer)
    thresh = 0.0
    for i in sorted(range(len(na_probs)), key=lambda k: na_probs[k]):
        cur += scores[i] if has_answer[i] else -1
        if cur > best:
            best, thresh = cur, na_probs[i]
    return 100.0 * best / len(scores), thresh


def test_by_hand():
    assert normalise_answer("  The U.S.A.'s  a-an  Ann, THE end!") == "usas aan ann end"
    assert normalise_answer("the a an") == ""
    assert answer_exact("The cat!", ["a dog", "cat"]) == 1.0
    assert answer_f1("big red cat", ["the cat", "a red dog runs"]) == pytest.approx(0.5)  # 1 of 3, 1 of 1
    assert answer_f1("cat cat", ["cat"]) == pytest.approx(2 / 3)
    assert answer_f1("", []) == answer_exact("", []) == 1.0
    assert answer_f1("x", []) == answer_f1("", ["x"]) == answer_f1("dog", ["cat"]) == 0.0
    assert question_answering_scores(["cat", "", "x", "red cat"], [["the cat"], [], [], ["cat", "cat sat"]]) == {
        "exact": 50.0,
        "f1": pytest.approx(100 * (1 + 1 + 0 + 2 / 3) / 4),
        "total": 4,
        "HasAns_exact": 50.0,
        "HasAns_f1": pytest.approx(100 * (1 + 2 / 3) / 2),
        "HasAns_total": 2,
        "NoAns_exact": 50.0,
        "NoAns_f1": 50.0,
        "NoAns_total": 2,
    }
    assert "NoAns_total" not in question_answering_scores(["a"], [["a cat"]])


TEXT = st.lists(
    st.sampled_from(["the", "A", "an", "cat", "Cat.", "red", "U.S.", "—", "é", "'s", "1,000", "theatre"]), max_size=4
).map(" ".join)
GOLD = TEXT.filter(official_normalise)


@given(st.lists(st.tuples(TEXT, st.lists(GOLD, max_size=3)), min_size=1, max_size=6))
def test_like_the_official_script(rows):
    predictions, answers = [p for p, _ in rows], [a for _, a in rows]
    got = question_answering_scores(predictions, answers)
    assert got == pytest.approx(official_scores(predictions, answers))
    assert all(type(value) in (float, int) for value in got.values())


@given(
    st.lists(
        st.tuples(st.integers(-50, 50), st.floats(0, 1), st.booleans()),
        min_size=1,
        max_size=12,
        unique_by=lambda r: r[0],
    )
)
def test_threshold_like_the_official_script(rows):
    odds, scores, impossible = (list(column) for column in zip(*rows, strict=True))
    threshold, best = best_null_threshold(odds, scores, impossible)
    expected, _ = official_best_threshold(odds, scores, [not i for i in impossible])
    assert best == pytest.approx(expected)
    decided = [float(i) if o > threshold else (0.0 if i else s) for o, s, i in rows]
    assert 100 * sum(decided) / len(decided) == pytest.approx(best)


def test_thresholds_at_the_ends():
    assert best_null_threshold([1.0, 2.0, 4.0], [1.0, 1.0, 0.0], [False, False, True]) == (3.0, 100.0)
    assert best_null_threshold([1.0, 1.0], [1.0, 0.0], [False, True]) == (0.0, 50.0)  # equal odds: one decision
    assert best_null_threshold([1.0, float("inf")], [1.0, 0.0], [False, True]) == (2.0, 100.0)
    assert best_null_threshold([float("inf")], [0.0], [True]) == (0.0, 100.0)
    assert best_null_threshold([5.0], [1.0], [False]) == (6.0, 100.0)


def test_unequal_numbers():
    with pytest.raises(InputError, match="2 predictions for 1 questions"):
        question_answering_scores(["a", "b"], [["a"]])
    with pytest.raises(InputError, match="1 odds, 2 scores and 1 questions"):
        best_null_threshold([1.0], [1.0, 2.0], [True])
