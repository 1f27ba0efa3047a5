"""What callers pass as a rectangle becomes rows without padding.

Shapes: B prompts, W columns of the rectangle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bothways.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """What is continued."""

    given: Tensor
    """int64 (B, W): the columns that come back before the new tokens."""
    rows: tuple[Tensor, ...]
    """B rows of ids without padding, at least one token each."""


def inferred_mask(ids: Tensor, pad: int | None, eos: Sequence[int]) -> Tensor | None:
    """Where tokens are, int64 (B, W), if nobody said: not at the padding token, unless that is an end token too.

    None means everywhere.
    """
    if pad is None or pad in eos or not (ids == pad).any():
        return None
    return (ids != pad).long()


def prompts_of(ids: Tensor, mask: Tensor | None, *, start: int | None, name: str) -> Prompts:
    """Rows without padding from a rectangle that may be padded on either side.

    Args:
        ids: int64 (B, W).
        mask: (B, W), not 0 where tokens are; None means everywhere.
        start: what a prompt without tokens begins with, if there is such a token.
        name: what the caller calls the ids.

    Raises:
        InputError: wrong shapes, or a prompt without tokens and no token to begin with.
    """
    check_ids(name, ids)
    if mask is not None and mask.shape != ids.shape:
        raise InputError(f"the mask of {name} has the shape {tuple(mask.shape)}, expected {tuple(ids.shape)}.")
    rows = list(ids) if mask is None else [row[kept.bool()] for row, kept in zip(ids, mask, strict=True)]
    empty = [index for index, row in enumerate(rows) if not len(row)]
    if empty and start is None:
        raise InputError(
            f"prompt {empty[0]} is empty, and bos_token_id is not set. Pass at least one token, or set bos_token_id."
        )
    for index in empty:
        rows[index] = ids.new_tensor([start])
    return Prompts(given=ids, rows=tuple(rows))


def check_ids(name: str, ids: Any) -> None:
    """Ids are whole numbers in two dimensions, at least one row.

    Raises:
        InputError: they are not.
    """
    if not isinstance(ids, Tensor):
        raise InputError(f"{name} is a {type(ids).__name__}, expected a tensor. Tokenise with return_tensors='pt'.")
    if ids.dim() != 2 or not len(ids) or ids.is_floating_point():
        raise InputError(
            f"{name} has the shape {tuple(ids.shape)} and the dtype {ids.dtype}, expected integers (prompts, tokens)."
        )


def decoder_prompts(
    ids: Tensor | None, mask: Tensor | None, *, count: int, start: Any, device: torch.device
) -> Prompts:
    """What the decoder of an encoder-decoder model begins with: the start token, and what the caller adds.

    Args:
        ids: int64 (B, W) or None. The start token is put before them unless some row has it already.
        mask: (B, W) or None.
        count: B.
        start: the start token, or one for each prompt.

    Raises:
        InputError: no start token, or of another number of prompts.
    """
    if start is None:
        raise InputError(
            "decoder_start_token_id and bos_token_id are not set: with which token does the decoder begin?"
        )
    first = torch.as_tensor(start, device=device, dtype=torch.int64).reshape(-1, 1)
    if len(first) not in (1, count):
        raise InputError(f"decoder_start_token_id has {len(first)} tokens for {count} prompts.")
    first = first.expand(count, 1)
    if ids is None:
        return Prompts(given=first.contiguous(), rows=tuple(first))
    check_ids("decoder_input_ids", ids)
    if len(ids) != count:
        raise InputError(f"decoder_input_ids has {len(ids)} rows for {count} inputs.")
    if bool((ids[:, :1] != first).all()):
        ids = torch.cat([first, ids], dim=1)
        mask = None if mask is None else torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)
    return prompts_of(ids, mask, start=None, name="decoder_input_ids")
