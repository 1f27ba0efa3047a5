"""Heads of pretraining on packed batches with labels: the labelled tokens alone are scored, as if all were."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import transformers
from torch.nn.utils.rnn import pad_sequence
from transformers.models.auto import modeling_auto

import bothways
from bothways.batching import PackedBatch, SeqLens
from bothways.models.auto import MODEL_CLASSES
from tests.models.reference import TINY

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "initializer_range": 0.2,
}
LENGTHS = [5, 1, 9]
KINDS = [
    ("Bert", "BertForPreTraining", "next_sentence_label", "seq_relationship_logits"),
    ("Albert", "AlbertForPreTraining", "sentence_order_label", "sop_logits"),
]


def batch_of(labelled):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 50, (sum(LENGTHS),), generator=generator)
    labels = torch.full_like(ids, -100)
    labels[labelled] = ids[labelled]
    return PackedBatch(
        input_ids=ids,
        position_ids=torch.cat([torch.arange(n) for n in LENGTHS]),
        seqlens=SeqLens.from_lengths(LENGTHS),
        token_type_ids=torch.arange(sum(LENGTHS)) % 2,
        labels=labels,
    )


@pytest.fixture(params=KINDS, ids=[kind[0] for kind in KINDS])
def kind(request):
    family, name, label, logits = request.param
    torch.manual_seed(0)
    config = getattr(bothways, f"{family}Config")(**SIZES, **({"embedding_size": 8} if family == "Albert" else {}))
    return getattr(bothways, name)(config).double().eval(), label, logits


@pytest.mark.parametrize("labelled", [[0, 3, 5, 14], [2], list(range(15))])
def test_scores_are_those_of_the_labelled_tokens(kind, labelled):
    model, label, logits = kind
    batch = batch_of(labelled)
    relation = torch.tensor([0, 1, 1])
    asked = model(batch, **{label: relation})
    every = model(replace(batch, labels=None))
    assert asked.prediction_logits.shape == (len(labelled), 50) and every.prediction_logits.shape == (15, 50)
    torch.testing.assert_close(asked.prediction_logits, every.prediction_logits[labelled])
    torch.testing.assert_close(asked[logits], every[logits])
    assert asked[logits].shape == (3, 2) and every.loss is None
    words = torch.nn.functional.cross_entropy(every.prediction_logits[labelled], batch.input_ids[labelled])
    expected = words + torch.nn.functional.cross_entropy(every[logits], relation)
    assert asked.loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_labels_of_the_batch_and_of_the_call_are_the_same(kind):
    model, label, _ = kind
    batch = batch_of([1, 7])
    relation = torch.tensor([1, 0, 0])
    one = model(batch, **{label: relation})
    two = model(replace(batch, labels=None), labels=batch.labels, **{label: relation})
    assert torch.equal(one.loss, two.loss) and torch.equal(one.prediction_logits, two.prediction_logits)
    assert model(batch).loss is None  # the ecosystem adds both losses, or gives none


def test_padded_and_packed_agree(kind):
    model, label, logits = kind
    batch = batch_of([0, 3, 5, 14])
    relation = torch.tensor([0, 1, 1])
    ones = torch.ones_like(batch.input_ids)
    columns = [(batch.input_ids, 0), (ones, 0), (batch.token_type_ids, 0), (batch.labels, -100)]
    rows = [pad_sequence(v.split(LENGTHS), batch_first=True, padding_value=fill) for v, fill in columns]
    names = ("input_ids", "attention_mask", "token_type_ids", "labels")
    padded = model(**dict(zip(names, rows, strict=True)), **{label: relation})
    packed = model(batch, **{label: relation})
    assert padded.prediction_logits.shape == (3, 9, 50)
    assert packed.loss.item() == pytest.approx(padded.loss.item(), rel=1e-6)
    torch.testing.assert_close(padded[logits], packed[logits])
    torch.testing.assert_close(padded.prediction_logits[rows[3] != -100], packed.prediction_logits)


def test_without_a_labelled_token_there_are_no_scores_and_pairs_still_learn(kind):
    model, _, logits = kind
    output = model(batch_of([]))
    assert output.prediction_logits.shape == (0, 50) and output[logits].shape == (3, 2)
    (output.prediction_logits.sum() + output[logits].sum()).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    assert model.get_input_embeddings().weight.grad.abs().max() > 0


def test_gradients_are_those_of_the_padded_form(kind):
    model, label, _ = kind
    batch = batch_of([0, 3, 5, 14])
    relation = torch.tensor([0, 1, 1])
    found = []
    for given in (batch, replace(batch, labels=None)):
        model.zero_grad(set_to_none=True)
        output = model(given, **{label: relation})
        if given.labels is None:  # by hand, from the scores of all tokens
            loss = torch.nn.functional.cross_entropy(output.prediction_logits, batch.labels, ignore_index=-100)
            relations = next(output[name] for _, _, _, name in KINDS if name in output)
            loss = loss + torch.nn.functional.cross_entropy(relations, relation)
        else:
            loss = output.loss
        loss.backward()
        found.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert set(found[0]) == set(found[1])
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], atol=1e-6, rtol=1e-5, msg=name)


MAPPINGS = {
    "AutoModelForPreTraining": "MODEL_FOR_PRETRAINING_MAPPING",
    "AutoModelWithLMHead": "MODEL_WITH_LM_HEAD_MAPPING",
}


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("model_type", sorted(TINY))
def test_the_head_that_a_family_was_pretrained_with(model_type, name):
    ours = MODEL_CLASSES[model_type, "base"].config_class(**TINY[model_type])
    theirs = getattr(transformers, type(ours).__name__)(**TINY[model_type])
    if type(theirs) not in getattr(modeling_auto, MAPPINGS[name]):
        pytest.skip(f"the reference has no {model_type} there")
    made = getattr(bothways, name).from_config(ours)
    assert type(made).__name__ == getattr(modeling_auto, MAPPINGS[name])[type(theirs)].__name__
