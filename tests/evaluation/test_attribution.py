"""Words that moved an answer: exact on a model that is known, equal to the reference on a real one, and checked."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.evaluation.attribution import explain
from bothways.evaluation.deletion_curve import deletion_curve
from bothways.evaluation.removal import PASSAGES, WORDS_EACH, units_of

WEIGHTS = {"wonderful": 2.0, "good": 1.0, "not": -0.5, "dull": -1.5}


class KnownPipe:
    """A classifier that adds up weights of words: the effect of a word is its weight."""

    default_task = "text-classification"

    def __init__(self, weights=WEIGHTS, problem_type=None, labels=("neg", "pos")):
        self.weights, self.asked = weights, []
        config = SimpleNamespace(id2label=dict(enumerate(labels)), num_labels=len(labels), problem_type=problem_type)
        self.model, self.options = SimpleNamespace(config=config), SimpleNamespace(function_to_apply=None)

    def __call__(self, texts, *, return_all_scores, function_to_apply=None, calibrated=None, **sureness):
        assert return_all_scores and sureness == {"abstain_at_risk": None, "conformal": None}
        assert (function_to_apply, calibrated) in ((None, None), ("none", False))
        self.asked.append(texts)
        for text in texts:
            assert isinstance(text, str)
        sums = [sum(self.weights.get(w.strip(".,!"), 0.0) for w in text.split()) for text in texts]
        names = self.model.config.id2label.values()
        rows = [{n: s if n == "pos" else 0.0 for n in names} for s in sums]
        if function_to_apply is None and self.model.config.problem_type != "regression":
            rows = [{n: 1 / (1 + math.exp(-s if n == "pos" else s)) for n in names} for s in sums]
        return [[{"label": n, "score": s} for n, s in row.items()] for row in rows]


def test_effects_of_a_known_model_are_its_weights():
    e = explain(KnownPipe(), "a wonderful, good film, not dull at all")
    assert (e.label, e.predicted, e.unit) == ("pos", "pos", "word")
    effects = {effect.text: round(effect.effect, 9) for effect in e.effects if effect.effect}
    assert effects == {"wonderful": 2.0, "good": 1.0, "not": -0.5, "dull": -1.5}
    assert e.logit == pytest.approx(1.0) and e.score == pytest.approx(1 / (1 + math.exp(-1)))
    assert [effect.text for effect in e.strongest[:2]] == ["wonderful", "dull"]
    for effect in e.effects:
        assert e.text[effect.start : effect.end] == effect.text


def test_of_a_pair_each_word_is_left_out_of_its_own_text():
    asked = []

    class PairPipe(KnownPipe):
        def __call__(self, rows, **options):
            asked.extend(rows)
            # the second text speaks against the label
            texts = [f"{row['text']} {row['text_pair'].replace('good', 'dull')}" for row in rows]
            return super().__call__(texts, **options)

    e = explain(PairPipe(), "a good film ‖ wonderful", "good, they say")
    effects = {(effect.start, effect.text): round(effect.effect, 9) for effect in e.effects if effect.effect}
    assert effects == {(2, "good"): 1.0, (14, "wonderful"): 2.0, (26, "good"): -1.5}
    assert e.text == "a good film | wonderful ‖ good, they say" and e.n_characters == len(e.text)
    assert {row["text_pair"] for row in asked if row["text"] == "a film | wonderful"} >= {"good, they say"}
    assert explain(PairPipe(), "good", "?").effects[0].effect == pytest.approx(1.0)
    with pytest.raises(InputError, match="' ' and '' have no words"):
        explain(PairPipe(), " ", "")


def test_a_true_marking_is_shown_to_be_better_than_chance_and_a_false_one_is_not():
    text = "a wonderful film with a good plot and it is not at all dull for me"
    e = explain(KnownPipe(), text)
    assert e.curve.better_than_chance and e.curve.area > 0.5 and e.curve.p_value == pytest.approx(1 / 100)
    assert "faster than 99 of 99 random orders (p = 0.01): on this text the marking is better than chance." in e.verdict
    assert e.curve.comprehensiveness > e.curve.random_comprehensiveness
    assert e.curve.sufficiency < e.curve.random_sufficiency

    def scores(texts):
        values = np.array([sum(WEIGHTS.get(word, 0.0) for word in text.split()) for text in texts])
        return values, 1 / (1 + np.exp(-values))

    reversed_marking = deletion_curve(units_of(text), [-effect.effect for effect in e.effects], scores)
    assert reversed_marking.area < -0.5 and not reversed_marking.better_than_chance and reversed_marking.p_value > 0.9


def test_chance_is_found_better_than_chance_in_at_most_one_of_twenty_texts():
    """The p value is exact: over many random markings it is below 5 % in 5 % of them."""
    words = [f"w{i}" for i in range(12)]
    generator = np.random.default_rng(0)
    found = 0
    for seed in range(100):
        weights = dict(zip(words, generator.normal(size=12), strict=True))

        def scores(texts, weights=weights):
            values = np.array([sum(weights[w] for w in text.split()) for text in texts])
            return values, 1 / (1 + np.exp(-values))

        curve = deletion_curve(units_of(" ".join(words)), generator.normal(size=12), scores, n_orders=19, seed=seed)
        found += curve.better_than_chance
    assert 1 <= found <= 11  # 100 times 5 %, with a standard deviation of 2


def test_a_model_that_reads_nothing_gets_no_praise():
    e = explain(KnownPipe(weights={}), "five words that say nothing")
    assert e.curve.area == 0 and e.curve.p_value == 1 and not e.curve.better_than_chance
    assert "not shown to be better than chance" in e.verdict
    assert "5 words with less effect or none" in e.to_terminal(color=False, width=80)
    assert "5 words with next to no effect" in e.to_html() and "not shown to be better" in e.to_html()


def test_the_curve_by_hand():
    """Four words, all orders known: the area and the shares can be checked on paper."""
    pipe = KnownPipe(weights={"a": 4.0})
    e = explain(pipe, "a b c d", n_orders=60, label="pos")
    curve = e.curve
    assert curve.shares == (0, 0.25, 0.5, 0.75, 1) and curve.claimed == (4, 0, 0, 0, 0)
    assert curve.n_orders == 60 and curve.random_mean[0] == 4 and curve.random_mean[-1] == 0
    # a random order has lost "a" after k of 4 words with chance k / 4
    assert curve.random_mean[2] == pytest.approx(2, abs=0.7)
    trapezoids = sum(curve.random_mean) - (4 + 0) / 2 - (sum(curve.claimed) - 2)
    assert curve.area == pytest.approx(trapezoids / 4)
    fall = 1 / (1 + math.exp(-4)) - 0.5
    assert curve.comprehensiveness == pytest.approx(fall) and curve.sufficiency == pytest.approx(0)


def test_every_different_text_is_read_once_and_in_three_calls():
    pipe = KnownPipe()
    explain(pipe, "a good good good film")
    assert [len(texts) for texts in pipe.asked[:2]] == [6, 1] and len(pipe.asked) == 3
    assert len(set(pipe.asked[2])) == len(pipe.asked[2])


def test_too_few_words_to_test():
    e = explain(KnownPipe(), "good film!")
    assert e.curve is None and e.verdict.startswith("With 3 words chance finds the best order too often")
    assert explain(KnownPipe(), "good").verdict.startswith("With 1 word chance")
    assert "good" in e.to_html() and "good" in e.to_terminal(color=True)


def test_long_texts_are_explained_by_sentences_and_only_their_beginning_is_read():
    sentences = [f"Sentence number {i} says little about it." for i in range(30)]
    sentences[7] = "This one is wonderful wonderful wonderful."
    e = explain(KnownPipe(), " ".join(sentences))
    assert e.unit == "sentence" and len(e.effects) == 30 and e.notes == ()
    assert e.strongest[0].text == sentences[7] and e.strongest[0].effect == pytest.approx(6)
    million = explain(KnownPipe(), "A good film. " * 77_000)
    assert million.unit == "passage" and len(million.effects) == PASSAGES
    assert million.n_characters == 1_001_000 and len(million.text) <= 5_000
    assert (
        "characters were looked at" in million.notes[0]
        and f"first {len(million.text):,} of 1,001,000" in million.notes[0]
    )
    assert million.notes[0] in million.to_html() and len(million.to_html()) < 200_000
    assert len(explain(KnownPipe(), "word" * 20_000).text) == 5_000


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: explain(KnownPipe(), "  \n"), "has no words, so there is nothing to explain"),
        (lambda: explain(KnownPipe(), ["a"]), r"the text is \['a'\] \(list\); expected one text"),
        (lambda: explain(KnownPipe(), "a", label="posi"), "no label 'posi'; expected one of its 2, for example 'pos'"),
        (lambda: explain(KnownPipe(), "a", unit="letter"), "unit is 'letter'"),
        (lambda: explain(KnownPipe(), "a " * 1_001, unit="word"), "has 1,001 words"),
        (lambda: explain(SimpleNamespace(default_task="fill-mask"), "a"), "needs a text-classification pipeline"),
        (lambda: explain(KnownPipe(), "a", most_characters=0), "most_characters is 0"),
    ],
)
def test_what_cannot_be_explained(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_other_labels_several_labels_and_values():
    e = explain(KnownPipe(), "a good film this is", label="neg")
    assert e.predicted == "pos" and e.strongest[0].text == "good" and e.strongest[0].effect == pytest.approx(-1)
    several = explain(KnownPipe(problem_type="multi_label_classification"), "a good film this is")
    assert several.logit == pytest.approx(1) and several.score == pytest.approx(1 / (1 + math.exp(-1)))
    value = explain(KnownPipe(problem_type="regression", labels=("pos",)), "a good film this is")
    assert value.value and value.score == value.logit == pytest.approx(1)


@given(st.text(max_size=60), st.data())
@settings(max_examples=60)
def test_taking_units_away_keeps_all_others(text, data):
    try:
        units = units_of(text)
    except InputError:
        return
    assert units.without(()) == text
    assert units.without(range(len(units))) == ""
    removed = data.draw(st.sets(st.integers(0, len(units) - 1)))
    rest = units.without(removed)
    place = 0
    for i, (start, end) in enumerate(units.spans):
        if i not in removed:
            place = rest.index(text[start:end], place) + end - start
    assert len(rest) <= len(text)


def test_units():
    assert units_of("not bad, really").without({1, 2}) == "not really"
    assert units_of("not bad, really").without({0}) == "bad, really"
    assert units_of("so 👩‍👩‍👧 nice").spans == ((0, 2), (3, 8), (9, 13))
    assert units_of("word " * WORDS_EACH).name == "word"
    by_passages = units_of("word " * 1_000)
    assert (by_passages.name, len(by_passages)) == ("passage", PASSAGES)
    assert len({end - start for start, end in by_passages.spans}) == 1


def test_effects_agree_with_the_reference_library(tiny_model, tmp_path):
    import torch
    import transformers

    from bothways import BertForSequenceClassification, BertTokenizerFast, pipeline

    torch.manual_seed(1)
    model = BertForSequenceClassification.from_pretrained(tiny_model, num_labels=3)
    with torch.no_grad():
        model.classifier.weight.mul_(40)
    model.save_pretrained(tmp_path)
    BertTokenizerFast.from_pretrained(tiny_model).save_pretrained(tmp_path)
    text = "it was a good film, not awful"
    e = explain(pipeline("text-classification", model=str(tmp_path), device="cpu"), text)

    reference = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    column = reference.config.label2id[e.label]

    def logit(own_text: str) -> float:
        with torch.no_grad():
            chances = reference(**tokenizer(own_text, return_tensors="pt")).logits[0].double().softmax(-1)
        return float(torch.logit(chances)[column])

    assert e.logit == pytest.approx(logit(text), abs=1e-4)
    assert max(abs(effect.effect) for effect in e.effects) > 0.01
    for effect in e.effects:
        without = " ".join((text[: effect.start] + text[effect.end :]).split())
        assert effect.effect == pytest.approx(logit(text) - logit(without), abs=1e-4)
