"""Causal language modelling: each token is asked for by those before it.

Shapes: T total tokens of a packed batch.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from bothways.batching import PackedBatch
from bothways.errors import InputError
from bothways.objectives.masked_lm import IGNORED


def next_token_labels(batch: PackedBatch, *, counted: Tensor | None = None) -> PackedBatch:
    """Ask for every token.

    Labels are not shifted: models do that within each sequence (``models/causal_models.py``), so that nothing is asked
    at the last token of one, and its first token is never asked for. Nothing is random. Source: Radford et al. 2018,
    section 3.1.

    Args:
        batch: its labels are not looked at.
        counted: bool (T,), False for tokens that are not asked for, such as a prompt.

    Returns:
        The batch with ``labels`` int64 (T,).

    Raises:
        InputError: another number of tokens.
    """
    if counted is None:
        return replace(batch, labels=batch.input_ids.clone())
    if counted.shape != batch.input_ids.shape:
        raise InputError(f"counted has shape {tuple(counted.shape)}, expected ({batch.total_tokens},): one a token.")
    return replace(batch, labels=batch.input_ids.masked_fill(~counted, IGNORED))


__all__ = ["next_token_labels"]
