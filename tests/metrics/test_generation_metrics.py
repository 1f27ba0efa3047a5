"""Scores of written texts, equal to the libraries whose numbers are published."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.errors import InputError, UsageError
from bothways.metrics.generation import bits_per_byte, bleu, chrf, perplexity, rouge

sacrebleu = pytest.importorskip("sacrebleu")
rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")

PREDICTIONS = ["The cat sat on the mat .", "a dog", "", "Zwei Männer schlafen auf dem Sofa."]
REFERENCES = ["The cat sat on a mat.", "the dog barks loudly at night", "nothing", "Zwei Männer schlafen auf dem Sofa."]

texts = st.lists(st.tuples(*[st.text(alphabet="abc dé.\n,", max_size=30)] * 2), min_size=1, max_size=6).map(
    lambda rows: tuple(map(list, zip(*rows, strict=True)))
)


@given(texts)
@settings(deadline=None, max_examples=40)
def test_bleu_and_chrf_are_sacrebleus(columns):
    said, right = columns
    found = bleu(said, right)
    assert found.score == pytest.approx(sacrebleu.corpus_bleu(said, [right], force=True).score)
    alone = [sacrebleu.sentence_bleu(a, [b]).score for a, b in zip(said, right, strict=True)]
    assert found.per_text == pytest.approx(alone)
    for order in (0, 2):
        score = chrf(said, right, word_order=order)
        assert score.score == pytest.approx(sacrebleu.corpus_chrf(said, [right], word_order=order).score)
        alone = [sacrebleu.sentence_chrf(a, [b], word_order=order).score for a, b in zip(said, right, strict=True)]
        assert score.per_text == pytest.approx(alone)


def test_several_references_of_different_number():
    several = [[r] for r in REFERENCES]
    several[1] = ["a dog", "the dog barks loudly at night"]
    streams = [[own[0] for own in several], [own[1] if len(own) > 1 else None for own in several]]
    assert bleu(PREDICTIONS, several).score == pytest.approx(sacrebleu.corpus_bleu(PREDICTIONS, streams).score)
    assert chrf(PREDICTIONS, several).score == pytest.approx(sacrebleu.corpus_chrf(PREDICTIONS, streams).score)
    assert rouge(PREDICTIONS, several)["rouge2"].per_text[1] == 100.0


def test_options_of_bleu():
    assert bleu(["THE CAT sat down here"], ["the cat sat down here"], lowercase=True).score == pytest.approx(100.0)
    assert bleu(["我们走吧我们"], ["我们走吧我们"], tokenize="zh").score == pytest.approx(100.0)
    assert "tok:13a" in bleu(PREDICTIONS, REFERENCES).signature
    with pytest.raises(UsageError, match="'flores200'; expected one of '13a'"):
        bleu(["a"], ["a"], tokenize="flores200")
    with pytest.raises(InputError, match="word_order is -1"):
        chrf(["a"], ["a"], word_order=-1)


@given(texts, st.booleans())
@settings(deadline=None, max_examples=40)
def test_rouge_is_the_one_of_rouge_score(columns, stemmer):
    said, right = columns
    types = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    scorer = rouge_scorer.RougeScorer(types, use_stemmer=stemmer)
    expected = [scorer.score(b, a) for a, b in zip(said, right, strict=True)]
    found = rouge(said, right, use_stemmer=stemmer)
    for name in types:
        values = [row[name].fmeasure for row in expected]
        assert found[name].per_text == pytest.approx([100 * v for v in values])
        assert found[name].score == pytest.approx(100 * np.mean(values))


def test_rouge_with_ones_own_words_sees_other_scripts():
    assert rouge(["мама мыла раму"], ["мама мыла раму"], types=["rouge1"])["rouge1"].score == 0.0
    own = rouge(["мама мыла раму"], ["мама мыла окно"], types=["rouge1"], tokenize=str.split)
    assert own["rouge1"].score == pytest.approx(200 / 3)
    with pytest.raises(InputError, match=r"\['rougeX'\]; expected some of rouge1"):
        rouge(["a"], ["a"], types=["rougeX"])


def test_a_resample_is_scored_as_if_its_texts_had_been_given():
    chosen = [0, 3, 3, 1]
    weights = np.bincount(chosen, minlength=4)[None].astype(float)
    said, right = [PREDICTIONS[i] for i in chosen], [REFERENCES[i] for i in chosen]
    for metric in (bleu, chrf, lambda a, b: rouge(a, b)["rougeL"]):
        assert metric(PREDICTIONS, REFERENCES).resampled(weights) == pytest.approx([metric(said, right).score])
    rate = bits_per_byte([3.0, 5.0, 1.0, 2.0], [3, 10, 1, 4])
    assert rate.resampled(weights) == pytest.approx([(5 + 3 + 2 * 2) / (10 + 3 + 8) / math.log(2)])


def test_perplexity_and_bits_per_byte_of_a_uniform_model():
    """256 equally likely bytes: 8 bits each, whatever the lengths."""
    lengths = np.array([3, 10, 0])
    score = bits_per_byte(lengths * math.log(256), lengths)
    assert score.score == pytest.approx(8.0)
    assert score.per_text[:2] == pytest.approx([8.0, 8.0]) and math.isnan(score.per_text[2])
    assert perplexity(lengths * math.log(256), lengths).score == pytest.approx(256.0)
    assert perplexity(math.log(7), 1).score == pytest.approx(7.0)
    assert math.isfinite(perplexity(1e6, 1).score)


@pytest.mark.parametrize(
    ("nats", "n", "message"),
    [
        ([1.0], [1, 2], r"losses of shape \(1,\) for bytes of shape \(2,\)"),
        ([1.0], [0], "0 bytes in all"),
        ([1.0, math.nan], [1, 2], "text 1: nan nats for 2.0 bytes"),
        ([-1.0], [3], "text 0: -1.0 nats"),
    ],
)
def test_impossible_losses_are_refused(nats, n, message):
    with pytest.raises(InputError, match=message):
        bits_per_byte(nats, n)


def test_wrong_texts_are_refused():
    with pytest.raises(InputError, match="2 predictions for 1 references"):
        bleu(["a", "b"], ["a"])
    with pytest.raises(InputError, match="0 predictions for 0 references"):
        rouge([], [])
    with pytest.raises(InputError, match="Put it in a list"):
        chrf("a", ["a"])
    with pytest.raises(InputError, match="text 1: the prediction and its 1 references .* is a NoneType"):
        bleu(["a", "b"], ["a", None])
    with pytest.raises(InputError, match="text 0: the prediction and its 0 references"):
        bleu(["a"], [[]])


@pytest.mark.parametrize(
    ("module", "call", "name"),
    [("sacrebleu", bleu, "sacrebleu"), ("sacrebleu", chrf, "sacrebleu"), ("rouge_score", rouge, "rouge-score")],
)
def test_an_absent_library_is_named_with_its_extra(monkeypatch, module, call, name):
    for loaded in [m for m in sys.modules if m.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"needs {name}. Install it: pip install 'bothways\[generation\]'"):
        call(["a"], ["a"])
