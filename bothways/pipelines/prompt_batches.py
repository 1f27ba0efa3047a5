"""Prompts in batches for ``generate``, and what it wrote for each, without padding.

Shapes: B prompts of a batch, W columns of their rectangle, n sequences for each prompt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MAX_ROWS = 64
MAX_PROMPT_TOKENS = 8192
"""Limits of a batch: rows written side by side, and tokens to read. Not measured yet: a step reads all weights for one
row as for 64; beyond that little is left to share."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a row begins with, or an encoder reads.

    Attributes:
        ids: its tokens, at least one.
        number: of the caller's input, for messages and seeds.
        counted: how many tokens ``max_length`` counts before the new ones.
    """

    ids: Sequence[int]
    number: int
    counted: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A prompt with its own limits: at least and at most so many new tokens, and where its draws come from."""

    prompt: Prompt
    most: int
    least: int
    seed: int | None

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal keys are written alike, unless draws come from a state that changes."""
        return tuple(self.prompt.ids), self.most, self.least, self.seed


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written for one prompt.

    Attributes:
        begin: with which tokens all sequences begin: the prompt, or what the decoder began with.
        new: the new tokens of each of n sequences, without padding.
        finished: for each whether it ended by itself, and not because it was as long as it may be.
        output: what ``generate`` returned, where a dictionary was asked for.
    """

    begin: list[int]
    new: list[list[int]]
    finished: list[bool]
    output: Any = None

    def sequences(self, pad: int) -> list[list[int]]:
        """Rows of equal length, as ``generate`` returns them for this prompt alone."""
        longest = max(len(row) for row in self.new)
        return [[*self.begin, *row, *[pad] * (longest - len(row))] for row in self.new]


def batches(plans: Sequence[Plan], *, most_rows: int, most_tokens: int) -> Iterator[list[int]]:
    """Numbers of plans that are written together: with equal limits, of similar length, the longest first.

    Args:
        most_rows: of a batch.
        most_tokens: that the rows of a batch may have together when they are full.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for number, plan in enumerate(plans):
        groups.setdefault((plan.most, plan.least), []).append(number)
    for (most, _), members in groups.items():
        batch: list[int] = []
        read = 0
        for number in sorted(members, key=lambda i: -len(plans[i].prompt.ids)):
            length = len(plans[number].prompt.ids)
            longest = len(plans[batch[0]].prompt.ids) if batch else length
            full = (len(batch) + 1) * (longest + most) > most_tokens
            if batch and (len(batch) == most_rows or read + length > MAX_PROMPT_TOKENS or full):
                yield batch
                batch, read = [], 0
            batch.append(number)
            read += length
        yield batch


def rectangle(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids, int64 (B, W), and where tokens are, (B, W). ``generate`` computes nothing where there are none."""
    width = max(map(len, prompts))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in prompts])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in prompts])
    return ids.to(device), mask.to(device)


def without_padding(row: Sequence[int], ends: Collection[int], filler: int) -> tuple[list[int], bool]:
    """New tokens up to the first end token, which stays, and whether there is one.

    A row without one ended at a stop text or at its greatest length; what follows it is ``filler``, no end token.
    """
    for place, token in enumerate(row):
        if token in ends:
            return list(row[: place + 1]), True
    length = len(row)
    while length and row[length - 1] == filler:
        length -= 1
    return list(row[:length]), False
