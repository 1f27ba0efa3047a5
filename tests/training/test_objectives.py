"""Objectives against torch's formulas on padded batches, and the same update however a step is divided."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from bothways import BertConfig, BertForTokenClassification
from bothways.errors import UsageError
from bothways.training.features import Features
from bothways.training.fit import fit
from bothways.training.frozen import VectorBatch
from bothways.training.objectives import (
    CrossEntropy,
    SequenceLoss,
    class_weights,
    parse_weights,
    weights_text,
)
from bothways.training.settings import FitSettings
from tests.training.test_fit import tiny_features, tiny_model

WEIGHTS = torch.tensor([0.5, 1.0, 3.0])
CASES = {
    "weights": CrossEntropy(weights=WEIGHTS),
    "smoothing": CrossEntropy(smoothing=0.1),
    "both": CrossEntropy(weights=WEIGHTS, smoothing=0.2),
    "plain": CrossEntropy(),
}


def token_model() -> BertForTokenClassification:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = BertConfig(vocab_size=60, max_position_embeddings=20, num_labels=3, initializer_range=0.2, **sizes)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    return BertForTokenClassification(config)


def token_features(count: int = 24) -> Features:
    """About half of the tokens have a label; one example has none."""
    generator = np.random.default_rng(1)
    ids = [generator.integers(1, 40, generator.integers(3, 12)) for _ in range(count)]
    labels = [np.where(generator.random(len(own)) < 0.5, own % 3, -100).astype(np.int64) for own in ids]
    labels[4][:] = -100
    return Features(ids, None, labels)


def padded(features: Features, indices: list[int]) -> dict[str, torch.Tensor]:
    """The rectangle that everybody else makes."""
    rows = [torch.as_tensor(features.input_ids[i]) for i in indices]
    batch = {
        "input_ids": torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
        "attention_mask": torch.nn.utils.rnn.pad_sequence([torch.ones_like(r) for r in rows], batch_first=True),
    }
    if isinstance(features.labels, torch.Tensor):
        batch["labels"] = features.labels[indices]
    else:
        labels = [torch.from_numpy(features.labels[i]) for i in indices]
        batch["labels"] = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100)
    return batch


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("make", [(tiny_model, tiny_features), (token_model, token_features)], ids=["texts", "tokens"])
def test_loss_and_gradients_are_torch_s_on_the_padded_rectangle(make, case):
    model, features, objective = make[0](), make[1](), CASES[case]
    indices = [3, 4, 11, 7, 0]
    model.train()
    loss = objective.loss(model, features.batch(indices), indices)
    loss.backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    rectangle = padded(features, indices)
    labels = rectangle.pop("labels")
    logits = model(**rectangle).logits
    plain = F.cross_entropy(
        logits.flatten(0, -2), labels.flatten(), weight=objective.weights, label_smoothing=objective.smoothing
    )
    plain.backward()
    assert loss.item() == pytest.approx(plain.item(), abs=1e-6)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, atol=1e-6, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("make", [(tiny_model, tiny_features), (token_model, token_features)], ids=["texts", "tokens"])
def test_one_update_is_the_same_however_the_step_is_divided(make, case):
    found = []
    for max_tokens in (1, 20, 1000):
        model = make[0]()
        settings = FitSettings(
            epochs=1, batch_size=24, learning_rate=1e-3, max_tokens=max_tokens, precision="float32", head_factor=1.0
        )
        fit(model, make[1](), settings, lambda: 0.0, objective=CASES[case])
        found.append(dict(model.named_parameters()))
    for other in found[1:]:
        for name, parameter in found[0].items():
            if "key.bias" not in name:  # softmax cancels it: rounding noise, which Adam scales to full steps
                torch.testing.assert_close(parameter, other[name], atol=1e-6, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


def test_items_are_the_sum_of_the_weights():
    batch = VectorBatch(torch.zeros(5, 2), torch.tensor([0, 2, -100, 1, 0]))
    assert CASES["weights"].items(batch) == pytest.approx(0.5 + 3.0 + 1.0 + 0.5)
    assert CASES["smoothing"].items(batch) == 4


def test_a_loss_over_logits_of_several_labels():
    vectors, labels = torch.randn(4, 3), torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]])
    objective = SequenceLoss("multi_label_classification", lambda model, batch: batch.vectors)
    found = objective.loss(None, VectorBatch(vectors, labels), [0, 1, 2, 3])
    assert torch.equal(found, F.binary_cross_entropy_with_logits(vectors, labels))
    assert objective.items(VectorBatch(vectors, labels)) == 4


def test_balanced_weights_give_every_class_the_same_sum():
    labels = torch.tensor([0] * 6 + [1] * 3 + [3] * 1)
    weights = class_weights("balanced", ["a", "b", "never", "c"], labels)
    assert weights.tolist() == pytest.approx([10 / 18, 10 / 9, 1.0, 10 / 3])
    rows = [np.array([0, 0, -100]), np.array([1, -100])]
    assert class_weights("balanced", ["O", "B-X"], rows).tolist() == pytest.approx([0.75, 1.5])


def test_named_weights_and_unknown_names():
    assert class_weights("pos=2, neg=0.5", ["neg", "neutral", "pos"], None).tolist() == [0.5, 1.0, 2.0]
    with pytest.raises(UsageError, match=r"names 'neq', which is no label .*Labels: neg, pos\. Did you mean 'neg'\?"):
        class_weights("neq=2", ["neg", "pos"], None)


@given(
    st.dictionaries(
        st.from_regex(r"[a-zA-Z_\-=,. ]{0,5}[a-zA-Z]", fullmatch=True).map(str.strip),
        st.floats(1e-3, 1e5),
        min_size=1,
        max_size=4,
    )
)
def test_weights_of_any_names_survive_the_command_line(weights):
    if any(name.startswith(",") for name in weights):  # would be the comma between two
        return
    assert parse_weights(weights_text(weights)) == pytest.approx(weights)


@pytest.mark.parametrize("wrong", ["", "pos", "pos=", "pos=0", "pos=-1", "pos=x", "pos=1,pos=2", "=3"])
def test_weights_that_cannot_be_read(wrong):
    with pytest.raises(UsageError, match=r"class_weights is .*; expected 'balanced', or each label once"):
        parse_weights(wrong)
