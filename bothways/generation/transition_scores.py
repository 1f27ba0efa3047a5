"""From the scores of all tokens to those of the tokens that were chosen.

Shapes: R returned rows, S their length, T steps, N rows written side by side, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bothways.errors import InputError


def transition_scores(
    sequences: Tensor, scores: Sequence[Tensor], beam_indices: Tensor | None = None, normalize_logits: bool = False
) -> Tensor:
    """Scores of the tokens that were chosen.

    Args:
        sequences: int64 (R, S), from ``generate``; only its last T columns are read.
        scores: T tensors (N, V), from ``generate``.
        beam_indices: int (R, T or more), from beam search; without it row i was written in row i.
        normalize_logits: log-probabilities instead of what ``scores`` holds.

    Returns:
        (R, T), 0 where a beam had ended.

    Raises:
        InputError: without scores.
    """
    if not scores:
        raise InputError("there are no scores: pass return_dict_in_generate=True and output_scores=True to generate().")
    if beam_indices is None:
        steps = len(scores)
        rows = torch.arange(len(scores[0]), device=sequences.device)[:, None].expand(-1, steps)
        ended = torch.zeros_like(rows, dtype=torch.bool)
    else:
        steps = int((beam_indices >= 0).sum(dim=-1).max())
        ended = beam_indices[:, :steps] < 0
        rows = beam_indices[:, :steps].long().masked_fill(ended, 0)
    tokens = sequences[:, sequences.shape[1] - steps :]
    columns = []
    for step in range(steps):
        here = scores[step].log_softmax(dim=-1) if normalize_logits else scores[step]
        columns.append(here[rows[:, step], tokens[:, step]])
    return torch.stack(columns, dim=1).masked_fill(ended, 0.0)
