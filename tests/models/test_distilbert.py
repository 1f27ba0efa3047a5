"""DistilBERT: fields under two names, fewer arguments, no segments, and names of tensors that are all its own."""

from __future__ import annotations

import inspect
import json
import logging

import pytest
import torch
import transformers
from safetensors.torch import load_file

from bothways import (
    AutoModelForSequenceClassification,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    DistilBertModel,
)
from bothways.errors import ConfigError, InputError
from bothways.models.auto import MODEL_CLASSES
from tests.models.reference import TINY, tiny_inputs, tiny_pair

BOTH_NAMES = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "hidden_act": "activation",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
}


@pytest.mark.parametrize(("general", "own"), BOTH_NAMES.items())
def test_a_field_answers_to_both_names(general, own):
    value = {"hidden_act": "relu", "hidden_dropout_prob": 0.25, "attention_probs_dropout_prob": 0.25}.get(general, 24)
    for config in (DistilBertConfig(**{general: value}), DistilBertConfig(**{own: value}), DistilBertConfig()):
        setattr(config, general, value)
        assert getattr(config, general) == getattr(config, own) == value
        assert general not in config.to_dict() and config.to_dict()[own] == value
    with pytest.raises(AttributeError, match="DistilBertConfig has no attribute 'type_vocab_size'"):
        DistilBertConfig().type_vocab_size  # noqa: B018 - looking is the test


def test_sizes_are_checked_under_either_name():
    with pytest.raises(ConfigError, match=r"hidden_size \(25\) must be divisible by num_attention_heads \(4\)"):
        DistilBertConfig(dim=25, n_heads=4)
    with pytest.raises(ConfigError, match="intermediate_size is 300000, expected a whole number from 1 to 262,144"):
        DistilBertConfig(hidden_dim=300_000)
    with pytest.raises(ConfigError, match="dropout is 1.5"):
        DistilBertConfig(dropout=1.5)


def test_the_file_has_the_names_of_the_reference_and_its_fields_can_be_replaced(tmp_path):
    _, ours = tiny_pair("distilbert", "sequence-classification")
    ours.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["dim"] == 24 and written["n_layers"] == 3 and "hidden_size" not in written
    theirs = transformers.AutoConfig.from_pretrained(tmp_path)
    assert (theirs.dim, theirs.hidden_size, theirs.hidden_dim) == (24, 24, 40)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert "distilbert.transformer.layer.2.attention.q_lin.weight" in names
    assert not any("encoder" in name or "LayerNorm" in name and "embeddings" not in name for name in names)
    short = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_hidden_layers=2)
    assert short.config.n_layers == len(short.distilbert.transformer.layer) == 2
    assert short.distilbert.transformer is short.distilbert.encoder


@pytest.mark.parametrize("cls", [c for (family, _), c in MODEL_CLASSES.items() if family == "distilbert"])
def test_positional_arguments_are_those_of_the_reference(cls):
    theirs = inspect.signature(getattr(transformers, cls.__name__).forward).parameters
    ours = inspect.signature(cls.forward).parameters
    positional = [name for name, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == list(theirs)


def test_there_are_no_segments():
    _, ours = tiny_pair("distilbert", "sequence-classification")
    inputs = tiny_inputs("distilbert")
    assert "token_type_ids" not in inputs
    expected = ours(**inputs).logits
    zeros = torch.zeros_like(inputs["input_ids"])
    assert torch.equal(ours(**inputs, token_type_ids=zeros).logits, expected)
    zeros[1, 2] = 1
    with pytest.raises(InputError, match="token_type_ids go up to 1, but type_vocab_size is 0. Leave them out"):
        ours(**inputs, token_type_ids=zeros)


def test_the_body_has_no_place_for_a_pooled_vector():
    theirs, ours = tiny_pair("distilbert", "base")
    inputs = tiny_inputs("distilbert", mask="none")
    assert list(ours(**inputs)) == ["last_hidden_state"]
    last, hidden = ours(**inputs, output_hidden_states=True, return_dict=False)
    assert last.shape == (5, 17, 24) and len(hidden) == 4
    assert not hasattr(DistilBertModel(DistilBertConfig(**TINY["distilbert"]), add_pooling_layer=True), "pooler")


def test_a_pretrained_file_into_a_classifier_and_back_to_the_body(tmp_path, caplog):
    theirs, _ = tiny_pair("distilbert", "masked-lm")
    theirs.save_pretrained(tmp_path / "lm")
    with caplog.at_level(logging.WARNING, "bothways"):
        model = DistilBertForSequenceClassification.from_pretrained(tmp_path / "lm", num_labels=3)
    assert set(model.load_report.missing) == {
        *("pre_classifier.weight", "pre_classifier.bias", "classifier.weight", "classifier.bias")
    }
    assert "4 parameters are newly initialised" in caplog.text
    model.save_pretrained(tmp_path / "classifier")
    body = DistilBertModel.from_pretrained(tmp_path / "classifier")
    ids = torch.tensor([[5, 6, 7]])
    torch.testing.assert_close(body(ids)[0], theirs.distilbert(ids)[0], atol=1e-5, rtol=0)
    assert body.load_report.missing == ()


def test_vocabulary_and_its_bias_stay_tied(tmp_path):
    theirs, ours = tiny_pair("distilbert", "masked-lm")
    head = ours.cls.predictions
    assert head.decoder.weight is ours.distilbert.embeddings.word_embeddings.weight and head.bias is head.decoder.bias
    ours.resize_token_embeddings(101)
    ours.save_pretrained(tmp_path)
    again = DistilBertForMaskedLM.from_pretrained(tmp_path)
    back = transformers.DistilBertForMaskedLM.from_pretrained(tmp_path)
    ids = torch.tensor([[5, 100, 7]])
    torch.testing.assert_close(again(ids).logits, back(ids).logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(again(ids[:, :1]).logits[..., :97], theirs(ids[:, :1]).logits, atol=1e-5, rtol=0)
