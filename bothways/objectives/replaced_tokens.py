"""Replaced-token detection: a small model fills gaps, and a larger one says which tokens are not the original's.

Shapes: T total tokens of a packed batch, L of them labelled, V size of the vocabulary.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from bothways.batching import PackedBatch
from bothways.errors import InputError
from bothways.objectives.masked_lm import IGNORED


def replace_tokens(batch: PackedBatch, logits: Tensor, *, generator: torch.Generator) -> PackedBatch:
    """Put tokens that a generator model wrote at the places where it was asked.

    Args:
        batch: with hidden tokens, and their originals as labels; see ``mask_tokens``.
        logits: (L, V), the generator model's scores at the labelled tokens, in their order.
        generator: of the draws, one number for each labelled token.

    Returns:
        The batch as the discriminator reads it: original tokens, and at each labelled place one drawn from the softmax
        of its scores. ``labels`` int64 (T,) are 1 where the id differs from the original's and 0 elsewhere: a drawn
        token that happens to be the original counts as original.

    Raises:
        InputError: a batch without labels, another number of rows, or scores that are no numbers.

    Source: Clark et al. 2020, section 2 and 3.1.
    """
    if batch.labels is None:
        raise InputError("the batch has no labels: hide tokens first (mask_tokens), which keeps their originals there.")
    labelled = (batch.labels != IGNORED).nonzero(as_tuple=True)[0]
    if logits.ndim != 2 or len(logits) != len(labelled):
        raise InputError(
            f"logits have shape {tuple(logits.shape)}, expected ({len(labelled)}, vocabulary): a row for each labelled "
            f"token of the {batch.total_tokens}."
        )
    originals = batch.labels[labelled]
    drawn = _sampled(logits, generator)
    ids = batch.input_ids.index_copy(0, labelled, drawn)
    labels = torch.zeros_like(ids).index_copy(0, labelled, (drawn != originals).long())
    return replace(batch, input_ids=ids, labels=labels)


def _sampled(logits: Tensor, generator: torch.Generator) -> Tensor:
    """int64 (L,): a draw from the softmax of each row.

    One uniform number a row is looked up in the sums of the probabilities: ``torch.multinomial`` would draw one for
    every token of the vocabulary.
    """
    sums = logits.detach().float().softmax(-1).cumsum(-1)  # (L, V)
    total = sums[:, -1:]
    if not bool(torch.isfinite(total).all()):
        row = int((~torch.isfinite(total)).nonzero()[0, 0])
        raise InputError(
            f"the scores of labelled token {row} give no probabilities: the generator model wrote values that are no "
            "numbers. Lower the learning rate, or look for the step at which its loss became nan."
        )
    lots = torch.rand(total.shape, generator=generator, device=generator.device).to(total.device) * total
    # rounding may give the sum itself, beyond the last token of any probability
    lots = torch.minimum(lots, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(sums, lots, right=True).squeeze(-1)


__all__ = ["replace_tokens"]
