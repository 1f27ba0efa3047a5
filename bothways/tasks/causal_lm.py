"""Documents to blocks of token ids that a causal model learns from, or is judged on.

A block is a number of sequences whose tokens are about as many in every block, so that all steps of training cost the
same. No sequence has tokens of two documents: what is packed side by side does not see its neighbours. Every token is
predicted exactly once: a sequence that goes on in a document begins with tokens that were predicted before, as context.

Shapes: S sequences, N blocks.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.errors import InputError

IGNORED = -100
"""The label of a token that is context: it is read and not predicted."""


@dataclass(frozen=True, kw_only=True)
class TokenBlocks:
    """Documents as sequences, and sequences in blocks.

    Attributes:
        input_ids: S arrays, int32, each of at most ``block_size`` ids and at least two.
        labels: S arrays, int64: the ids themselves, as the ecosystem's causal models take them (they shift), or -100.
            The first of each sequence is always -100: nothing stands before it.
        owner: int64 (S,), the document of each sequence.
        block_starts: int64 (N + 1,), where the sequences of each block begin; blocks follow one another.
        n_documents: how many there were; those with fewer than two ids are in no sequence.
    """

    input_ids: list[NDArray[np.int32]]
    labels: list[NDArray[np.int64]]
    owner: NDArray[np.int64]
    block_starts: NDArray[np.int64]
    n_documents: int

    def __len__(self) -> int:
        return len(self.block_starts) - 1

    def block(self, number: int) -> range:
        """The numbers of the sequences of a block."""
        return range(int(self.block_starts[number]), int(self.block_starts[number + 1]))

    @property
    def n_predicted(self) -> int:
        """How many tokens are predicted."""
        return sum(int((own != IGNORED).sum()) for own in self.labels)


def token_blocks(
    documents: Sequence[Sequence[int] | NDArray[np.int32]],
    block_size: int,
    *,
    start_id: int | None = None,
    end_id: int | None = None,
    context: int = 1,
) -> TokenBlocks:
    """Divide documents into sequences of at most ``block_size`` tokens, and pack these into blocks of that size.

    A document is divided only if it is longer than a block; sequences go where they leave the least room (best fit),
    so that blocks are nearly full without a needless cut. Source: Ding et al. 2024, "Fewer truncations improve
    language modeling", section 3.

    Args:
        documents: their ids, without special ones.
        block_size: tokens, 2 or more.
        start_id: is put before each document, so that its first token is predicted too.
        end_id: is put after each document, so that the model learns to stop.
        context: tokens that a sequence repeats of the one before it in its document, at least 1; more gives each
            prediction more to look at, for judging a model.

    Raises:
        InputError: an impossible size or context, or documents without two tokens.

    Example: documents [[5, 6, 7, 8]], block_size 4, start_id 1, end_id 2 -> sequences [1, 5, 6] and [6, 7, 8, 2] with
    labels [-100, 5, 6] and [-100, 7, 8, 2].
    """
    if block_size < 2:
        raise InputError(f"block_size is {block_size}; expected 2 tokens or more: one is read, the next is predicted.")
    if not 1 <= context < block_size:
        raise InputError(f"context is {context}; expected 1 to {block_size - 1}, less than block_size ({block_size}).")
    ids: list[NDArray[np.int32]] = []
    labels: list[NDArray[np.int64]] = []
    owner: list[int] = []
    before, after = (np.array([] if i is None else [i], dtype=np.int32) for i in (start_id, end_id))
    for number, document in enumerate(documents):
        whole = np.concatenate([before, np.asarray(document, dtype=np.int32), after])
        for start, end, first in _pieces(len(whole), block_size, context):
            own = whole[start:end].astype(np.int64)
            own[: first - start] = IGNORED
            ids.append(whole[start:end])
            labels.append(own)
            owner.append(number)
    if not ids:
        raise InputError(f"none of {len(documents):,} documents has two tokens; a model predicts from the second on.")
    bins = _best_fit([len(own) for own in ids], block_size)
    order = [i for members in bins for i in members]
    return TokenBlocks(
        input_ids=[ids[i] for i in order],
        labels=[labels[i] for i in order],
        owner=np.array([owner[i] for i in order], dtype=np.int64),
        block_starts=np.cumsum([0, *map(len, bins)], dtype=np.int64),
        n_documents=len(documents),
    )


def boundary_ids(tokenizer: Any) -> tuple[int | None, int | None]:
    """The ids before and after a document: the start token, or where there is none the end token, as GPT-2 has it.

    Raises:
        InputError: a tokeniser with neither.
    """
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    if start is None and end is None:
        raise InputError(
            "the tokeniser has neither a start nor an end token, so that documents could not be told apart. Set "
            "tokenizer.eos_token."
        )
    return (end if start is None else start), end


def _pieces(length: int, size: int, context: int) -> list[tuple[int, int, int]]:
    """(start, end, first predicted) of a document's sequences: nearly equally long, each token predicted once."""
    if length < 2:
        return []
    if length <= size:
        return [(0, length, 1)]
    count = -(-(length - context) // (size - context))
    edges = [context + (length - context) * k // count for k in range(count + 1)]
    return [(edge - context, end, 1 if edge == context else edge) for edge, end in zip(edges, edges[1:], strict=False)]


def _best_fit(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Members of each bin, in rising order; bins in the order of their first members."""
    bins: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (room left, bin), rising
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        place = bisect.bisect_left(rooms, (lengths[i], -1))
        if place == len(rooms):
            room, chosen = size, len(bins)
            bins.append([])
        else:
            room, chosen = rooms.pop(place)
        bins[chosen].append(i)
        if room > lengths[i]:
            bisect.insort(rooms, (room - lengths[i], chosen))
    return sorted((sorted(members) for members in bins), key=lambda members: members[0])
