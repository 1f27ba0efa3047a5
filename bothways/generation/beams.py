"""Beam search and beam sampling, as the ecosystem's version 4.57 defines them.

For each prompt (an item) the best ``num_beams`` unfinished rows go on, and as many finished ones are kept. An
item that cannot get better is done: its rows are dropped while other items go on.

Shapes: B items, I of them live, N beams of each, K candidates of each, V vocab_size, M most new tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from bothways.generation.largest import largest
from bothways.generation.request import Request, Result, check_scores
from bothways.generation.sampling import draw_without_return
from bothways.generation.written import Record, Written

NEVER = -1.0e9
"""Added to a score, so that it is chosen only where nothing else is left."""


def search_beams(request: Request) -> Result:
    """The rows with the highest scores; with ``do_sample`` candidates are drawn instead of being the best."""
    count, beams = len(request.prompts), request.config.num_beams
    decoder, written = request.start(), Written(request.prompts, request.most)
    scores = request.read(decoder)
    # One row a prompt is enough until the first choice is made; `read` says which of the decoder's rows a beam is.
    read = torch.arange(count, device=request.device).repeat_interleave(beams)
    written.select(read)
    scores = scores[read]
    items, best = _Items.start(count, request), _Items.start(count, request)
    kept = Record(count * beams, pad=request.pad, wanted=request.keep_scores)
    logits = Record(count * beams, pad=request.pad, wanted=request.keep_logits)

    while True:
        live = None if len(items.number) == count else _rows_of(items.number, beams)
        logits.add(scores, live)
        scores = request.process(written, scores.log_softmax(dim=-1))
        kept.add(scores, live)
        candidates = _candidates(request, items, written, scores, kept)
        parents, tokens = _advance(request, items, written, candidates)
        done = _done(request, items, candidates, written.step + 1)
        if done.any():
            best.put(items.only(done))
            if done.all():
                break
            going_on = ~done
            items = items.only(going_on)
            rows = _rows_of(going_on.nonzero().flatten(), beams)
            parents, tokens = parents[rows], tokens[rows]
        read = read[parents]
        if len(read) != len(decoder.lengths) or not torch.equal(read, torch.arange(len(read), device=read.device)):
            decoder.select(read)
        written.select(parents)
        written.append(tokens)
        scores = decoder.advance(tokens, [1] * len(tokens))
        read = torch.arange(len(tokens), device=tokens.device)
    return _result(request, best, kept, logits)


@dataclass
class _Items:
    """What is known of the live items, and of those that are done."""

    number: Tensor
    """int64 (I,): which of the B."""
    running: Tensor
    """(I, N): sums of log-probabilities of the rows that go on, best first."""
    trail: Tensor
    """int32 (I, N, M): which of the B times N rows each token of a row continued, -1 where there is none yet."""
    ids: Tensor
    """int64 (I, N, M): new tokens of the finished rows, best first."""
    scores: Tensor
    """(I, N): their sums over length to the power of ``length_penalty``."""
    ids_trail: Tensor
    """int32 (I, N, M): as ``trail``, of the finished rows."""
    finished: Tensor
    """bool (I, N): whether there is such a row already."""
    open: Tensor
    """bool (I, 1): whether a better one may still come."""

    @classmethod
    def start(cls, count: int, request: Request) -> _Items:
        beams, device = request.config.num_beams, request.device
        running = torch.full((count, beams), NEVER, device=device)
        running[:, 0] = 0.0  # all beams are equal at first: only the first may be continued
        trail = torch.full((count, beams, request.most), -1, dtype=torch.int32, device=device)
        return cls(
            number=torch.arange(count, device=device),
            running=running,
            trail=trail,
            ids=torch.full_like(trail, request.pad, dtype=torch.int64),
            scores=torch.full_like(running, NEVER),
            ids_trail=trail.clone(),
            finished=torch.zeros_like(running, dtype=torch.bool),
            open=torch.ones((count, 1), dtype=torch.bool, device=device),
        )

    def only(self, chosen: Tensor) -> _Items:
        """These items, bool (I,)."""
        return _Items(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    def put(self, items: _Items) -> None:
        """Remember these items at the places of their numbers."""
        for field in fields(self):
            getattr(self, field.name)[items.number] = getattr(items, field.name)


@dataclass(frozen=True)
class _Candidates:
    """Continuations of each item's rows, K of them: enough that N are left where all others end."""

    scores: Tensor
    """(I, K)."""
    parents: Tensor
    """int64 (I, K): which of the item's rows."""
    tokens: Tensor
    """int64 (I, K)."""
    ended: Tensor
    """bool (I, K)."""


def _candidates(request: Request, items: _Items, written: Written, scores: Tensor, kept: Record) -> _Candidates:
    beams, vocab_size = request.config.num_beams, scores.shape[1]
    sums = (scores.view(-1, beams, vocab_size) + items.running[:, :, None]).view(-1, beams * vocab_size)
    count = min(max(2, 1 + len(request.eos)) * beams, sums.shape[1])
    if request.config.do_sample:
        seeds = None if request.seeds is None else [request.seeds[number] for number in items.number.tolist()]
        check_scores(sums.amax(dim=-1), items.number.tolist(), written.step)
        chosen = draw_without_return(sums, count, seeds, written.step)
        best = sums.gather(1, chosen)
    else:
        best, chosen = largest(sums, count)
        check_scores(best[:, 0], items.number.tolist(), written.step)
    parents, tokens = chosen // vocab_size, chosen % vocab_size
    if written.step + 1 == request.most:
        return _Candidates(best, parents, tokens, torch.ones_like(tokens, dtype=torch.bool))
    flat = tokens.flatten()
    if request.criteria:
        written = written.only(_flat_rows(parents, beams))
        written.append(flat)
    return _Candidates(best, parents, tokens, request.ended(written, flat, kept.steps).view_as(tokens))


def _advance(request: Request, items: _Items, written: Written, found: _Candidates) -> tuple[Tensor, Tensor]:
    """Choose what goes on and what is finished.

    Returns:
        For each of the I times N rows that go on: which row it continues, int64, and with which token.
    """
    beams, step = request.config.num_beams, written.step
    trail = items.trail.gather(1, _wide(found.parents, request.most))
    trail[:, :, step] = (found.parents + items.number[:, None] * beams).int()
    unfinished = found.scores + found.ended * NEVER
    chosen = unfinished.topk(beams, dim=1).indices
    items.running = unfinished.gather(1, chosen)
    items.trail = trail.gather(1, _wide(chosen, request.most))
    top_ended = found.ended[:, :beams]
    if top_ended.any() or (found.scores[:, :beams] < NEVER / 2).any():
        _finish(request, items, written, found, trail)
    return _flat_rows(found.parents.gather(1, chosen), beams), found.tokens.gather(1, chosen).flatten()


def _finish(request: Request, items: _Items, written: Written, found: _Candidates, trail: Tensor) -> None:
    """Let candidates that have ended take the places of worse finished rows. Only the best N of them may."""
    beams, step = request.config.num_beams, written.step
    may = found.ended.clone()
    may[:, beams:] = False
    scores = found.scores / ((step + 1) ** request.config.length_penalty)
    scores = scores + ~may * NEVER
    ids = torch.full_like(trail, request.pad, dtype=torch.int64)
    new = written.new.view(len(trail), beams, step)
    ids[:, :, :step] = new.gather(1, _wide(found.parents, step))
    ids[:, :, step] = found.tokens
    items.scores, chosen = torch.cat((items.scores, scores), dim=1).topk(beams, dim=1)
    items.ids = torch.cat((items.ids, ids), dim=1).gather(1, _wide(chosen, request.most))
    items.ids_trail = torch.cat((items.ids_trail, trail), dim=1).gather(1, _wide(chosen, request.most))
    items.finished = torch.cat((items.finished, may), dim=1).gather(1, chosen)


def _done(request: Request, items: _Items, found: _Candidates, length: int) -> Tensor:
    """bool (I,): items that are done; ``length`` new tokens are written."""
    config = request.config
    # What a running row could still reach. "never" and a positive penalty: its score at the greatest length.
    reach = request.most if config.early_stopping == "never" and config.length_penalty > 0.0 else length
    best = items.running[:, :1] / (reach**config.length_penalty)
    worst = torch.where(items.finished, items.scores.min(dim=1, keepdim=True).values, NEVER)
    items.open &= (best > worst).any(dim=-1, keepdim=True)
    done = ~items.open[:, 0] | found.ended.all(dim=1)
    if config.early_stopping is True:
        done |= items.finished.all(dim=1)
    return done


def _result(request: Request, best: _Items, kept: Record, logits: Record) -> Result:
    returned = request.config.num_return_sequences or 1
    trail = best.ids_trail[:, :returned].flatten(0, 1)
    longest = int((trail >= 0).sum(dim=1).max())
    return Result(
        ids=best.ids[:, :returned].flatten(0, 1)[:, :longest],
        scores=kept.steps,
        logits=logits.steps,
        sequences_scores=best.scores[:, :returned].flatten(),
        beam_indices=trail[:, :longest],
    )


def _rows_of(items: Tensor, beams: int) -> Tensor:
    """Items to the rows of their beams, int64 (I N,)."""
    return (items[:, None] * beams + torch.arange(beams, device=items.device)).flatten()


def _flat_rows(parents: Tensor, beams: int) -> Tensor:
    """Beams within each item, (I, K), to live rows, (I K,)."""
    return (parents + torch.arange(len(parents), device=parents.device)[:, None] * beams).flatten()


def _wide(chosen: Tensor, width: int) -> Tensor:
    """(I, K) to an index of ``gather`` for (I, …, width)."""
    return chosen[:, :, None].expand(-1, -1, width)
