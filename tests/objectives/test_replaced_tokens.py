"""Replaced tokens: drawn as likely as the scores say, labelled by what the original was."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.objectives import replace_tokens
from tests.objectives.statistics import evenly, share_is
from tests.objectives.test_masked_lm import FIRST, MASK, SIZE, masked, packed


def replaced(batch, logits, seed=3):
    return replace_tokens(batch, logits, generator=torch.Generator().manual_seed(seed))


def test_tokens_come_as_likely_as_the_scores_say():
    batch = masked(packed([20002]), rate=1.0, mask_share=1.0, random_share=0.0)
    odds = torch.tensor([0.5, 0.0, 0.3, 0.2, 0.0])
    found = replaced(batch, odds.log().expand(20000, 5)).input_ids[1:-1]
    counts = torch.bincount(found, minlength=5).tolist()
    assert counts[1] == counts[4] == 0, "what cannot come does not come"
    assert all(share_is(counts[i], 20000, float(odds[i])) for i in (0, 2, 3))


@pytest.mark.parametrize(("lot", "token"), [(0.0, 1), (1.0, 3)])
def test_the_outermost_draws_give_tokens_that_can_come(monkeypatch, lot, token):
    """A draw that is rounded to an end of the probabilities never gives a token of probability 0."""
    batch = masked(packed([6]), rate=1.0, mask_share=1.0, random_share=0.0)
    logits = torch.tensor([0.0, 0.3, 0.5, 0.2, 0.0]).log().expand(4, 5)
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.full(size[0], lot))
    assert replaced(batch, logits).input_ids[1:-1].tolist() == [token] * 4


def test_all_of_a_large_vocabulary_come():
    batch = masked(packed([4002]), rate=1.0, mask_share=1.0, random_share=0.0)
    logits = torch.zeros(1, SIZE * 4).expand(4000, -1)
    assert evenly(torch.bincount(replaced(batch, logits).input_ids[1:-1] // 100, minlength=40).tolist())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(2, 30), min_size=1, max_size=5), st.integers(0, 99), st.floats(0.01, 1))
def test_labels_are_1_where_the_text_is_not_the_original(lengths, seed, rate):
    original = packed(lengths, seed)
    batch = masked(original, seed, rate=rate)
    asked = batch.labels != -100
    logits = torch.randn(int(asked.sum()), 12, generator=torch.Generator().manual_seed(seed))
    found = replaced(batch, logits, seed)
    assert torch.equal(found.labels, (found.input_ids != original.input_ids).long())
    assert torch.equal(found.input_ids[~asked], original.input_ids[~asked])
    assert (found.input_ids[asked] < 12).all()
    assert torch.equal(replaced(batch, logits, seed).input_ids, found.input_ids)


def test_a_drawn_original_counts_as_original():
    original = packed([50])
    batch = masked(original, rate=0.5)
    right = batch.labels[batch.labels != -100]
    logits = torch.full((len(right), SIZE), -1e4)
    logits[torch.arange(len(right)), right] = 0
    found = replaced(batch, logits)
    assert torch.equal(found.input_ids, original.input_ids) and not found.labels.any()
    assert (batch.input_ids == MASK).any(), "the batch with hidden tokens stays as it was"


def test_no_gradient_reaches_the_scores_and_half_precision_will_do():
    batch = masked(packed([50]), rate=0.5)
    count = int((batch.labels != -100).sum())
    logits = torch.zeros(count, SIZE, dtype=torch.bfloat16, requires_grad=True)
    found = replaced(batch, logits)
    assert found.input_ids.dtype == torch.int64 and not found.input_ids.requires_grad
    assert (found.input_ids >= FIRST).float().mean() > 0.9


def test_what_is_wrong_is_said():
    batch = masked(packed([50]), rate=0.5)
    count = int((batch.labels != -100).sum())
    with pytest.raises(InputError, match=rf"\({count + 1}, 9\), expected \({count}, vocabulary\).* 50"):
        replaced(batch, torch.zeros(count + 1, 9))
    with pytest.raises(InputError, match="no labels"):
        replaced(packed([50]), torch.zeros(1, 9))
    logits = torch.zeros(count, 9)
    logits[2, 4] = float("nan")
    with pytest.raises(InputError, match="labelled token 2 "):
        replaced(batch, logits)
