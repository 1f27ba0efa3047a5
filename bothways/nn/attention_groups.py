"""Attention by groups of sequences of like length: fast where no fused kernel for packed sequences exists (CPU).

Sequences of equal length that lie side by side share one call and are views of the packed tensors. Others are gathered:
lengths that differ little are padded to a common one and masked, since a call costs as much as a sequence of 56 tokens.
Under a window long sequences are computed in blocks of queries, each with the keys that it can see.

Shapes: Tq, Tk total tokens, H heads, G key/value heads, D head_dim, n sequences of a group, Lq and Lk their lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from bothways.batching import SeqLens
from bothways.nn.attention_math import attention_weights, visible_mask
from bothways.nn.dropout import dropout
from bothways.nn.relative_positions import RelativeBias

CALL_COST = 56 * 56
"""Overhead of one group in units of a query-key pair (measured: about 60 µs, 12 heads of 32, two cores)."""

SCORE_BYTES = 2 * 2**20
"""Scores of one matrix product: what stays in the caches (4,096 tokens in sequences of 128: 12 ms, unchunked 30)."""

MATMUL_UP_TO = {torch.float32: 192, torch.bfloat16: 64, torch.float16: 64}
"""Longest keys for which plain matrix products beat the fused CPU kernel (measured; see docs/performance.md)."""

WINDOW_BLOCK = 128
"""Queries of one block under a window, at least; a wider window has blocks as long as one of its sides.

Up to two blocks stay one call (measured, 12 heads of 64, window 64, one core, fp32: 512 tokens 71 ms against 109 in one
call, 2,048 tokens 211 against 980; 256 tokens gain nothing).
"""


@dataclass(frozen=True)
class Group:
    """Sequences that share one call, side by side in the arranged tensors.

    Attributes:
        size: number of sequences n.
        q_len, k_len: common lengths after padding.
        k_visible: bool (n, 1, k_len), or None when no key is padding.
    """

    size: int
    q_len: int
    k_len: int
    k_visible: Tensor | None


@dataclass(frozen=True)
class Arrangement:
    """Packed tokens in the order of the groups, each group padded to its common length.

    Attributes:
        index: int64 (P,), packed token at each of P places; padding points to the first token of its sequence.
        inverse: int64 (T,), the place of each packed token.
        padding: int64, the places that are padding.
        absent: int64, packed tokens without a place: keys of sequences that nobody asks about.
    """

    index: Tensor
    inverse: Tensor
    padding: Tensor
    absent: Tensor


@dataclass(frozen=True)
class Plan:
    """The groups of a batch; an arrangement is None where packed tokens stand in the order of the groups already."""

    groups: tuple[Group, ...]
    q: Arrangement | None
    k: Arrangement | None


def grouped_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_lens: SeqLens,
    k_lens: SeqLens,
    *,
    causal: bool,
    window: int | None,
    bias: RelativeBias | None,
    scale: float,
    dropout_p: float,
) -> Tensor:
    """See ``attention``. q: (Tq, H, D), k and v: (Tk, G, D); returns (Tq, H, D)."""
    if not q.shape[0]:
        return q
    aligned = (causal or window is not None or bias is not None) and q_lens.lengths != k_lens.lengths
    plan = plan_groups(q_lens.lengths, k_lens.lengths, aligned, q.device)
    if plan.q is not None:
        q = _Arrange.apply(q, plan.q)
    if plan.k is not None:
        k, v = _Arrange.apply(k, plan.k), _Arrange.apply(v, plan.k)
    q_sizes, k_sizes = zip(
        *((group.size * group.q_len, group.size * group.k_len) for group in plan.groups), strict=True
    )
    # split, not slices: the gradient of a slice is as large as all of its tensor, and zero elsewhere
    parts = zip(plan.groups, q.split(q_sizes), k.split(k_sizes), v.split(k_sizes), strict=True)
    outputs = []
    for group, rows, keys, values in parts:
        rows = _heads_first(rows, group.size)
        keys, values = _heads_first(keys, group.size), _heads_first(values, group.size)
        out = _attend_in_blocks(
            rows, keys, values, group.k_visible, causal, window, bias, scale, dropout_p
        )  # (n, H, Lq, D)
        outputs.append(out.transpose(1, 2).reshape(-1, *q.shape[1:]))
    joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    return joined if plan.q is None else _Restore.apply(joined, plan.q)


@lru_cache(maxsize=16)
def plan_groups(q_lengths: tuple[int, ...], k_lengths: tuple[int, ...], aligned: bool, device: torch.device) -> Plan:
    """Divide the sequences of a batch into groups. Cached: all layers of a model ask for the same plan.

    Args:
        q_lengths, k_lengths: of each sequence.
        aligned: it matters which query stands at which key, and there are fewer queries than keys: nothing is padded.
    """
    asked = [i for i, n in enumerate(q_lengths) if n]
    order = sorted(asked, key=lambda i: (k_lengths[i], q_lengths[i]))
    runs = _similar(order, q_lengths, k_lengths, aligned)
    groups: list[Group] = []
    for members in runs:
        q_len, k_len = max(q_lengths[i] for i in members), max(k_lengths[i] for i in members)
        own = torch.tensor([k_lengths[i] for i in members])
        visible = None
        if bool((own != k_len).any()):
            visible = (torch.arange(k_len) < own[:, None])[:, None, :].to(device)
        groups.append(Group(len(members), q_len, k_len, visible))
    q_places = [group.q_len for group in groups]
    k_places = [group.k_len for group in groups]
    return Plan(
        groups=tuple(groups),
        q=_arrangement(runs, q_lengths, q_places, device),
        k=_arrangement(runs, k_lengths, k_places, device),
    )


class _Arrange(torch.autograd.Function):
    """(T, ...) packed to (P, ...) arranged. Padding has no gradient: its keys are masked, its queries are not read.

    Hence the backward is a gather too, where that of ``index_select`` would add rows up one by one.
    """

    @staticmethod
    def forward(ctx, packed: Tensor, arrangement: Arrangement) -> Tensor:
        ctx.arrangement = arrangement
        return packed.index_select(0, arrangement.index)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        packed = gradient.index_select(0, ctx.arrangement.inverse)
        return packed.index_fill_(0, ctx.arrangement.absent, 0.0), None


class _Restore(torch.autograd.Function):
    """(P, ...) arranged to (T, ...) packed."""

    @staticmethod
    def forward(ctx, arranged: Tensor, arrangement: Arrangement) -> Tensor:
        ctx.arrangement = arrangement
        return arranged.index_select(0, arrangement.inverse)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        arranged = gradient.index_select(0, ctx.arrangement.index)
        return arranged.index_fill_(0, ctx.arrangement.padding, 0.0), None


def _similar(
    order: list[int], q_lengths: tuple[int, ...], k_lengths: tuple[int, ...], aligned: bool
) -> list[list[int]]:
    """Runs of ``order`` that are worth one call: equal lengths, or lengths whose padding costs less than a call.

    Padded queries would stand at the wrong keys unless queries and keys have equal lengths; where that matters
    (``aligned``), such groups stay exact.
    """
    runs: list[list[int]] = []
    exact = longest_q = 0  # of the current run: query-key pairs without padding, longest query
    for i in order:
        pairs = q_lengths[i] * k_lengths[i]
        if runs:
            run = runs[-1]
            same = q_lengths[run[-1]] == q_lengths[i] and k_lengths[run[-1]] == k_lengths[i]
            square = all(q_lengths[j] == k_lengths[j] for j in (run[0], i))
            padded = max(longest_q, q_lengths[i]) * k_lengths[i] * (len(run) + 1)  # keys come in rising order
            if same or ((square or not aligned) and padded - exact - pairs < CALL_COST):
                run.append(i)
                exact += pairs
                longest_q = max(longest_q, q_lengths[i])
                continue
        runs.append([i])
        exact, longest_q = pairs, q_lengths[i]
    return runs


def _arrangement(
    runs: list[list[int]], lengths: tuple[int, ...], places: list[int], device: torch.device
) -> Arrangement | None:
    """Where the tokens of each run stand when every run is padded to its common length; None where they stand so."""
    placed = [(i, length) for members, length in zip(runs, places, strict=True) for i in members]
    if placed == list(enumerate(lengths)):
        return None  # found without tensors, whose 0.35 ms a single short text would feel
    starts = _starts(lengths)
    index, padding = [], []
    for members, length in zip(runs, places, strict=True):
        place = torch.arange(length).expand(len(members), length)
        own = torch.tensor([lengths[i] for i in members])[:, None]
        start = torch.tensor([starts[i] for i in members])[:, None]
        index.append(torch.where(place < own, place + start, start).flatten())
        padding.append((place >= own).flatten())
    flat, is_padding = torch.cat(index), torch.cat(padding)
    total = sum(lengths)
    if len(flat) == total and bool((flat == torch.arange(total)).all()):
        return None
    inverse = torch.full((total,), -1, dtype=torch.int64)
    real = (~is_padding).nonzero(as_tuple=True)[0]
    inverse[flat[real]] = real
    absent = (inverse < 0).nonzero(as_tuple=True)[0]
    inverse[absent] = 0
    padding_places = is_padding.nonzero(as_tuple=True)[0]
    return Arrangement(flat.to(device), inverse.to(device), padding_places.to(device), absent.to(device))


def _heads_first(tokens: Tensor, size: int) -> Tensor:
    """The tokens of a group of so many sequences: (n, heads, length, D)."""
    return tokens.unflatten(0, (size, -1)).transpose(1, 2)


def _attend_in_blocks(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    k_visible: Tensor | None,
    causal: bool,
    window: int | None,
    bias: RelativeBias | None,
    scale: float,
    dropout_p: float,
) -> Tensor:
    """q: (n, H, Lq, D), k and v: (n, G, Lk, D), k_visible: (n, 1, Lk) or None; returns (n, H, Lq, D).

    Without a window the block is everything; with one, time and memory grow with Lq * window.
    """
    q_len, k_len = q.shape[2], k.shape[2]
    if window is not None and window >= k_len - 1:
        window = None  # everything is near
    step = q_len
    if window is not None and q_len > 2 * max(WINDOW_BLOCK, window):
        step = max(WINDOW_BLOCK, window)
    offset = k_len - q_len  # the place of the first query
    outputs = []
    for start in range(0, q_len, step):
        end = min(start + step, q_len)
        first = 0 if window is None else max(0, offset + start - window)
        last = k_len if window is None else min(k_len, offset + end + (0 if causal else window))
        visible = None if k_visible is None else k_visible[..., first:last]
        if window is not None or (causal and q_len > 1):
            q_places = torch.arange(offset + start, offset + end, device=q.device)
            k_places = torch.arange(first, last, device=q.device)
            near = visible_mask(q_places, k_places, causal, window)[None]
            # a query that is padding would see nothing in its window, and softmax would give NaN: let it see itself
            visible = near if visible is None else near & visible | (q_places[:, None] == k_places)
        added = None if bias is None else bias.square(offset + start, end - start, k_len)[..., first:last]
        rows, keys, values = q, k, v
        if (start, first, end, last) != (0, 0, q_len, k_len):
            rows, keys, values = q[:, :, start:end], k[:, :, first:last], v[:, :, first:last]
        outputs.append(_attend(rows, keys, values, visible, added, scale, dropout_p))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 2)


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    visible: Tensor | None,
    bias: Tensor | None,
    scale: float,
    dropout_p: float,
) -> Tensor:
    """q: (n, H, Lq, D), k and v: (n, G, Lk, D), visible: (1 or n, 1 or Lq, Lk) or None, bias: (H, Lq, Lk) or None.

    Returns (n, H, Lq, D).
    """
    n, heads, q_len, _ = q.shape
    k_len = k.shape[2]
    if heads != k.shape[1]:
        k, v = (t.repeat_interleave(heads // t.shape[1], 1) for t in (k, v))
    mask = None if visible is None else visible[:, None]  # (1 or n, 1, 1 or Lq, Lk)
    if dropout_p == 0 and bias is None and (q.is_cuda or k_len > MATMUL_UP_TO.get(q.dtype, 0)):
        return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    # one matrix product for as many sequences as keep their scores in the caches
    step = max(1, SCORE_BYTES // (heads * q_len * k_len * q.element_size()))
    pieces = []
    for i, parts in enumerate(zip(q.split(step), k.split(step), v.split(step), strict=True)):
        q_i, k_i, v_i = (part.flatten(0, 1) for part in parts)  # (step * H, L, D)
        own = None
        if mask is not None:
            own = mask if mask.shape[0] == 1 else mask[i * step : (i + 1) * step]
            own = own.expand(q_i.shape[0] // heads, heads, q_len, -1).flatten(0, 1)  # (step * H, Lq, Lk)
        added = None if bias is None else bias.repeat(q_i.shape[0] // heads, 1, 1)
        weights = dropout(attention_weights(q_i, k_i, own, scale, added), dropout_p)
        pieces.append(torch.bmm(weights, v_i).unflatten(0, (-1, heads)))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _starts(lengths: tuple[int, ...]) -> list[int]:
    starts, total = [], 0
    for n in lengths:
        starts.append(total)
        total += n
    return starts
