"""The ids of the rows that a loop writes, in tensors made once.

Shapes: R live rows, N all rows, P the longest prompt, M most new tokens, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor

from bothways.generation.rows import Rows


class Written:
    """Prompts and what follows them, of the live rows.

    Prompts of several lengths stand at the right of the first P columns, so that all rows grow in the same column.

    Attributes:
        ids: int64 (R, P + M).
        prompts: for each live row the number of its prompt.
        step: tokens written after the prompts.
    """

    def __init__(self, prompts: Sequence[Tensor], most: int) -> None:
        self.width = max(len(prompt) for prompt in prompts)
        self.most = most
        self.ids = prompts[0].new_zeros(len(prompts), self.width + most)
        for row, prompt in enumerate(prompts):
            self.ids[row, self.width - len(prompt) : self.width] = prompt
        self.prompts = list(range(len(prompts)))
        self.prompt_lengths = [len(prompt) for prompt in prompts]
        self.step = 0

    def append(self, tokens: Tensor) -> None:
        """One more token of every live row, int64 (R,)."""
        self.ids[:, self.width + self.step] = tokens
        self.step += 1

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, int64 (R',); a row may be left out or come twice."""
        self.ids = self.ids[rows]
        chosen = rows.tolist()
        self.prompts = [self.prompts[row] for row in chosen]
        self.prompt_lengths = [self.prompt_lengths[row] for row in chosen]

    def only(self, rows: Tensor) -> Written:
        """A copy with these rows, int64 (C,), while this one stays as it is."""
        other = copy(self)
        other.select(rows)
        return other

    @property
    def new(self) -> Tensor:
        """int64 (R, step): what follows the prompts."""
        return self.ids[:, self.width : self.width + self.step]

    def rows(self) -> Rows:
        """The live rows as processors and stopping criteria see them; no copy."""
        return Rows(
            ids=self.ids[:, : self.width + self.step],
            lengths=[length + self.step for length in self.prompt_lengths],
            prompts=self.prompts,
            prompt_lengths=self.prompt_lengths,
            max_lengths=[length + self.most for length in self.prompt_lengths],
        )


class Answers:
    """New tokens of all rows, also of those that have ended, and the way to the streamer.

    Attributes:
        ids: int64 (N, M), padding where nothing is written.
        live: int64 (R,), the rows that are being written; None while all are.
    """

    def __init__(self, rows: int, most: int, *, pad: int, device: torch.device, streamer: Any = None) -> None:
        self.ids = torch.full((rows, most), pad, dtype=torch.int64, device=device)
        self.live: Tensor | None = None
        self.streamer = streamer

    def put(self, step: int, tokens: Tensor) -> None:
        """Tokens of the live rows, int64 (R,), at this step."""
        if self.live is None:
            self.ids[:, step] = tokens
        else:
            self.ids[self.live, step] = tokens
        if self.streamer is not None:
            self.streamer.put(self.ids[:, step].cpu())

    def keep(self, rows: Tensor) -> None:
        """Go on with these of the live rows."""
        self.live = rows if self.live is None else self.live[rows]

    def numbers(self) -> list[int]:
        """Which rows are live."""
        return list(range(len(self.ids))) if self.live is None else self.live.tolist()


class Record:
    """Scores of all rows, step after step, if anybody asked for them.

    Attributes:
        steps: one tensor a step, (N, V); None where nobody asked. Rows that have ended go on with padding for certain.
    """

    def __init__(self, rows: int, *, pad: int, wanted: bool) -> None:
        self.rows, self.pad = rows, pad
        self.steps: tuple[Tensor, ...] | None = () if wanted else None

    def add(self, scores: Tensor, live: Tensor | None) -> None:
        """Scores of the live rows, (R, V), which stand at ``live`` among all; None means all of them, in order."""
        if self.steps is None:
            return
        if live is None:
            full = scores.clone()
        else:
            full = scores.new_full((self.rows, scores.shape[1]), float("-inf"))
            full[:, self.pad : self.pad + 1] = 0.0
            full[live] = scores
        self.steps += (full,)
