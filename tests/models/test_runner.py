"""The packed runner: order, batches, repeated inputs, models that change under it."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.models.inputs import ModelInputs
from bothways.models.runner import PackedRunner
from bothways.pipelines.streaming import chunks
from tests.models.reference import tiny_pair

SEQUENCES = st.lists(st.lists(st.integers(5, 96), min_size=1, max_size=30), min_size=1, max_size=12)


def rectangle(model, ids, types=None, **kwargs):
    """What the model says of one sequence through the ordinary call."""
    with torch.no_grad():
        return model(
            input_ids=torch.tensor([ids]), token_type_ids=None if types is None else torch.tensor([types]), **kwargs
        )


@pytest.fixture(scope="module")
def classifier():
    return tiny_pair("bert", "sequence-classification")[1]


@pytest.fixture(scope="module")
def filler():
    return tiny_pair("bert", "masked-lm")[1]


@settings(max_examples=25, deadline=None)
@given(ids=SEQUENCES, most=st.integers(1, 80))
def test_every_sequence_gets_its_own_logits_in_order(classifier, ids, most):
    got = PackedRunner(classifier, max_tokens=most).sequence_logits(ids)
    expected = np.stack([rectangle(classifier, row).logits[0].numpy() for row in ids])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(data=st.data(), ids=SEQUENCES)
def test_masked_logits_are_those_of_the_whole(filler, data, ids):
    positions = [sorted(data.draw(st.sets(st.integers(0, len(row) - 1)))) for row in ids]
    types = [[i % 2 for i in range(len(row))] for row in ids]
    got = PackedRunner(filler, max_tokens=40).masked_logits(ids, positions, types)
    for row, own, places, kinds in zip(ids, got, positions, types, strict=True):
        whole = rectangle(filler, row, kinds).logits[0].numpy()
        np.testing.assert_allclose(own, whole[places], atol=1e-5)


def test_tokens_and_hidden(filler):
    ids = [[7, 8, 9], [5], [6, 7], [7, 8, 9]]
    runner = PackedRunner(filler)
    for row, logits, hidden in zip(ids, runner.token_logits(ids), runner.hidden(ids), strict=True):
        whole = rectangle(filler, row, output_hidden_states=True)
        np.testing.assert_allclose(logits, whole.logits[0], atol=1e-5)
        np.testing.assert_allclose(hidden, whole.hidden_states[-1][0], atol=1e-5)


def test_batches_hold_the_budget_and_equal_inputs_run_once(classifier, monkeypatch):
    seen = []
    compute = type(classifier).compute_logits

    def watched(self, inputs: ModelInputs, **kwargs):
        seen.append(inputs.batch.seqlens.lengths)
        return compute(self, inputs, **kwargs)

    monkeypatch.setattr(type(classifier), "compute_logits", watched)
    ids = [[7] * 10, [8] * 10, [7] * 10, [9] * 25, [8] * 10, [5] * 4]
    types = [[0] * 10, [0] * 10, [1] * 10, [0] * 25, [0] * 10, [0] * 4]
    logits = PackedRunner(classifier, max_tokens=20).sequence_logits(ids, types)
    assert seen == [(25,), (10, 10), (4, 10)]
    assert (logits[1] == logits[4]).all()
    assert (logits[0] != logits[2]).any()  # the segments differ


@settings(max_examples=25, deadline=None)
@given(ids=SEQUENCES, most=st.integers(20, 80))
def test_no_batch_is_larger_than_the_one_before(filler, ids, most):
    """A batch that is larger than the memory freed before it makes the heap grow, in a long stream by much."""
    runner = PackedRunner(filler, max_tokens=most)
    sizes = []
    compute = filler.compute_logits

    def watched(inputs: ModelInputs, **kwargs):
        sizes.append(inputs.batch.seqlens.total_tokens)
        return compute(inputs, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filler, "compute_logits", watched)
        logits = runner.token_logits(ids)
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == sum(map(len, {tuple(row): row for row in ids}.values()))
    assert [len(own) for own in logits] == [len(row) for row in ids]


def test_empty_inputs(classifier, filler):
    assert PackedRunner(classifier).sequence_logits([]).shape == (0, 5)
    assert PackedRunner(filler).token_logits([]) == []
    with pytest.raises(InputError, match="sequence 1 has no tokens"):
        PackedRunner(classifier).sequence_logits([[5], []])
    with pytest.raises(InputError, match="60 tokens but the model has 50"):
        PackedRunner(classifier).sequence_logits([[5] * 60])
    with pytest.raises(InputError, match="no head that reads tokens"):
        PackedRunner(classifier).token_logits([[5]])
    with pytest.raises(InputError, match="no head that reads a sequence"):
        PackedRunner(filler).sequence_logits([[5]])
    with pytest.raises(InputError, match="max_tokens is 0"):
        PackedRunner(filler, max_tokens=0)


def test_new_weights_are_used():
    _, model = tiny_pair("bert", "sequence-classification")
    runner = PackedRunner(model)
    ids = [[5, 6, 7], [8, 9]]
    before = runner.sequence_logits(ids)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model(torch.tensor(ids[:1]), labels=torch.tensor([1])).loss.backward()
    optimizer.step()
    trained = runner.sequence_logits(ids)
    assert not model.training
    assert np.abs(trained - before).max() > 1e-3
    np.testing.assert_allclose(trained[1], rectangle(model, ids[1]).logits[0], atol=1e-5)
    model.load_state_dict(tiny_pair("bert", "sequence-classification")[1].state_dict())
    np.testing.assert_allclose(runner.sequence_logits(ids), before, atol=1e-6)


@pytest.mark.parametrize("lengths", [(3, 11, 12, 3, 7), (200, 201, 203, 3, 7)], ids=["short", "long"])
def test_training_after_prediction_over_the_same_lengths(lengths):
    """Plans that the attention cached while predicting must not stop gradients."""
    _, model = tiny_pair("bert", "sequence-classification", max_position_embeddings=256)
    ids = sorted(([5] * (n - 1) + [6 + i] for i, n in enumerate(lengths)), key=len)
    PackedRunner(model).sequence_logits(ids)
    model.train()
    padded = torch.tensor([row + [0] * (max(lengths) - len(row)) for row in ids])
    model(padded, attention_mask=(padded != 0).long(), labels=torch.zeros(5, dtype=torch.long)).loss.backward()
    assert all(p.grad is None or not p.grad.isnan().any() for p in model.parameters())


@pytest.mark.parametrize("fast", [True, False])
def test_a_slower_numeric_form_is_said(classifier, monkeypatch, caplog, fast):
    monkeypatch.setattr("bothways.models.runner.has_fast_bfloat16", lambda: fast)
    PackedRunner(classifier)
    assert not caplog.records
    PackedRunner(classifier, dtype="bfloat16")
    assert ("no unit for torch.bfloat16: it computes slower" in caplog.text) is not fast


def test_threads_share_a_runner(classifier):
    runner = PackedRunner(classifier)
    ids = [[5 + i % 80] * (1 + i % 20) for i in range(60)]
    expected = runner.sequence_logits(ids)
    found = {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: runner.sequence_logits(ids)})) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[i], expected) for i in range(4))


@given(sizes=st.lists(st.integers(0, 50), max_size=200), most=st.integers(1, 40), eager=st.booleans())
def test_chunks_keep_everything_in_order(sizes, most, eager):
    items = [f"{i}".ljust(n, "x") for i, n in enumerate(sizes)]
    found = list(chunks(iter(items), most=most, most_characters=60, eager=eager))
    assert [item for chunk in found for item in chunk] == items
    assert all(1 <= len(chunk) <= most for chunk in found)
    assert all(sum(map(len, chunk[:-1])) < 60 for chunk in found)


def test_a_slow_source_is_not_waited_for(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("bothways.pipelines.streaming.time.monotonic", lambda: next(clock))
    assert list(chunks(iter("abcd"))) == [["a"], ["b"], ["c"], ["d"]]
    assert list(chunks(iter("abcd"), eager=True)) == [["a", "b", "c", "d"]]
