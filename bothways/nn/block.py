"""The transformer block with slots for its norms.

Post-norm (BERT) fills the slots behind the residual sums, pre-norm (GPT-2) those at the inputs; empty is Identity:

    x ─► input_norm ─► attention ─► + x ─► LayerNorm ─► y ─► input_norm ─► feed-forward ─► + y ─► LayerNorm
         (pre)                             (post)            (pre)                               (post)

Parameter names are BERT's. Shapes: T total tokens, R kept tokens, B sequences, H heads, D head_dim, N = H * D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bothways.batching import SeqLens
from bothways.nn.activations import activation
from bothways.nn.attention import attention, attention_with_weights
from bothways.nn.dropout import Dropout
from bothways.nn.linear import Linear, PreparedLinear, is_plain
from bothways.nn.lora import is_foldable
from bothways.nn.rotary import Rotary


@dataclass(frozen=True, kw_only=True)
class BlockSpec:
    """All that a block knows of its family.

    Attributes:
        pre_norm: norms at the inputs of both halves instead of behind their residual sums.
        first_norm: False leaves the slot before the attention empty (its input is normalised already).
        causal: a token sees no later one.
        window: a token sees so many others to each side; None is all.
        rotary_theta: base of the rotary positions; None is none.
        gated: the feed-forward is ``act(a) * b`` with a and b from one projection. Source: Shazeer 2020.
        norm_bias, attention_bias, feed_forward_bias: whether these layers have a bias.
        hidden_dropout: behind both halves, before the residual sum.
        attention_dropout: of the attention weights.
        attention_output_dropout: behind the attention, in place of ``hidden_dropout``.
        intermediate_dropout: inside the feed-forward.
    """

    hidden_size: int
    num_attention_heads: int
    intermediate_size: int
    hidden_act: str
    layer_norm_eps: float
    pre_norm: bool = False
    first_norm: bool = True
    causal: bool = False
    window: int | None = None
    rotary_theta: float | None = None
    gated: bool = False
    norm_bias: bool = True
    attention_bias: bool = True
    feed_forward_bias: bool = True
    hidden_dropout: float = 0.0
    attention_dropout: float = 0.0
    attention_output_dropout: float | None = None
    intermediate_dropout: float = 0.0

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads


@dataclass(frozen=True)
class Rows:
    """The tokens of a layer's output that somebody reads, when not all are.

    Attributes:
        index: int64 (R,), rising.
        seqlens: how many of them each sequence has.
    """

    index: Tensor
    seqlens: SeqLens


class TransformerBlock(nn.Module):
    """Attention and feed-forward, each with a residual sum. Source: Vaswani et al. 2017, section 3.1."""

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.spec = spec
        self.attention = AttentionSublayer(spec)
        self.intermediate = Intermediate(spec)
        self.output = Output(spec, spec.intermediate_size, bias=spec.feed_forward_bias, dropout=spec.hidden_dropout)

    def forward(
        self,
        hidden: Tensor,
        lens: SeqLens,
        rows: Rows | None = None,
        want_weights: bool = False,
        rotary: Rotary | None = None,
    ) -> tuple[Tensor, list[Tensor] | None]:
        """One layer.

        Args:
            hidden: (T, N).
            lens: boundaries of the sequences.
            rows: compute the output of these tokens only (exact: keys and values are still those of all).
            want_weights: also return the attention weights, by the reference backend.
            rotary: the angles of the T tokens, where ``rotary_theta`` is set.

        Returns:
            (T, N) or (R, N); and for each sequence (H, L, L), or None.
        """
        hidden, weights = self.attention(hidden, lens, rows, want_weights, rotary)
        return self.output(self.intermediate(hidden), hidden), weights


class AttentionSublayer(nn.Module):
    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.input_norm = make_norm(spec) if spec.pre_norm and spec.first_norm else nn.Identity()
        self.self = SelfAttention(spec)
        dropout = spec.hidden_dropout if spec.attention_output_dropout is None else spec.attention_output_dropout
        self.output = Output(spec, spec.hidden_size, bias=spec.attention_bias, dropout=dropout)

    def forward(
        self, hidden: Tensor, lens: SeqLens, rows: Rows | None, want_weights: bool, rotary: Rotary | None
    ) -> tuple[Tensor, list[Tensor] | None]:
        context, weights = self.self(self.input_norm(hidden), lens, rows, want_weights, rotary)
        residual = hidden if rows is None else hidden.index_select(0, rows.index)
        return self.output(context, residual), weights


class SelfAttention(nn.Module):
    """Queries, keys and values from one matrix product; their weights stay three parameters."""

    prepared: PreparedLinear | None = None

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.query = Linear(spec.hidden_size, spec.hidden_size, bias=spec.attention_bias)
        self.key = Linear(spec.hidden_size, spec.hidden_size, bias=spec.attention_bias)
        self.value = Linear(spec.hidden_size, spec.hidden_size, bias=spec.attention_bias)
        self.num_attention_heads = spec.num_attention_heads
        self.head_dim = spec.head_dim
        self.causal = spec.causal
        self.window = spec.window
        self.dropout = Dropout(spec.attention_dropout)

    def forward(
        self, x: Tensor, lens: SeqLens, rows: Rows | None, want_weights: bool, rotary: Rotary | None
    ) -> tuple[Tensor, list[Tensor] | None]:
        """x: (T, N); returns (T or R, N) and the weights of each sequence or None."""
        if rows is not None and self.window is not None:  # which keys a query sees depends on where it stands
            context, weights = self.forward(x, lens, None, want_weights, rotary)
            return context.index_select(0, rows.index), weights
        q, k, v = (t.unflatten(-1, (-1, self.head_dim)) for t in self._project(x, rows))  # (T, H, D)
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # backward of fused bfloat16 attention is ten times slower than in fp32 on a CPU
            with torch.autocast("cpu", enabled=False):
                return self._attend(q.float(), k.float(), v.float(), lens, rows, want_weights, rotary)
        return self._attend(q, k, v, lens, rows, want_weights, rotary)

    def _attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        lens: SeqLens,
        rows: Rows | None,
        want_weights: bool,
        rotary: Rotary | None,
    ) -> tuple[Tensor, list[Tensor] | None]:
        if rotary is not None:
            q, k = (rotary if rows is None else rotary.rows(rows.index)).rotate(q), rotary.rotate(k)
        q_lens = lens if rows is None else rows.seqlens
        p = self.dropout.p if self.dropout.training else 0.0
        visible: dict[str, Any] = {"causal": self.causal, "window": self.window}
        if not want_weights:
            return attention(q, k, v, q_lens, lens, **visible, dropout_p=p).flatten(1), None
        scale = self.head_dim**-0.5
        context, weights = attention_with_weights(q, k, v, q_lens, lens, **visible, scale=scale, dropout_p=p)
        return context.flatten(1), weights

    def _project(self, x: Tensor, rows: Rows | None) -> tuple[Tensor, Tensor, Tensor]:
        if rows is not None:
            return self.query(x.index_select(0, rows.index)), self.key(x), self.value(x)
        layers = (self.query, self.key, self.value)
        if self.prepared is not None and all(is_foldable(layer) for layer in layers):
            joined = self.prepared(x)
        elif all(is_plain(layer) for layer in layers):
            bias = None if self.query.bias is None else torch.cat([m.bias for m in layers])
            joined = F.linear(x, torch.cat([m.weight for m in layers]), bias)
        else:  # an adapter around one of them has a forward of its own
            return self.query(x), self.key(x), self.value(x)
        q, k, v = joined.chunk(3, -1)
        return q, k, v


class Intermediate(nn.Module):
    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.input_norm = make_norm(spec) if spec.pre_norm else nn.Identity()
        width = 2 * spec.intermediate_size if spec.gated else spec.intermediate_size
        self.dense = Linear(spec.hidden_size, width, bias=spec.feed_forward_bias)
        self.act = activation(spec.hidden_act)
        self.gated = spec.gated
        self.dropout = Dropout(spec.intermediate_dropout) if spec.intermediate_dropout else nn.Identity()

    def forward(self, hidden: Tensor) -> Tensor:
        """(T, N) to (T, intermediate_size)."""
        inner = self.dense(self.input_norm(hidden))
        if not self.gated:
            return self.dropout(self.act(inner))
        inner, gate = inner.chunk(2, -1)
        return self.dropout(self.act(inner) * gate)


class Output(nn.Module):
    """Back to the hidden size, dropout, residual sum and the post-norm slot."""

    def __init__(self, spec: BlockSpec, in_features: int, *, bias: bool, dropout: float) -> None:
        super().__init__()
        self.dense = Linear(in_features, spec.hidden_size, bias=bias)
        self.LayerNorm = nn.Identity() if spec.pre_norm else make_norm(spec)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


def make_norm(spec: BlockSpec) -> nn.LayerNorm:
    """The norm of this specification."""
    return nn.LayerNorm(spec.hidden_size, eps=spec.layer_norm_eps, bias=spec.norm_bias)
