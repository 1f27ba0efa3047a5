"""Attention inside each sequence of a packed batch: one function, a table of backends.

Shapes: Tq, Tk total query and key tokens, B sequences, H heads, G key/value heads (G divides H), D head_dim.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bothways.batching import SeqLens
from bothways.errors import InputError
from bothways.nn.attention_groups import grouped_attention
from bothways.nn.attention_math import attention_weights, visible_mask
from bothways.nn.dropout import dropout

Backend = Callable[..., Tensor]


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_lens: SeqLens,
    k_lens: SeqLens,
    *,
    causal: bool = False,
    scale: float | None = None,
    dropout_p: float = 0.0,
    backend: str | None = None,
) -> Tensor:
    """Softmax attention of each query sequence over the key sequence of the same number.

    Args:
        q: (Tq, H, D).
        k, v: (Tk, G, D).
        q_lens, k_lens: boundaries, with the same number of sequences. The queries may be fewer than the keys.
        causal: the last query sees every key, the one before it all keys but the last, and so on.
        scale: factor of the scores; by default D ** -0.5.
        dropout_p: share of the attention weights set to zero (training only).
        backend: name in ``BACKENDS``; by default ``varlen`` on CUDA in half precision, else ``grouped``.

    Returns:
        (Tq, H, D), dtype of ``q``.

    Raises:
        InputError: boundaries that do not fit the tensors, or an unknown backend.

    Source: Vaswani et al. 2017, section 3.2.1.
    """
    _check(q, k, q_lens, k_lens)
    if backend is None:
        backend = "varlen" if _varlen_fits(q, dropout_p) else "grouped"
    if backend not in BACKENDS:
        raise InputError(f"unknown attention backend {backend!r}. Known backends: {', '.join(BACKENDS)}.")
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return BACKENDS[backend](q, k, v, q_lens, k_lens, causal=causal, scale=scale, dropout_p=dropout_p)


def attention_with_weights(
    q: Tensor, k: Tensor, v: Tensor, q_lens: SeqLens, k_lens: SeqLens, *, causal: bool, scale: float, dropout_p: float
) -> tuple[Tensor, list[Tensor]]:
    """The definition, a loop; also gives the weights of each sequence, (H, queries, keys)."""
    outputs, all_weights = [], []
    groups = q.shape[1] // k.shape[1]
    for q_i, k_i, v_i in zip(q.split(q_lens.lengths), k.split(k_lens.lengths), v.split(k_lens.lengths), strict=True):
        keys = k_i.transpose(0, 1).repeat_interleave(groups, 0)  # (H, keys, D)
        values = v_i.transpose(0, 1).repeat_interleave(groups, 0)
        mask = visible_mask(q_i.shape[0], k_i.shape[0], q.device) if causal else None
        weights = dropout(attention_weights(q_i.transpose(0, 1), keys, mask, scale), dropout_p)
        outputs.append((weights @ values).transpose(0, 1))
        all_weights.append(weights)
    return torch.cat(outputs), all_weights


def _reference(q: Tensor, k: Tensor, v: Tensor, q_lens: SeqLens, k_lens: SeqLens, **options) -> Tensor:
    return attention_with_weights(q, k, v, q_lens, k_lens, **options)[0]


def _varlen(
    q: Tensor, k: Tensor, v: Tensor, q_lens: SeqLens, k_lens: SeqLens, *, causal: bool, scale: float, dropout_p: float
) -> Tensor:
    """The fused CUDA kernel for packed sequences (half precision, no dropout)."""
    from torch.nn.attention.varlen import varlen_attn

    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    out = varlen_attn(
        q.contiguous(),
        k.contiguous(),
        v.contiguous(),
        q_lens.cu_seqlens,
        k_lens.cu_seqlens,
        q_lens.max_seqlen,
        k_lens.max_seqlen,
        scale=scale,
        window_size=(-1, 0) if causal else (-1, -1),
    )
    assert isinstance(out, Tensor)  # a tuple only when the log-sums are asked for
    return out


BACKENDS: dict[str, Backend] = {"reference": _reference, "grouped": grouped_attention, "varlen": _varlen}


def _varlen_fits(q: Tensor, dropout_p: float) -> bool:
    if not q.is_cuda or q.dtype not in (torch.float16, torch.bfloat16) or dropout_p > 0:
        return False
    try:
        from torch.nn.attention.varlen import varlen_attn  # noqa: F401 - torch 2.10 and later
    except ImportError:
        return False
    return torch.cuda.get_device_capability(q.device) >= (8, 0)


def _check(q: Tensor, k: Tensor, q_lens: SeqLens, k_lens: SeqLens) -> None:
    if q_lens.total_tokens != q.shape[0] or k_lens.total_tokens != k.shape[0]:
        raise InputError(
            f"sequence lengths add up to {q_lens.total_tokens} query and {k_lens.total_tokens} key tokens, "
            f"but the tensors have {q.shape[0]} and {k.shape[0]}."
        )
    if q_lens.batch_size != k_lens.batch_size:
        raise InputError(f"{q_lens.batch_size} query sequences but {k_lens.batch_size} key sequences.")
