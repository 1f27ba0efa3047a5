"""Written texts in the comparison: scores with intervals, and what models that write have to beat."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from bothways.evaluation.baseline import Predictions
from bothways.evaluation.report import build_report, report_as_json
from bothways.evaluation.scores import METRICS, count_outcomes, score, score_difference
from bothways.evaluation.verdict import Contender, compare
from bothways.evaluation.writing_baselines import fit_bigrams, fit_lead
from bothways.metrics.generation import bleu, chrf, rouge
from bothways.training.scoring import SELECTION, all_scores, selection_score

WORDS = "ein Hund läuft über die Wiese und eine Frau liest das Buch am Fenster im Haus".split()  # noqa: SIM905


def texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(4, 9))) + "." for _ in range(count)]


def worse(text: str, seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(word for word in text.split() if draw.random() < 0.7)


RIGHT = texts(60, 1)
GOOD = [worse(text, i) for i, text in enumerate(RIGHT)]


@pytest.mark.parametrize(
    ("kind", "metrics"),
    [
        ("translations", lambda a, b: {"chrf": chrf(a, b), "bleu": bleu(a, b)}),
        ("summaries", lambda a, b: {f"rouge{t}": rouge(a, b)[f"rouge{t}"] for t in "L12"}),
    ],
)
def test_scores_of_written_texts_have_intervals_around_them(kind, metrics):
    outcomes = count_outcomes(kind, RIGHT, GOOD, texts(60, 2))
    assert outcomes.n == 60
    for metric in METRICS[kind]:
        interval = score(metric, outcomes)
        assert interval.estimate == pytest.approx(metrics(GOOD, RIGHT)[metric.name].score / 100)
        assert 0 < interval.high - interval.low < 0.2 and interval.low < interval.estimate < interval.high
        assert score_difference(metric, outcomes).low > 0
    found = all_scores(kind, RIGHT, GOOD, ())
    assert selection_score(kind, RIGHT, GOOD, ()) == found[SELECTION[kind]] == pytest.approx(
        score(METRICS[kind][0], outcomes).estimate
    )  # fmt: skip
    assert "version" in found.get("chrf_signature", "version")


def test_bits_per_byte_weigh_texts_by_their_bytes():
    outcomes = count_outcomes("language", [10, 30], [2.0, 4.0], [8.0, 8.0])
    compression, bits = METRICS["language"]
    assert score(bits, outcomes).estimate == pytest.approx(3.5)
    assert score(compression, outcomes).estimate == pytest.approx(1 - 3.5 / 8)
    assert score(compression, outcomes, 1).estimate == pytest.approx(0.0)
    assert all_scores("language", [10, 30], [2.0, 4.0], ()) == {
        "compression": pytest.approx(1 - 3.5 / 8),
        "bits_per_byte": pytest.approx(3.5),
    }


@pytest.mark.parametrize(
    ("kind", "gold", "model", "baseline", "majority", "says"),
    [
        ("translations", RIGHT, GOOD, texts(60, 2), "", "points of chrF"),
        ("summaries", RIGHT, GOOD, texts(60, 2), "", "points of ROUGE-L"),
        ("language", [50.0] * 60, [2 + i / 100 for i in range(60)], [4.0] * 60, 8.0, "points of compression"),
    ],
)
def test_the_verdict_and_the_report(kind, gold, model, baseline, majority, says):
    def contender(name, labels):
        return Contender(name=name, predictions=Predictions(labels=tuple(labels)), train_seconds=1.0)

    comparison = compare(gold, contender("tiny", model), contender("simple", baseline), majority, kind=kind)
    assert comparison.outcome == "model" and "tiny beats simple by" in comparison.verdict
    assert says in comparison.verdict
    report = build_report(
        title="t", comparison=comparison, texts=RIGHT, gold=gold, predictions=Predictions(labels=tuple(model))
    )
    shown = report_as_json(report)
    assert shown["labels"] == [] and shown["comparison"]["kind"] == kind
    if kind == "language":
        assert report.mistakes == () and report.n_mistakes == 0
    else:
        assert report.mistakes[0].gold == RIGHT[0] and report.mistakes[0].predicted == GOOD[0]
        assert report.n_mistakes == sum(a != b for a, b in zip(RIGHT, GOOD, strict=True))
    from bothways.evaluation.page import render_page

    page = render_page(report)
    assert ("that differ from the text in the data" in page) == (kind != "language")


def test_the_number_of_leading_sentences_is_learned():
    sources = ["Alpha beta gamma. Delta epsilon zeta. Eta theta iota. Kappa lambda mu."] * 5
    for n, target in enumerate(["Alpha beta gamma.", "Alpha beta gamma. Delta epsilon zeta.", sources[0][:-17]], 1):
        lead = fit_lead(sources, [target] * 5)
        assert lead.sentences == n and lead.name == ("first sentence" if n == 1 else f"first {n} sentences")
    assert lead.predict(sources[:1]) == ["Alpha beta gamma.\nDelta epsilon zeta.\nEta theta iota."]
    assert fit_lead([], []).sentences == 3


def test_pairs_of_bytes_are_probabilities_and_learn():
    model = fit_bigrams(["abab", "abab", "é"])
    assert np.exp2(-model.bits).sum(axis=1) == pytest.approx(np.ones(257))
    assert (np.exp2(-model.bits) > 0).all()
    seen, unseen = model.rates(["abab", "zzzz"])
    assert seen < 2 < 8 < unseen
    # after a come four b and nothing else; one kind of follower has a share of one
    kinds = 5  # a, b, the end and both bytes of é, in 13 symbols
    single = (4 + kinds / 257) / (13 + kinds)
    assert model.bits[ord("a"), ord("b")] == pytest.approx(-math.log2((4 + single) / (4 + 1)))
    assert fit_bigrams([]).rates(["abc"]) == [pytest.approx(4 * math.log2(257) / 3)]
