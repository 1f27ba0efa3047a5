"""Several tokens a step: guesses cost little, the model reads them together, and those are kept that it would have
written itself. Results are those of greedy search, or of sampling with the same seed.

Shapes: R live rows, T tokens read in one step, V vocab_size.

Source: Leviathan et al. 2023, Fast Inference from Transformers via Speculative Decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from bothways.generation.decoder import Decoder
from bothways.generation.largest import likeliest
from bothways.generation.request import Request, Result, check_scores
from bothways.generation.sampling import Sampler
from bothways.generation.written import Written


class Row:
    """One row that is being written.

    Attributes:
        number: which of all rows.
        ids: prompt and new tokens; the model has not read the last one.
        guesses: what may come next.
        matched: how many guesses of the last step were right.
    """

    def __init__(self, request: Request, number: int) -> None:
        self.number = number
        self.written = Written([request.prompts[number]], request.most)
        self.written.prompts = [number]
        self.ids: list[int] = request.prompts[number].tolist()
        self.guesses: list[int] = []
        self.matched = 0
        self.scores: list[Tensor] = []
        self.logits: list[Tensor] = []

    def room(self) -> int:
        """Guesses that may be right before the row has its full length."""
        return self.written.most - self.written.step - 1


class Guesser(Protocol):
    """Where guesses come from."""

    def guess(self, rows: Sequence[Row]) -> None:
        """Give each of the live rows at most ``room()`` guesses, or none."""
        ...

    def select(self, rows: Sequence[int]) -> None:
        """Only these of the live rows go on."""
        ...


def write_assisted(request: Request, guesser: Guesser) -> Result:
    """Continue each prompt as ``write_rows`` does, with fewer and larger steps."""
    decoder = request.start()
    rows = [Row(request, number) for number in range(len(request.prompts))]
    live = list(rows)
    sampler = Sampler.of(request, 1) if request.config.do_sample else None
    scores, lengths = request.read(decoder), [1] * len(rows)
    while True:
        going_on = _accept(request, live, scores, lengths, sampler)
        if not going_on:
            break
        if len(going_on) < len(live):
            live = [live[index] for index in going_on]
            decoder.select(torch.tensor(going_on, device=request.device))
            guesser.select(going_on)
        _forget_wrong_guesses(decoder, live)
        guesser.guess(live)
        lengths = [1 + len(row.guesses) for row in live]
        ids = [token for row in live for token in (row.ids[-1], *row.guesses)]
        scores = decoder.advance(torch.tensor(ids, device=request.device), lengths, every=True)
    if request.streamer is not None:
        request.streamer.end()
    return _result(request, rows)


def _accept(
    request: Request, live: Sequence[Row], scores: Tensor, lengths: Sequence[int], sampler: Sampler | None
) -> list[int]:
    """Append to each row the tokens that the model would write, as far as its guesses were right, and one more.

    Args:
        scores: (T, V), after the last token of each row and after each of its guesses.
        lengths: how many of these each row has.

    Returns:
        The places of the rows that go on.
    """
    plain = not request.processors and sampler is None
    if plain:
        best, found = likeliest(scores)
        check_scores(
            best, [row.number for row, n in zip(live, lengths, strict=True) for _ in range(n)], live[0].written.step
        )
        tokens = found.tolist()
    going_on, start = [], 0
    for place, (row, length) in enumerate(zip(live, lengths, strict=True)):
        row.matched, ended = 0, False
        for depth in range(length):
            here = scores[start + depth : start + depth + 1]
            token = tokens[start + depth] if plain else _choose(request, row, here, sampler)
            if plain and request.keep_scores:
                row.scores.append(here[0].clone())
            if request.keep_logits:
                row.logits.append(here[0].clone())
            ended = _append(request, row, token)
            if ended or depth == len(row.guesses) or token != row.guesses[depth]:
                break
            row.matched += 1
        if not ended:
            going_on.append(place)
        start += length
    return going_on


def _choose(request: Request, row: Row, scores: Tensor, sampler: Sampler | None) -> int:
    """The next token of one row whose scores (1, V) go through the processors."""
    scores = request.process(row.written, scores)
    if request.keep_scores:
        row.scores.append(scores[0].clone())
    if sampler is not None:
        return int(sampler(scores, row.written.step, [row.number]))
    best, token = likeliest(scores)
    check_scores(best, [row.number], row.written.step)
    return int(token)


def _append(request: Request, row: Row, token: int) -> bool:
    """Write one token; whether the row ends with it."""
    row.ids.append(token)
    tokens = torch.tensor([token], device=request.device)
    row.written.append(tokens)
    if request.streamer is not None:
        request.streamer.put(tokens.cpu())
    if row.written.step == request.most or token in request.eos:
        return True
    if not request.criteria:
        return False
    scores = tuple(step[None] for step in row.scores) if request.keep_scores else None
    return bool(request.criteria.apply(row.written.rows(), scores).any())


def _forget_wrong_guesses(decoder: Decoder, live: Sequence[Row]) -> None:
    lengths = [len(row.ids) - 1 for row in live]
    if list(decoder.lengths) != lengths:
        decoder.shorten(lengths)


def _result(request: Request, rows: Sequence[Row]) -> Result:
    width = max(row.written.step for row in rows)
    ids = torch.full((len(rows), width), request.pad, dtype=torch.int64, device=request.device)
    for index, row in enumerate(rows):
        ids[index, : row.written.step] = row.written.new[0]
    return Result(
        ids=ids,
        scores=_steps(request, [row.scores for row in rows], width) if request.keep_scores else None,
        logits=_steps(request, [row.logits for row in rows], width) if request.keep_logits else None,
    )


def _steps(request: Request, scores: Sequence[list[Tensor]], width: int) -> tuple[Tensor, ...]:
    """For each step the scores of all rows, (R, V); of a row that has ended, padding for certain."""
    certain = torch.full_like(scores[0][0], float("-inf"))
    certain[request.pad : request.pad + 1] = 0.0
    return tuple(torch.stack([row[step] if step < len(row) else certain for row in scores]) for step in range(width))
