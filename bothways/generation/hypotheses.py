"""The best finished rows of a prompt, as group beams and constrained beams keep them.

Source: the ecosystem's version 4.49, whose arithmetic (in double precision) and whose order among equals this follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bothways.generation.request import Request, Result

Trail = tuple[Any, int] | None
"""Which rows the tokens of a row continued: the trail before the last token, and the row of the last one."""


@dataclass(frozen=True)
class Hypothesis:
    """A finished row."""

    score: float
    """Sum of log-probabilities over length to the power of ``length_penalty``."""
    ids: Tensor
    """int64 (new tokens,), without the end token."""
    trail: Trail


class Hypotheses:
    """At most so many finished rows, the best ones."""

    def __init__(self, most: int, request: Request) -> None:
        self.most, self.request = most, request
        self.rows: list[Hypothesis] = []
        self.worst = 1e9

    def add(self, ids: Tensor, total: float, trail: Trail, length: int) -> None:
        """Keep a finished row if it is better than the worst or there is room.

        Args:
            ids: int64 (new tokens,).
            total: the sum of its log-probabilities. length: over how many tokens.
            trail: of these tokens.
        """
        score = total / (length**self.request.config.length_penalty)
        if len(self.rows) < self.most or score > self.worst:
            self.rows.append(Hypothesis(score, ids.clone(), trail))
            if len(self.rows) > self.most:
                order = sorted((row.score, index) for index, row in enumerate(self.rows))
                del self.rows[order[0][1]]
                self.worst = order[1][0]
            else:
                self.worst = min(score, self.worst)

    def complete(self, best_total: float, length: int) -> bool:
        """Whether nothing better can come.

        Args:
            best_total: the highest sum of log-probabilities among the candidates of ``length`` new tokens.
        """
        config = self.request.config
        if len(self.rows) < self.most:
            return False
        if config.early_stopping is True:
            return True
        if config.early_stopping == "never" and config.length_penalty > 0.0:
            length = self.request.most
        return self.worst >= best_total / length**config.length_penalty


def best_rows(request: Request, found: Sequence[Sequence[Hypothesis]]) -> Result:
    """The best ``num_return_sequences`` of each prompt as a result, ended by the end token where it has room."""
    returned = request.config.num_return_sequences or 1
    chosen = []
    for rows in found:
        ordered = sorted(rows, key=lambda row: row.score)
        chosen += [ordered.pop() for _ in range(returned)]
    width = min(max(len(row.ids) for row in chosen) + 1, request.most)
    ids = torch.full((len(chosen), width), request.pad, dtype=torch.int64, device=request.device)
    trails = torch.full((len(chosen), width), -1, dtype=torch.int32, device=request.device)
    for index, row in enumerate(chosen):
        ids[index, : len(row.ids)] = row.ids
        if len(row.ids) < width and request.eos:
            ids[index, len(row.ids)] = request.eos[0]
        trail = _unrolled(row.trail)
        trails[index, : len(trail)] = torch.tensor(trail, dtype=torch.int32)
    scores = torch.tensor([row.score for row in chosen], device=request.device)
    return Result(ids=ids, sequences_scores=scores, beam_indices=trails)


def _unrolled(trail: Trail) -> list[int]:
    rows: list[int] = []
    while trail is not None:
        trail, row = trail
        rows.append(row)
    return rows[::-1]
