"""The transformer block with slots for its norms.

Post-norm (BERT) fills the slots behind the residual sums, pre-norm (GPT-2) those at the inputs; empty is Identity:

    x ─► input_norm ─► attention ─► + x ─► LayerNorm ─► y ─► input_norm ─► feed-forward ─► + y ─► LayerNorm
         (pre)                             (post)            (pre)                               (post)

A block that also reads an encoded source has a second attention of the same form between the two halves.

Parameter names are BERT's. Shapes: T total tokens, R kept tokens, Ts source tokens, B sequences, H heads, G key/value
heads, D head_dim, N hidden_size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bothways.batching import SeqLens
from bothways.nn.activations import activation
from bothways.nn.attention import attention, attention_with_weights
from bothways.nn.dropout import Dropout
from bothways.nn.kv_cache import KeyValueCache, SourceCache
from bothways.nn.linear import Linear, Prepared, is_plain
from bothways.nn.lora import is_foldable
from bothways.nn.norms import norm
from bothways.nn.opened import Opened
from bothways.nn.relative_positions import RelativeBias
from bothways.nn.rotary import Rotary, RotaryScaling


@dataclass(frozen=True, kw_only=True)
class BlockSpec:
    """All that a block knows of its family.

    Attributes:
        num_key_value_heads: heads of keys and values, each shared by several heads of queries; None is as many.
            Source: Ainslie et al. 2023.
        head_size: width of a head; None is ``hidden_size / num_attention_heads``.
        norm: ``"layer"`` or ``"rms"``.
        pre_norm: norms at the inputs of both halves instead of behind their residual sums.
        first_norm: False leaves the slot before the attention empty (its input is normalised already).
        causal: a token sees no later one.
        cross_attention: a second attention, over an encoded source.
        window: a token sees so many others to each side; None is all.
        attention_scale: factor of the scores; None is ``head_dim ** -0.5``.
        rotary_theta: base of the rotary positions; None is none.
        rotary_scaling: how their angles differ for long texts.
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
    num_key_value_heads: int | None = None
    head_size: int | None = None
    norm: str = "layer"
    pre_norm: bool = False
    first_norm: bool = True
    causal: bool = False
    cross_attention: bool = False
    window: int | None = None
    attention_scale: float | None = None
    rotary_theta: float | None = None
    rotary_scaling: RotaryScaling | None = None
    gated: bool = False
    norm_bias: bool = True
    attention_bias: bool = True
    feed_forward_bias: bool = True
    hidden_dropout: float = 0.0
    attention_dropout: float = 0.0
    attention_output_dropout: float | None = None
    intermediate_dropout: float = 0.0

    @property
    def rotary(self) -> tuple[float, RotaryScaling | None, int] | None:
        """What the angles of the positions follow from; None without rotary positions."""
        return None if self.rotary_theta is None else (self.rotary_theta, self.rotary_scaling, self.head_dim)

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads if self.head_size is None else self.head_size

    @property
    def key_value_heads(self) -> int:
        return self.num_attention_heads if self.num_key_value_heads is None else self.num_key_value_heads


@dataclass(frozen=True)
class Rows:
    """The tokens of a layer's output that somebody reads, when not all are.

    Attributes:
        index: int64 (R,), rising.
        seqlens: how many of them each sequence has.
    """

    index: Tensor
    seqlens: SeqLens


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a decoder reads besides its own tokens.

    Attributes:
        hidden: (Ts, N), the encoder's output.
        lens: boundaries of the sources.
        cache: their keys and values, when the decoder goes on token by token.
    """

    hidden: Tensor
    lens: SeqLens
    cache: SourceCache | None = None


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What the tokens of a layer see, and which of them are asked for.

    Attributes:
        lens: boundaries of the T tokens.
        rows: compute the output of these tokens only (exact: keys and values are still those of all).
        rotary: the angles of the T tokens, where ``rotary_theta`` is set.
        bias: of the scores, by distance.
        cache, layer: earlier tokens of the same sequences, and the number of this layer there.
        k_lens: boundaries of earlier and new tokens together, with ``cache``.
        source: the encoded source, for blocks with ``cross_attention``.
        want_weights: also return the attention weights, by the reference backend.
    """

    lens: SeqLens
    rows: Rows | None = None
    rotary: Rotary | None = None
    bias: RelativeBias | None = None
    cache: KeyValueCache | None = None
    layer: int = 0
    k_lens: SeqLens | None = None
    source: Source | None = None
    want_weights: bool = False


Weights = list[Tensor] | None


class TransformerBlock(Opened):
    """Attention and feed-forward, each with a residual sum. Source: Vaswani et al. 2017, section 3.1."""

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.spec = spec
        self.attention = AttentionSublayer(spec)
        if spec.cross_attention:
            self.crossattention = AttentionSublayer(replace(spec, causal=False, window=None), over_source=True)
        self.intermediate = Intermediate(spec)
        self.output = Output(spec, spec.intermediate_size, bias=spec.feed_forward_bias, dropout=spec.hidden_dropout)

    def forward(self, hidden: Tensor, sight: Sight) -> tuple[Tensor, Weights, Weights]:
        """One layer.

        Args:
            hidden: (T, N).
            sight: what the tokens see.

        Returns:
            (T, N), or (R, N) when ``sight.rows`` are asked for; and, when wanted, the weights for each sequence
            (H, L, L) and those over each source (H, L, Ls), else None.
        """
        hidden, weights = self.attention(hidden, sight)
        cross_weights = None
        if sight.source is not None:
            own = sight.lens if sight.rows is None else sight.rows.seqlens
            hidden, cross_weights = self.crossattention(hidden, replace(sight, lens=own, rows=None))
        return self.output(self.intermediate(hidden), hidden), weights, cross_weights


class AttentionSublayer(nn.Module):
    def __init__(self, spec: BlockSpec, *, over_source: bool = False) -> None:
        super().__init__()
        self.input_norm = make_norm(spec) if spec.pre_norm and spec.first_norm else nn.Identity()
        self.self = SelfAttention(spec)
        dropout = spec.hidden_dropout if spec.attention_output_dropout is None else spec.attention_output_dropout
        width = spec.num_attention_heads * spec.head_dim
        self.output = Output(spec, width, bias=spec.attention_bias, dropout=dropout)
        self.over_source = over_source

    def forward(self, hidden: Tensor, sight: Sight) -> tuple[Tensor, Weights]:
        attend = self.self.over_source if self.over_source else self.self
        context, weights = attend(self.input_norm(hidden), sight)
        residual = hidden if sight.rows is None else hidden.index_select(0, sight.rows.index)
        return self.output(context, residual), weights


class SelfAttention(nn.Module):
    """Queries, keys and values, from one matrix product where that pays; their weights stay three parameters."""

    prepared: Prepared | None = None

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        self.head_dim = spec.head_dim
        keys = spec.key_value_heads * spec.head_dim
        self.widths = [spec.num_attention_heads * spec.head_dim, keys, keys]
        self.query = Linear(spec.hidden_size, self.widths[0], bias=spec.attention_bias)
        self.key = Linear(spec.hidden_size, keys, bias=spec.attention_bias)
        self.value = Linear(spec.hidden_size, keys, bias=spec.attention_bias)
        self.num_attention_heads = spec.num_attention_heads
        self.causal = spec.causal
        self.window = spec.window
        self.scale = spec.head_dim**-0.5 if spec.attention_scale is None else spec.attention_scale
        self.dropout = Dropout(spec.attention_dropout)

    def forward(self, x: Tensor, sight: Sight) -> tuple[Tensor, Weights]:
        """Attention of the sequences over themselves. x: (T, N); returns (T or R, H * D) and the weights or None."""
        rows = sight.rows
        if rows is not None and (self.window is not None or self.causal or sight.bias is not None):
            # which keys a query sees depends on where it stands
            context, weights = self.forward(x, replace(sight, rows=None))
            return context.index_select(0, rows.index), weights
        q, k, v = (self._heads(t) for t in self._project(x, rows))  # (T, H or G, D)
        if sight.rotary is not None:
            angles = sight.rotary if rows is None else sight.rotary.rows(rows.index)
            q, k = angles.rotate(q), sight.rotary.rotate(k)
        q_lens, k_lens = sight.lens if rows is None else rows.seqlens, sight.lens
        if sight.cache is not None:
            assert sight.k_lens is not None
            (k, v), k_lens = sight.cache.extend(sight.layer, k, v), sight.k_lens
        return self._attend(q, k, v, q_lens, k_lens, sight)

    def over_source(self, x: Tensor, sight: Sight) -> tuple[Tensor, Weights]:
        """Attention over the encoded source. x: (T, N); returns (T, H * D) and the weights or None."""
        source = sight.source
        assert source is not None
        q = self._heads(self.query(x))
        known = None if source.cache is None else source.cache.get(sight.layer)
        if known is None:
            read = source.hidden.to(x.dtype)  # an encoder that computed in bfloat16 gives fp32
            k, v = self._heads(self.key(read)), self._heads(self.value(read))
            if source.cache is not None:
                k, v = source.cache.put(sight.layer, k, v)
        else:
            k, v = known
        q_lens, k_lens = sight.lens, source.lens
        if source.cache is not None:
            q_lens, k_lens = source.cache.queries(sight.lens.lengths), source.cache.lens
        return self._attend(q, k, v, q_lens, k_lens, replace(sight, bias=None))

    @property
    def has_plain_projections(self) -> bool:
        """Whether queries, keys and values are no more than products, which may be joined into one."""
        return is_foldable(self.query) and is_foldable(self.key) and is_foldable(self.value)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_dim))

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, q_lens: SeqLens, k_lens: SeqLens, sight: Sight
    ) -> tuple[Tensor, Weights]:
        if q.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # backward of fused bfloat16 attention is ten times slower than in fp32 on a CPU
            with torch.autocast("cpu", enabled=False):
                return self._softmax_attention(q.float(), k.float(), v.float(), q_lens, k_lens, sight)
        return self._softmax_attention(q, k, v, q_lens, k_lens, sight)

    def _softmax_attention(
        self, q: Tensor, k: Tensor, v: Tensor, q_lens: SeqLens, k_lens: SeqLens, sight: Sight
    ) -> tuple[Tensor, Weights]:
        p = self.dropout.p if self.dropout.training else 0.0
        options: dict[str, Any] = {"causal": self.causal, "window": self.window, "bias": sight.bias}
        options |= {"scale": self.scale, "dropout_p": p}
        if not sight.want_weights:
            return attention(q, k, v, q_lens, k_lens, **options).flatten(1), None
        context, weights = attention_with_weights(q, k, v, q_lens, k_lens, **options)
        return context.flatten(1), weights

    def _project(self, x: Tensor, rows: Rows | None) -> tuple[Tensor, Tensor, Tensor]:
        if rows is not None:
            return self.query(x.index_select(0, rows.index)), self.key(x), self.value(x)
        layers = (self.query, self.key, self.value)
        if self.prepared is not None and self.has_plain_projections:
            joined = self.prepared(x)
        elif len(x) >= JOIN_FROM and all(is_plain(layer) for layer in layers):
            bias = None if self.query.bias is None else torch.cat([m.bias for m in layers])
            joined = F.linear(x, torch.cat([m.weight for m in layers]), bias)
        else:  # an adapter around one of them has a forward of its own; joining costs a pass over the weights
            return self.query(x), self.key(x), self.value(x)
        q, k, v = joined.split(self.widths, -1)
        return q, k, v


JOIN_FROM = 64
"""Tokens from which one product of joined weights pays for joining them."""


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


def make_norm(spec: BlockSpec) -> nn.Module:
    """The norm of this specification."""
    return norm(spec.norm, spec.hidden_size, spec.layer_norm_eps, spec.norm_bias)
