"""Ways of pooling, judged on pairs."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways import explore
from bothways.errors import DataError, InputError
from bothways.explore.agreement import _auc, _spearman, measure_agreement
from bothways.explore.pooled import _report

TEXTS = ["the film was good", "the film was bad", "a very awful play", "not the plot", "good actor", "b c d", "e f"]


def pairs_file(path, labels, header=("sentence1", "sentence2", "label")):
    rows = [(TEXTS[i % 7], TEXTS[(i * i + 1) % 7], label) for i, label in enumerate(labels)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path, rows


def test_scores_are_spearman_of_the_vectors_that_encode_gives(tiny_model, tmp_path):
    from scipy.stats import spearmanr

    from bothways import AutoModel

    labels = np.random.default_rng(0).random(30).round(2).tolist()
    path, rows = pairs_file(tmp_path / "p.csv", labels, ("sentence1", "sentence2", "score"))
    report = explore.pooling(path, model=tiny_model)
    model = AutoModel.from_pretrained(tiny_model)
    assert (report.metric, report.n_pairs, report.positive) == ("Spearman", 30, None)
    assert [row.way for row in report.scores] == ["cls", "mean", "max", "static"]
    for row in report.scores[:3]:
        a, b = (model.encode([r[i] for r in rows], pooling=row.way, normalize=True) for i in (0, 1))
        assert row.score.estimate == pytest.approx(spearmanr(labels, (a * b).sum(1))[0], abs=1e-3)
        assert row.score.low <= row.score.estimate <= row.score.high


def test_two_classes_are_judged_by_area(tiny_model, tmp_path):
    from sklearn.metrics import roc_auc_score

    from bothways import AutoModel

    labels = ["duplicate" if i % 3 else "different" for i in range(20)]
    path, rows = pairs_file(tmp_path / "p.csv", labels)
    report = explore.pooling(path, model=tiny_model)
    model = AutoModel.from_pretrained(tiny_model)
    a, b = (model.encode([r[i] for r in rows], pooling="mean", normalize=True) for i in (0, 1))
    expected = roc_auc_score([label == "duplicate" for label in labels], (a * b).sum(1).round(6))
    assert (report.metric, report.positive) == ("AUC", "duplicate")
    assert report.scores[1].score.estimate == pytest.approx(expected, abs=0.02)
    other = explore.pooling(path, model=tiny_model, positive="different")
    assert other.scores[1].score.estimate == pytest.approx(1 - report.scores[1].score.estimate)


def test_whole_numbers_with_more_than_two_values_are_scores(tiny_model, tmp_path):
    path, _ = pairs_file(tmp_path / "p.csv", [i % 5 for i in range(20)])
    assert explore.pooling(path, model=tiny_model).metric == "Spearman"
    assert explore.pooling(path, model=tiny_model, limit=5).n_pairs == 5


def test_what_cannot_be_compared_is_a_sentence(tiny_model, tmp_path):
    single = tmp_path / "s.csv"
    single.write_text("text,label\ngood film,a\nbad film,b\n")
    for labels, options, error, expected in (
        (["a", "b"] * 5, {}, InputError, "which class means 'alike' cannot be told; the classes are 'a' and 'b'"),
        (["a", "b"] * 5, {"positive": "c"}, InputError, "positive is 'c'; the classes are 'a' and 'b'"),
        (["a", "b", "c"] * 5, {}, DataError, "the labels are 'a', 'b', 'c'; expected scores, or two classes"),
        ([0, 1], {}, DataError, "there are 2 labelled pairs; comparing needs at least 3"),
        ([1, 1, 1, 1, 0], {"limit": 4}, DataError, "all are '1' in 4 pairs"),
        ([0, 1, 2], {"limit": 2}, InputError, "limit is 2"),
        (None, {}, DataError, "single texts"),
    ):
        path = single if labels is None else pairs_file(tmp_path / "p.csv", labels)[0]
        with pytest.raises(error, match=expected):
            explore.pooling(path, model=tiny_model, **options)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 3), st.integers(0, 3)), min_size=3, max_size=25))
def test_weighted_scores_are_those_of_repeated_pairs(rows):
    from scipy.stats import spearmanr
    from sklearn.metrics import roc_auc_score

    gold, found, times = (np.array(column) for column in zip(*rows, strict=True))
    repeated_gold, repeated = np.repeat(gold, times), np.repeat(found, times)
    weights = times[None].astype(float)
    if len(set(repeated_gold)) > 1 and len(set(repeated)) > 1:
        expected = spearmanr(repeated_gold, repeated)[0]
        assert _spearman(weights, gold.astype(float), found.astype(float))[0] == pytest.approx(expected)
    elif times.sum():
        assert _spearman(weights, gold.astype(float), found.astype(float))[0] == 0
    yes = (gold > 1).astype(float)
    if len(set(np.repeat(yes, times))) > 1:
        expected = roc_auc_score(np.repeat(yes, times), repeated)
        assert _auc(weights, yes, found.astype(float))[0] == pytest.approx(expected)
    elif times.sum():
        assert _auc(weights, yes, found.astype(float))[0] == 0.5


def test_intervals_are_those_of_scipy_s_bootstrap():
    from scipy.stats import bootstrap, spearmanr

    random = np.random.default_rng(3)
    gold = random.normal(size=120)
    found = gold + random.normal(size=120)
    ours = measure_agreement(gold, [found], binary=False).score(0)
    theirs = bootstrap(
        (gold, found), lambda a, b: spearmanr(a, b)[0], paired=True, vectorized=False, n_resamples=1000,
        method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_a_winner_is_named_only_beyond_chance():
    random = np.random.default_rng(0)
    gold = random.normal(size=300)
    good, poor = gold + 0.2 * random.normal(size=300), gold + 3 * random.normal(size=300)
    won = _report("m", measure_agreement(gold, [poor, good, poor + 0.1, poor], binary=False), 300, None)
    assert won.winner == "mean" and won.sentences[0].startswith("Mean pooling wins on 300 pairs: Spearman 0.9")
    assert set(won.ahead) == {"cls", "max"} and all(margin.confidence == 0.975 for margin in won.ahead.values())
    assert "makes the difference" in won.sentences[1]
    even = _report("m", measure_agreement(gold, [good, good, good, good], binary=False), 300, None)
    assert even.winner is None and even.sentences[0].startswith("No winner can be told from 300 pairs")
    assert "adds little" in even.sentences[1]
