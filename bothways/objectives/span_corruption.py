"""Span corruption: spans of a text are taken out, and a model that writes gives them back.

Sentinels, special tokens that fall by 1 from span to span, stand for the spans in the source and announce them in the
target. The numbers of hidden tokens and of spans follow from the length; only where the spans lie is random, and all
places are equally likely.

Shapes: n tokens of a text.
Source: Raffel et al. 2020, sections 3.1.4 and 3.3.4; the numbers are those of ``random_spans_noise_mask`` in the
published code.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from bothways.errors import InputError

Ids = TypeVar("Ids", np.ndarray, Tensor)


def corrupt_spans(
    ids: Ids,
    *,
    first_sentinel_id: int,
    eos_token_id: int,
    rng: np.random.Generator,
    noise_density: float = 0.15,
    mean_span: float = 3.0,
    n_sentinels: int = 100,
) -> tuple[Ids, Ids]:
    """Take spans out of a text.

    Args:
        ids: whole numbers (n,), at least two, without special tokens.
        first_sentinel_id: of ``<extra_id_0>``; the k-th span gets ``first_sentinel_id - k``.
        eos_token_id: ends the source and the target.
        rng: of the places.
        noise_density: share of tokens that is taken out, above 0 and below 1.
        mean_span: mean length of a span in tokens, at least 1.
        n_sentinels: how many there are.

    Returns:
        Source and target, of the same kind as ``ids``, int64; their lengths are ``corrupted_lengths(n)``.

    Raises:
        InputError: less than two tokens, more spans than sentinels, or shares that are none.

    Example: ``a b c d e f`` may give ``a b <0> d e <1> </s>`` and ``<0> c <1> f </s>``. A text always begins with a
    token that stays and ends with one that is taken out; unlike the paper's figure 2, and like its code, the target has
    no further sentinel before its end.
    """
    array = ids.cpu().numpy() if isinstance(ids, Tensor) else np.asarray(ids)
    if array.ndim != 1 or len(array) < 2:
        raise InputError(f"ids have shape {array.shape}; expected the ids of one text, (n,) with at least 2 tokens.")
    noise, spans = _counts(len(array), noise_density, mean_span)
    if spans > n_sentinels:
        raise InputError(
            f"{len(array):,} tokens give {spans} spans, but there are only {n_sentinels} sentinels. Divide the text, "
            "or pass a larger mean_span."
        )
    lengths = np.empty(2 * spans, dtype=np.int64)
    lengths[0::2] = _parts(len(array) - noise, spans, rng)
    lengths[1::2] = _parts(noise, spans, rng)
    hidden = np.repeat(np.arange(2 * spans) % 2 == 1, lengths)
    starts = np.concatenate(([0], lengths.cumsum()[:-1]))
    sentinels = first_sentinel_id - np.arange(spans, dtype=np.int64)
    source = _with_sentinels(array, ~hidden, starts[1::2], sentinels, eos_token_id)
    target = _with_sentinels(array, hidden, starts[0::2], sentinels, eos_token_id)
    if isinstance(ids, Tensor):
        return torch.from_numpy(source).to(ids.device), torch.from_numpy(target).to(ids.device)
    return source, target


def corrupted_lengths(n: int, *, noise_density: float = 0.15, mean_span: float = 3.0) -> tuple[int, int]:
    """Lengths of source and target of a text of n tokens, ends included. Example: 568 gives (512, 114)."""
    noise, spans = _counts(n, noise_density, mean_span)
    return n - noise + spans + 1, noise + spans + 1


def spans_input_length(inputs_length: int, *, noise_density: float = 0.15, mean_span: float = 3.0) -> int:
    """How many tokens of text fill a source of a given length: the most whose source is no longer.

    Example: 512 gives 568. The length of the target follows: ``corrupted_lengths(568)[1]`` is 114. The same number as
    that of ``compute_input_and_target_lengths`` in the ecosystem's examples.

    Raises:
        InputError: no text is so short; the shortest source has 3 tokens.
    """

    def length(n: int) -> int:
        return corrupted_lengths(n, noise_density=noise_density, mean_span=mean_span)[0]

    n = 2
    if inputs_length < length(n):
        raise InputError(f"inputs_length is {inputs_length}; the shortest source has {length(n)} tokens.")
    while length(n + 1) <= inputs_length:
        n += 1
    return n


def _counts(n: int, noise_density: float, mean_span: float) -> tuple[int, int]:
    """How many tokens are taken out, in how many spans."""
    if not 0 < noise_density < 1:
        raise InputError(f"noise_density is {noise_density:g}; it must be above 0 and below 1: a share of the tokens.")
    if mean_span < 1:
        raise InputError(f"mean_span is {mean_span:g}; it must be at least 1 token.")
    noise = min(max(round(n * noise_density), 1), n - 1)
    return noise, max(round(min(noise, n - noise) / mean_span), 1)


def _parts(n: int, parts: int, rng: np.random.Generator) -> np.ndarray:
    """Divide n things into parts that are not empty; every division is equally likely. int64 (parts,)."""
    cuts = np.sort(rng.choice(n - 1, parts - 1, replace=False)) + 1
    return np.diff(cuts, prepend=0, append=n)


def _with_sentinels(
    ids: np.ndarray, kept: np.ndarray, starts: np.ndarray, sentinels: np.ndarray, eos_token_id: int
) -> np.ndarray:
    """The kept tokens, a sentinel where each other span starts, and the end. int64."""
    marked = ids.astype(np.int64)
    marked[starts] = sentinels
    kept = kept.copy()
    kept[starts] = True
    return np.append(marked[kept], eos_token_id)


__all__ = ["corrupt_spans", "corrupted_lengths", "spans_input_length"]
