"""The loop against a plain one: same updates, same bits from the same seed, the best epoch kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bothways import BertConfig, BertForSequenceClassification
from bothways.engine.schedules import linear
from bothways.errors import BothwaysError, UsageError
from bothways.training.features import Features, balanced
from bothways.training.fit import fit
from bothways.training.settings import FitSettings


def tiny_model(dropout: float = 0.0, seed: int = 0) -> BertForSequenceClassification:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=20,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=3,
        initializer_range=0.2,
    )
    return BertForSequenceClassification(config)


def tiny_features(count: int = 24, words: int = 40) -> Features:
    rng = np.random.default_rng(0)
    ids = [rng.integers(1, words, rng.integers(3, 12)) for _ in range(count)]
    return Features(ids, None, torch.tensor([int(i[0]) % 3 for i in ids]))


def plain_fit(model, features: Features, settings: FitSettings) -> None:
    """What every tutorial writes, on the padded rectangle."""
    decay = [p for n, p in model.named_parameters() if not n.endswith("bias") and "LayerNorm" not in n]
    rest = [p for n, p in model.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
    groups = [{"params": decay, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, eps=1e-8)
    steps = settings.epochs * -(-len(features) // settings.batch_size)
    step = 0
    model.train()
    for epoch in range(1, settings.epochs + 1):
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(features)).tolist()
        for i in range(0, len(order), settings.batch_size):
            rows = [torch.as_tensor(features.input_ids[j]) for j in order[i : i + settings.batch_size]]
            ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
            mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(r) for r in rows], batch_first=True)
            labels = features.labels[torch.as_tensor(order[i : i + settings.batch_size])]
            model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * linear(step + 1, int(settings.warmup_ratio * steps), steps + 1)
            optimizer.step()
            optimizer.zero_grad()
            step += 1


def test_same_updates_as_a_plain_padded_loop():
    """Packing, the compact vocabulary and the clipping inside the optimizer change nothing but the speed."""
    settings = FitSettings(
        epochs=2,
        batch_size=5,
        learning_rate=1e-2,
        max_grad_norm=0.05,
        weight_decay=0.0,
        precision="float32",
        head_factor=1.0,
    )
    ours, plain = tiny_model(), tiny_model()
    fit(ours, tiny_features(), settings, evaluate=iter([0.0, 1.0]).__next__)
    plain_fit(plain, tiny_features(), settings)
    for (name, a), b in zip(ours.named_parameters(), plain.parameters(), strict=True):
        if name.endswith("key.bias"):
            continue  # softmax cancels it: its gradient is rounding noise, which Adam scales to full steps
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_words_that_never_occur_keep_their_vectors():
    model = tiny_model()
    before = model.get_input_embeddings().weight.detach().clone()
    fit(model, tiny_features(words=30), FitSettings(epochs=1, learning_rate=1e-2, precision="float32"), lambda: 1.0)
    after = model.get_input_embeddings().weight
    assert after.shape == before.shape
    assert torch.equal(after[40:], before[40:])
    assert not torch.equal(after[1:30], before[1:30])


def weights_after(seed: int) -> list[torch.Tensor]:
    model = tiny_model(dropout=0.2)
    settings = FitSettings(epochs=2, batch_size=5, learning_rate=1e-3, seed=seed, precision="float32")
    fit(model, tiny_features(), settings, evaluate=iter([0.0, 1.0]).__next__)
    return [p.detach() for p in model.parameters()]


def test_same_seed_same_bits_and_another_seed_others():
    first, again, other = weights_after(1), weights_after(1), weights_after(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_best_epoch_is_kept():
    model = tiny_model()
    seen = []

    def evaluate() -> float:
        seen.append(model.classifier.weight.detach().clone())
        return [0.5, 0.9, 0.7][len(seen) - 1]

    result = fit(model, tiny_features(), FitSettings(epochs=3, learning_rate=1e-2, precision="float32"), evaluate)
    assert result.best_epoch == 2 and [r.score for r in result.history] == [0.5, 0.9, 0.7]
    assert torch.equal(model.classifier.weight, seen[1]) and not torch.equal(seen[1], seen[2])
    assert not model.training


def test_a_step_is_the_same_however_it_is_divided():
    """Gradients of micro-batches by tokens add up to those of the whole step."""
    found = []
    for max_tokens in (1, 20, 1000):
        model = tiny_model()
        settings = FitSettings(
            epochs=2, batch_size=8, learning_rate=1e-3, max_tokens=max_tokens, precision="float32", max_grad_norm=0.0
        )
        fit(model, tiny_features(), settings, lambda: 0.0)
        found.append(model)
    for other in found[1:]:
        for (name, a), b in zip(found[0].named_parameters(), other.parameters(), strict=True):
            if "key.bias" not in name:
                torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_the_time_limit_ends_training_with_an_evaluation():
    settings = FitSettings(epochs=50, batch_size=2, minutes=1e-9, precision="float32")
    result = fit(tiny_model(), tiny_features(), settings, lambda: 0.5)
    assert result.stopped == "time" and result.steps == 1 and result.best_epoch == 1


def test_a_loss_that_is_no_number_names_the_step():
    model = tiny_model()
    with torch.no_grad():
        model.classifier.bias.fill_(float("nan"))
    with pytest.raises(
        BothwaysError, match=r"the loss is nan at step 1 \(examples 0, 1, 2, 3\)\. The weights are those of step 0\."
    ):
        fit(model, tiny_features(4), FitSettings(precision="float32"), lambda: 0.0)


def test_settings_are_checked_together():
    with pytest.raises(UsageError, match=r"epochs is 0, expected a whole number from 1; learning_rate is 2"):
        FitSettings(epochs=0, learning_rate=2)


def test_bfloat16_learns_too():
    model = tiny_model()
    settings = FitSettings(epochs=20, batch_size=8, learning_rate=5e-3, head_factor=1.0, precision="bfloat16")
    features = tiny_features()
    losses = fit(model, features, settings, lambda: 0.0).history
    assert losses[-1].train_loss < 0.5 * losses[0].train_loss


def test_eight_examples_can_be_learned_by_heart():
    model, features = tiny_model(), tiny_features(8)
    settings = FitSettings(epochs=60, batch_size=8, learning_rate=5e-3, head_factor=1.0, precision="float32")
    fit(model, features, settings, evaluate=iter(range(60)).__next__)
    batch = features.batch(range(8))
    with torch.no_grad():
        assert torch.equal(model(batch).logits.argmax(-1), batch.labels)


@pytest.mark.parametrize(
    ("texts", "labels", "expected"),
    [(432, 6, (4, 100)), (8_002, 77, (4, 100)), (6_920, 2, (3, 20)), (100_001, 2, (2, 20)), (499, 1, (4, 100))],
)
def test_defaults_by_texts_a_label(texts, labels, expected):
    from bothways.training.text_task import defaults_for

    found = defaults_for(texts, labels)
    assert (found.epochs, found.head_factor) == expected


@given(st.lists(st.integers(1, 400), min_size=1, max_size=64), st.integers(1, 4))
def test_processes_get_every_example_once_and_about_as_many_tokens(lengths, count):
    members = list(range(len(lengths)))[::-1]
    parts = balanced(members, lengths.__getitem__, count)
    assert len(parts) == count and sorted(i for part in parts for i in part) == sorted(members)
    tokens = [sum(lengths[i] for i in part) for part in parts]
    assert max(tokens) - min(tokens) <= max(lengths)
    assert count > 1 or parts == [members], "one process has the order that it had"
