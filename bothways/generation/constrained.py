"""Beam search that makes sure that given words come: beams are sorted into banks by how much of the words they have.

Shapes: I live items (prompts), N beams of each, K candidates of each, V vocab_size.

Source: Post and Vilar 2018, Fast Lexically Constrained Decoding (section 3); the ecosystem's version 4.49.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from bothways.generation.constraints import Constraint, ConstraintListState
from bothways.generation.hypotheses import Hypotheses, Trail, best_rows
from bothways.generation.largest import largest
from bothways.generation.request import Request, Result, check_scores
from bothways.generation.written import Record, Written

NEVER = -1.0e9
"""The sum of rows that equal the first: never continued while there is another choice."""


def search_constrained(request: Request, constraints: Sequence[Constraint]) -> Result:
    """The best rows that fulfil all constraints; where there are none, the best that there are."""
    count, beams = len(request.prompts), request.config.num_beams
    decoder, written = request.start(), Written(request.prompts, request.most)
    scores = request.read(decoder)
    read = torch.arange(count, device=request.device).repeat_interleave(beams)
    written.select(read)
    scores = scores[read]
    items = [_Item(request, number, constraints) for number in range(count)]
    live = list(items)
    kept = Record(count * beams, pad=request.pad, wanted=request.keep_scores)
    logits = Record(count * beams, pad=request.pad, wanted=request.keep_logits)

    while True:
        at = None if len(live) == count else torch.cat([item.rows for item in live])
        logits.add(scores, at)
        scores = request.process(written, scores.log_softmax(dim=-1))
        kept.add(scores, at)
        parents, tokens = _advance(request, live, written, scores)
        written.select(parents)
        written.append(tokens)
        ended = written.step == request.most
        stopped = request.criteria.apply(written.rows(), kept.steps) if request.criteria else torch.zeros_like(tokens)
        stopped = stopped.bool().view(-1, beams).all(dim=1) | ended
        going_on = [item for item, stop in zip(live, stopped.tolist(), strict=True) if not (stop or item.done)]
        for index, item in enumerate(live):
            if item not in going_on and not item.done:
                item.close(written, index * beams)
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
    result = best_rows(request, [item.finished.rows for item in items])
    return replace(result, scores=kept.steps, logits=logits.steps)


class _Item:
    """A prompt: the sums of its rows, and its finished rows.

    Attributes:
        first: the number of its first row among all that were begun with. rows: int64 (N,), the numbers of all.
        totals: for each of its rows the sum of log-probabilities.
        done: whether nothing better can come.
    """

    def __init__(self, request: Request, number: int, constraints: Sequence[Constraint]) -> None:
        self.request, self.constraints = request, constraints
        beams = request.config.num_beams
        self.number, self.first = number, number * beams
        self.rows = torch.arange(beams, device=request.device) + self.first
        self.totals = [0.0] + [NEVER] * (beams - 1)
        self.trails: list[Trail] = [None] * beams
        self.finished = Hypotheses(beams, request)
        self.done = False

    def state(self, ids: Sequence[int]) -> ConstraintListState:
        """How far a row with these tokens, its prompt among them, is with the constraints."""
        state = ConstraintListState([constraint.copy() for constraint in self.constraints])
        state.reset(list(ids))
        return state

    def close(self, written: Written, first: int) -> None:
        """Nothing more comes: rows that fulfil the constraints take part as they are; all if these are too few."""
        rows, new = written.rows(), written.new
        fulfilled = [bool(self.state(rows.row(first + beam).tolist()).completed) for beam in range(len(self.totals))]
        enough = sum(fulfilled) >= (self.request.config.num_return_sequences or 1)
        order = [beam for beam, yes in enumerate(fulfilled) if yes]
        order += [] if enough else [beam for beam, yes in enumerate(fulfilled) if not yes]
        for beam in order:
            self.finished.add(new[first + beam], self.totals[beam], self.trails[beam], new.shape[1])


def _advance(request: Request, live: list[_Item], written: Written, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the next tokens of every live item.

    Args:
        scores: (I N, V), log-probabilities after the processors.

    Returns:
        int64 (I N,): the rows that are continued, and the next tokens.
    """
    beams, vocab_size = request.config.num_beams, scores.shape[1]
    totals = torch.tensor([item.totals for item in live], device=scores.device).view(-1, 1)
    sums = scores + totals
    flat = sums.view(len(live), beams * vocab_size)
    best, chosen = largest(flat, min(max(2, 1 + len(request.eos)) * beams, flat.shape[1]))
    check_scores(best[:, 0], [item.number for item in live], written.step)
    rows, new = written.rows(), written.new
    parents, tokens = [], []
    for index, (item, sums_here, places) in enumerate(zip(live, best.tolist(), chosen.tolist(), strict=True)):
        first = index * beams
        sequences = [rows.row(first + beam).tolist() for beam in range(beams)]
        going_on: list[tuple[float, int, int]] = []
        for rank, (total, place) in enumerate(zip(sums_here, places, strict=True)):
            beam, token = divmod(place, vocab_size)
            if token not in request.eos:
                going_on.append((total, token, beam))
            elif rank < beams and item.state(sequences[beam]).completed:
                trail = (item.trails[beam], item.first + beam)
                item.finished.add(new[first + beam], total, trail, written.step + 1)
            if len(going_on) == beams:
                break
        going_on = _steered(item, sequences, sums[first : first + beams], going_on)
        item.totals = [total for total, _, _ in going_on]
        item.trails = [(item.trails[beam], item.first + beam) for _, _, beam in going_on]
        tokens += [token for _, token, _ in going_on]
        parents += [first + beam for _, _, beam in going_on]
        item.done = item.finished.complete(sums_here[0], written.step + 1)
    return torch.tensor(parents, device=scores.device), torch.tensor(tokens, device=scores.device)


def _steered(
    item: _Item, sequences: list[list[int]], sums: Tensor, likely: list[tuple[float, int, int]]
) -> list[tuple[float, int, int]]:
    """Put tokens that advance the constraints beside the likely ones, and take the best of every bank in turn.

    Args:
        sequences: the rows so far, with their prompts.
        sums: (N, V), of these rows with each next token.
        likely: N times (sum, token, beam).

    Returns:
        N times (sum, token, beam).
    """
    seen = [[*sequences[beam], token] for _, token, beam in likely]
    banks = [item.state(sequence).get_bank() for sequence in seen]
    offered = list(likely)
    for beam, sequence in enumerate(sequences):
        state = item.state(sequence)
        if state.completed:
            continue
        for token in state.advance() or []:
            further = state.copy(stateful=True)
            further.add(token)
            if [*sequence, token] not in seen:
                seen.append([*sequence, token])
                offered.append((float(sums[beam, token]), token, beam))
                banks.append(further.get_bank())
    if len(offered) == len(likely):
        return likely
    ranks = torch.tensor(banks) * 100 + torch.tensor([total for total, _, _ in offered])
    order = ranks.sort(descending=True).indices.tolist()
    turns, counter = [], -1
    for place, index in enumerate(order):
        counter = counter + 1 if place == 0 or banks[index] == banks[order[place - 1]] else 0
        turns.append(counter)
    # The first of every bank, then the second of every bank, and so on.
    chosen = sorted(range(len(order)), key=lambda place: turns[place])
    return [offered[order[place]] for place in chosen[: len(likely)]]
