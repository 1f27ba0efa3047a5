"""ELECTRA: embeddings of the hidden size or another, the discriminator's loss, the summary of a text."""

from __future__ import annotations

import pytest
import torch
import transformers
from safetensors.torch import load_file

from bothways import (
    AutoModelForPreTraining,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForMultipleChoice,
    ElectraForPreTraining,
    ElectraForSequenceClassification,
    ElectraModel,
)
from bothways.batching import collate
from bothways.errors import ConfigError, InputError
from bothways.models.auto import MODEL_CLASSES
from bothways.models.runner import PackedRunner
from bothways.nn.factorised import FactorisedEmbeddings
from tests.models.reference import tiny_inputs, tiny_pair

TASKS = sorted(task for model_type, task in MODEL_CLASSES if model_type == "electra")


def assert_same(theirs, ours, task: str, **arguments) -> None:
    inputs = tiny_inputs("electra", mask="none") | arguments
    if task == "multiple-choice":
        inputs = {name: tensor[None] for name, tensor in inputs.items()}
    if task == "causal-lm":
        inputs["use_cache"] = False  # what was read is of another class there
    with torch.no_grad():
        for expected, got in zip(theirs(**inputs).to_tuple(), ours(**inputs).to_tuple(), strict=True):
            torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("task", TASKS)
def test_embeddings_of_the_hidden_size(task, tmp_path):
    theirs, ours = tiny_pair("electra", task, embedding_size=24)
    assert not any(isinstance(module, FactorisedEmbeddings) for module in ours.modules())
    assert_same(theirs, ours, task)
    ours.save_pretrained(tmp_path)
    assert not any("embeddings_project" in name for name in load_file(tmp_path / "model.safetensors"))
    back, info = type(theirs).from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert_same(back.eval(), ours, task)


@pytest.mark.parametrize(
    "changes",
    [{"summary_use_proj": False}, {"summary_activation": None}, {"summary_activation": "tanh"}, {"hidden_act": "relu"}],
    ids=str,
)
@pytest.mark.parametrize("task", ["multiple-choice", "sequence-classification", "pretraining", "masked-lm"])
def test_activations_and_the_summary(task, changes):
    assert_same(*tiny_pair("electra", task, **changes), task)


def test_defaults_are_those_of_the_reference():
    theirs = transformers.ElectraConfig()
    for name, value in ElectraConfig.own_fields().items():
        assert getattr(theirs, name) == value, name
    with torch.device("meta"):
        assert ElectraModel(ElectraConfig()).num_parameters() == 13_483_008  # electra-small


def test_what_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="summary_type is 'mean'; only 'first'"):
        ElectraForMultipleChoice(ElectraConfig(summary_type="mean"))
    ElectraForSequenceClassification(ElectraConfig(summary_type="mean", num_hidden_layers=1, vocab_size=10))
    with pytest.raises(ConfigError, match="embedding_size is None"):
        ElectraConfig(embedding_size=None)
    with pytest.raises(ConfigError, match="not supported for electra"):
        ElectraConfig(add_cross_attention=True)


@pytest.mark.parametrize("mask", ["none", "right", "left", "holes"])
@pytest.mark.parametrize("given", [True, False])
def test_the_loss_counts_attended_tokens(mask, given):
    theirs, ours = tiny_pair("electra", "pretraining")
    inputs = tiny_inputs("electra", mask=mask)
    if not given:
        del inputs["attention_mask"]
    labels = inputs["input_ids"] % 2
    expected, got = theirs(**inputs, labels=labels).loss, ours(**inputs, labels=labels).loss
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_labels_of_the_discriminator():
    _, ours = tiny_pair("electra", "pretraining")
    ids = torch.tensor([[5, 6, 7, 8]])
    logits = ours(ids).logits
    assert logits.shape == (1, 4)
    some = ours(ids, labels=torch.tensor([[1, -100, 0, -100]])).loss
    expected = (torch.nn.functional.softplus(-logits[0, 0]) + torch.nn.functional.softplus(logits[0, 2])) / 2
    torch.testing.assert_close(some, expected)
    packed = ours(collate([[5, 6, 7, 8], [9]]))
    torch.testing.assert_close(packed.logits[:4], logits[0], atol=1e-5, rtol=0)
    tokens = PackedRunner(ours).token_logits([[9], [5, 6, 7, 8]])
    torch.testing.assert_close(torch.from_numpy(tokens[1]), logits[0].detach(), atol=1e-5, rtol=0)
    with pytest.raises(InputError, match="labels of tokens go from 0 to 3; expected 1 for a replaced"):
        ours(ids, labels=torch.tensor([[0, 3, 1, -100]]))


def test_outputs_have_no_place_for_a_pooler():
    theirs, ours = tiny_pair("electra", "base")
    ids = torch.tensor([[5, 6, 7]])
    assert len(ours(ids, return_dict=False)) == len(theirs(ids, return_dict=False)) == 1
    states = ours(ids, return_dict=False, output_hidden_states=True)[1]
    assert len(states) == 4 and states[0].shape == (1, 3, 24)
    assert not hasattr(ours, "pooler")


def test_generator_and_discriminator_share_a_body(tmp_path):
    _, generator = tiny_pair("electra", "masked-lm")
    generator.save_pretrained(tmp_path / "generator")
    saved = load_file(tmp_path / "generator" / "model.safetensors")
    assert "generator_lm_head.bias" in saved and "generator_lm_head.weight" not in saved
    discriminator = AutoModelForPreTraining.from_pretrained(tmp_path / "generator")
    assert type(discriminator) is ElectraForPreTraining
    assert all(name.startswith("discriminator_predictions") for name in discriminator.load_report.missing)
    assert len(discriminator.load_report.missing) == 4
    again = ElectraForMaskedLM.from_pretrained(tmp_path / "generator")
    assert again.cls.predictions.decoder.weight is again.electra.embeddings.word_embeddings.weight
    assert again.cls.predictions.decoder.bias is again.cls.predictions.bias
    assert torch.equal(again.cls.predictions.bias, saved["generator_lm_head.bias"])


def test_labels_by_position():
    theirs, ours = tiny_pair("electra", "masked-lm")
    ids, labels = torch.tensor([[5, 6, 7]]), torch.tensor([[-100, 6, 90]])
    expected = theirs(ids, None, None, None, None, None, labels).loss
    torch.testing.assert_close(ours(ids, None, None, None, None, None, labels).loss, expected, atol=1e-5, rtol=0)
