"""Sentences about settings that are not known to work, with numbers, and silence about the others."""

from __future__ import annotations

import dataclasses

import pytest

from bothways import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
)
from bothways.models.adapters import add_lora
from bothways.training.advice import advice, way_of
from bothways.training.frozen import freeze_body
from bothways.training.method import Method
from bothways.training.settings import FitSettings
from bothways.training.task import Defaults
from bothways.training.text_task import defaults_for

USUAL = Defaults(epochs=4, head_factor=100.0)
NER = Defaults(epochs=3, learning_rate=1e-4)


def model(width: int = 384, cls=BertForSequenceClassification):
    return cls(
        BertConfig(
            vocab_size=9,
            hidden_size=width,
            num_hidden_layers=6,
            num_attention_heads=4,
            intermediate_size=8,
            max_position_embeddings=8,
        )
    )


def given(asked: Defaults = USUAL, to: object = None, examples: int = 1000, **settings) -> tuple[str, ...]:
    values = dataclasses.asdict(asked) | settings
    return advice(FitSettings(**values), asked, to or model(), examples)


def test_the_sentence_of_the_issue():
    (sentence,) = given(learning_rate=1e-3)
    assert sentence == (
        "Learning rate 0.001 is 3.3 times the highest that fine-tuning of small BERT-like models is known to work with "
        "(2e-5 to 0.0003): expect worse scores than with 5e-5, or a loss that does not fall."
    )


@pytest.mark.parametrize(
    "width, rate, shown",
    [
        (384, 1e-3, "0.001 is 3.3 times the highest that fine-tuning of small BERT-like models"),
        (
            768,
            2e-4,
            "0.0002 is 2 times the highest that fine-tuning of BERT-like models is known to work with (1e-5 to",
        ),
        (768, 1e-2, "0.01 is 100 times the highest that"),
        (1024, 1e-4, "0.0001 is 2 times the highest that fine-tuning of large BERT-like models"),
        (384, 1e-6, "1e-6 is 20 times below the lowest that fine-tuning of small BERT-like models"),
        (1024, 2.5e-6, "2.5e-6 is 2 times below the lowest"),
    ],
)
def test_rates_by_the_size_of_the_model(width, rate, shown):
    (sentence,) = given(learning_rate=rate, to=model(width))
    assert f"Learning rate {shown}" in sentence


@pytest.mark.parametrize("texts, labels", [(60, 2), (432, 6), (8_000, 77), (20_000, 2), (200_000, 4)])
@pytest.mark.parametrize("width", [128, 384, 768, 1024])
def test_silence_about_defaults_of_texts(texts, labels, width):
    usual = defaults_for(texts, labels)
    assert given(usual, to=model(width), examples=texts) == ()


@pytest.mark.parametrize("method", [Method(), Method(lora=8), Method(freeze=True)])
@pytest.mark.parametrize("task", [USUAL, NER, Defaults(epochs=2, learning_rate=1e-4), Defaults(epochs=8)])
def test_silence_about_defaults_of_every_way(method, task):
    usual, learner = method.defaults(task), model()
    if method.lora:
        add_lora(learner, r=method.lora)
    if method.freeze:
        freeze_body(learner)
    assert given(usual, to=learner) == ()


@pytest.mark.parametrize("rate", [2e-5, 3e-5, 5e-5, 1e-4, 2e-4, 3e-4])
def test_silence_about_usual_rates(rate):
    assert given(learning_rate=rate) == ()


def test_nothing_is_said_about_rates_of_toys():
    assert given(learning_rate=5e-3, to=model(32)) == ()


def test_many_epochs_are_usual_for_models_that_write():
    writer = T5ForConditionalGeneration(T5Config(vocab_size=9, d_model=128, d_kv=8, d_ff=8, num_layers=1, num_heads=2))
    assert given(epochs=40, learning_rate=2e-3, to=writer) == ()
    assert "40 epochs are more than the 20" in given(epochs=40)[0]


def test_ways():
    full, lora, head = model(), model(), model()
    add_lora(lora, r=2)
    freeze_body(head)
    answers = model(cls=BertForQuestionAnswering)
    assert [way_of(m) for m in (full, lora, head, answers)] == ["full", "lora", "head", "full"]
    usual = Defaults(epochs=4, learning_rate=5e-4)
    (sentence,) = given(usual, to=lora, learning_rate=3e-2)
    assert "Learning rate 0.03 is 10 times the highest that LoRA is known to work with (3e-5 to 0.003)" in sentence
    usual = Defaults(epochs=30, learning_rate=1e-3, head_factor=1.0)
    (sentence,) = given(usual, to=head, learning_rate=1e-5)
    assert (
        "Learning rate 1e-5 is 10 times below the lowest that a head on a frozen encoder is known to work" in sentence
    )
    assert sentence.endswith("(0.0001 to 0.01): expect little to be learned in 30 epochs, and try 0.001.")


def test_a_default_of_the_task_that_a_large_model_does_not_bear():
    (sentence,) = given(NER, to=model(1024))
    assert "Learning rate 0.0001 is 2 times the highest" in sentence and "worse scores than with 5e-5" in sentence


@pytest.mark.parametrize(
    "settings, shown",
    [
        ({"epochs": 25}, "25 epochs are more than the 20 that anything is known of for this kind of training"),
        ({"batch_size": 500}, "Batches of 500 are larger than the 4 to 128"),
        ({"batch_size": 500}, "an epoch of 1,000 examples has only 2 steps, and 32 make it 32."),
        ({"batch_size": 2}, "Batches of 2 are smaller than the 4 to 128"),
        (
            {"warmup_ratio": 0.6},
            "A warm-up of 0.6 leaves 40% of the steps to a falling rate; 0 to 0.1 is known to work.",
        ),
        ({"weight_decay": 0.5}, "Weight decay 0.5 is 5 times the highest that is known to work (0 to 0.1)"),
        ({"layer_decay": 0.5}, "With a layer decay of 0.5 the lowest of 6 layers learns at 0.016 of the rate"),
        ({"layer_decay": 0.5}, "0.8 to 1 is known to work."),
    ],
)
def test_other_settings(settings, shown):
    sentences = given(**settings)
    assert any(shown in sentence for sentence in sentences) and len(sentences) <= 2


@pytest.mark.parametrize("settings", [{"epochs": 20}, {"batch_size": 128}, {"batch_size": 8}, {"warmup_ratio": 0.0}])
def test_silence_about_what_was_published(settings):
    assert given(**settings) == ()


def test_few_steps_by_choice_and_not_by_the_data():
    (sentence,) = given(epochs=1, examples=400)
    assert sentence == (
        "Only 25 steps are made in 1 epoch: expect a head that has hardly begun to learn, and try 4 epochs."
    )
    (sentence,) = advice(FitSettings(epochs=1), USUAL, model(), 1_000, processes=2)
    assert sentence.startswith("Only 32 steps are made in 1 epoch")
    assert given(epochs=4, examples=60) == () and given(epochs=2, examples=400) == ()
