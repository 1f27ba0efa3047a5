"""Beam search in groups, each of which avoids the tokens that the groups before it have chosen at the same step.

Shapes: I live items (prompts), G groups, N beams of an item, n = N / G beams of a group, K candidates of a group.

Source: Vijayakumar et al. 2016, Diverse Beam Search; the ecosystem's version 4.49.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from bothways.generation.hypotheses import Hypotheses, Trail, best_rows
from bothways.generation.largest import largest
from bothways.generation.request import Request, Result, check_scores
from bothways.generation.written import Record, Written

NEVER = -1.0e9
"""The sum of rows that equal the first: never continued while there is another choice."""


def search_groups(request: Request) -> Result:
    """The best rows of all groups together."""
    config, count = request.config, len(request.prompts)
    beams, size = config.num_beams, config.num_beams // config.num_beam_groups
    decoder, written = request.start(), Written(request.prompts, request.most)
    scores = request.read(decoder)
    read = torch.arange(count, device=request.device).repeat_interleave(beams)
    written.select(read)
    scores = scores[read]
    items = [_Item(request, number) for number in range(count)]
    live = list(items)
    kept = Record(count * beams, pad=request.pad, wanted=request.keep_scores)
    logits = Record(count * beams, pad=request.pad, wanted=request.keep_logits)

    while True:
        at = None if len(live) == count else torch.cat([item.rows for item in live])
        logits.add(scores, at)
        scores = scores.log_softmax(dim=-1)
        processed = scores.clone()
        tokens = torch.zeros(len(live) * beams, dtype=torch.int64, device=request.device)
        parents = torch.zeros_like(tokens)
        for group in range(config.num_beam_groups):
            rows = torch.arange(len(tokens), device=request.device).view(-1, beams)
            rows = rows[:, group * size : (group + 1) * size].flatten()
            further = {"current_tokens": tokens, "beam_group_idx": group}
            processed[rows] = request.process(written.only(rows), scores[rows], **further)
            _advance_group(request, live, group, written, processed[rows], rows, tokens, parents)
        kept.add(processed, at)
        written.select(parents)
        written.append(tokens)
        ended = written.step == request.most
        stopped = request.criteria.apply(written.rows(), kept.steps) if request.criteria else torch.zeros_like(tokens)
        stopped = stopped.bool().view(-1, beams).all(dim=1) | ended
        going_on = [item for item, stop in zip(live, stopped.tolist(), strict=True) if not (stop or item.done)]
        for item, news in zip(live, written.new.view(len(live), beams, written.step), strict=True):
            if item not in going_on:
                item.close(news)
        if not going_on:
            break
        chosen = torch.cat([torch.arange(beams) + live.index(item) * beams for item in going_on]).to(request.device)
        if len(going_on) < len(live):
            written.select(chosen)
        live, tokens, read = going_on, tokens[chosen], read[parents[chosen]]
        if len(read) != len(decoder.lengths) or not torch.equal(read, torch.arange(len(read), device=read.device)):
            decoder.select(read)
        scores = decoder.advance(tokens, [1] * len(tokens))
        read = torch.arange(len(tokens), device=request.device)
    result = best_rows(request, [[row for group in item.finished for row in group.rows] for item in items])
    return replace(result, scores=kept.steps, logits=logits.steps)


class _Item:
    """A prompt: the sums of its rows, and the finished rows of its groups.

    Attributes:
        first: the number of its first row among all that were begun with. rows: int64 (N,), the numbers of all.
        totals: for each of its rows the sum of log-probabilities.
        closed: for each group whether nothing better can come.
    """

    def __init__(self, request: Request, number: int) -> None:
        config = request.config
        self.size = config.num_beams // config.num_beam_groups
        self.first = number * config.num_beams
        self.rows = torch.arange(config.num_beams, device=request.device) + self.first
        self.totals = [0.0 if row % self.size == 0 else NEVER for row in range(config.num_beams)]
        self.trails: list[Trail] = [None] * config.num_beams
        self.finished = [Hypotheses(self.size, request) for _ in range(config.num_beam_groups)]
        self.closed = [False] * config.num_beam_groups

    @property
    def done(self) -> bool:
        return all(self.closed)

    def close(self, new: Tensor) -> None:
        """Nothing more comes: unfinished rows, int64 (N, tokens), take part as they are."""
        for group, closed in enumerate(self.closed):
            if not closed:
                for row in range(group * self.size, (group + 1) * self.size):
                    self.finished[group].add(new[row], self.totals[row], self.trails[row], new.shape[1])


def _advance_group(
    request: Request,
    live: list[_Item],
    group: int,
    written: Written,
    scores: Tensor,
    rows: Tensor,
    tokens: Tensor,
    parents: Tensor,
) -> None:
    """Choose the next tokens of one group of every live item.

    Args:
        scores: (I n, V), log-probabilities after the processors. rows: int64 (I n,), the live rows of the group.
        tokens, parents: int64 (I N,), written here at ``rows``: the next tokens, and the rows that they continue.
    """
    beams, vocab_size = request.config.num_beams, scores.shape[1]
    size = beams // request.config.num_beam_groups
    own = slice(group * size, (group + 1) * size)
    totals = torch.tensor([item.totals[own] for item in live], device=scores.device).view(-1, 1)
    sums = (scores + totals).view(len(live), size * vocab_size)
    best, chosen = largest(sums, min(max(2, 1 + len(request.eos)) * size, sums.shape[1]))
    check_scores(best[:, 0], [item.first // beams for item in live], written.step)
    news = written.new.view(len(live), beams, written.step)
    for index, (item, sums_here, flat) in enumerate(zip(live, best.tolist(), chosen.tolist(), strict=True)):
        first = index * beams
        if item.closed[group]:
            tokens[first + group * size : first + (group + 1) * size] = request.pad
            parents[first + group * size : first + (group + 1) * size] = rows[index * size : (index + 1) * size]
            continue
        going_on: list[tuple[float, int, int]] = []
        for rank, (total, place) in enumerate(zip(sums_here, flat, strict=True)):
            row, token = group * size + place // vocab_size, place % vocab_size
            if token not in request.eos:
                going_on.append((total, token, row))
            elif rank < size:
                trail = (item.trails[row], item.first + row)
                item.finished[group].add(news[index, row], total, trail, written.step + 1)
            if len(going_on) == size:
                break
        item.totals[own] = [total for total, _, _ in going_on]
        item.trails[own] = [(item.trails[row], item.first + row) for _, _, row in going_on]
        tokens[first + group * size : first + (group + 1) * size] = tokens.new_tensor([t for _, t, _ in going_on])
        parents[first + group * size : first + (group + 1) * size] = tokens.new_tensor(
            [r + first for _, _, r in going_on]
        )
        item.closed[group] = item.finished[group].complete(sums_here[0], written.step + 1)
