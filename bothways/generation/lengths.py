"""Processors that look at how long a row is: what it begins and ends with, and what it may not yet or no longer say.

Shapes: R rows, V vocab_size.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bothways.errors import InputError
from bothways.generation.arguments import checked_number, id_list
from bothways.generation.processor import RowsProcessor
from bothways.generation.rows import Rows


class MinLengthLogitsProcessor(RowsProcessor):
    """No end before a row has ``min_length`` tokens, prompt included."""

    def __init__(self, min_length: int, eos_token_id: int | Sequence[int] | Tensor, device: Any = "cpu") -> None:
        self.min_length = checked_number("min_length", min_length, least=0, whole=True)
        self.eos_token_id = _ids("eos_token_id", eos_token_id, device)

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        return _without(scores, self.eos_token_id, [length < self.min_length for length in rows.lengths])


class MinNewTokensLengthLogitsProcessor(RowsProcessor):
    """No end before a row has ``min_new_tokens`` tokens after its prompt.

    Args:
        prompt_length_to_skip: tokens of the prompts; None takes those of each row, which the loop knows.
        min_new_tokens: how many tokens are written at least.
        eos_token_id: the tokens that end a row.
        device: where scores will be.
    """

    def __init__(
        self,
        prompt_length_to_skip: int | None,
        min_new_tokens: int,
        eos_token_id: int | Sequence[int] | Tensor,
        device: Any = "cpu",
    ) -> None:
        if prompt_length_to_skip is not None:
            checked_number("prompt_length_to_skip", prompt_length_to_skip, least=0, whole=True)
        self.prompt_length_to_skip = prompt_length_to_skip
        self.min_new_tokens = checked_number("min_new_tokens", min_new_tokens, least=0, whole=True)
        self.eos_token_id = _ids("eos_token_id", eos_token_id, device)

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        starts = rows.starts(self.prompt_length_to_skip)
        early = [length - start < self.min_new_tokens for length, start in zip(rows.lengths, starts, strict=True)]
        return _without(scores, self.eos_token_id, early)


class ForcedBOSTokenLogitsProcessor(RowsProcessor):
    """The second token of a row is this one: what follows the start token of an encoder-decoder model."""

    def __init__(self, bos_token_id: int) -> None:
        self.bos_token_id = checked_number("forced_bos_token_id", bos_token_id, least=0, whole=True)

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        return _only(scores, [self.bos_token_id], [length == 1 for length in rows.lengths])


class ForcedEOSTokenLogitsProcessor(RowsProcessor):
    """The last token before the greatest length is one of these.

    Args:
        max_length: the greatest length, prompt included; None takes that of each row, which the loop knows.
        eos_token_id: the tokens that may stand there.
        device: where scores will be.
    """

    def __init__(self, max_length: int | None, eos_token_id: int | Sequence[int] | Tensor, device: Any = "cpu") -> None:
        self.max_length = max_length
        self.eos_token_id = _ids("forced_eos_token_id", eos_token_id, device)

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        ends = rows.ends(self.max_length)
        last = [length == end - 1 for length, end in zip(rows.lengths, ends, strict=True)]
        return _only(scores, self.eos_token_id.tolist(), last)


class ExponentialDecayLengthPenalty(RowsProcessor):
    """Raises the score of the end by ``|score| * (factor ** n - 1)``, n tokens after a row was to end.

    Args:
        exponential_decay_length_penalty: after how many written tokens this begins, and the factor.
        eos_token_id: the tokens that end a row.
        input_ids_seq_length: tokens of the prompts; None takes those of each row, which the loop knows.
    """

    def __init__(
        self,
        exponential_decay_length_penalty: tuple[int, float],
        eos_token_id: int | Sequence[int] | Tensor,
        input_ids_seq_length: int | None,
    ) -> None:
        name = "exponential_decay_length_penalty"
        if (
            not isinstance(exponential_decay_length_penalty, (tuple, list))
            or len(exponential_decay_length_penalty) != 2
        ):
            raise InputError(f"{name} is {exponential_decay_length_penalty!r:.80}, expected (start, factor).")
        start, factor = exponential_decay_length_penalty
        self.start = checked_number(f"the start of {name}", start, least=0, whole=True)
        self.regulation_factor = float(checked_number(f"the factor of {name}", factor, above=0))
        self.input_ids_seq_length = input_ids_seq_length
        self.eos_token_id = _ids("eos_token_id", eos_token_id, "cpu")

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        starts = rows.starts(self.input_ids_seq_length)
        late = [length - start - self.start for length, start in zip(rows.lengths, starts, strict=True)]
        if max(late, default=0) <= 0:
            return scores
        most = torch.finfo(scores.dtype).max / 2  # infinite scores would make NaN of the probabilities
        growth = torch.tensor([min(self._growth(n), most) for n in late], dtype=scores.dtype, device=scores.device)
        ends = self.eos_token_id.to(scores.device)
        before = scores[:, ends]
        raised = before + (before.abs() * growth[:, None]).clamp(max=most)
        return scores.index_copy(-1, ends, torch.where(before == -math.inf, before, raised))  # -inf stays forbidden

    def _growth(self, steps: int) -> float:
        try:
            return self.regulation_factor**steps - 1 if steps > 0 else 0.0
        except OverflowError:
            return sys.float_info.max


class SuppressTokensLogitsProcessor(RowsProcessor):
    """Tokens that are never written."""

    def __init__(self, suppress_tokens: Sequence[int], device: Any = "cpu") -> None:
        self.suppress_tokens = _ids("suppress_tokens", list(suppress_tokens), device)

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        return _without(scores, self.suppress_tokens, [True] * len(scores))


class SuppressTokensAtBeginLogitsProcessor(RowsProcessor):
    """Tokens that are not written first.

    Args:
        begin_suppress_tokens: the tokens.
        begin_index: the length at which writing begins; None takes that of each row's prompt, which the loop knows.
        device: where scores will be.
        after_forced_bos: with ``begin_index=None``, whether the first token after a prompt of one token is forced, so
            that writing begins with the second.
    """

    def __init__(
        self,
        begin_suppress_tokens: Sequence[int],
        begin_index: int | None,
        device: Any = "cpu",
        *,
        after_forced_bos: bool = False,
    ) -> None:
        self.begin_suppress_tokens = _ids("begin_suppress_tokens", list(begin_suppress_tokens), device)
        self.begin_index = begin_index
        self.after_forced_bos = after_forced_bos

    def set_begin_index(self, begin_index: int) -> None:
        self.begin_index = begin_index

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        starts = rows.starts(self.begin_index)
        if self.begin_index is None and self.after_forced_bos:
            starts = [start + (start == 1) for start in starts]
        first = [length == start for length, start in zip(rows.lengths, starts, strict=True)]
        return _without(scores, self.begin_suppress_tokens, first)


def _ids(name: str, value: Any, device: Any) -> Tensor:
    return torch.tensor(id_list(name, value), dtype=torch.int64, device=device)


def _without(scores: Tensor, ids: Tensor, chosen: list[bool]) -> Tensor:
    """Scores in which these tokens are impossible in the chosen rows. Ids beyond the vocabulary say nothing."""
    if not any(chosen):
        return scores
    inside = ids[ids < scores.shape[-1]].to(scores.device)
    if all(chosen):
        return scores.index_fill(-1, inside, -math.inf)
    mask = torch.zeros_like(scores, dtype=torch.bool)
    mask[:, inside] = torch.tensor(chosen, device=scores.device)[:, None]
    return scores.masked_fill(mask, -math.inf)


def _only(scores: Tensor, ids: list[int], chosen: list[bool]) -> Tensor:
    """Scores in which the chosen rows have only these tokens, all equally likely."""
    if not any(chosen):
        return scores
    beyond = [index for index in ids if index >= scores.shape[-1]]
    if beyond:
        raise InputError(f"the forced tokens {beyond} are not in the vocabulary of {scores.shape[-1]} tokens.")
    forced = torch.full_like(scores, -math.inf)
    forced[:, ids] = 0
    return torch.where(torch.tensor(chosen, device=scores.device)[:, None], forced, scores)
