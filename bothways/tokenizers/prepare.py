"""One row from ids that are there already: truncation, special tokens and padding without the engine."""

from __future__ import annotations

from typing import Any

from bothways.errors import TokenizerError
from bothways.tokenizers.batch_encoding import BatchEncoding
from bothways.tokenizers.options import Limits, check_room, pair_rooms, resolve_limits
from bothways.tokenizers.padding import pad_one


def prepare_for_model(
    tokenizer: Any,
    ids: list[int],
    pair_ids: list[int] | None = None,
    *,
    add_special_tokens: bool = True,
    padding: Any = False,
    truncation: Any = None,
    max_length: int | None = None,
    stride: int = 0,
    pad_to_multiple_of: int | None = None,
    padding_side: str | None = None,
    return_tensors: Any = None,
    return_token_type_ids: bool | None = None,
    return_attention_mask: bool | None = None,
    return_special_tokens_mask: bool = False,
    return_length: bool = False,
    prepend_batch_axis: bool = False,
    verbose: bool = True,
) -> BatchEncoding:
    """Build a row as a call would. Overflowing windows are not made here: they need the text.

    Raises:
        TokenizerError: as for a call.
    """
    limits = resolve_limits(
        padding=padding,
        truncation=truncation,
        max_length=max_length,
        stride=stride,
        pad_to_multiple_of=pad_to_multiple_of,
        padding_side=padding_side or tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        model_max_length=tokenizer.model_max_length,
    )
    n_special = tokenizer.num_special_tokens_to_add(pair=pair_ids is not None) if add_special_tokens else 0
    ids, pair_ids = _truncated(list(ids), pair_ids, limits, n_special)
    inputs = tokenizer.model_input_names
    row: dict[str, Any]
    if add_special_tokens:
        row = {"input_ids": tokenizer.build_inputs_with_special_tokens(ids, pair_ids)}
        types = tokenizer.create_token_type_ids_from_sequences(ids, pair_ids)
        special = tokenizer.get_special_tokens_mask(ids, pair_ids)
    else:
        row = {"input_ids": ids + (pair_ids or [])}
        types = [0] * len(row["input_ids"])
        special = [0] * len(row["input_ids"])
    if "token_type_ids" in inputs if return_token_type_ids is None else return_token_type_ids:
        row["token_type_ids"] = types
    if return_special_tokens_mask:
        row["special_tokens_mask"] = special
    mask = "attention_mask" in inputs if return_attention_mask is None else return_attention_mask
    row = pad_one(
        row,
        limits,
        main="input_ids",
        pad_id=tokenizer.pad_token_id,
        pad_type_id=tokenizer.pad_token_type_id,
        mask=mask,
    )
    if return_length:
        row["length"] = len(row["input_ids"])
    return BatchEncoding(row, tensor_type=return_tensors, prepend_batch_axis=prepend_batch_axis)


def _truncated(
    ids: list[int], pair_ids: list[int] | None, limits: Limits, n_special: int
) -> tuple[list[int], list[int] | None]:
    if not limits.truncates:
        return ids, pair_ids
    check_room(limits, n_special)
    first, second = pair_rooms(limits, n_special, len(ids), len(pair_ids or []))
    if first < 0 or second < 0:
        raise TokenizerError(
            f"{len(ids)} and {len(pair_ids or [])} ids cannot be shortened to max_length={limits.max_length} with "
            f"truncation={limits.truncation!r}. Use truncation=True."
        )
    left = limits.truncation_side == "left"
    ids = ids[len(ids) - first :] if left else ids[:first]
    if pair_ids is not None:
        pair_ids = pair_ids[len(pair_ids) - second :] if left else pair_ids[:second]
    return ids, pair_ids
