"""Every strategy on a model without layers: a batch gives what its prompts give alone, and no work is done twice."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.generation.processor import LogitsProcessor
from bothways.generation.stopping import StoppingCriteria
from tests.generation.fake_model import FakeModel

STRATEGIES = {
    "greedy": {},
    "greedy, penalised": {"repetition_penalty": 1.8, "no_repeat_ngram_size": 2},
    "sampling": {"do_sample": True, "seed": 5},
    "several samples": {"do_sample": True, "seed": 5, "num_return_sequences": 3, "top_p": 0.9},
    "beams": {"num_beams": 3, "num_return_sequences": 2},
    "beams, stopping early": {"num_beams": 4, "early_stopping": True, "length_penalty": 0.0},
    "beams, never stopping": {"num_beams": 3, "early_stopping": "never", "length_penalty": 2.0},
    "beams, penalised": {"num_beams": 2, "repetition_penalty": 1.5},
    "drawn beams": {"num_beams": 3, "do_sample": True, "seed": 9},
    "groups": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.7, "num_return_sequences": 2},
    "constrained": {"num_beams": 3, "force_words_ids": [[7, 8]]},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
    "looked up": {"prompt_lookup_num_tokens": 4},
    "assisted": {"assistant_model": FakeModel(seed=4)},
    "looked up, drawn": {"prompt_lookup_num_tokens": 4, "do_sample": True, "seed": 3},
    "guided": {"guidance_scale": 1.7},
    "guided beams": {"guidance_scale": 1.7, "num_beams": 3},
    "forced": {"forced_bos_token_id": 6, "forced_eos_token_id": 1},
}

prompts = st.lists(st.lists(st.integers(2, 12), min_size=1, max_size=5), min_size=2, max_size=4)


def padded(rows, right):
    width = max(map(len, rows))
    fill = [[0] * (width - len(row)) for row in rows]
    ids = [row + pad if right else pad + row for row, pad in zip(rows, fill, strict=True)]
    mask = [[0 if token == 0 else 1 for token in row] for row in ids]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=6, deadline=None)
@given(rows=prompts, right=st.booleans(), seed=st.integers(0, 5))
def test_a_batch_gives_what_its_prompts_give_alone(name, rows, right, seed):
    model, asked = FakeModel(seed=seed, scale=1.5), {**STRATEGIES[name], "max_new_tokens": 9}
    batch = padded(rows, right)
    together = model.generate(**batch, **asked)
    width, copies = batch["input_ids"].shape[1], len(together) // len(rows)
    assert torch.equal(together[::copies, :width], batch["input_ids"])
    for number, row in enumerate(rows):
        alone = model.generate(torch.tensor([row]), **asked)[:, len(row) :]
        ours = together[number * copies : (number + 1) * copies, width:]
        assert torch.equal(ours[:, : alone.shape[1]], alone)
        assert (ours[:, alone.shape[1] :] == 0).all()


@pytest.mark.parametrize("name", ["greedy", "several samples"])
def test_rows_that_have_ended_are_not_computed(name):
    model = FakeModel(scale=1.5)
    asked = {**STRATEGIES[name], "max_new_tokens": 20}
    out = model.generate(torch.tensor([[4, 5], [6, 7], [8, 9], [3, 2]]), **asked)[:, 2:]
    read = sum(int((row != 0).sum()) - int((row == 1).any()) for row in out)
    unread = int((out[:, 19] > 1).sum()) if out.shape[1] == 20 else 0
    assert (out == 1).any(), "some rows end"
    assert model.decoders[-1].read == 4 * 2 + read - unread


def test_beams_that_cannot_get_better_are_not_computed():
    model = FakeModel(scale=1.5)
    rows = torch.tensor([[4, 5], [6, 7], [8, 9], [3, 2]])
    model.generate(rows, num_beams=3, max_new_tokens=20)
    together = model.decoders[-1].read
    alone = 0
    for row in rows:
        model.generate(row[None], num_beams=3, max_new_tokens=20)
        alone += model.decoders[-1].read
    assert together == alone


def test_prompts_are_read_once_for_all_their_copies():
    model = FakeModel()
    for asked in ({"num_beams": 4}, {"do_sample": True, "num_return_sequences": 4}):
        model.generate(torch.tensor([[4, 5, 6, 7]]), max_new_tokens=1, **asked)
        assert model.decoders[-1].read == 4


def test_beams_in_their_order_are_not_moved():
    model = FakeModel(scale=1.5)
    model.table[:] = model.table[:1, :1]  # the same scores everywhere: the best beam is the first again and again
    model.generate(torch.tensor([[4, 5]]), num_beams=2, max_new_tokens=6, eos_token_id=None)
    assert model.decoders[-1].selects < 6


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_row_is_longer_than_asked(name):
    for most in (1, 2, 7):
        out = FakeModel().generate(torch.tensor([[4, 5]]), max_new_tokens=most, eos_token_id=None, **STRATEGIES[name])
        assert out.shape[1] == 2 + most


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in ("constrained", "forced")])
def test_a_row_ends_with_its_first_end_token(name):
    out = FakeModel(scale=1.5).generate(
        torch.tensor([[4, 5], [6, 7], [8, 9]]), max_new_tokens=15, eos_token_id=[1, 6], **STRATEGIES[name]
    )
    for row in out[:, 2:].tolist():
        ends = [place for place, token in enumerate(row) if token in (1, 6)]
        assert not ends or all(token == 0 for token in row[ends[0] + 1 :])


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in ("constrained", "forced")])
def test_least_lengths_hold(name):
    out = FakeModel(scale=1.5).generate(
        torch.tensor([[4, 5], [6, 7]]), max_new_tokens=12, min_new_tokens=6, **STRATEGIES[name]
    )
    assert not (out[:, 2:8] == 1).any()


def test_lengths_count_columns_and_new_tokens_count_tokens():
    model = FakeModel(eos_token_id=None)
    batch = padded([[4, 5, 6], [7]], right=False)
    assert model.generate(**batch, max_length=8).shape == (2, 8)
    assert model.generate(**batch, max_new_tokens=8).shape == (2, 11)
    assert model.generate(**batch).shape == (2, 3 + 20)
    with pytest.raises(ValueError, match=r"3 columns, and max_length is 3"):
        model.generate(**batch, max_length=3)


class EveryLength(LogitsProcessor):
    """Somebody's own processor, which notes the shapes that it sees."""

    def __init__(self):
        self.seen = []

    def __call__(self, input_ids, scores):
        self.seen.append(tuple(input_ids.shape))
        assert (input_ids != 0).all(), "padding is nobody's token"
        return scores


def test_own_processors_see_rows_without_padding():
    own = EveryLength()
    batch = padded([[4, 5, 6], [7], [8]], right=False)
    FakeModel(eos_token_id=None, suppress_tokens=[0]).generate(**batch, max_new_tokens=2, logits_processor=[own])
    assert sorted(own.seen) == [(1, 3), (1, 4), (2, 1), (2, 2)]


class AfterTokens(StoppingCriteria):
    def __init__(self, count):
        self.count = count

    def __call__(self, input_ids, scores, **kwargs):
        return torch.full((len(input_ids),), input_ids.shape[1] >= self.count)


@pytest.mark.parametrize("asked", [{}, {"num_beams": 3}, {"prompt_lookup_num_tokens": 3}, {"do_sample": True}])
def test_own_criteria_end_rows(asked):
    batch = padded([[4, 5, 6], [7]], right=False)
    model = FakeModel(eos_token_id=None)
    out = model.generate(**batch, max_new_tokens=9, stopping_criteria=[AfterTokens(5)], **asked)
    assert out.shape == (2, 3 + 4)
    assert (out[0, 5:] == 0).all()


class Listener:
    def __init__(self):
        self.heard, self.ended = [], 0

    def put(self, value):
        self.heard.append(value.reshape(-1).tolist())

    def end(self):
        self.ended += 1


@pytest.mark.parametrize("asked", [{}, {"prompt_lookup_num_tokens": 3}, {"penalty_alpha": 0.6, "top_k": 3}])
def test_a_streamer_gets_the_prompt_and_every_token(asked):
    listener = Listener()
    out = FakeModel().generate(torch.tensor([[4, 5, 6]]), max_new_tokens=9, streamer=listener, **asked)
    assert listener.heard[0] == [4, 5, 6]
    assert [token for tokens in listener.heard for token in tokens] == out[0].tolist()
    assert listener.ended == 1


def test_a_function_of_allowed_tokens_knows_the_prompt():
    allowed = {0: [3, 4], 1: [5, 6]}
    out = FakeModel().generate(
        torch.tensor([[7, 8], [7, 8]]),
        max_new_tokens=5,
        num_beams=2,
        prefix_allowed_tokens_fn=lambda prompt, ids: allowed[prompt],
    )
    assert set(out[0, 2:].tolist()) <= {3, 4} and set(out[1, 2:].tolist()) <= {5, 6}


def test_scores_are_kept_for_rows_that_have_ended_too():
    model = FakeModel(scale=1.5)
    asked = {"max_new_tokens": 12, "return_dict_in_generate": True, "output_scores": True, "output_logits": True}
    for more in ({}, {"prompt_lookup_num_tokens": 3}):
        out = model.generate(torch.tensor([[4, 5], [6, 7], [8, 9], [2, 3]]), **asked, **more)
        assert len(out.scores) == len(out.logits) == out.sequences.shape[1] - 2
        chosen = model.compute_transition_scores(out.sequences, out.scores, normalize_logits=True)
        assert chosen.shape == (4, len(out.scores)) and (chosen <= 0).all()
        padding = out.sequences[:, 2:] == 0
        assert padding.any() and (chosen[padding] == 0).all()
        assert out["sequences"] is out.sequences is out[0]


@pytest.mark.parametrize("name", ["beams", "groups", "constrained"])
def test_scores_of_beams_are_the_sums_of_their_tokens(name):
    model = FakeModel(scale=1.5)
    asked = {"max_new_tokens": 8, "return_dict_in_generate": True, "output_scores": True, "length_penalty": 0.0}
    out = model.generate(torch.tensor([[4, 5], [6, 7]]), **STRATEGIES[name], **asked)
    chosen = model.compute_transition_scores(out.sequences, out.scores, out.beam_indices)
    torch.testing.assert_close(chosen.sum(dim=1), out.sequences_scores)
