"""Draws: from torch's global state, or from a number of the row's own, so that a batch gives what its prompts give.

Shapes: R live rows, V vocab_size, I prompts with beams.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bothways.errors import InputError

if TYPE_CHECKING:
    from bothways.generation.request import Request

MASK = 2**64 - 1


class Sampler:
    """Draws one token a row."""

    def __init__(self, seeds: Sequence[int] | None) -> None:
        """``seeds``: one for each of all rows, or None for torch's global state (which ``set_seed`` sets)."""
        self.seeds = seeds

    @classmethod
    def of(cls, request: Request, copies: int) -> Sampler:
        """The sampler of a request whose prompts are continued ``copies`` times each."""
        if request.seeds is None:
            return cls(None)
        return cls([mix(seed, copy) for seed in request.seeds for copy in range(copies)])

    def __call__(self, scores: Tensor, step: int, numbers: Sequence[int]) -> Tensor:
        """Draw from the distributions with these logits.

        Args:
            scores: (R, V).
            step: new tokens before this one.
            numbers: which of all rows these are.

        Returns:
            int64 (R,).

        Raises:
            InputError: a row has NaN among its scores, or nothing but -inf.
        """
        probabilities = scores.softmax(dim=-1)
        check_distribution(scores, probabilities, numbers, step)
        if self.seeds is None:
            return torch.multinomial(probabilities, num_samples=1).squeeze(1)
        places = torch.tensor([[uniform(self.seeds[n], step)] for n in numbers], dtype=torch.float64)
        return invert(probabilities, places.to(scores.device))


def invert(probabilities: Tensor, places: Tensor) -> Tensor:
    """Where on the line of summed probabilities a place in [0, 1) falls.

    Args:
        probabilities: (R, V).
        places: fp64 (R, 1).

    Returns:
        int64 (R,), tokens of probability above 0. Equal places give the same token however many rows there are.

    Example: probabilities 0, 0.3, 0.7 with the place 0.25 give token 1, with 0.35 token 2.
    """
    # In fp64, because sums of 250,000 numbers in fp32 have errors as large as rare tokens are probable.
    line = probabilities.double().cumsum(dim=-1)
    return torch.searchsorted(line, places * line[:, -1:], right=True).squeeze(1)


def draw_without_return(scores: Tensor, count: int, seeds: Sequence[int] | None, step: int) -> Tensor:
    """Different draws from one distribution, one after another: int64 (I, count).

    Args:
        scores: (I, V), logits.
        seeds: one for each of the I rows, or None for torch's global state.
        step: new tokens before these.

    Source: Efraimidis and Spirakis 2006: the largest of probability over exponential noise; ``torch.multinomial`` does
    the same.
    """
    probabilities = scores.softmax(dim=-1)
    if seeds is None:
        return torch.multinomial(probabilities, num_samples=count)
    noise = torch.empty_like(probabilities, device="cpu")
    for row, seed in enumerate(seeds):
        noise[row].exponential_(1, generator=torch.Generator().manual_seed(mix(seed, step) >> 1))
    return (probabilities / noise.to(scores.device)).topk(count, dim=-1).indices


def mix(seed: int, counter: int) -> int:
    """A number in [0, 2^64) that looks random, from a seed and a counter.

    Source: Steele, Lea, Flood 2014, SplitMix64.
    """
    z = (seed * 0x9E3779B97F4A7C15 + (counter + 1) * 0xD1B54A32D192ED03) & MASK
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = ((z ^ (z >> shift)) * factor) & MASK
    return z ^ (z >> 31)


def uniform(seed: int, step: int) -> float:
    """A number in [0, 1) with 52 bits, so that its product with a sum stays below the sum."""
    return (mix(seed, step) >> 12) / 2**52


def check_distribution(scores: Tensor, probabilities: Tensor, numbers: Sequence[int], step: int) -> None:
    """Refuse to draw where nothing can be drawn."""
    broken = probabilities[:, 0].isnan()
    if not broken.any():
        return
    row = int(broken.nonzero()[0])
    if scores[row].isnan().any() or (scores[row] == float("inf")).any():
        what = "are not all finite. Check the weights and the dtype of the model, or pass remove_invalid_values=True"
    else:
        what = "forbid every token. Loosen the settings that forbid tokens (bad_words_ids, suppress_tokens, top_p, …)"
    raise InputError(f"the scores of row {numbers[row]} at step {step} {what}.")
