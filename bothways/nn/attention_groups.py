"""Attention by groups of sequences of like length: fast where no fused kernel for packed sequences exists (CPU).

Sequences of equal length that lie side by side share one call and are views of the packed tensors. Others are gathered:
lengths that differ little are padded to a common one and masked, since a call costs as much as a sequence of 56 tokens.

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

CALL_COST = 56 * 56
"""Overhead of one group in units of a query-key pair (measured: about 60 µs, 12 heads of 32, two cores)."""

SCORE_BYTES = 2 * 2**20
"""Scores of one matrix product: what stays in the caches (128 tokens, fp32: 12 ms for 4,096 tokens against 30 unchunked)."""

MATMUL_UP_TO = {torch.float32: 192, torch.bfloat16: 64, torch.float16: 64}
"""Longest keys for which plain matrix products beat the fused CPU kernel, by dtype (measured; see docs/performance.md)."""


@dataclass(frozen=True)
class Group:
    """Sequences that share one call.

    Attributes:
        size: number of sequences n.
        q_len, k_len: common lengths after padding.
        q_start, k_start: first packed token, if the group is a view; else None.
        q_index, k_index: int64 (n * len,), packed token at each place of the group; padding points to the first token.
        k_visible: bool (n, 1, k_len), or None when no key is padding.
    """

    size: int
    q_len: int
    k_len: int
    q_start: int | None
    k_start: int | None
    q_index: Tensor | None
    k_index: Tensor | None
    k_visible: Tensor | None


@dataclass(frozen=True)
class Plan:
    """Groups of a batch, and where each query token stands in their concatenation (None: in order)."""

    groups: tuple[Group, ...]
    inverse: Tensor | None


def grouped_attention(
    q: Tensor, k: Tensor, v: Tensor, q_lens: SeqLens, k_lens: SeqLens, *, causal: bool, scale: float, dropout_p: float
) -> Tensor:
    """See ``attention``. q: (Tq, H, D), k and v: (Tk, G, D); returns (Tq, H, D)."""
    if not q.shape[0]:
        return q
    plan = plan_groups(q_lens.lengths, k_lens.lengths, causal, q.device)
    outputs = []
    for group in plan.groups:
        rows = _take(q, group.q_start, group.q_index, group.size, group.q_len)
        keys = _take(k, group.k_start, group.k_index, group.size, group.k_len)
        values = _take(v, group.k_start, group.k_index, group.size, group.k_len)
        out = _attend(rows, keys, values, group.k_visible, causal, scale, dropout_p)  # (n, H, Lq, D)
        outputs.append(out.transpose(1, 2).reshape(-1, *q.shape[1:]))
    joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    return joined if plan.inverse is None else joined.index_select(0, plan.inverse)


@lru_cache(maxsize=16)
def plan_groups(q_lengths: tuple[int, ...], k_lengths: tuple[int, ...], causal: bool, device: torch.device) -> Plan:
    """Divide the sequences of a batch into groups. Cached: all layers of a model ask for the same plan."""
    asked = [i for i, n in enumerate(q_lengths) if n]
    order = sorted(asked, key=lambda i: (k_lengths[i], q_lengths[i]))
    q_starts, k_starts = _starts(q_lengths), _starts(k_lengths)
    groups: list[Group] = []
    inverse = torch.empty(sum(q_lengths), dtype=torch.int64)
    end = 0
    for members in _similar(order, q_lengths, k_lengths, causal):
        group = _group(members, q_lengths, k_lengths, q_starts, k_starts, device)
        for place, i in enumerate(members):
            first = end + place * group.q_len
            inverse[q_starts[i] : q_starts[i] + q_lengths[i]] = torch.arange(first, first + q_lengths[i])
        groups.append(group)
        end += group.size * group.q_len
    in_order = end == len(inverse) and bool((inverse == torch.arange(end)).all())
    return Plan(groups=tuple(groups), inverse=None if in_order else inverse.to(device))


def _similar(order: list[int], q_lengths: tuple[int, ...], k_lengths: tuple[int, ...], causal: bool) -> list[list[int]]:
    """Runs of ``order`` that are worth one call: equal lengths, or lengths whose padding costs less than a call.

    Padded causal queries would see the wrong keys unless queries and keys have equal lengths; such groups stay exact.
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
            if same or ((square or not causal) and padded - exact - pairs < CALL_COST):
                run.append(i)
                exact += pairs
                longest_q = max(longest_q, q_lengths[i])
                continue
        runs.append([i])
        exact, longest_q = pairs, q_lengths[i]
    return runs


def _group(
    members: list[int],
    q_lengths: tuple[int, ...],
    k_lengths: tuple[int, ...],
    q_starts: list[int],
    k_starts: list[int],
    device: torch.device,
) -> Group:
    q_len, k_len = max(q_lengths[i] for i in members), max(k_lengths[i] for i in members)
    equal_q = all(q_lengths[i] == q_len for i in members)
    equal_k = all(k_lengths[i] == k_len for i in members)
    side_by_side = all(b == a + 1 for a, b in zip(members, members[1:], strict=False))
    q_view, k_view = side_by_side and equal_q, side_by_side and equal_k
    visible = None
    if not equal_k:
        lengths = torch.tensor([k_lengths[i] for i in members], device=device)
        visible = (torch.arange(k_len, device=device) < lengths[:, None])[:, None, :]
    return Group(
        size=len(members),
        q_len=q_len,
        k_len=k_len,
        q_start=q_starts[members[0]] if q_view else None,
        k_start=k_starts[members[0]] if k_view else None,
        q_index=None if q_view else _index(members, q_starts, q_lengths, q_len, device),
        k_index=None if k_view else _index(members, k_starts, k_lengths, k_len, device),
        k_visible=visible,
    )


def _index(
    members: list[int], starts: list[int], lengths: tuple[int, ...], length: int, device: torch.device
) -> Tensor:
    places = torch.arange(length).expand(len(members), length)
    own = torch.tensor([lengths[i] for i in members])[:, None]
    start = torch.tensor([starts[i] for i in members])[:, None]
    return torch.where(places < own, places + start, start).flatten().to(device)


def _take(tokens: Tensor, start: int | None, index: Tensor | None, size: int, length: int) -> Tensor:
    """The group's tokens: (n, heads, length, D)."""
    taken = tokens[start : start + size * length] if index is None else tokens.index_select(0, index)  # type: ignore[operator]
    return taken.unflatten(0, (size, length)).transpose(1, 2)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, k_visible: Tensor | None, causal: bool, scale: float, dropout_p: float
) -> Tensor:
    """q: (n, H, Lq, D), k and v: (n, G, Lk, D); returns (n, H, Lq, D)."""
    n, heads, q_len, _ = q.shape
    k_len = k.shape[2]
    if heads != k.shape[1]:
        k, v = (t.repeat_interleave(heads // t.shape[1], 1) for t in (k, v))
    mask = None if k_visible is None else k_visible[:, None]  # (n, 1, 1, Lk)
    if causal and q_len > 1:
        triangle = visible_mask(q_len, k_len, q.device)
        mask = triangle[None, None] if mask is None else mask & triangle
    if dropout_p == 0 and (q.is_cuda or k_len > MATMUL_UP_TO.get(q.dtype, 0)):
        return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    # one matrix product for as many sequences as keep their scores in the caches
    step = max(1, SCORE_BYTES // (heads * q_len * k_len * q.element_size()))
    pieces = []
    for i in range(0, n, step):
        q_i, k_i, v_i = (t[i : i + step].flatten(0, 1) for t in (q, k, v))  # (step * H, L, D)
        visible = None if mask is None else mask[i : i + step].expand(-1, heads, q_len, -1)
        if visible is not None:
            visible = visible.expand(q_i.shape[0] // heads, -1, -1, -1).flatten(0, 1)
        weights = dropout(attention_weights(q_i, k_i, visible, scale), dropout_p)
        pieces.append(torch.bmm(weights, v_i).unflatten(0, (-1, heads)))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _starts(lengths: tuple[int, ...]) -> list[int]:
    starts, total = [], 0
    for n in lengths:
        starts.append(total)
        total += n
    return starts
