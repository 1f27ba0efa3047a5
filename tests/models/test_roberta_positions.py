"""RoBERTa's positions: ranks among the ids that are not padding, counted from the row behind the pad token's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways import AutoConfig, CamembertModel, RobertaConfig, XLMRobertaConfig
from bothways.batching import SeqLens, collate
from bothways.engine.compact_vocabulary import CompactVocabulary
from bothways.errors import ConfigError, InputError
from bothways.families.roberta import positions
from bothways.models.runner import PackedRunner, check_ids
from bothways.tasks.encoded import position_limit
from tests.models.reference import TINY, tiny_inputs, tiny_pair

FAMILIES = ["roberta", "xlm-roberta", "camembert"]


def test_positions_of_a_packed_batch():
    config = RobertaConfig()
    ids = torch.tensor([7, 1, 8, 9, 1, 7, 1])  # pad is 1
    lens = SeqLens.from_lengths([4, 2, 1])
    assert positions(config, ids, lens).tolist() == [0, -1, 1, 2, -1, 0, -1]


rows = st.integers(1, 12).flatmap(
    lambda seq: st.lists(
        st.tuples(
            st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 96]), min_size=seq, max_size=seq),
            st.lists(st.booleans(), min_size=seq, max_size=seq).filter(any),
        ),
        min_size=1,
        max_size=4,
    )
)


@settings(max_examples=50, deadline=None)
@given(rows=rows, model_type=st.sampled_from(FAMILIES), pad=st.sampled_from([0, 1, 4]))
@torch.no_grad()
def test_any_ids_and_any_mask_give_the_reference_vectors(rows, model_type, pad):
    theirs, ours = pair(model_type, pad)
    ids = torch.tensor([row for row, _ in rows])
    mask = torch.tensor([kept for _, kept in rows]).long()
    expected = theirs(ids, attention_mask=mask).last_hidden_state
    got = ours(ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(got[mask != 0], expected[mask != 0], atol=1e-5, rtol=0)


@settings(max_examples=30, deadline=None)
@given(ids=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12), min_size=1, max_size=5))
@torch.no_grad()
def test_the_runner_numbers_tokens_as_forward_does(ids):
    theirs, ours = pair("roberta", 1)
    for row, got in zip(ids, PackedRunner(ours).hidden(ids), strict=True):
        expected = theirs(torch.tensor([row]), attention_mask=torch.ones(1, len(row))).last_hidden_state[0]
        np.testing.assert_allclose(got, expected.numpy(), atol=1e-5)


PAIRS: dict = {}


def pair(model_type: str, pad: int):
    """Built once for each pad token; the tests leave the weights alone."""
    if (model_type, pad) not in PAIRS:
        PAIRS[model_type, pad] = tiny_pair(model_type, "base", pad_token_id=pad)
    return PAIRS[model_type, pad]


@torch.no_grad()
def test_left_padding_does_not_move_a_text():
    _, ours = tiny_pair("roberta", "base")
    text = torch.tensor([[0, 9, 8, 7, 2]])
    padded = torch.cat([torch.full((1, 4), 1), text], 1)
    alone = ours(text).last_hidden_state
    shifted = ours(padded, attention_mask=(padded != 1).long()).last_hidden_state[:, 4:]
    torch.testing.assert_close(shifted, alone, atol=1e-6, rtol=0)
    packed = ours(collate([[0, 9, 8, 7, 2]])).last_hidden_state
    torch.testing.assert_close(packed, alone[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("mask", ["none", "left", "holes"])
@torch.no_grad()
def test_positions_of_the_caller_and_embeddings_of_the_caller(mask):
    theirs, ours = tiny_pair("camembert", "base")
    inputs = tiny_inputs("camembert", mask=mask)
    kept = inputs["attention_mask"] != 0
    numbered = torch.randint(0, 50, kept.shape, generator=torch.Generator().manual_seed(2))
    expected = theirs(**inputs, position_ids=numbered).last_hidden_state
    got = ours(**inputs, position_ids=numbered).last_hidden_state
    torch.testing.assert_close(got[kept], expected[kept], atol=1e-5, rtol=0)
    embeds = ours.get_input_embeddings()(inputs.pop("input_ids"))
    expected = theirs(**inputs, inputs_embeds=embeds).last_hidden_state
    got = ours(**inputs, inputs_embeds=embeds).last_hidden_state
    torch.testing.assert_close(got[kept], expected[kept], atol=1e-5, rtol=0)


def test_the_row_of_padding_is_not_trained():
    theirs, ours = tiny_pair("roberta", "base")
    ids = torch.tensor([[0, 5, 1, 6, 2]])  # the pad token is read here, as a text with "<pad>" in it would have it
    for model in (theirs, ours):
        model(ids, attention_mask=torch.ones_like(ids)).last_hidden_state.square().sum().backward()
    for name in ("word_embeddings", "position_embeddings"):
        expected = getattr(theirs.embeddings, name).weight.grad
        got = getattr(ours.embeddings, name).weight.grad
        assert got[1].abs().max() == 0 < got.abs().max()
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_514_positions_are_512_tokens():
    assert position_limit(RobertaConfig(max_position_embeddings=514)) == 512
    assert position_limit(XLMRobertaConfig(max_position_embeddings=514)) == 512
    assert position_limit(AutoConfig.for_model("bert")) == 512
    assert position_limit(AutoConfig.for_model("distilbert", max_position_embeddings=300)) == 300


@torch.no_grad()
def test_the_last_token_that_fits_and_the_first_that_does_not():
    theirs, ours = tiny_pair("camembert", "base")  # 50 rows, pad is 3: 46 tokens
    assert position_limit(ours.config) == 46
    full = torch.full((1, 46), 7)
    torch.testing.assert_close(ours(full).last_hidden_state, theirs(full).last_hidden_state, atol=1e-5, rtol=0)
    too_long = torch.full((1, 47), 7)
    with pytest.raises(IndexError):
        theirs(too_long)
    with pytest.raises(InputError, match="sequence 0 has 47 tokens but the model has 46 positions"):
        ours(too_long)
    runner = PackedRunner(ours)
    assert len(runner.hidden(full.tolist())[0]) == 46
    with pytest.raises(InputError, match="47 tokens but the model has 46 positions"):
        runner.hidden(too_long.tolist())
    with pytest.raises(InputError, match="47 tokens but the model has 46 positions"):
        check_ids(collate(too_long.tolist()), ours.config)  # what runs before a batch goes to a GPU


@pytest.mark.parametrize("pad", [-1, 49, 10**9, None, "1", 1.0, True])
def test_a_pad_token_that_leaves_no_position(pad):
    with pytest.raises(ConfigError, match="pad_token_id is .*, expected a whole number from 0 to 48.* there are 50"):
        RobertaConfig(**{**TINY["roberta"], "pad_token_id": pad})


def test_arguments_of_multiple_choice_stand_in_the_order_of_the_reference():
    theirs, ours = tiny_pair("xlm-roberta", "multiple-choice")
    flat = tiny_inputs("xlm-roberta", batch=6, mask="right")
    ids, types, mask = (flat[n].view(2, 3, -1) for n in ("input_ids", "token_type_ids", "attention_mask"))
    arguments = (ids, types, mask, torch.tensor([2, 0]))
    torch.testing.assert_close(ours(*arguments).loss, theirs(*arguments).loss, atol=1e-5, rtol=0)
    with pytest.raises(TypeError, match="takes from 1 to 11 positional arguments but 12 were given"):  # with self
        ours(*arguments, *[None] * 7)


@pytest.mark.parametrize("model_type", ["bert", *FAMILIES])
@torch.no_grad()
def test_a_compact_vocabulary_moves_no_position(model_type):
    _, ours = tiny_pair(model_type, "sequence-classification")
    rows = [[2, 40, 9, 96], [2, 7], [60, 2, 9]]  # without the pad token
    batch = collate(rows)
    expected = ours(batch).logits
    vocabulary = CompactVocabulary(ours, rows)
    vocabulary.enter()
    compact = replace(batch, input_ids=vocabulary.translate(batch.input_ids))
    torch.testing.assert_close(ours(compact).logits, expected, atol=1e-6, rtol=0)
    vocabulary.leave()
    torch.testing.assert_close(ours(batch).logits, expected, atol=0, rtol=0)


def test_one_segment_only():
    _, ours = tiny_pair("roberta", "base")
    ids = torch.tensor([[0, 5, 2]])
    assert torch.equal(ours(ids, token_type_ids=ids * 0)[0], ours(ids)[0])
    with pytest.raises(InputError, match="token_type_ids go up to 1, but type_vocab_size is 1. Leave them out"):
        ours(ids, token_type_ids=torch.tensor([[0, 0, 1]]))


def test_a_published_base_file_has_an_old_buffer_and_no_pooler(tmp_path):
    from safetensors.torch import load_file, save_file

    theirs, _ = tiny_pair("camembert", "masked-lm")
    theirs.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    save_file(
        load_file(path) | {"roberta.embeddings.position_ids": torch.arange(50)[None]}, path, metadata={"format": "pt"}
    )
    body = CamembertModel.from_pretrained(tmp_path)
    assert set(body.load_report.missing) == {"pooler.dense.weight", "pooler.dense.bias"}
    assert body.load_report.ignored == ("roberta.embeddings.position_ids",)
    assert all(name.startswith("lm_head.") for name in body.load_report.unexpected)
    ids = torch.tensor([[5, 9, 6]])
    torch.testing.assert_close(body(ids).last_hidden_state, theirs.roberta(ids).last_hidden_state, atol=1e-5, rtol=0)
