"""Contrastive search: likely tokens whose hidden vectors are unlike all those before them.

Shapes: R live rows, k candidates of each, P the longest prompt, S tokens so far, N hidden_size, V vocab_size.

Source: Su et al. 2022, A Contrastive Framework for Neural Text Generation, equation 5; the ecosystem's version 4.49.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bothways.generation.request import Request, Result, check_scores
from bothways.generation.written import Answers, Record, Written


def search_contrastively(request: Request) -> Result:
    """Continue each prompt with the best of ``top_k`` tokens under ``penalty_alpha``."""
    config, count = request.config, len(request.prompts)
    decoder, written = request.start(), Written(request.prompts, request.most)
    scores = request.read(decoder, every=True)
    context = _Context(written, decoder.last_hidden)
    ends = torch.tensor([len(prompt) for prompt in request.prompts], device=request.device).cumsum(0) - 1
    scores = scores[ends]
    answers = Answers(count, request.most, pad=request.pad, device=request.device, streamer=request.streamer)
    kept = Record(count, pad=request.pad, wanted=request.keep_scores)
    logits = Record(count, pad=request.pad, wanted=request.keep_logits)

    while True:
        logits.add(scores, answers.live)
        scores = request.process(written, scores)
        kept.add(scores, answers.live)
        likely, candidates = scores.softmax(dim=-1).topk(min(config.top_k, scores.shape[1]), dim=-1)
        check_scores(likely[:, 0], answers.numbers(), written.step)
        rows, width = candidates.shape
        decoder.select(torch.arange(rows, device=request.device).repeat_interleave(width))
        next_scores = decoder.advance(candidates.flatten(), [1] * candidates.numel())
        hidden = decoder.last_hidden.view(rows, width, -1)
        penalty = context.likeness(written, hidden)
        best = ((1.0 - config.penalty_alpha) * likely - config.penalty_alpha * penalty).argmax(dim=-1)
        every = torch.arange(rows, device=request.device)
        tokens = candidates[every, best]
        answers.put(written.step, tokens)
        context.append(written, hidden[every, best])
        written.append(tokens)
        ended = request.ended(written, tokens, kept.steps)
        if written.step == request.most or ended.all():
            break
        if ended.any():
            every = (~ended).nonzero().flatten()
            written.select(every)
            answers.keep(every)
            context.select(every)
        decoder.select(every * width + best[every])
        scores = next_scores[every * width + best[every]]
    if request.streamer is not None:
        request.streamer.end()
    return Result(ids=answers.ids[:, : written.step], scores=kept.steps, logits=logits.steps)


class _Context:
    """Hidden vectors of all tokens of the live rows, of length 1, in one tensor made once: (R, P + M, N)."""

    def __init__(self, written: Written, hidden: Tensor) -> None:
        """``hidden`` (T, N): of the tokens of the prompts, end to end."""
        present = written.rows().present
        self.vectors = hidden.new_zeros(*written.ids.shape, hidden.shape[1], dtype=torch.float32)
        self.vectors[:, : written.width][present] = _unit(hidden)

    def append(self, written: Written, hidden: Tensor) -> None:
        """The vectors of the tokens that come next, (R, N)."""
        self.vectors[:, written.width + written.step] = _unit(hidden)

    def select(self, rows: Tensor) -> None:
        self.vectors = self.vectors[rows]

    def likeness(self, written: Written, hidden: Tensor) -> Tensor:
        """The largest cosine of each candidate, (R, k, N), with any token before it: (R, k)."""
        present = written.rows().present
        cosines = _unit(hidden) @ self.vectors[:, : present.shape[1]].transpose(1, 2)  # (R, k, S)
        return cosines.masked_fill(~present[:, None], float("-inf")).amax(dim=-1)


def _unit(hidden: Tensor) -> Tensor:
    hidden = hidden.float()
    return hidden / hidden.norm(dim=-1, keepdim=True)
