"""Models that write: the decoder that generation continues, and what such a model is asked for.

Shapes: R live rows, T tokens given in one call, V vocab_size, N hidden_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bothways.batching import PackedBatch, SeqLens
from bothways.models.past import new_cache
from bothways.nn.block import Rows, Source
from bothways.nn.kv_cache import SourceCache


class RowsDecoder:
    """Rows of tokens that a model continues; see ``generation.decoder.Decoder``.

    Args:
        model: with ``decode_packed`` and ``score_hidden``.
        rows: how many, all empty.
        capacity: tokens of a row to make room for.
        source: what the rows read besides themselves, one source for each.
    """

    last_hidden: Tensor

    def __init__(self, model: Any, *, rows: int, capacity: int, source: Source | None = None) -> None:
        self.vocab_size: int = model.get_output_embeddings().out_features
        self.max_length: int | None = model.longest_output
        self._model = model
        self._cache = new_cache(model.base_model, rows, capacity)
        self._source = source

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens read of each live row."""
        return self._cache.lengths

    def advance(self, ids: Tensor, lengths: Sequence[int], *, every: bool = False) -> Tensor:
        """Read further tokens of every live row; see ``Decoder.advance``.

        Raises:
            InputError: more tokens than the model has positions.
        """
        device = ids.device
        lens = SeqLens.from_lengths(lengths, device)
        if len(set(lengths)) == 1 and len(set(self.lengths)) == 1:
            places = torch.arange(self.lengths[0], self.lengths[0] + lens.max_seqlen, device=device)
            places = places.repeat(lens.batch_size)
        else:
            spans = zip(self.lengths, lens.lengths, strict=True)
            places = torch.cat([torch.arange(start, start + n) for start, n in spans]).to(device)
        batch = PackedBatch(input_ids=ids, position_ids=places, seqlens=lens)
        rows = None
        if not every and lens.max_seqlen > 1:
            rows = Rows(lens.last_tokens, SeqLens.from_lengths([1] * lens.batch_size, device))
        encoded = self._model.base_model.decode_packed(batch, rows=rows, cache=self._cache, source=self._source)
        self.last_hidden = encoded.hidden
        with self._model.fast_scores():
            return self._model.score_hidden(encoded.hidden).float()

    def select(self, rows: Tensor) -> None:
        """Go on with these rows of the live ones, int64 (R',)."""
        self._cache.select(rows)
        if self._source is not None and self._source.cache is not None:
            self._source.cache.select(rows)

    def shorten(self, lengths: Sequence[int]) -> None:
        """Forget the last tokens of each live row."""
        self._cache.shorten(lengths)


def source_for_decoding(hidden: Tensor, lens: SeqLens) -> Source:
    """An encoded source, packed (Ts, N), whose keys and values are computed once."""
    return Source(hidden=hidden, lens=lens, cache=SourceCache(lens))
