"""Our models against the reference library, over every public class: outputs, losses, gradients, all masks."""

from __future__ import annotations

import pytest
import torch

from bothways.errors import InputError
from bothways.models.auto import MODEL_CLASSES
from tests.models.reference import ALL_CLASSES, TINY, by_our_names, tiny_inputs, tiny_pair

WITH_CHOICES = ("multiple-choice", "double-heads")
MASKS = ["none", "right", "left", "holes"]
TOLERANCE = 1e-5  # fp32, as absolute error of outputs of size about one
GRADIENT_TOLERANCE = 1e-4  # relative to the largest gradient of the tensor


def inputs_for(key: tuple[str, str], mask: str) -> dict:
    model_type, task = key
    if task not in WITH_CHOICES:
        inputs = tiny_inputs(model_type, mask=mask)
        if task in TWICE:  # the reference tells padding by its id
            config = MODEL_CLASSES[key].config_class(**TINY[model_type])
            padding = inputs["attention_mask"] == 0
            inputs["input_ids"] = inputs["input_ids"].masked_fill(padding, config.pad_token_id or 0)
            if MODEL_CLASSES[key].family.heads[task].reads == "eos":
                last = inputs["attention_mask"].cumsum(1).argmax(1, keepdim=True)
                inputs["input_ids"].scatter_(1, last, config.eos_token_id)
        return inputs
    flat = tiny_inputs(model_type, batch=6, mask=mask)
    inputs = {name: tensor.view(2, 3, -1) for name, tensor in flat.items()}
    if task == "double-heads":  # without it the reference reads the last column, padding or not
        inputs["mc_token_ids"] = (inputs["attention_mask"] * torch.arange(17)).argmax(-1)
    return inputs


def labels_for(task: str, inputs: dict, config) -> dict:
    """Labels under the names that the task, and for pretraining the family, gives them."""
    generator = torch.Generator().manual_seed(1)
    batch, *_ = shape = inputs["input_ids"].shape

    def draw(most: int, *size: int) -> torch.Tensor:
        return torch.randint(0, most, size, generator=generator)

    kept = inputs["attention_mask"] != 0
    words = torch.where(kept & (draw(3, *shape) > 0), draw(config.vocab_size, *shape), -100)
    return {
        "base": {},
        "encoder": {},
        # the reference also predicts the first word behind padding, from the padding
        "causal-lm": {"labels": words.masked_fill(~after(kept), -100)} if task == "causal-lm" else {},
        "masked-lm": {"labels": words},
        "pretraining": {
            "albert": {"labels": words, "sentence_order_label": draw(2, batch)},
            "electra": {"labels": draw(2, *shape)},
        }.get(config.model_type, {"labels": words, "next_sentence_label": draw(2, batch)}),
        "next-sentence-prediction": {"labels": draw(2, batch)},
        "sequence-classification": {"labels": draw(config.num_labels, batch)},
        "token-classification": {"labels": torch.where(kept, draw(config.num_labels, *shape), -100)},
        # the reference's softmax reads padding: only unpadded batches have the same loss
        "question-answering": {"start_positions": draw(30, batch), "end_positions": draw(17, batch)},
        "multiple-choice": {"labels": draw(3, batch)},
        "double-heads": {"labels": words.masked_fill(~after(kept), -100), "mc_labels": draw(3, batch)},
    }[task]


def after(kept: torch.Tensor) -> torch.Tensor:
    """Which tokens have a token that is kept before them, bool (B, S)."""
    return kept & torch.cat((torch.ones_like(kept[..., :1]), kept[..., :-1]), -1)


def assert_same_output(theirs, ours, mask: torch.Tensor, left_padded: bool) -> None:
    for name, expected in theirs.items():
        if name in PAST:
            continue
        got = ours[name]
        if isinstance(expected, tuple):
            assert len(expected) == len(got)
            for e, g in zip(expected, got, strict=True):
                compare(name, e, g, mask)
        elif not (left_padded and name in POOLED):
            compare(name, expected, got, mask)


TWICE = ("sequence-classification", "question-answering")
"""What an encoder-decoder model answers by reading the text twice."""

PAST = ("past_key_values",)
"""Tested in test_past.py; heads that do not write have none here."""

POOLED = ("pooler_output", "seq_relationship_logits", "sop_logits")
"""The reference pools the padding at the left; a packed core pools the first token (contract, facts, 3)."""


def compare(name: str, expected: torch.Tensor, got: torch.Tensor, mask: torch.Tensor) -> None:
    assert expected.shape == got.shape, name
    kept = mask.flatten(0, -2) != 0
    if name.endswith("attentions") and expected.ndim == 4:
        both = kept[:, None, :, None] & kept[:, None, None, :]
        expected, got = expected.masked_fill(~both, 0), got.masked_fill(~both, 0)
    elif expected.ndim == 4 and expected.shape[:3] == mask.shape:
        expected, got = expected[mask != 0], got[mask != 0]
    elif expected.ndim >= 2 and expected.shape[:2] == kept.shape:
        expected, got = expected[kept], got[kept]
    torch.testing.assert_close(got, expected, atol=TOLERANCE, rtol=0, msg=lambda m: f"{name}: {m}")


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("key", "cls"), ALL_CLASSES, ids=[cls.__name__ for _, cls in ALL_CLASSES])
def test_outputs_and_loss(key, cls, mask):
    theirs, ours = tiny_pair(*key)
    inputs = inputs_for(key, mask)
    labels = labels_for(key[1], inputs, ours.config)
    first_token_lost = bool((inputs["attention_mask"][..., 0] == 0).any())
    pooled_task = key[1] not in ("base", "encoder", "pretraining") and ours.head.reads in ("pooled", "first")
    if first_token_lost and pooled_task:
        pytest.skip("the reference reads the padding at the left")
    if mask in ("left", "holes") and ours.config.is_encoder_decoder and key[1] in TWICE:
        pytest.skip("the decoder of the reference reads the padding")
    padded = bool((inputs["attention_mask"] == 0).any())
    if padded and key[1] == "question-answering":
        labels = {}
    if first_token_lost and key[1] == "pretraining":
        labels = {}
    with torch.no_grad():
        expected = theirs(**inputs, **labels, output_hidden_states=True, output_attentions=True)
        got = ours(**inputs, **labels, output_hidden_states=True, output_attentions=True)
        short = ours(**inputs, **labels)
    assert [name for name in got if name not in PAST] == [name for name in expected if name not in PAST]
    assert_same_output(expected, got, inputs["attention_mask"], first_token_lost)
    assert_same_output(
        {k: v for k, v in got.items() if k in short and k not in PAST}, short, inputs["attention_mask"], False
    )


@pytest.mark.parametrize(("key", "cls"), ALL_CLASSES, ids=[cls.__name__ for _, cls in ALL_CLASSES])
def test_gradients(key, cls):
    theirs, ours = tiny_pair(*key)
    inputs = inputs_for(key, "none" if key[1] == "question-answering" else "right")
    labels = labels_for(key[1], inputs, ours.config)
    for model in (theirs, ours):
        output = model(**inputs, **labels)
        loss = (
            output["loss"] + output.get("mc_loss", 0.0)
            if labels
            else (output[0] * (inputs["attention_mask"][..., None])).square().sum()
        )
        loss.backward()
    expected = by_our_names(ours, {name: p.grad for name, p in theirs.named_parameters()})
    got = by_our_names(ours, {name: p.grad for name, p in ours.named_parameters()})
    assert set(got) == set(expected)
    for name, gradient in expected.items():
        if gradient is None:
            assert got[name] is None, name
            continue
        least = 1e-2 if name.endswith("key.bias") else 1e-3  # softmax does not see a bias of keys: rounding only
        error = (got[name] - gradient).abs().max() / gradient.abs().max().clamp(min=least)
        assert error < GRADIENT_TOLERANCE, f"{name}: {error:.1e}"


@pytest.mark.parametrize("problem", ["regression", "single_label_classification", "multi_label_classification"])
@pytest.mark.parametrize("stated", [True, False])
def test_three_problem_types(problem, stated):
    changes = {"num_labels": 1} if problem == "regression" else {}
    changes |= {"problem_type": problem} if stated else {}
    theirs, ours = tiny_pair("bert", "sequence-classification", **changes)
    inputs = tiny_inputs()
    generator = torch.Generator().manual_seed(0)
    labels = {
        "regression": torch.randn(5, generator=generator),
        "single_label_classification": torch.randint(0, 5, (5,), generator=generator),
        "multi_label_classification": (torch.rand(5, 5, generator=generator) > 0.5).float(),
    }[problem]
    expected, got = theirs(**inputs, labels=labels), ours(**inputs, labels=labels)
    torch.testing.assert_close(got.loss, expected.loss, atol=TOLERANCE, rtol=0)
    assert ours.config.problem_type == theirs.config.problem_type == problem


@pytest.mark.parametrize(("key", "cls"), ALL_CLASSES, ids=[cls.__name__ for _, cls in ALL_CLASSES])
def test_tuples_and_embeddings(key, cls):
    theirs, ours = tiny_pair(*key)
    theirs.config.use_cache = ours.config.use_cache = False  # what was read is no tensor: test_past.py
    inputs = inputs_for(key, "none")
    expected, got = theirs(**inputs, return_dict=False), ours(**inputs, return_dict=False)
    expected = [value for value in expected if value != ()]  # T5ForTokenClassification puts one at the end
    assert isinstance(got, tuple) and len(got) == len(expected)
    for e, g in zip(expected, got, strict=True):
        torch.testing.assert_close(g, e, atol=TOLERANCE, rtol=0)
    if ours.config.is_encoder_decoder and key[1] in TWICE:
        with pytest.raises(InputError, match="reads its text twice.* pass input_ids"):
            ours(inputs_embeds=ours.get_input_embeddings()(inputs["input_ids"]))
        return
    embeds = ours.get_input_embeddings()(inputs.pop("input_ids"))
    from_embeds = ours(inputs_embeds=embeds, **inputs, return_dict=False)
    torch.testing.assert_close(from_embeds[0], got[0], atol=TOLERANCE, rtol=0)


def test_every_reference_class_of_a_family_is_here():
    assert {cls.__name__ for cls in MODEL_CLASSES.values()} >= {
        "BertModel",
        "BertForPreTraining",
        "BertForMaskedLM",
        "BertForNextSentencePrediction",
        "BertForSequenceClassification",
        "BertForTokenClassification",
        "BertForQuestionAnswering",
        "BertForMultipleChoice",
    }
