"""Attention inside each sequence of a packed batch: one function, a table of backends.

Shapes: Tq, Tk total query and key tokens, B sequences, H heads, G key/value heads (G divides H), S places of a cache
row, D head_dim.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bothways.batching import SeqLens
from bothways.errors import InputError
from bothways.nn.attention_groups import grouped_attention
from bothways.nn.attention_math import attention_weights, visible_mask
from bothways.nn.attention_rows import packed_keys, rows_attention
from bothways.nn.dropout import dropout
from bothways.nn.relative_positions import RelativeBias

Backend = Callable[..., Tensor]


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_lens: SeqLens,
    k_lens: SeqLens,
    *,
    causal: bool = False,
    window: int | None = None,
    bias: RelativeBias | None = None,
    scale: float | None = None,
    dropout_p: float = 0.0,
    backend: str | None = None,
) -> Tensor:
    """Softmax attention of each query sequence over the key sequence of the same number.

    Args:
        q: (Tq, H, D).
        k, v: (Tk, G, D), or rows of a cache (B, G, S, D) of which ``k_lens`` places are keys.
        q_lens, k_lens: boundaries, with the same number of sequences. The queries may be fewer than the keys.
        causal: the last query sees every key, the one before it all keys but the last, and so on.
        window: a query sees its own place and so many places to each side (with ``causal`` to the left only); the
            last query stands at the place of the last key. Places that a mask left out are counted, see
            ``SeqLens.places``.
        bias: added to the scores, by the distance of query and key; places as for the window.
        scale: factor of the scores; by default D ** -0.5.
        dropout_p: share of the attention weights set to zero (training only).
        backend: name in ``BACKENDS``; by default ``rows`` for rows of a cache, ``varlen`` on CUDA in half precision,
            else ``grouped``; for a window or a bias over sequences with holes ``reference``, the only one that knows
            them.

    Returns:
        (Tq, H, D), dtype of ``q``.

    Raises:
        InputError: boundaries that do not fit the tensors, or a backend that is unknown or does not fit.

    Source: Vaswani et al. 2017, section 3.2.1; the window: Beltagy et al. 2020 (Longformer), section 3.1.
    """
    _check(q, k, q_lens, k_lens, window)
    holes = (window is not None or bias is not None) and k_lens.places is not None
    if backend is None:
        if k.ndim == 4:
            backend = "rows" if len(set(q_lens.lengths)) == 1 and not holes else "reference"
        else:
            backend = "reference" if holes else "varlen" if _varlen_fits(q, bias, dropout_p) else "grouped"
    if backend not in BACKENDS:
        raise InputError(f"unknown attention backend {backend!r}. Known backends: {', '.join(BACKENDS)}.")
    if holes and backend != "reference":
        raise InputError(
            f"attention backend {backend!r} has no window and no bias over sequences with holes: leave the "
            "backend out, or pass backend='reference'."
        )
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    visible = {"causal": causal, "window": window, "bias": bias}
    return BACKENDS[backend](q, k, v, q_lens, k_lens, **visible, scale=scale, dropout_p=dropout_p)


def attention_with_weights(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_lens: SeqLens,
    k_lens: SeqLens,
    *,
    causal: bool,
    window: int | None,
    bias: RelativeBias | None = None,
    scale: float,
    dropout_p: float,
) -> tuple[Tensor, list[Tensor]]:
    """The definition, a loop; also gives the weights of each sequence, (H, queries, keys)."""
    if k.ndim == 4:
        k, v = packed_keys(k, k_lens), packed_keys(v, k_lens)
    outputs, all_weights = [], []
    groups = q.shape[1] // k.shape[1]
    places = _places(q_lens, k_lens, q.device)
    split = zip(q.split(q_lens.lengths), k.split(k_lens.lengths), v.split(k_lens.lengths), places, strict=True)
    for q_i, k_i, v_i, (q_places, k_places) in split:
        keys = k_i.transpose(0, 1).repeat_interleave(groups, 0)  # (H, keys, D)
        values = v_i.transpose(0, 1).repeat_interleave(groups, 0)
        mask = visible_mask(q_places, k_places, causal, window) if causal or window is not None else None
        added = None if bias is None else bias.at(q_places, k_places)
        weights = dropout(attention_weights(q_i.transpose(0, 1), keys, mask, scale, added), dropout_p)
        outputs.append((weights @ values).transpose(0, 1))
        all_weights.append(weights)
    return torch.cat(outputs), all_weights


def _reference(q: Tensor, k: Tensor, v: Tensor, q_lens: SeqLens, k_lens: SeqLens, **options) -> Tensor:
    return attention_with_weights(q, k, v, q_lens, k_lens, **options)[0]


def _places(q_lens: SeqLens, k_lens: SeqLens, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """The places of the queries and keys of each sequence. The last query stands at the last key."""
    if q_lens.places is not None and k_lens.places is not None:
        return list(zip(q_lens.places.split(q_lens.lengths), k_lens.places.split(k_lens.lengths), strict=True))
    return [
        (torch.arange(keys - queries, keys, device=device), torch.arange(keys, device=device))
        for queries, keys in zip(q_lens.lengths, k_lens.lengths, strict=True)
    ]


def _varlen(
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
    """The fused CUDA kernel for packed sequences (half precision, no bias, no dropout)."""
    from torch.nn.attention.varlen import varlen_attn

    if bias is not None:
        raise InputError("attention backend 'varlen' knows no bias: leave the backend out, or pass 'grouped'.")
    side = -1 if window is None else window  # the kernel's -1 is "all"
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
        window_size=(side, 0 if causal else side),
    )
    assert isinstance(out, Tensor)  # a tuple only when the log-sums are asked for
    return out


BACKENDS: dict[str, Backend] = {
    "reference": _reference,
    "grouped": grouped_attention,
    "varlen": _varlen,
    "rows": rows_attention,
}


def _varlen_fits(q: Tensor, bias: RelativeBias | None, dropout_p: float) -> bool:
    if bias is not None or not q.is_cuda or q.dtype not in (torch.float16, torch.bfloat16) or dropout_p > 0:
        return False
    try:
        from torch.nn.attention.varlen import varlen_attn  # noqa: F401 - torch 2.10 and later
    except ImportError:
        return False
    return torch.cuda.get_device_capability(q.device) >= (8, 0)


def _check(q: Tensor, k: Tensor, q_lens: SeqLens, k_lens: SeqLens, window: int | None) -> None:
    if k.ndim == 4:
        if k.shape[0] != k_lens.batch_size or k_lens.max_seqlen > k.shape[2] or q_lens.total_tokens != q.shape[0]:
            raise InputError(
                f"{k_lens.batch_size} rows of up to {k_lens.max_seqlen} keys and {q_lens.total_tokens} queries do not "
                f"fit a cache of {k.shape[0]} rows with {k.shape[2]} places and {q.shape[0]} queries."
            )
    elif q_lens.total_tokens != q.shape[0] or k_lens.total_tokens != k.shape[0]:
        raise InputError(
            f"sequence lengths add up to {q_lens.total_tokens} query and {k_lens.total_tokens} key tokens, "
            f"but the tensors have {q.shape[0]} and {k.shape[0]}."
        )
    if q_lens.batch_size != k_lens.batch_size:
        raise InputError(f"{q_lens.batch_size} query sequences but {k_lens.batch_size} key sequences.")
    if window is not None and window < 0:
        raise InputError(f"the window is {window} tokens to each side, expected 0 or more, or None for all.")
    if window is not None and (q_lens.places is None) != (k_lens.places is None):
        raise InputError("a window needs the places of both queries and keys, or of neither; one of them has none.")
