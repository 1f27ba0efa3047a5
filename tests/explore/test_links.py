"""Attention weights and their statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bothways import explore
from bothways.errors import InputError

TEXT = "the film was good"


def test_weights_are_the_reference_s(tiny_model):
    import torch
    import transformers

    report = explore.attention(TEXT, model=tiny_model)
    reference = transformers.BertModel.from_pretrained(tiny_model, attn_implementation="eager").eval()
    encoded = transformers.BertTokenizerFast.from_pretrained(tiny_model)(TEXT, return_tensors="pt")
    with torch.no_grad():
        expected = torch.stack(reference(**encoded, output_attentions=True).attentions)[:, 0].numpy()
    assert (report.n_layers, report.n_heads, len(report.heads)) == (2, 4, 8)
    for head in report.heads:
        np.testing.assert_allclose(head.weights, expected[head.layer - 1, head.head - 1], atol=1e-6)


def test_statistics_by_hand():
    from bothways.explore.links import _head

    weights = np.array(
        [[1, 0, 0, 0], [0.5, 0, 0.25, 0.25], [0, 0.75, 0.25, 0], [0, 0, 0, 1]], dtype=np.float32
    )  # [CLS] a b [SEP]
    head = _head(1, 1, weights, np.array([1, 2]), np.array([3]), 1)
    assert head.shares == {"previous": 0.625, "next": 0.125, "itself": 0.125, "first": 0.25, "separator": 0.125}
    assert head.entropy == pytest.approx((1.5 + (0.75 * math.log2(4 / 3) + 0.5)) / 2)
    assert head.mostly == "previous"
    assert [(link.source, link.target, link.weight) for link in head.strongest] == [(2, 1, 0.75)]


def test_sentences_count_heads_and_warn(tiny_model):
    report = explore.attention(TEXT, model=tiny_model)
    assert "is not explanation" in report.sentences[-1] and "Jain and Wallace 2019" in report.sentences[-1]
    assert "8 heads" in report.sentences[0] and "of at most 2.6" in report.sentences[1]


def test_a_causal_model_looks_back_only(tiny_gpt2):
    report = explore.attention("abcd", model=tiny_gpt2)
    for head in report.heads:
        assert np.triu(head.weights, 1).max() == 0 and head.shares["next"] == 0 and head.shares["separator"] is None
        assert all(link.target < link.source for link in head.strongest)


def test_one_token_has_no_links(tiny_model):
    head = explore.attention("film", model=tiny_model).heads[0]
    assert head.strongest == ()


def test_impossible_arguments_are_sentences(tiny_model):
    with pytest.raises(InputError, match="links is 0"):
        explore.attention(TEXT, model=tiny_model, links=0)
    with pytest.raises(InputError, match="text is blank"):
        explore.attention("  ", model=tiny_model)
