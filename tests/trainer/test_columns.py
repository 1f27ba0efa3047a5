"""Which columns of a data set reach a model: what its ``forward`` names, and nothing that it does not."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

import bothways
from bothways.trainer.datasets import label_names_of, taken_columns

FAMILIES = ("Bert", "Albert", "Electra", "DistilBert", "Roberta", "XLMRoberta", "Camembert", "ModernBert")
HEADS = sorted(name for name in bothways.__all__ if "For" in name and name.startswith(FAMILIES))


@pytest.mark.parametrize("name", HEADS)
def test_every_head_names_its_arguments(name):
    """A column is dropped without a word where ``forward`` hides its name behind ``**kwargs``."""
    model_class = getattr(bothways, name)
    parameters = inspect.signature(model_class.forward).parameters.values()
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    labels = {"start_positions", "end_positions"} if name.endswith("QuestionAnswering") else {"labels"}
    assert {"input_ids", "attention_mask", "token_type_ids", "inputs_embeds", *labels} <= named


@pytest.mark.parametrize("name", HEADS)
def test_the_order_of_arguments_is_the_reference_s(name):
    transformers = pytest.importorskip("transformers")
    if name.startswith("ModernBert"):
        pytest.skip("the reference has arguments of its packed form in between")
    theirs = inspect.signature(getattr(transformers, name).forward).parameters.values()
    ours = inspect.signature(getattr(bothways, name).forward).parameters.values()
    positional = [p.name for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    expected = [p.name for p in theirs if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional[: len(expected)] == expected


def test_there_are_heads():
    assert len(HEADS) >= 43


def test_labels_of_a_forward_with_further_names():
    class Net(nn.Module):
        def forward(self, x, my_label=None, *args, label_of_more=None, **label_kwargs):
            return x

    assert label_names_of(Net()) == ["my_label", "label_of_more"]
    assert taken_columns(Net(), ["y"]) == ["x", "my_label", "label_of_more", "y", "label", "label_ids", "labels"]


def test_a_forward_that_takes_any_name_gets_all_columns():
    class Net(nn.Module):
        def forward(self, **inputs):
            return inputs

    assert taken_columns(Net(), []) is None
    assert label_names_of(Net()) == []


def test_the_older_name_of_labels_of_next_sentences():
    config = bothways.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    model = bothways.BertForNextSentencePrediction(config).eval()
    assert label_names_of(model) == ["labels"]
    ids, labels = torch.tensor([[2, 5, 3, 6, 3], [2, 7, 3, 8, 3]]), torch.tensor([0, 1])
    assert model(ids, next_sentence_label=labels).loss == model(ids, labels=labels).loss
    with pytest.raises(TypeError, match="next_sentence_labels"):
        model(ids, next_sentence_labels=labels)
