"""Advice from the numbers of a made-up machine, where all arithmetic can be done by hand."""

from __future__ import annotations

import dataclasses

import pytest

from bothways.comparing import machine as measured
from bothways.comparing.advise import Advice, advise
from bothways.comparing.candidates import CANDIDATES, operations_per_token
from bothways.comparing.costs import Work, cost_of
from bothways.comparing.machine import LayerShares, Machine, measure_machine
from bothways.errors import UsageError

FAST = Machine(
    name="a made-up machine",
    threads=8,
    precision="float32",
    peak=1e12,
    shares={384: LayerShares(0.5, 0.8, 0.4), 768: LayerShares(0.6, 0.9, 0.5)},
    length=128,
    baseline_fixed=1.0,
    baseline_train=0.0005,
    baseline_answer=0.0001,
)
SLOW = dataclasses.replace(FAST, peak=1e11)
SMALL = CANDIDATES[0]


def name_of(advice: Advice) -> str | None:
    return None if advice.choice is None else advice.options[advice.choice].candidate.name


def test_operations_are_counted_as_in_the_modules_themselves():
    from torch import nn

    from bothways import BertConfig, BertModel, ModernBertConfig, ModernBertModel

    bert = BertModel(BertConfig(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=80))
    modern = ModernBertModel(
        ModernBertConfig(
            vocab_size=60,
            pad_token_id=0,
            hidden_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=80,
        )
    )
    for model, matrices in ((bert.encoder, 2), (modern, 3)):
        linear = sum(2 * m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
        assert operations_per_token(3, 48, 80, 0, matrices=matrices) == linear
    assert operations_per_token(3, 48, 80, 10) - operations_per_token(3, 48, 80, 0) == 3 * 4 * 10 * 48


def test_the_costs_of_a_text():
    work = Work(tokens=128, documents=1_000, labelled=500, epochs=4)
    cost = cost_of(SMALL, work, FAST)
    one = 128 * 6 * (2 * (4 * 384**2 + 2 * 384 * 1536) + 4 * 128 * 384)
    assert cost.operations == one and cost.windows == 1
    assert cost.latency == pytest.approx(one / 0.5e12)
    assert cost.texts_per_second == pytest.approx(0.8e12 / one) and cost.answering == pytest.approx(
        1_000 * one / 0.8e12
    )
    assert cost.training["fine-tuning"] == pytest.approx(3 * 4 * 500 * one / 0.4e12)
    assert cost.training["LoRA"] == pytest.approx(2 / 3 * cost.training["fine-tuning"])
    assert cost.training["head only"] == pytest.approx(500 * one / 0.8e12), "all epochs cost one pass forward"


def test_long_texts_are_read_in_windows():
    work = Work(tokens=1_100, documents=1, labelled=0, epochs=1)
    cost = cost_of(SMALL, work, FAST)
    assert cost.windows == 3 and cost.operations == 3 * 367 * SMALL.operations_per_token(367) and cost.training == {}
    modern = next(c for c in CANDIDATES if c.family == "modernbert")
    assert cost_of(modern, work, FAST).windows == 1


def test_the_best_that_fits_the_latency_is_taken():
    generous = advise(classes=50, documents=100_000, machine=FAST, train_hours=1_000)
    assert name_of(generous) == "FacebookAI/roberta-large"
    tight = advise(classes=50, documents=100_000, latency_ms=20, machine=FAST, train_hours=1_000)
    assert name_of(tight) == "microsoft/MiniLM-L12-H384-uncased"
    for option in tight.options:
        assert ("latency" in option.against) == (option.cost.latency > 0.8 * 0.020)
    assert any("of the 20 ms that are wanted" in sentence for sentence in tight.sentences)
    assert any("FacebookAI/roberta-large: latency" in sentence for sentence in tight.sentences)


def test_none_fits_and_it_says_how_long_texts_may_be():
    advice = advise(classes=50, documents=100_000, latency_ms=5, machine=SLOW)
    assert advice.choice is None
    said = next(sentence for sentence in advice.sentences if sentence.startswith("Take none"))
    latency = advice.options[0].cost.latency * 1_000
    assert f"minilm-l6, needs {latency:.0f} ms of the 5 ms that are wanted for one text of 128 tokens" in said
    assert f"(to about {int(128 * 5 / latency)} tokens)" in said


def test_training_that_takes_too_long_falls_back_to_lora_but_not_to_a_head_alone():
    hours = advise(classes=50, documents=100_000, machine=FAST, train_hours=1_000).options[0].cost.training
    between = (hours["LoRA"] + hours["fine-tuning"]) / 2 / 3_600
    first = advise(classes=50, documents=100_000, machine=FAST, train_hours=between).options[0]
    assert first.method == "LoRA" and first.against == ""
    below = (hours["head only"] + hours["LoRA"]) / 2 / 3_600
    assert advise(classes=50, documents=100_000, machine=FAST, train_hours=below).options[0].against == "training time"


@pytest.mark.parametrize(
    "labels, method, said",
    [
        (3, "head only", "3 a class are fewer than the 8"),
        (16, "head only", "train the head alone on a frozen encoder"),
        (48, "LoRA", "LoRA (Hu et al. 2022)"),
        (200, "fine-tuning", "200 a class are enough for fine-tuning"),
        (None, "fine-tuning", "2,000 a class; say --labels N for fewer"),
    ],
)
def test_few_labels_change_the_way(labels, method, said):
    advice = advise(classes=50, documents=100_000, labels=labels, machine=FAST, train_hours=1_000)
    assert advice.options[advice.choice].method == method
    assert any(said in sentence for sentence in advice.sentences)
    flag = {"head only": " --freeze", "LoRA": " --lora 8", "fine-tuning": ""}[method]
    assert any(f"{name_of(advice)}{flag} --output" in sentence for sentence in advice.sentences)


def test_without_labels_it_is_zero_shot_at_the_price_of_every_class():
    advice = advise(classes=50, documents=100_000, labels=0, machine=FAST)
    trained = advise(classes=50, documents=100_000, machine=FAST)
    assert advice.options[0].cost.operations == 50 * trained.options[0].cost.operations
    assert advice.options[0].cost.training == {} and advice.options[advice.choice].method is None
    assert any("50 times the cost of a trained one" in sentence for sentence in advice.sentences)
    assert any(sentence.startswith("Training: none") for sentence in advice.sentences)


def test_an_api_is_the_better_choice_for_few_texts_without_labels():
    few = advise(classes=5, documents=500, labels=0, api_price=2.5, machine=FAST)
    (said,) = [sentence for sentence in few.sentences if "API" in sentence]
    assert said.startswith("An API model is probably the better choice: hardly any labels and only 500 documents.")
    assert "0.1 million tokens to read × 2.5 (your price) = 0.16" in said and "cannot be measured here" in said
    many = advise(classes=50, documents=100_000, latency_ms=20, machine=FAST)
    (said,) = [sentence for sentence in many.sentences if "API" in sentence]
    assert "12.8 million tokens to read, times the price of a million (not known here: --api-price)" in said
    assert "Against it: 20 ms have to hold the way over a network too" in said


def test_other_languages_need_a_model_that_knows_them():
    advice = advise(classes=5, documents=1_000, languages=["EN", " de "], machine=FAST)
    assert name_of(advice) == "FacebookAI/xlm-roberta-base"
    assert all("language" in o.against for o in advice.options if not o.candidate.multilingual)


def test_the_baseline_comes_first_and_the_arithmetic_is_shown():
    advice = advise(classes=50, documents=100_000, latency_ms=20, machine=FAST, train_hours=1_000)
    assert advice.sentences[0].startswith("First: the baseline, TF-IDF + logistic regression. About 51.0 s to train")
    lines = "\n".join(advice.arithmetic)
    one = 128 * 12 * (2 * (4 * 384**2 + 2 * 384 * 1536) + 4 * 128 * 384)
    assert "peak: 1,000 GFLOP/s, measured now" in lines
    assert (
        "one text: 12 layers × (2 × (4 × 384² + 2 × 384 × 1,536) + 4 × 128 × 384) × 128 tokens = "
        f"{one / 1e9:,.2f} GFLOP" in lines
    )
    assert f"({'1,000'} GFLOP/s × 50%) = {one / 0.5e12 * 1_000:.0f} ms, tokenisation not counted" in lines
    assert "100,000 texts × 3 epochs × 3 passes" in lines and "16 bytes × 33.4 M weights = 534 MB" in lines


def test_every_published_number_has_its_source():
    for candidate in CANDIDATES:
        assert candidate.source and candidate.published
        assert candidate.sst2 is None or f"{candidate.sst2:.1f} %" in candidate.published
    scores = [c.sst2 for c in CANDIDATES if c.sst2 is not None]
    assert scores == sorted(scores), "the order is that of quality"


def test_impossible_questions_are_told_together():
    with pytest.raises(UsageError) as caught:
        advise(classes=0, documents=10, latency_ms=-1, task="poetry", languages=[" "], labels=-2, machine=FAST)
    said = str(caught.value)
    for part in ("--classes is 0", "--latency-ms is -1", "'poetry'", "no language", "--labels is -2"):
        assert part in said


def test_a_machine_is_measured(monkeypatch):
    monkeypatch.setattr(measured, "measured_peak", lambda precision, device: 5e13)
    monkeypatch.setattr(measured, "WIDTHS", (64,))
    monkeypatch.setattr(measured, "BASELINE_TEXTS", (20, 40))
    found = measure_machine(length=16, use_gpu=False, precision="float32")
    assert found.peak == 5e13 and set(found.shares) == {64} and found.precision == "float32"
    assert all(0 < share < 1 for share in dataclasses.astuple(found.shares[64]))
    assert found.baseline_fixed >= 0 and found.baseline_train >= 0 and found.baseline_answer > 0
