"""What callers pass: every form that is understood, and sentences for what is not."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace

import pytest
import torch

from bothways.errors import InputError, OutOfMemoryError
from bothways.generation import memory
from bothways.generation.configuration import GenerationConfig
from bothways.generation.generate import GenerationMixin, who_can_generate
from bothways.generation.largest import BLOCK, LEAST_BLOCKS, largest, likeliest
from tests.generation.fake_model import FakeModel
from tests.models.reference import tiny_pair

IDS = torch.tensor([[4, 5, 6]])


def refused(match, *args, model=None, error=InputError, **kwargs):
    with pytest.raises(error, match=match):
        (model or FakeModel()).generate(*args, **kwargs)


def test_ids_by_position_and_by_name():
    model = FakeModel()
    assert torch.equal(model.generate(IDS), model.generate(input_ids=IDS))
    assert torch.equal(model.generate(IDS), model.generate(inputs=IDS, attention_mask=None, use_cache=True))
    refused("inputs and input_ids were both passed", IDS, input_ids=IDS)


def test_padding_is_recognised_without_a_mask():
    model = FakeModel()
    wanted = model.generate(IDS, max_new_tokens=6)[:, 3:]
    for row in ([0, 4, 5, 6], [4, 5, 6, 0]):
        assert torch.equal(model.generate(torch.tensor([row]), max_new_tokens=6)[:, 4:], wanted)
    # Where padding is the end token, nobody can tell.
    same = model.generate(torch.tensor([[1, 4, 5, 6]]), max_new_tokens=6, pad_token_id=1, eos_token_id=1)
    assert model.decoders[-1].read - same.shape[1] in (-1, 0)


def test_nothing_and_empty_prompts_begin_with_the_start_token():
    model = FakeModel(bos_token_id=2)
    wanted = model.generate(torch.tensor([[2]]), max_new_tokens=6)
    assert torch.equal(model.generate(max_new_tokens=6), wanted)
    assert torch.equal(model.generate(torch.zeros(1, 0, dtype=torch.long), max_new_tokens=6), wanted[:, 1:])
    batch = {"input_ids": torch.tensor([[0, 0], [4, 5]]), "attention_mask": torch.tensor([[0, 0], [1, 1]])}
    written = model.generate(**batch, max_new_tokens=6)[0, 2:]
    assert written.tolist()[: wanted.shape[1] - 1] == wanted[0, 1:].tolist()
    refused("no prompt was passed, and bos_token_id is not set")
    refused("prompt 0 is empty, and bos_token_id is not set", torch.zeros(1, 0, dtype=torch.long))
    refused("prompt 0 is empty", **batch)


def test_shapes_and_types():
    refused(r"input_ids has the shape \(3,\)", torch.tensor([4, 5, 6]))
    refused(r"input_ids is a list, expected a tensor", [[4, 5]])
    refused(r"dtype torch.float32", torch.zeros(1, 2))
    refused(r"the mask of input_ids has the shape \(1, 2\), expected \(1, 3\)", IDS, attention_mask=torch.ones(1, 2))


def test_unknown_names_have_nearest_names():
    refused(r"does not know max_new_token \(did you mean max_new_tokens", IDS, max_new_token=5)
    refused(r"does not know atention_mask \(did you mean attention_mask", IDS, atention_mask=5)
    refused(r"does not know wombat, zebra\.", IDS, wombat=1, zebra=2)


@pytest.mark.parametrize(
    "name", ["past_key_values", "position_ids", "token_type_ids", "custom_generate", "dola_layers"]
)
def test_words_that_are_refused_have_a_reason(name):
    refused(f"{name} cannot be used with generate\\(\\) here: ", IDS, **{name: "x"})


def test_what_no_strategy_keeps_is_refused():
    for name in ("output_attentions", "output_hidden_states"):
        refused("are not kept while writing", IDS, return_dict_in_generate=True, **{name: True})
    refused("synced_gpus=True", IDS, synced_gpus=True)
    refused("Set num_beams=1 to stream", IDS, num_beams=2, streamer=object())
    refused("continues input_ids", inputs_embeds=torch.zeros(1, 2, 4))
    FakeModel().generate(IDS, synced_gpus=False, max_new_tokens=2)


def test_settings_of_the_call_precede_those_of_the_object_and_of_the_model():
    model = FakeModel(eos_token_id=None, max_new_tokens=7)
    assert model.generate(IDS).shape == (1, 10)
    assert model.generate(IDS, GenerationConfig(max_new_tokens=5)).shape == (1, 8)
    assert model.generate(IDS, GenerationConfig(max_new_tokens=5), max_new_tokens=4).shape == (1, 7)
    assert model.generate(IDS, GenerationConfig(bos_token_id=3)).shape == (1, 10)
    assert model.generate(IDS, GenerationConfig(bos_token_id=3), use_model_defaults=False).shape == (1, 23)
    assert model.generation_config.max_new_tokens == 7


def test_idle_settings_are_one_sentence_and_nothing_else_warns():
    model = FakeModel(temperature=0.6, do_sample=True)
    with pytest.warns(UserWarning, match=r"top_p \(0.5\) does nothing without do_sample=True") as told:
        model.generate(IDS, do_sample=False, top_p=0.5, max_new_tokens=2)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.generate(IDS, do_sample=False)  # the temperature is the model's own setting
        FakeModel(pad_token_id=None).generate(IDS, num_beams=2, max_length=9, min_length=4)


def test_more_tokens_than_positions():
    model = FakeModel(longest=10, eos_token_id=None)
    assert model.generate(IDS).shape == (1, 10)
    assert model.generate(IDS, max_new_tokens=8).shape == (1, 11)  # the last token need not be read
    refused(
        r"3 tokens and 9 new ones are 12; the model has 10 positions. Set max_new_tokens to at most 8",
        IDS,
        model=model,
        max_new_tokens=9,
    )
    long = torch.full((1, 12), 4)
    refused(r"12 tokens and 1 new ones are 13; the model has 10 positions. Shorten the prompt", long, model=model)
    refused(r"a prompt of 3 tokens and 8 new ones", IDS, model=model, max_new_tokens=8, penalty_alpha=0.6, top_k=3)


def test_no_new_tokens():
    refused("max_new_tokens is 0", IDS, max_new_tokens=0)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"num_beams": 2},
        {"do_sample": True},
        {"prompt_lookup_num_tokens": 2},
        {"do_sample": True, "num_beams": 2},
        {"penalty_alpha": 0.6, "top_k": 3},
    ],
)
def test_scores_that_are_no_numbers_name_their_row_and_step(asked):
    model = FakeModel(eos_token_id=None, suppress_tokens=[0])
    good = torch.tensor([[2, 2], [3, 3]])
    model.table[3, 3, 7] = math.nan
    refused(r"scores of row 1 at step 0 .*remove_invalid_values=True", good, model=model, **asked)
    model.generate(good, remove_invalid_values=True, max_new_tokens=3, **asked)


def test_a_later_step_is_named():
    model = FakeModel(eos_token_id=None)
    first = model.generate(IDS, max_new_tokens=3)[0].tolist()
    model.table[first[-2], first[-1], 5] = math.nan
    refused(r"scores of row 0 at step 3 ", IDS, model=model, max_new_tokens=6)


def test_more_beams_than_memory(monkeypatch):
    model = FakeModel()
    model.bytes_per_token = lambda: 1000
    monkeypatch.setattr(memory, "available_bytes", lambda device: 10**9)
    model.generate(IDS, num_beams=2)
    refused(
        r"500,000 rows of up to 23 tokens need about 11.6 GB \(1,000 bytes a token, .*; 1.0 GB are free. "
        r"Reduce num_beams \(500,000\)",
        IDS,
        model=model,
        num_beams=500_000,
        error=OutOfMemoryError,
    )


def test_free_memory_is_known_here():
    assert memory.available_bytes(torch.device("cpu")) > 10**6


def test_free_memory_of_a_container(tmp_path):
    for name, text in {"memory.max": "1000", "memory.current": "700", "memory.stat": "a 1\ninactive_file 50\n"}.items():
        (tmp_path / name).write_text(text)
    assert memory._free_of_group(tmp_path) == 350
    (tmp_path / "memory.max").write_text("max")
    assert memory._free_of_group(tmp_path) is None


def test_who_can_write():
    class Writes(GenerationMixin):
        config_class = SimpleNamespace(model_type="gpt2")

    class Reads:
        config_class = SimpleNamespace(model_type="bert")

    assert who_can_generate([Reads, Writes, Writes]) == ["gpt2"]


def test_the_decoder_of_an_encoder_may_be_begun_by_the_caller():
    reference, model = tiny_pair("t5", "seq2seq-lm")
    ids = torch.tensor([[4, 5, 6, 7], [8, 9, 10, 11]])
    own = torch.tensor([[20, 21], [22, 23]])
    for beams in (1, 3):
        asked = {"max_new_tokens": 6, "num_beams": beams}
        wanted = reference.generate(input_ids=ids, decoder_input_ids=own, **asked)
        assert torch.equal(model.generate(input_ids=ids, decoder_input_ids=own, **asked), wanted)
        start = torch.cat([torch.zeros(2, 1, dtype=torch.long), own], dim=1)
        assert torch.equal(model.generate(input_ids=ids, decoder_input_ids=start, **asked), wanted)
    refused("decoder_input_ids has 1 rows for 2 inputs", model=model, input_ids=ids, decoder_input_ids=own[:1])


def test_an_encoders_output_can_be_passed():
    _, model = tiny_pair("t5", "seq2seq-lm")
    ids = torch.tensor([[4, 5, 6, 7], [8, 9, 0, 0]])
    mask = (ids != 0).long()
    wanted = model.generate(input_ids=ids, attention_mask=mask, num_beams=2)
    encoded = model.get_encoder()(input_ids=ids, attention_mask=mask)
    assert torch.equal(model.generate(encoder_outputs=encoded, attention_mask=mask, num_beams=2), wanted)


@pytest.mark.parametrize("columns", [BLOCK * LEAST_BLOCKS, 50_257, 2 * 50_257 - 31])
def test_the_largest_are_found_in_blocks(columns):
    scores = torch.randn(5, columns, generator=torch.Generator().manual_seed(0))
    scores[0, -1] = scores[1, 0] = 9.0
    scores[2, [7, 400, columns - 1]] = 8.0  # the first of equals
    scores[3, -2] = math.nan
    scores[4] = -math.inf
    values, places = likeliest(scores)
    assert places[:4].tolist() == [columns - 1, 0, 7, columns - 2] and values[3].isnan() and places[4] == 0
    values, places = largest(scores[:2], 8)
    wanted = scores[:2].topk(8, dim=1)
    assert torch.equal(values, wanted.values) and torch.equal(places, wanted.indices)
    values, places = largest(scores, 5)
    assert values[3, 0].isnan() and sorted(places[2, :3].tolist()) == [7, 400, columns - 1]
    assert len(set(places[4].tolist())) == 5
