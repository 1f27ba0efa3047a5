"""The rows that are being written, as processors and stopping criteria see them: each exactly as if it were alone.

Rows that a model writes have lengths of their own. They are handed on as one tensor in which a shorter row stands at
the right, so that the last token of every row is in the last column; what is left of it is of no row and is not read.

Shapes: R rows, S the longest length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from bothways.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Token ids of rows, and what is known about each. A loop makes one before every step.

    Example: ``Rows(ids=tensor([[0, 5, 6], [7, 8, 9]]), lengths=(2, 3), prompts=(0, 1))`` are the rows 5 6 and 7 8 9.
    """

    ids: Tensor
    """int64 (R, S). A view of a larger buffer will do."""
    lengths: Sequence[int]
    """Tokens of each row, at most S."""
    prompts: Sequence[int] | None = None
    """For each row the number of the prompt in the caller's batch that it continues; beams of a prompt share it."""
    prompt_lengths: Sequence[int] | None = None
    """With how many tokens each row began (for encoder-decoder models: tokens of the decoder)."""
    max_lengths: Sequence[int] | None = None
    """The length at which each row ends, prompt included."""

    def __post_init__(self) -> None:
        if self.ids.dim() != 2:
            raise InputError(f"input_ids has the shape {tuple(self.ids.shape)}, expected (rows, tokens).")
        count = len(self.ids)
        for name in ("lengths", "prompts", "prompt_lengths", "max_lengths"):
            values = getattr(self, name)
            if values is not None and len(values) != count:
                raise InputError(f"{name} has {len(values)} values for {count} rows.")

    @classmethod
    def rectangle(cls, ids: Tensor) -> Rows:
        """Rows of equal length that came without anything else: what a call ``processor(input_ids, scores)`` has."""
        return cls(ids=ids, lengths=(ids.shape[-1],) * len(ids))

    @property
    def even(self) -> bool:
        """Whether all rows are as long as the tensor."""
        return all(length == self.ids.shape[1] for length in self.lengths)

    @cached_property
    def present(self) -> Tensor:
        """bool (R, S): where tokens of the rows are."""
        width = self.ids.shape[1]
        starts = torch.tensor([width - length for length in self.lengths], device=self.ids.device)
        return torch.arange(width, device=self.ids.device) >= starts[:, None]

    def row(self, index: int) -> Tensor:
        """The tokens of one row, int64 (length,)."""
        return self.ids[index, self.ids.shape[1] - self.lengths[index] :]

    def groups(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows of equal length together: their numbers, int64 (G,), and their ids, (G, length)."""
        for length in sorted(set(self.lengths)):
            members = [index for index, other in enumerate(self.lengths) if other == length]
            chosen = torch.tensor(members, device=self.ids.device)
            yield chosen, self.ids[chosen, self.ids.shape[1] - length :]

    def prompt_of(self, count: int) -> Sequence[int]:
        """The prompt of each row among ``count``; where nobody said, the rows divide evenly, in order.

        Raises:
            InputError: more prompts than the rows divide among.
        """
        if self.prompts is not None:
            return self.prompts
        if len(self.ids) % count:
            raise InputError(f"{len(self.ids)} rows do not divide among {count} prompts.")
        return [index // (len(self.ids) // count) for index in range(len(self.ids))]

    def starts(self, given: int | None) -> Sequence[int]:
        """The length of each row's prompt: ``given`` for all, or what the loop knows.

        Raises:
            InputError: neither is there.
        """
        return self._known(given, self.prompt_lengths, "the lengths of prompts")

    def ends(self, given: int | None) -> Sequence[int]:
        """The length at which each row ends: ``given`` for all, or what the loop knows.

        Raises:
            InputError: neither is there.
        """
        return self._known(given, self.max_lengths, "the greatest lengths")

    def _known(self, given: int | None, known: Sequence[int] | None, what: str) -> Sequence[int]:
        if given is not None:
            return [given] * len(self.ids)
        if known is None:
            raise InputError(f"{what} are known only inside generate(): give this processor a number.")
        return known
