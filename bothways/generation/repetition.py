"""Processors that look at the tokens before: what was said already, and what must not be said together.

Shapes: R rows, S tokens, V vocab_size, B prompts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bothways.errors import InputError
from bothways.generation.arguments import checked_number, id_list, id_list_problem
from bothways.generation.processor import RowsProcessor
from bothways.generation.rows import Rows


class RepetitionPenaltyLogitsProcessor(RowsProcessor):
    """Makes tokens that a row has already less likely: positive scores are divided by ``penalty``, others multiplied.

    Args:
        penalty: above 1 repetition becomes rarer, below 1 more frequent.
        prompt_ignore_length: how many tokens at the beginning of each row do not count.

    Source: Keskar et al. 2019, "CTRL", section 4.1.
    """

    def __init__(self, penalty: float, prompt_ignore_length: int | None = None) -> None:
        self.penalty = float(checked_number("repetition_penalty", penalty, above=0, advice="1.0 changes nothing."))
        if prompt_ignore_length is not None:
            checked_number("prompt_ignore_length", prompt_ignore_length, least=0, whole=True)
        self.prompt_ignore_length = prompt_ignore_length

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        ids, counted = rows.ids, None
        if self.prompt_ignore_length:
            places = torch.arange(ids.shape[1], device=ids.device) - _starts(rows)
            counted = places >= self.prompt_ignore_length
        elif not rows.even:
            counted = rows.present
        if counted is None:
            return _penalised(scores, ids, self.penalty)
        # A token that does not count is replaced by the row's last, which does unless none of the row's does.
        penalised = _penalised(scores, torch.where(counted, ids, ids[:, -1:]), self.penalty)
        return torch.where(counted.any(dim=-1, keepdim=True), penalised, scores)


class EncoderRepetitionPenaltyLogitsProcessor(RowsProcessor):
    """Makes tokens of the input likelier: the inverse of the repetition penalty.

    Args:
        penalty: above 1 tokens of the input become likelier, below 1 less likely.
        encoder_input_ids: the inputs, int64 (B, S), or a list of inputs of any length.
    """

    def __init__(self, penalty: float, encoder_input_ids: Tensor | Sequence[Tensor]) -> None:
        name = "encoder_repetition_penalty"
        self.penalty = 1 / float(checked_number(name, penalty, above=0, advice="1.0 changes nothing."))
        self.encoder_input_ids, present = _side_by_side(encoder_input_ids)
        self._not_empty = present.any(dim=-1, keepdim=True)

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        prompts = torch.tensor(rows.prompt_of(len(self.encoder_input_ids)))
        penalised = _penalised(scores, self.encoder_input_ids[prompts].to(scores.device), self.penalty)
        return torch.where(self._not_empty[prompts].to(scores.device), penalised, scores)


class NoRepeatNGramLogitsProcessor(RowsProcessor):
    """Forbids tokens that would repeat ``ngram_size`` tokens which a row has in a row already."""

    def __init__(self, ngram_size: int) -> None:
        advice = "In a GenerationConfig 0 forbids nothing."
        self.ngram_size = int(checked_number("no_repeat_ngram_size", ngram_size, least=1, whole=True, advice=advice))

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        ids, size = rows.ids, self.ngram_size
        if ids.shape[1] < size:
            return scores
        said = ids.unfold(1, size, 1)  # (R, S - size + 1, size)
        repeated = (said[..., :-1] == ids[:, None, ids.shape[1] - size + 1 :]).all(dim=-1)
        if not rows.even:
            repeated &= rows.present[:, : said.shape[1]]
        return _forbid(scores, repeated, said[..., -1])


class EncoderNoRepeatNGramLogitsProcessor(RowsProcessor):
    """Forbids tokens that would repeat ``encoder_ngram_size`` tokens which stand together in the input.

    Args:
        encoder_ngram_size: how many tokens together.
        encoder_input_ids: the inputs, int64 (B, S), or a list of inputs of any length.
    """

    def __init__(self, encoder_ngram_size: int, encoder_input_ids: Tensor | Sequence[Tensor]) -> None:
        size = checked_number("encoder_no_repeat_ngram_size", encoder_ngram_size, least=1, whole=True)
        ids, present = _side_by_side(encoder_input_ids)
        self.ngram_size, self.batch_size = int(size), len(ids)
        self._ids, self._present = ids, present

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        ids, size = rows.ids, self.ngram_size
        if ids.shape[1] < size - 1 or self._ids.shape[1] < size:
            return scores
        prompts = torch.tensor(rows.prompt_of(self.batch_size))
        said = self._ids[prompts].to(ids.device).unfold(1, size, 1)
        whole = self._present[prompts].to(ids.device)[:, size - 1 :]
        begun = torch.tensor([length >= size - 1 for length in rows.lengths], device=ids.device)
        repeated = (said[..., :-1] == ids[:, None, ids.shape[1] - size + 1 :]).all(dim=-1)
        return _forbid(scores, repeated & whole & begun[:, None], said[..., -1])


class SequenceBiasLogitsProcessor(RowsProcessor):
    """Adds a number to the score of a token, or of the last token of several when the others stand before it.

    Args:
        sequence_bias: token ids and the number: ``{(5, 6): -2.0}`` or ``[[[5, 6], -2.0]]``.
    """

    def __init__(self, sequence_bias: dict[tuple[int, ...], float] | list[list[Any]]) -> None:
        self.sequence_bias = _checked_bias(sequence_bias)

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        beyond = sorted({i for ids in self.sequence_bias for i in ids if i >= scores.shape[-1]})
        if beyond:
            raise InputError(f"the tokens {beyond} have a bias, but the vocabulary has {scores.shape[-1]} tokens.")
        bias = torch.zeros_like(scores)
        for size in sorted({len(ids) for ids in self.sequence_bias}):
            # As in the reference, a row shorter than the whole sequence does not match it.
            enough = torch.tensor([length >= size or size == 1 for length in rows.lengths], device=scores.device)
            if size > 1 and rows.ids.shape[1] < size:
                continue
            entries = [(ids, value) for ids, value in self.sequence_bias.items() if len(ids) == size]
            before = torch.tensor([ids[:-1] for ids, _ in entries], dtype=torch.int64, device=scores.device)
            last = torch.tensor([ids[-1] for ids, _ in entries], device=scores.device)
            values = torch.tensor([value for _, value in entries], dtype=scores.dtype, device=scores.device)
            match = (rows.ids[:, None, rows.ids.shape[1] - size + 1 :] == before).all(dim=-1) & enough[:, None]
            bias.index_add_(-1, last, torch.where(match, values, 0.0))
        return scores + bias


class NoBadWordsLogitsProcessor(SequenceBiasLogitsProcessor):
    """Forbids sequences of tokens: the last one where the others stand before it.

    Args:
        bad_words_ids: a list of token ids for each word.
        eos_token_id: tokens that end a row; alone they are not words, and are left out.
    """

    def __init__(
        self, bad_words_ids: list[list[int]], eos_token_id: int | Sequence[int] | Tensor | None = None
    ) -> None:
        if not isinstance(bad_words_ids, (list, tuple)) or not bad_words_ids:
            raise InputError(
                f"bad_words_ids is {bad_words_ids!r:.80}, expected a non-empty list of lists of token ids."
            )
        for word in bad_words_ids:
            problem = id_list_problem("a word of bad_words_ids", word)
            if problem:
                raise InputError(problem)
        self.bad_word_ids = bad_words_ids
        ends = [] if eos_token_id is None else id_list("eos_token_id", eos_token_id)
        words = [tuple(word) for word in bad_words_ids if list(word) not in [[end] for end in ends]]
        self.sequence_bias = dict.fromkeys(words, -math.inf)


def _penalised(scores: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Scores whose entries at ``ids``, (R, any), are divided by ``penalty`` if positive and multiplied if negative."""
    before = scores.gather(1, ids)
    return scores.scatter(1, ids, torch.where(before < 0, before * penalty, before / penalty))


def _forbid(scores: Tensor, where: Tensor, tokens: Tensor) -> Tensor:
    """Scores with -inf at ``tokens``, (R, N), where ``where``, bool (R, N), says so."""
    rows, places = where.nonzero(as_tuple=True)
    return scores.index_put((rows, tokens[rows, places]), scores.new_tensor(-math.inf))


def _starts(rows: Rows) -> Tensor:
    """The column in which each row begins, int64 (R, 1)."""
    width = rows.ids.shape[1]
    return torch.tensor([width - length for length in rows.lengths], device=rows.ids.device)[:, None]


def _side_by_side(inputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Inputs as a rectangle, int64 (B, S), short ones filled with their last token, and where each is, bool (B, S)."""
    if isinstance(inputs, Tensor):
        ids = inputs[None] if inputs.dim() == 1 else inputs
        return ids, torch.ones_like(ids, dtype=torch.bool)
    width = max(1, *(len(row) for row in inputs))
    filled = [row if len(row) else row.new_zeros(1) for row in inputs]
    ids = torch.stack([torch.cat([row, row[-1:].expand(width - len(row))]) for row in filled])
    lengths = torch.tensor([len(row) for row in inputs], device=ids.device)
    return ids, torch.arange(width, device=ids.device) < lengths[:, None]


def _checked_bias(given: Any) -> dict[tuple[int, ...], float]:
    """The entries of ``sequence_bias``, both forms as a dictionary."""
    expected = "{(5, 6): -2.0} or [[[5, 6], -2.0]]: lists of token ids, each with a number"
    if not isinstance(given, (dict, list, tuple)) or not given:
        raise InputError(f"sequence_bias is {given!r:.80}, expected {expected}.")
    entries = list(given.items()) if isinstance(given, dict) else list(given)
    result: dict[tuple[int, ...], float] = {}
    for entry in entries:
        if not isinstance(entry, (list, tuple)) or len(entry) != 2:
            raise InputError(f"an entry of sequence_bias is {entry!r:.80}, expected {expected}.")
        problem = id_list_problem("a sequence of sequence_bias", entry[0])
        if problem:
            raise InputError(problem)
        checked_number(f"the bias of {list(entry[0])}", entry[1])
        result[tuple(int(i) for i in entry[0])] = float(entry[1])
    return result
