"""The rows of an epoch: which tokens of which document stand in each, and rows as packed batches.

Shapes: N rows of an epoch, B rows of a batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bothways.batching import PackedBatch, SeqLens
from bothways.objectives.sentence_pairs import SentencePairs
from bothways.pretraining.documents import Documents

SHORTEST = 8
"""Tokens of the shortest rows that are made on purpose."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Special tokens around one text or two, with token types where the model has them."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    typed: bool

    @property
    def n_special(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Attributes:
    first: int64 (N, 2), where the text, or the first of two, begins and ends.
    second: the same for the second of two, or None.
    relation: int64 (N,), what is asked about the two, or None.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64] | None = None
    relation: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.first)

    @property
    def n_tokens(self) -> NDArray[np.int64]:
        """int64 (N,), without special tokens."""
        own = self.first[:, 1] - self.first[:, 0]
        return own if self.second is None else own + self.second[:, 1] - self.second[:, 0]

    @classmethod
    def of_pairs(cls, pairs: SentencePairs) -> Rows:
        return cls(
            first=np.stack([pairs.a_start, pairs.a_stop], axis=1),
            second=np.stack([pairs.b_start, pairs.b_stop], axis=1),
            relation=pairs.labels,
        )


def pieces(starts: NDArray[np.int64], room: int | NDArray[np.int64], overlap: int = 0) -> Rows:
    """Documents in as few rows of at most ``room`` tokens as it takes, of nearly the same length.

    Args:
        starts: int64 (D + 1,), of documents.
        room: of all, or int64 (D,).
        overlap: tokens that a row repeats of the one before it in its document.

    Example: starts [0, 7], room 5 -> [0, 3] and [3, 7].
    """
    lengths = np.diff(starts)
    step = room - overlap
    counts = np.where(lengths > overlap, -(-(lengths - overlap) // step), (lengths > 0).astype(np.int64))
    owner = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    own, of = np.maximum(lengths[owner] - overlap, 0), counts[owner]
    begin = starts[:-1][owner]
    stop = np.where(number + 1 == of, starts[1:][owner], begin + overlap + own * (number + 1) // of)
    return Rows(first=np.stack([begin + own * number // of, stop], axis=1))


def rooms(count: int, room: int, short_rows: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Room of the rows of each document, int64 (D,): the whole, and of a share of them any shorter one.

    Short ones are as likely between 8 and 16 tokens as between 16 and 32. Source: ``short_seq_prob`` in the authors'
    code of Devlin et al. 2019, for which all are equally likely, so that sentences are rare.
    """
    shorter = np.exp(rng.uniform(np.log(min(SHORTEST, room)), np.log(room + 1), count)).astype(np.int64)
    return np.where(rng.random(count) < short_rows, np.minimum(shorter, room), room)


def packed(documents: Documents, rows: Rows, indices: Sequence[int], frame: Frame) -> tuple[PackedBatch, Tensor]:
    """Rows as a packed batch with their special tokens.

    Returns:
        The batch, and bool (T,): which of its tokens are of the texts.
    """
    parts: list[NDArray[np.int64]] = []
    content: list[NDArray[np.bool_]] = []
    types: list[NDArray[np.int64]] = []
    lengths = []
    before, between, after = (np.array(part, dtype=np.int64) for part in (frame.before, frame.between, frame.after))
    for i in indices:
        texts = [documents.read(*rows.first[i])]
        if rows.second is not None:
            texts.append(documents.read(*rows.second[i]))
        pair = [texts[0], between, texts[1]] if len(texts) == 2 else texts
        own = [before, *pair, after]
        parts += own
        content += [np.full(len(part), part is texts[0] or part is texts[-1]) for part in own]
        lengths.append(sum(map(len, own)))
        second = len(texts[1]) + len(after) if len(texts) == 2 else 0
        types.append(np.repeat([0, 1], [lengths[-1] - second, second]))
    positions = np.concatenate([np.arange(n) for n in lengths])
    batch = PackedBatch(
        input_ids=torch.from_numpy(np.concatenate(parts)),
        position_ids=torch.from_numpy(positions),
        seqlens=SeqLens.from_lengths(lengths),
        token_type_ids=torch.from_numpy(np.concatenate(types)) if frame.typed else None,
    )
    return batch, torch.from_numpy(np.concatenate(content))


def part_of(batch: PackedBatch, first: int, last: int) -> PackedBatch:
    """The rows from ``first`` to before ``last``, with what belongs to their tokens."""
    ends = batch.seqlens.cu_seqlens
    tokens = slice(int(ends[first]), int(ends[last]))
    cut = {
        name: value[tokens]
        for name in ("input_ids", "position_ids", "token_type_ids", "labels")
        if (value := getattr(batch, name)) is not None
    }
    return replace(batch, seqlens=SeqLens.from_lengths(batch.seqlens.lengths[first:last]), **cut)
