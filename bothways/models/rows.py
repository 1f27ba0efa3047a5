"""Which tokens of a packed batch a head reads.

Shapes: B sequences, T tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bothways.batching import SeqLens
from bothways.errors import InputError
from bothways.models.inputs import ModelInputs
from bothways.nn.block import Rows


def first_rows(seqlens: SeqLens) -> Rows:
    """The first token of each sequence."""
    return _one_each(seqlens.first_tokens, seqlens)


def last_rows(inputs: ModelInputs, pad_token_id: int | None) -> Rows:
    """The last token of each sequence that is no padding; where the mask keeps padding, it is told by its id."""
    seqlens, ids = inputs.batch.seqlens, inputs.batch.input_ids
    index = seqlens.last_tokens
    if pad_token_id is not None and inputs.inputs_embeds is None:
        found = _last_where(ids != pad_token_id, seqlens)
        index = torch.where(found < 0, seqlens.first_tokens, found)
    return _one_each(index, seqlens)


def end_rows(inputs: ModelInputs, eos_token_id: int) -> Rows:
    """The last end-of-text token of each sequence.

    Raises:
        InputError: a sequence without one.
    """
    seqlens, ids = inputs.batch.seqlens, inputs.batch.input_ids
    found = _last_where(ids == eos_token_id, seqlens)
    if bool((found < 0).any()):
        raise InputError(
            f"text {int((found < 0).nonzero()[0])} has no end token ({eos_token_id}), whose vector is classified. "
            "Tokenise with special tokens, and shorten texts with truncation=True, which keeps it."
        )
    return _one_each(found, seqlens)


def _last_where(chosen: Tensor, seqlens: SeqLens) -> Tensor:
    """The last chosen token of each sequence, int64 (B,), -1 where there is none. chosen: bool (T,)."""
    numbers = torch.arange(len(chosen), device=chosen.device).masked_fill(~chosen, -1)
    rows = torch.repeat_interleave(seqlens.cu_seqlens.diff().long())
    return torch.full_like(seqlens.last_tokens, -1).scatter_reduce(0, rows, numbers, "amax")


def _one_each(index: Tensor, seqlens: SeqLens) -> Rows:
    return Rows(index, SeqLens.from_lengths([1] * seqlens.batch_size, index.device))


def chosen_rows(chosen: Tensor, seqlens: SeqLens) -> Rows:
    """The tokens where ``chosen``, bool (T,), is true."""
    counts = [int(part.sum()) for part in chosen.split(seqlens.lengths)]
    return Rows(chosen.nonzero(as_tuple=True)[0], SeqLens.from_lengths(counts, chosen.device))
