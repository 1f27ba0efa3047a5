"""Guesses change the number of steps and nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.generation.guessers import PromptLookup, _Text
from tests.generation.fake_model import FakeModel
from tests.generation.test_loops import padded
from tests.models.reference import tiny_pair

rows = st.lists(st.lists(st.integers(2, 12), min_size=1, max_size=5), min_size=1, max_size=3)
drawn = st.sampled_from(
    [
        {},
        {"repetition_penalty": 1.4},
        {"min_new_tokens": 1},
        {"do_sample": True, "seed": 4},
        {"do_sample": True, "seed": 4, "top_k": 3},
        {"eos_token_id": [1, 5, 7]},
    ]
)


@settings(max_examples=30, deadline=None)
@given(rows=rows, asked=drawn, seed=st.integers(0, 5), most=st.integers(1, 15), guesses=st.integers(1, 6))
def test_guesses_do_not_change_what_is_written(rows, asked, seed, most, guesses):
    model, batch = FakeModel(seed=seed, scale=2.0), padded(rows, right=False)
    wanted = model.generate(**batch, max_new_tokens=most, **asked)
    looked_up = model.generate(**batch, max_new_tokens=most, prompt_lookup_num_tokens=guesses, **asked)
    assert torch.equal(looked_up, wanted)
    for other in (seed, seed + 1):
        assistant = FakeModel(seed=other, scale=2.0, num_assistant_tokens=guesses, assistant_confidence_threshold=0.3)
        assisted = model.generate(**batch, max_new_tokens=most, assistant_model=assistant, **asked)
        assert torch.equal(assisted, wanted)


def test_right_guesses_save_steps():
    model = FakeModel(eos_token_id=None)
    model.generate(torch.tensor([[4, 5]]), max_new_tokens=40)
    steps = model.decoders[-1].calls
    model.generate(torch.tensor([[4, 5]]), max_new_tokens=40, assistant_model=FakeModel(num_assistant_tokens=7))
    assert model.decoders[-1].calls < steps / 3
    model.table[:] = 0.0
    model.table[:, range(13), [(token - 1) % 11 + 2 for token in range(13)]] = 5.0  # goes round and round
    model.generate(torch.tensor([list(range(2, 13))]), max_new_tokens=40, prompt_lookup_num_tokens=10)
    assert model.decoders[-1].calls < 40 / 3


@pytest.mark.parametrize("model_type, task", [("gpt2", "causal-lm"), ("t5", "seq2seq-lm")])
def test_real_models_read_guesses_as_they_read_tokens(model_type, task):
    _, model = tiny_pair(model_type, task)
    _, assistant = tiny_pair(model_type, task, seed=1)
    batch = padded([[4, 5, 6, 4, 5], [7, 8]], right=task == "seq2seq-lm")
    asked = {"max_new_tokens": 20, "pad_token_id": 0, "return_dict_in_generate": True, "output_scores": True}
    wanted = model.generate(**batch, **asked)
    for guesser in ({"prompt_lookup_num_tokens": 5}, {"assistant_model": assistant}, {"assistant_model": model}):
        out = model.generate(**batch, **asked, **guesser)
        assert torch.equal(out.sequences, wanted.sequences)
        for ours, theirs in zip(out.scores, wanted.scores, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_the_text_is_followed_where_it_stood_before():
    text = _Text(ngram=2, most=5)
    text.extend([5, 6, 7, 8, 5, 6])
    assert text.following(5) == [7, 8, 5, 6, 7]
    text.extend([9])
    assert text.following(3) == []
    text.extend([6])  # "9 6" is new, "6" was followed by 9
    assert text.following(1) == [9]


def test_an_encoders_text_is_looked_in_too():
    class Row:
        number, guesses, matched = 0, [], 0

        def __init__(self, ids):
            self.ids = ids

        def room(self):
            return 10

    guesser, row = PromptLookup(3, 2, [[8, 9, 10, 11]]), Row([0])
    guesser.guess([row])
    assert row.guesses == []
    row.ids = [0, 9]
    guesser.guess([row])
    assert row.guesses == [10, 11, 0]


def test_an_assistant_must_fit():
    with pytest.raises(ValueError, match="13 tokens, the assistant is a decoder with 9"):
        FakeModel().generate(torch.tensor([[4]]), assistant_model=FakeModel(vocab_size=9))
    with pytest.raises(ValueError, match="num_return_sequences is 2, expected 1"):
        FakeModel().generate(torch.tensor([[4]]), assistant_model=FakeModel(), do_sample=True, num_return_sequences=2)
