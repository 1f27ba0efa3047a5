"""Greedy search and sampling: one token a step for every row, and rows that have ended cost nothing more.

Shapes: B prompts, N rows (prompts times sequences), R live rows, V vocab_size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bothways.generation.decoder import Decoder
from bothways.generation.largest import likeliest
from bothways.generation.request import Request, Result, check_scores
from bothways.generation.sampling import Sampler
from bothways.generation.written import Answers, Record, Written


def write_rows(request: Request) -> Result:
    """Continue each prompt ``num_return_sequences`` times with the likeliest or a drawn token at every step."""
    copies = request.config.num_return_sequences or 1
    count = len(request.prompts) * copies
    decoder, written = request.start(), Written(request.prompts, request.most)
    scores = request.read(decoder)
    if copies > 1:
        repeated = torch.arange(len(request.prompts), device=request.device).repeat_interleave(copies)
        decoder.select(repeated)
        written.select(repeated)
        scores = scores[repeated]
    answers = Answers(count, request.most, pad=request.pad, device=request.device, streamer=request.streamer)
    kept = Record(count, pad=request.pad, wanted=request.keep_scores)
    logits = Record(count, pad=request.pad, wanted=request.keep_logits)
    choose = Sampler.of(request, copies) if request.config.do_sample else None

    for step in range(request.most):
        logits.add(scores, answers.live)
        scores = request.process(written, scores)
        kept.add(scores, answers.live)
        tokens = choose(scores, step, answers.numbers()) if choose else greedy(scores, step, answers)
        answers.put(step, tokens)
        written.append(tokens)
        if written.step == request.most:
            break
        ended = request.ended(written, tokens, kept.steps)
        if ended.any():
            if ended.all():
                break
            tokens = _go_on(~ended, tokens, decoder, written, answers)
        scores = decoder.advance(tokens, [1] * len(tokens))
    if request.streamer is not None:
        request.streamer.end()
    return Result(ids=answers.ids[:, : written.step], scores=kept.steps, logits=logits.steps)


def greedy(scores: Tensor, step: int, answers: Answers) -> Tensor:
    """The likeliest token of each row, int64 (R,)."""
    best, tokens = likeliest(scores)
    check_scores(best, answers.numbers(), step)
    return tokens


def _go_on(live: Tensor, tokens: Tensor, decoder: Decoder, written: Written, answers: Answers) -> Tensor:
    """Drop the rows that have ended; the tokens of the others, int64 (R',)."""
    rows = live.nonzero().flatten()
    decoder.select(rows)
    written.select(rows)
    answers.keep(rows)
    return tokens[rows]
