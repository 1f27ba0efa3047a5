"""ALBERT: layers that share parameters, whatever the groups; what the registry tests cannot see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from bothways import (
    AlbertConfig,
    AlbertForMaskedLM,
    AlbertForPreTraining,
    AlbertForSequenceClassification,
    AlbertModel,
    AutoModelForPreTraining,
    BertConfig,
    BertModel,
)
from bothways.batching import collate
from bothways.errors import ConfigError, InputError
from bothways.models.runner import PackedRunner
from tests.models.reference import by_our_names, tiny_inputs, tiny_pair

GROUPS = [(3, 1, 1), (3, 1, 3), (5, 2, 1), (5, 2, 2), (4, 3, 1), (7, 3, 2), (6, 4, 1)]


def grouped(task: str, layers: int, groups: int, inner: int, **changes):
    sizes = {"num_hidden_layers": layers, "num_hidden_groups": groups, "inner_group_num": inner}
    return tiny_pair("albert", task, **sizes, **changes)


@pytest.mark.parametrize(("layers", "groups", "inner"), GROUPS)
def test_every_division_into_groups_agrees(layers, groups, inner):
    theirs, ours = grouped("token-classification", layers, groups, inner)
    inputs = tiny_inputs("albert", mask="none")
    labels = torch.arange(85).view(5, 17) % 5
    outputs = [m(**inputs, labels=labels, output_hidden_states=True, output_attentions=True) for m in (theirs, ours)]
    assert len(outputs[1].hidden_states) == layers + 1  # one for each layer, however many blocks it runs
    assert len(outputs[1].attentions) == layers * inner
    torch.testing.assert_close(outputs[1].logits, outputs[0].logits, atol=1e-5, rtol=0)
    for name in ("hidden_states", "attentions"):
        for expected, got in zip(outputs[0][name], outputs[1][name], strict=True):
            torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    for output in outputs:
        output.loss.backward()
    expected = by_our_names(ours, {name: p.grad for name, p in theirs.named_parameters()})
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize(("layers", "groups", "inner"), GROUPS)
def test_only_the_rows_that_are_read(layers, groups, inner):
    """The last block runs once for some tokens and, being shared, before that for all."""
    _, ours = grouped("masked-lm", layers, groups, inner)
    ids = [[7, 8, 9, 10], [5], [6, 7, 8], [50, 60, 70, 80, 90]]
    got = PackedRunner(ours).masked_logits(ids, [[1, 3], [0], [], [2]])
    for row, places, own in zip(ids, [[1, 3], [0], [], [2]], got, strict=True):
        with torch.no_grad():
            whole = ours(torch.tensor([row])).logits[0].numpy()
        np.testing.assert_allclose(own, whole[places], atol=1e-5)


def test_parameters_are_counted_and_saved_once(tmp_path):
    config = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    with torch.device("meta"):
        assert AlbertModel(AlbertConfig(**config)).num_parameters() == 11_683_584  # albert-base
    _, ours = grouped("base", 6, 2, 2)
    ours.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    queries = sorted(name for name in saved if name.endswith("query.weight"))
    assert queries == [
        f"encoder.albert_layer_groups.{g}.albert_layers.{b}.attention.query.weight" for g in (0, 1) for b in (0, 1)
    ]
    assert sum(tensor.numel() for tensor in saved.values()) == ours.num_parameters()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 6, "num_hidden_groups": 2, "inner_group_num": 4}, r"inner_group_num is 4.* 1 to 3 \(l"),
        ({"num_hidden_layers": 3, "num_hidden_groups": 4}, r"num_hidden_groups is 4, expected .* from 1 to 3\."),
        ({"num_hidden_groups": 0}, r"num_hidden_groups is 0"),
        ({"embedding_size": 0}, r"embedding_size is 0, expected a whole number from 1 to 32,768"),
        ({"embedding_size": 12.5}, r"embedding_size is 12\.5"),
        ({"position_embedding_type": "relative_key"}, r"'relative_key'; only 'absolute'"),
        ({"is_decoder": True}, r"not supported for albert"),
    ],
)
def test_impossible_sizes_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        AlbertConfig(**changes)


def test_no_layers_is_a_model_too():
    theirs, ours = tiny_pair("albert", "base", num_hidden_layers=0, num_hidden_groups=1, inner_group_num=1)
    inputs = tiny_inputs("albert", mask="none")
    torch.testing.assert_close(ours(**inputs).pooler_output, theirs(**inputs).pooler_output, atol=1e-5, rtol=0)


def test_defaults_are_those_of_the_reference():
    theirs = transformers.AlbertConfig()
    for name, value in AlbertConfig.own_fields().items():
        assert getattr(theirs, name) == value, name


def test_prepared_form_and_its_end():
    _, ours = grouped("sequence-classification", 5, 2, 2)
    inputs = tiny_inputs("albert")
    expected = ours(**inputs).logits.detach()
    with torch.no_grad():
        ours.prepare_for_inference()
        torch.testing.assert_close(ours(**inputs).logits, expected, atol=1e-5, rtol=0)
        ours.prepare_for_inference("bfloat16")
        assert 0 < (ours(**inputs).logits - expected).abs().max() < 0.2
        ours.prepare_for_inference()
        ours.albert.encoder.layer[1][0].attention.self.query.weight.mul_(0.3)
        changed = ours(**inputs).logits
        assert not torch.allclose(changed, expected)  # a copy that no longer fits is not used
        torch.testing.assert_close(ours.prepare_for_inference()(**inputs).logits, changed, atol=1e-5, rtol=0)
    ours.train()
    assert not ours.albert.encoder.is_prepared


def test_gradient_checkpointing_of_shared_blocks():
    _, ours = grouped("sequence-classification", 5, 2, 2, attention_probs_dropout_prob=0.2)
    gradients = []
    for on in (False, True):
        ours.train().zero_grad()
        ours.gradient_checkpointing_enable() if on else ours.gradient_checkpointing_disable()
        torch.manual_seed(3)
        ours(**tiny_inputs("albert"), labels=torch.zeros(5, dtype=torch.int64)).loss.backward()
        gradients.append([p.grad.clone() for p in ours.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_dropout_stands_where_the_reference_has_it():
    """Behind the attention and the embeddings, not behind the feed-forward."""
    theirs, ours = grouped("base", 2, 1, 1, hidden_dropout_prob=0.5)
    inputs = tiny_inputs("albert", mask="none")
    expected = ours(**inputs).last_hidden_state
    for model in (theirs.train(), ours.train()):
        for name, module in model.named_modules():
            if name.endswith(("embeddings.dropout", "attention.output_dropout", "attention.output.dropout")):
                assert module.p == 0.5
                module.p = 0.0
        torch.testing.assert_close(model(**inputs).last_hidden_state, expected, atol=1e-5, rtol=0)


def test_bodies_and_heads_of_other_checkpoints(tmp_path):
    _, whole = tiny_pair("albert", "pretraining")
    whole.save_pretrained(tmp_path / "whole")
    task = AlbertForSequenceClassification.from_pretrained(tmp_path / "whole", num_labels=3)
    assert task.load_report.missing == ("classifier.weight", "classifier.bias")
    assert set(task.load_report.unexpected) == {
        *("predictions.LayerNorm.weight", "predictions.LayerNorm.bias", "predictions.bias"),
        *("predictions.dense.weight", "predictions.dense.bias"),
        *("sop_classifier.classifier.weight", "sop_classifier.classifier.bias"),
    }
    assert torch.equal(task.albert.pooler.dense.weight, whole.albert.pooler.dense.weight)
    task.albert.save_pretrained(tmp_path / "body")
    filler = AlbertForMaskedLM.from_pretrained(tmp_path / "body")
    assert set(filler.load_report.unexpected) == {"pooler.weight", "pooler.bias"}
    assert all(name.startswith("cls.predictions") for name in filler.load_report.missing)
    assert type(AutoModelForPreTraining.from_pretrained(tmp_path / "whole")) is AlbertForPreTraining


def test_our_own_names_load_as_they_are():
    _, ours = tiny_pair("albert", "pretraining")
    again = AlbertForPreTraining(ours.config)
    again.load_state_dict(ours.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), again.parameters(), strict=True))


def test_a_packed_batch_and_labels_by_position():
    theirs, ours = tiny_pair("albert", "masked-lm")
    ids = torch.tensor([[5, 6, 7], [8, 9, 10]])
    labels = torch.tensor([[-100, 6, -100], [8, -100, -100]])
    expected = theirs(ids, None, None, None, None, None, labels)
    got = ours(ids, None, None, None, None, None, labels)
    torch.testing.assert_close(got.loss, expected.loss, atol=1e-5, rtol=0)
    _, both = tiny_pair("albert", "pretraining")
    packed = both(collate([[5, 6, 7], [8]]))
    assert packed.prediction_logits.shape == (4, 97) and packed.sop_logits.shape == (2, 2)
    torch.testing.assert_close(packed.sop_logits[1], both(torch.tensor([[8]])).sop_logits[0], atol=1e-5, rtol=0)


def test_a_configuration_of_another_family_is_refused():
    with pytest.raises(InputError, match="AlbertModel needs a AlbertConfig, got BertConfig"):
        AlbertModel(BertConfig())
    with pytest.raises(InputError, match="BertModel needs a BertConfig, got AlbertConfig"):
        BertModel(AlbertConfig())
