"""Draws: of the right distribution, repeatable, and of a row's own."""

from __future__ import annotations

import math

import pytest
import torch

from bothways.generation.sampling import Sampler, draw_without_return, invert, mix, uniform
from tests.generation.fake_model import FakeModel

CHANCES = torch.tensor([0.0, 0.4, 0.3, 0.15, 0.1, 0.05])
CRITICAL = {4: 18.47}
"""The chi-square value of so many degrees of freedom that one in a thousand right samplers passes."""


def chi_square(tokens):
    counts = torch.bincount(tokens, minlength=len(CHANCES)).double()
    assert counts[0] == 0, "an impossible token was drawn"
    wanted = CHANCES[1:].double() * len(tokens)
    return float(((counts[1:] - wanted) ** 2 / wanted).sum())


def test_draws_of_many_seeds_have_the_distribution():
    count = 20_000
    tokens = Sampler(list(range(count)))(CHANCES.log().expand(count, -1), 0, range(count))
    assert chi_square(tokens) < CRITICAL[4]


def test_draws_of_many_steps_have_the_distribution():
    sampler = Sampler([7])
    tokens = torch.cat([sampler(CHANCES.log()[None], step, [0]) for step in range(3_000)])
    assert chi_square(tokens) < CRITICAL[4]


def test_draws_from_torchs_state_have_the_distribution():
    torch.manual_seed(0)
    assert chi_square(Sampler(None)(CHANCES.log().expand(20_000, -1), 0, range(20_000))) < CRITICAL[4]


def test_steps_do_not_follow_from_each_other():
    pairs = torch.tensor([[uniform(seed, step) < 0.5 for step in (0, 1)] for seed in range(4_000)]).long()
    counts = torch.bincount(pairs[:, 0] * 2 + pairs[:, 1], minlength=4).double()
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 16.27  # 3 degrees of freedom


def test_a_place_falls_where_the_docstring_says():
    chances = torch.tensor([[0.0, 0.3, 0.7]] * 4)
    places = torch.tensor([[0.0], [0.25], [0.35], [1 - 2**-52]], dtype=torch.float64)
    assert invert(chances, places).tolist() == [1, 1, 2, 2]


def test_mixed_numbers_are_64_bits_and_differ():
    numbers = {mix(seed, counter) for seed in range(100) for counter in range(100)}
    assert len(numbers) == 10_000
    assert all(0 <= number < 2**64 for number in numbers)


@pytest.mark.parametrize("seeds", [None, list(range(4_000))])
def test_draws_without_return_are_those_of_successive_draws(seeds):
    torch.manual_seed(0)
    pairs = draw_without_return(CHANCES.log().expand(4_000, -1), 2, seeds, 3)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert chi_square(pairs[:, 0]) < CRITICAL[4]
    after_first = pairs[pairs[:, 0] == 1, 1]  # 0.3 of the 0.6 that are left
    share, error = float((after_first == 2).double().mean()), math.sqrt(0.25 / len(after_first))
    assert abs(share - 0.5) < 4 * error


def test_a_number_for_all_and_numbers_for_each_prompt():
    model, asked = FakeModel(eos_token_id=None), {"do_sample": True, "max_new_tokens": 12}
    ids = torch.tensor([[4, 5], [6, 7], [4, 5]])
    same = model.generate(ids, seed=3, **asked)
    assert torch.equal(same[0], same[2])
    each = model.generate(ids, seed=[3, 8, 9], **asked)
    assert torch.equal(each[0], same[0]) and not torch.equal(each[2], same[0])
    swapped = model.generate(ids[[1, 0]], seed=[8, 3], **asked)
    assert torch.equal(swapped, each[[1, 0]])
    with pytest.raises(ValueError, match="2 numbers for 3 prompts"):
        model.generate(ids, seed=[3, 8], **asked)


def test_sequences_of_a_prompt_differ():
    out = FakeModel(eos_token_id=None).generate(
        torch.tensor([[4, 5]]), do_sample=True, seed=3, num_return_sequences=4, max_new_tokens=12
    )
    assert len({tuple(row) for row in out.tolist()}) == 4


def test_torchs_seed_repeats_draws():
    written = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        written.append(FakeModel(eos_token_id=None).generate(torch.tensor([[4, 5]]), do_sample=True).tolist())
    assert written[0] == written[1] != written[2]


def test_a_seeded_draw_leaves_torchs_state_alone():
    torch.manual_seed(1)
    wanted = torch.rand(1)
    for beams in (1, 3):
        torch.manual_seed(1)
        FakeModel().generate(torch.tensor([[4, 5]]), do_sample=True, num_beams=beams, seed=4)
        assert torch.equal(torch.rand(1), wanted)


def test_what_cannot_be_drawn_from_is_refused():
    scores = torch.zeros(2, 5)
    scores[1] = -math.inf
    with pytest.raises(ValueError, match="row 9 at step 4 forbid every token"):
        Sampler(None)(scores, 4, [8, 9])
    scores[0, 2] = math.nan
    with pytest.raises(ValueError, match="row 8 at step 4 are not all finite.*remove_invalid_values"):
        Sampler(None)(scores, 4, [8, 9])
