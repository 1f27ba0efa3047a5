"""A head on vectors that were computed once learns what it learns on the encoder itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bothways import (
    BertConfig,
    BertForMultipleChoice,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)
from bothways.engine.processes import Processes
from bothways.engine.shared_runner import SharedRunner
from bothways.models.runner import PackedRunner
from bothways.training import item_table
from bothways.training.features import Features
from bothways.training.fit import fit
from bothways.training.frozen import HeadRunner, freeze_body, frozen_features, vector_logits
from bothways.training.item_table import empty_table
from bothways.training.objectives import CrossEntropy
from bothways.training.settings import FitSettings
from tests.training.test_fit import tiny_features, tiny_model
from tests.training.test_objectives import token_features, token_model

SETTINGS = FitSettings(epochs=3, batch_size=5, learning_rate=1e-2, precision="float32", head_factor=1.0)
SIZES = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 24}


def roberta() -> RobertaForSequenceClassification:
    torch.manual_seed(0)
    config = RobertaConfig(vocab_size=60, max_position_embeddings=22, num_labels=3, **SIZES)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    return RobertaForSequenceClassification(config)


def distilbert() -> DistilBertForSequenceClassification:
    torch.manual_seed(0)
    return DistilBertForSequenceClassification(
        DistilBertConfig(
            vocab_size=60, dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=20, num_labels=3,
            dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0,
        )
    )  # fmt: skip


def modernbert() -> ModernBertForSequenceClassification:
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=60, max_position_embeddings=20, num_labels=3, classifier_pooling="mean", pad_token_id=0, **SIZES
    )
    return ModernBertForSequenceClassification(config)


def choices() -> BertForMultipleChoice:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=60, max_position_embeddings=20, initializer_range=0.2, **SIZES)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    return BertForMultipleChoice(config)


def choice_features() -> Features:
    plain = tiny_features(36)
    return Features(plain.input_ids, None, torch.arange(12) % 3, sequences=3)


CASES = {
    "bert": (tiny_model, tiny_features),
    "roberta": (roberta, tiny_features),
    "distilbert": (distilbert, tiny_features),
    "modernbert, mean": (modernbert, tiny_features),
    "tokens": (token_model, token_features),
    "choices": (choices, choice_features),
}


def trained_on_vectors(model, features: Features, settings: FitSettings = SETTINGS, **more):
    freeze_body(model)
    vectors = frozen_features(model, features, SharedRunner(model, Processes()))
    result = fit(model, vectors, settings, lambda: 0.0, objective=CrossEntropy(forward=vector_logits), **more)
    return model, result


@pytest.mark.parametrize("case", CASES)
def test_the_same_head_as_with_the_encoder_in_every_step(case):
    make, features = CASES[case]
    cached, _ = trained_on_vectors(make(), features())
    plain = make()
    freeze_body(plain)
    before = {name: p.clone() for name, p in plain.named_parameters()}
    fit(plain, features(), SETTINGS, lambda: 0.0)  # no dropout in these models: the body is as in evaluation
    learned = 0
    for (name, a), b in zip(cached.named_parameters(), plain.parameters(), strict=True):
        if case == "choices" and name == "classifier.bias":
            continue  # softmax cancels it: rounding noise, which Adam scales to full steps
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
        moved = not torch.equal(b, before[name])
        assert moved == b.requires_grad, name
        learned += moved
    assert learned >= 2


def test_only_pooler_and_head_learn_and_the_body_has_no_gradient():
    model = tiny_model()
    freeze_body(model)
    free = {name for name, p in model.named_parameters() if p.requires_grad}
    assert free == {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"}
    objective = CrossEntropy(forward=vector_logits)
    vectors = frozen_features(model, tiny_features(), SharedRunner(model, Processes()))
    objective.loss(model, vectors.batch([1, 2, 3]), [1, 2, 3]).backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == free
    token = token_model()
    freeze_body(token)
    assert {n for n, p in token.named_parameters() if p.requires_grad} == {"classifier.weight", "classifier.bias"}


def test_the_encoder_reads_every_text_once_whatever_the_epochs(monkeypatch):
    model, features = tiny_model(), tiny_features()
    read = []
    plain = type(model.base_model).run_body

    def run_body(self, inputs, **more):
        read.append(inputs.batch.batch_size)
        return plain(self, inputs, **more)

    monkeypatch.setattr(type(model.base_model), "run_body", run_body)
    held = [ids.tolist() for ids in tiny_features(30).input_ids[24:]]
    judge = HeadRunner(model, Processes())
    freeze_body(model)
    vectors = frozen_features(model, features, SharedRunner(model, Processes()))

    def evaluate() -> float:
        return float(judge.sequence_logits(held)[:, 0].sum())

    fit(model, vectors, SETTINGS, evaluate, objective=CrossEntropy(forward=vector_logits))
    distinct = len({tuple(ids) for ids in features.input_ids})
    assert sum(read) == distinct + len(held)


@pytest.mark.parametrize("in_memory", [10**9, 2_000, 0])
def test_answers_while_the_head_changes_are_those_of_the_model(in_memory):
    for model, texts in ((tiny_model(), True), (token_model(), False), (modernbert(), True)):
        rows = [*tiny_features(20).input_ids, tiny_features(20).input_ids[3]]
        runner, plain = HeadRunner(model, Processes(), in_memory=in_memory), PackedRunner(model)
        for _ in range(2):
            with torch.no_grad():
                for parameter in (model.classifier.weight, model.classifier.bias):
                    parameter.add_(torch.randn_like(parameter))
            if texts:
                np.testing.assert_allclose(runner.sequence_logits(rows), plain.sequence_logits(rows), atol=1e-5)
            else:
                for a, b in zip(runner.token_logits(rows), plain.token_logits(rows), strict=True):
                    np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_table_that_is_too_large_for_memory_lies_in_a_file(monkeypatch):
    small, _ = trained_on_vectors(token_model(), token_features())
    monkeypatch.setattr(item_table.empty_table, "__kwdefaults__", {"in_memory": 100})
    table = empty_table([2, 0, 3], 16)
    assert isinstance(table.values, np.memmap) and table.values.shape == (5, 16)
    assert table.starts.tolist() == [0, 2, 2, 5] and table.count(1) == 0
    table.values[:] = np.arange(5)[:, None]
    assert table.rows([2, 1, 0])[:, 0].tolist() == [2, 3, 4, 0, 1]
    large, _ = trained_on_vectors(token_model(), token_features())
    assert all(torch.equal(a, b) for a, b in zip(small.parameters(), large.parameters(), strict=True))
