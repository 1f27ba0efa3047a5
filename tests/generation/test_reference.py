"""Greedy and beam search against the reference: the same ids, scores and beams over drawn settings."""

from __future__ import annotations

import functools
import os
import random

import pytest
import torch

from tests.models.reference import tiny_pair

TASKS = {"gpt2": "causal-lm", "t5": "seq2seq-lm"}
MOST = 9
PAD = 0
BLOCKS = int(os.environ.get("BOTHWAYS_DRAWN_BLOCKS", "2"))
"""Blocks of twenty drawn settings for each model; a thorough run takes more."""


@functools.cache
def models(model_type, seed):
    """(reference, ours, tokens that the model likes to write)."""
    theirs, ours = tiny_pair(model_type, TASKS[model_type], seed=seed)
    prompts = torch.randint(4, 97, (8, 4), generator=torch.Generator().manual_seed(seed))
    written = ours.generate(prompts, max_new_tokens=MOST, eos_token_id=1, min_new_tokens=MOST)[:, -MOST:]
    return theirs, ours, sorted(set(written.flatten().tolist()) - {0, 1})


def drawn_prompts(rng, encoder_decoder):
    """Prompts of several lengths, padded at the left for decoders and at the right for encoders."""
    count, width = rng.choice([1, 2, 3]), rng.randint(2, 7)
    ids = torch.randint(4, 97, (count, width), generator=torch.Generator().manual_seed(rng.randrange(10**6)))
    mask = torch.ones_like(ids)
    for row in range(1, count):
        padding = rng.choice([0, rng.randint(0, width - 1)])
        if padding:
            place = slice(width - padding, None) if encoder_decoder else slice(None, padding)
            mask[row, place], ids[row, place] = 0, PAD
    return ids, mask


def drawn_settings(rng, liked, padded, prompt_length):
    most = rng.randint(1, MOST)
    ends = rng.sample(liked, min(rng.choice([1, 1, 2, 4]), len(liked)))
    settings = {"pad_token_id": PAD, "eos_token_id": ends if len(ends) > 1 else ends[0]}
    settings |= {"max_new_tokens": most} if rng.random() < 0.8 else {"max_length": prompt_length + most}
    if rng.random() < 0.6:
        beams = rng.randint(2, 5)
        settings |= {
            "num_beams": beams,
            "length_penalty": rng.choice([1.0, 0.0, -1.0, 2.0, 0.5]),
            "early_stopping": rng.choice([True, False, "never"]),
            "num_return_sequences": rng.randint(1, beams),
        }
    further = {
        "bad_words_ids": lambda: [[rng.choice(liked)], [rng.randrange(97), rng.choice(liked)]],
        "suppress_tokens": lambda: [rng.choice(liked)],
        "begin_suppress_tokens": lambda: [rng.choice(liked)],
        "forced_eos_token_id": lambda: 5,
        "sequence_bias": lambda: {(rng.choice(liked),): 2.0},
        "renormalize_logits": lambda: True,
        "remove_invalid_values": lambda: True,
    }
    if "max_new_tokens" in settings:
        further["min_new_tokens"] = lambda: rng.randint(1, most)
    else:
        further["min_length"] = lambda: rng.randint(1, prompt_length + most)
    if not padded:  # elsewhere the reference counts padding among the tokens of a row, or among its length
        further |= {
            "repetition_penalty": lambda: rng.choice([0.7, 1.3, 2.0]),
            "no_repeat_ngram_size": lambda: rng.choice([1, 2, 3]),
            "encoder_no_repeat_ngram_size": lambda: 2,
            "forced_bos_token_id": lambda: 9,
        }
    return settings | {name: value() for name, value in further.items() if rng.random() < 0.15}


def with_our_padding(theirs, start):
    """Where padding is token 0, the reference fills the rows of beams with the first end token."""
    sequences = theirs.sequences.clone()
    for row, length in enumerate((theirs.beam_indices >= 0).sum(dim=-1).tolist()):
        sequences[row, start + length :] = PAD
    return sequences


def assert_beams_are_equal(theirs, ours, start, model, reference):
    assert torch.equal(ours.sequences, with_our_padding(theirs, start))
    assert torch.equal(ours.beam_indices, theirs.beam_indices)
    torch.testing.assert_close(ours.sequences_scores, theirs.sequences_scores, atol=1e-5, rtol=1e-5)
    chosen = model.compute_transition_scores(ours.sequences, ours.scores, ours.beam_indices)
    wanted = reference.compute_transition_scores(theirs.sequences, theirs.scores, theirs.beam_indices)
    torch.testing.assert_close(chosen, wanted, atol=1e-5, rtol=1e-5)


def assert_rows_are_equal(theirs, ours, start, ends):
    assert torch.equal(ours.sequences, theirs.sequences)
    assert len(ours.scores) == len(theirs.scores) == len(ours.logits)
    live = torch.ones(len(ours.sequences), dtype=torch.bool)
    for step in range(len(ours.scores)):
        torch.testing.assert_close(ours.scores[step][live], theirs.scores[step][live], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.logits[step][live], theirs.logits[step][live], atol=1e-5, rtol=1e-5)
        live &= ~torch.isin(ours.sequences[:, start + step], torch.tensor(ends))


@pytest.mark.parametrize("model_type", TASKS)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_drawn_settings_write_what_the_reference_writes(model_type, block):
    ended = 0
    for number in range(20 * block, 20 * (block + 1)):
        rng = random.Random(number)
        reference, model, liked = models(model_type, number % 3)
        encoder_decoder = model.config.is_encoder_decoder
        ids, mask = drawn_prompts(rng, encoder_decoder)
        start = 1 if encoder_decoder else ids.shape[1]
        settings = drawn_settings(rng, liked, not bool(mask.all()), start)
        asked = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True, **settings}
        theirs = reference.generate(input_ids=ids, attention_mask=mask, **asked)
        ours = model.generate(input_ids=ids, attention_mask=mask, **asked)
        if "num_beams" in settings:
            assert_beams_are_equal(theirs, ours, start, model, reference)
        else:
            assert_rows_are_equal(theirs, ours, start, settings["eos_token_id"])
        ends = torch.tensor(settings["eos_token_id"])
        ended += bool(torch.isin(ours.sequences[:, start:], ends).any())
    assert ended >= 5, "rows must end by their end tokens too"


def test_the_same_torch_seed_draws_the_same_tokens():
    reference, model, liked = models("gpt2", 0)
    ids = torch.tensor([[5, 6, 7], [8, 9, 10]])
    settings = {"do_sample": True, "temperature": 0.8, "top_p": 0.9, "max_new_tokens": 10, "pad_token_id": PAD}
    for beams in (1, 3):
        for seed in range(3):
            written = []
            for one in (reference, model):
                torch.manual_seed(seed)
                written.append(one.generate(ids, attention_mask=torch.ones_like(ids), num_beams=beams, **settings))
            assert torch.equal(*written)


def test_guidance_leads_where_the_reference_leads():
    reference, model, _ = models("gpt2", 0)
    ids, avoided = torch.tensor([[5, 6, 7], [8, 9, 10]]), torch.tensor([[11, 12], [13, 14]])
    settings = {"max_new_tokens": 8, "pad_token_id": PAD, "eos_token_id": None, "guidance_scale": 2.0}
    for more in ({}, {"negative_prompt_ids": avoided}):
        wanted = reference.generate(ids, attention_mask=torch.ones_like(ids), **settings, **more)
        assert torch.equal(model.generate(ids, **settings, **more), wanted)
    # Padding of what is avoided is not read: the reference would move the positions by it.
    padded = {"negative_prompt_ids": avoided, "negative_prompt_attention_mask": torch.tensor([[0, 1], [1, 1]])}
    alone = model.generate(ids[:1], negative_prompt_ids=avoided[:1, 1:], **settings)
    assert torch.equal(model.generate(ids, **settings, **padded)[:1], alone)


@pytest.mark.parametrize("seed", range(20))
def test_beams_with_hardly_a_choice(seed):
    """Fewer allowed tokens than beams: rows that should never be chosen are, in the reference's order."""
    reference, model, _ = models("gpt2", 0)
    rng = random.Random(seed)
    allowed = rng.sample(range(3, 97), rng.randint(1, 4))
    beams = rng.choice([2, 3, 4])
    settings = {
        "num_beams": beams,
        "num_return_sequences": rng.randint(1, beams),
        "max_new_tokens": rng.randint(1, 6),
        "eos_token_id": rng.choice([allowed[0], 50]),
        "pad_token_id": 3,
        "length_penalty": rng.choice([1.0, 0.0, -1.0]),
        "early_stopping": rng.choice([True, False, "never"]),
        "prefix_allowed_tokens_fn": lambda prompt, row: allowed,
    }
    ids = torch.tensor([[5, 6, 7], [8, 9, 10]])
    wanted = reference.generate(ids, attention_mask=torch.ones_like(ids), **settings)
    assert torch.equal(model.generate(ids, **settings), wanted)
