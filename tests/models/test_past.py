"""Read in steps with ``past_key_values`` as in one piece, for every family that writes."""

from __future__ import annotations

import copy

import pytest
import torch

from bothways import DynamicCache
from bothways.errors import InputError
from bothways.models.auto import MODEL_CLASSES
from tests.models.reference import tiny_inputs, tiny_pair

CAUSAL = sorted(model_type for model_type, task in MODEL_CLASSES if task == "causal-lm")
SEQ2SEQ = sorted(model_type for model_type, task in MODEL_CLASSES if task == "seq2seq-lm")
STEPS = [6, 1, 1, 4, 1, 4]
"""Columns read in each call: a prompt, tokens one by one, several at once."""


def drawn(model_type: str, mask: str) -> dict:
    inputs = tiny_inputs(model_type, mask=mask)
    if mask == "holes":  # the first row has some, and every row has a token in every step
        kept = torch.ones_like(inputs["attention_mask"])
        kept[0, [2, 3, 8]] = 0
        kept[1, [0, 4, 10]] = 0
        inputs["attention_mask"] = kept
    return {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}


@torch.no_grad()
def in_steps(model, inputs: dict, **options):
    """The logits of all columns, read step by step, and the past at the end."""
    past, seen, parts = None, 0, []
    for step in STEPS:
        ids, mask = inputs["input_ids"][:, seen : seen + step], inputs["attention_mask"][:, : seen + step]
        output = model(input_ids=ids, attention_mask=mask, past_key_values=past, use_cache=True, **options)
        past, seen = output.past_key_values, seen + step
        parts.append(output.logits)
    assert past.get_seq_length() == seen == inputs["input_ids"].shape[1]
    return torch.cat(parts, 1), past


def close(got, expected, mask):
    kept = mask != 0
    torch.testing.assert_close(got[kept], expected[kept], atol=1e-5, rtol=0)


@pytest.mark.parametrize("mask", ["none", "left", "holes"])
@pytest.mark.parametrize("model_type", CAUSAL)
def test_steps_are_the_whole(model_type, mask):
    theirs, ours = tiny_pair(model_type, "causal-lm")
    inputs = drawn(model_type, mask)
    if mask == "left":
        inputs["attention_mask"][:, 5:] = 1
    with torch.no_grad():
        expected = theirs(**inputs).logits
    got, _ = in_steps(ours, inputs)
    close(got, expected, inputs["attention_mask"])


@pytest.mark.parametrize("model_type", CAUSAL)
def test_a_gap_between_prompt_and_continuation(model_type):
    """Prompts padded at the right, then tokens behind the padding: positions and windows count columns."""
    theirs, ours = tiny_pair(model_type, "causal-lm")
    inputs = drawn(model_type, "none")
    inputs["attention_mask"][0, 3:6] = 0
    inputs["attention_mask"][3, 5] = 0
    with torch.no_grad():
        expected = theirs(**inputs).logits
    got, past = in_steps(ours, inputs)
    close(got, expected, inputs["attention_mask"])
    assert past.own.lengths == (14, 17, 17, 16, 17)


@pytest.mark.parametrize("mask", ["none", "holes"])
@pytest.mark.parametrize("model_type", SEQ2SEQ)
def test_steps_of_a_target_are_the_whole(model_type, mask):
    theirs, ours = tiny_pair(model_type, "seq2seq-lm")
    source, target = tiny_inputs(model_type, mask="right"), drawn(model_type, mask)
    source = {"input_ids": source["input_ids"], "attention_mask": source["attention_mask"]}
    with torch.no_grad():
        of_target = {f"decoder_{name}": value for name, value in target.items()}
        expected = theirs(**source, **of_target).logits
        encoded = ours.get_encoder()(**source)
        past, seen, parts = None, 0, []
        for step in STEPS:
            ids = target["input_ids"][:, seen : seen + step]
            output = ours(
                encoder_outputs=encoded,
                attention_mask=source["attention_mask"],
                decoder_input_ids=ids,
                decoder_attention_mask=target["attention_mask"][:, : seen + step],
                past_key_values=past,
                use_cache=True,
            )
            past, seen = output.past_key_values, seen + step
            parts.append(output.logits)
    close(torch.cat(parts, 1), expected, target["attention_mask"])


@torch.no_grad()
@pytest.mark.parametrize("model_type", CAUSAL)
def test_rows_change_places(model_type):
    _, ours = tiny_pair(model_type, "causal-lm")
    ids = drawn(model_type, "none")["input_ids"]
    past = ours(ids[:, :9], use_cache=True).past_key_values
    order = torch.tensor([3, 0, 0, 2, 4])
    again = ours(ids[order, 9:12], past_key_values=past.reorder_cache(order)).logits
    torch.testing.assert_close(again, ours(ids[order, :12]).logits[:, 9:], atol=1e-5, rtol=0)


@torch.no_grad()
def test_rows_with_gaps_change_places():
    _, ours = tiny_pair("mistral", "causal-lm")
    ids = drawn("mistral", "none")["input_ids"]
    mask = torch.ones_like(ids)
    mask[0, 4:7] = 0
    past = ours(ids[:, :9], attention_mask=mask[:, :9], use_cache=True).past_key_values
    order = torch.tensor([1, 0, 2, 0, 4])
    again = ours(ids[order, 9:], attention_mask=mask[order], past_key_values=past.reorder_cache(order)).logits
    whole = ours(ids[order], attention_mask=mask[order]).logits[:, 9:]
    torch.testing.assert_close(again, whole, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("model_type", CAUSAL)
def test_the_older_form_of_tuples(model_type):
    theirs, ours = tiny_pair(model_type, "causal-lm")
    ids = drawn(model_type, "none")["input_ids"]
    past = ours(ids[:, :9], use_cache=True).past_key_values
    tuples = past.to_legacy_cache()
    spec = ours.base_model.encoder.layer[0].spec
    assert len(tuples) == 3 and tuples[0][0].shape == (5, spec.key_value_heads, 9, spec.head_dim)
    if model_type in ("gpt2", "llama"):
        reference = theirs(ids[:, :9], use_cache=True).past_key_values
        for i, (keys, values) in enumerate(tuples):
            torch.testing.assert_close(keys, reference.layers[i].keys, atol=1e-5, rtol=0)
            torch.testing.assert_close(values, reference.layers[i].values, atol=1e-5, rtol=0)
    again = ours(ids[:, 9:], past_key_values=tuples).logits
    torch.testing.assert_close(again, ours(ids).logits[:, 9:], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("model_type", CAUSAL)
def test_an_empty_cache_of_the_callers_is_filled_and_cut(model_type):
    """As programs write it that read a long beginning once and answer several questions about it."""
    _, ours = tiny_pair(model_type, "causal-lm")
    ids = drawn(model_type, "none")["input_ids"]
    past = DynamicCache()
    assert past.get_seq_length() == 0 and len(past) == 0
    whole = ours(ids).logits
    assert ours(ids[:1, :9], past_key_values=past, use_cache=True).past_key_values is past
    assert past.get_seq_length() == 9 and isinstance(past, DynamicCache)
    before = copy.deepcopy(past)
    torch.testing.assert_close(ours(ids[:1, 9:], past_key_values=past).logits, whole[:1, 9:], atol=1e-5, rtol=0)
    past.crop(9)
    past.crop(20)
    assert past.get_seq_length() == before.get_seq_length() == 9
    past.batch_repeat_interleave(3)
    mixed = torch.cat([ids[:1, :9].expand(3, -1), ids[:3, 9:]], 1)
    got = ours(mixed[:, 9:], past_key_values=past).logits
    torch.testing.assert_close(got, ours(mixed).logits[:, 9:], atol=1e-5, rtol=0)
    past.crop(-2)
    assert past.get_seq_length() == 15
    again = DynamicCache.from_legacy_cache(before.to_legacy_cache())
    torch.testing.assert_close(ours(ids[:1, 9:], past_key_values=again).logits, whole[:1, 9:], atol=1e-5, rtol=0)
    with pytest.raises(InputError, match="has tokens for 5 rows, but the cache has 3 rows"):
        ours(ids[:, 9:], past_key_values=past)


def test_rows_with_padding_are_not_cut():
    _, ours = tiny_pair("gpt2", "causal-lm")
    inputs = tiny_inputs("gpt2", mask="right")
    past = ours(inputs["input_ids"], inputs["attention_mask"], use_cache=True).past_key_values
    with pytest.raises(InputError, match="these rows have padding"):
        past.crop(2)


@torch.no_grad()
def test_weights_over_the_past():
    theirs, ours = tiny_pair("mistral", "causal-lm")
    ids = drawn("mistral", "none")["input_ids"]
    past = ours(ids[:, :12], use_cache=True).past_key_values
    got = ours(ids[:, 12:], past_key_values=past, output_attentions=True).attentions[1]
    expected = theirs(ids, output_attentions=True).attentions[1][:, :, 12:]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_failed_step_leaves_the_past_as_it_was():
    _, ours = tiny_pair("mistral", "causal-lm")
    ids = drawn("mistral", "none")["input_ids"]
    past = ours(ids[:, :9], use_cache=True).past_key_values
    mask = torch.ones(5, 11, dtype=torch.int64)
    mask[2, 9:] = 0
    with pytest.raises(InputError, match="row 2 without a token in the 2 columns"):
        ours(ids[:, 9:11], attention_mask=mask, past_key_values=past)
    mask[2, 10] = 1
    with pytest.raises(InputError, match="input_ids from 5 to 400"):
        ours(ids[:, 9:11].clone().fill_(400).index_fill_(1, torch.tensor([0]), 5), mask, past_key_values=past)
    after = ours(ids[:, 9:], past_key_values=past).logits
    torch.testing.assert_close(after, ours(ids).logits[:, 9:], atol=1e-5, rtol=0)


def test_training_keeps_no_past():
    _, ours = tiny_pair("llama", "causal-lm")
    ids = drawn("llama", "none")["input_ids"]
    assert ours(ids).past_key_values is not None
    assert ours.train()(ids).past_key_values is None
    assert ours.eval()(ids, use_cache=False).past_key_values is None
