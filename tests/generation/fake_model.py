"""A model without layers: the scores after a token follow from the last two, by a fixed random table."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from bothways.generation.configuration import GenerationConfig
from bothways.generation.generate import GenerationMixin


class FakeDecoder:
    """Keeps the rows as lists, and counts what is asked of it."""

    def __init__(self, model, rows, capacity):
        self.model, self.capacity = model, capacity
        self.rows = [[] for _ in range(rows)]
        self.vocab_size, self.max_length = model.config.vocab_size, model.longest_output
        self.read, self.calls, self.selects = 0, 0, 0

    @property
    def lengths(self):
        return tuple(len(row) for row in self.rows)

    def advance(self, ids, lengths, *, every=False):
        assert len(lengths) == len(self.rows) and sum(lengths) == len(ids) and min(lengths) > 0
        self.calls += 1
        self.read += len(ids)
        scores, hidden, start = [], [], 0
        for row, length in zip(self.rows, lengths, strict=True):
            for depth, token in enumerate(ids[start : start + length].tolist()):
                row.append(token)
                assert len(row) <= self.capacity
                if every or depth + 1 == length:
                    scores.append(self.model.table[row[-2] if len(row) > 1 else 0, token])
                    hidden.append(self.model.vectors[row[-2] if len(row) > 1 else 0, token])
            start += length
        self.last_hidden = torch.stack(hidden)
        return torch.stack(scores)

    def select(self, rows):
        self.selects += 1
        self.rows = [list(self.rows[row]) for row in rows.tolist()]

    def shorten(self, lengths):
        assert all(0 <= new <= old for new, old in zip(lengths, self.lengths, strict=True))
        self.rows = [row[:length] for row, length in zip(self.rows, lengths, strict=True)]


class FakeModel(GenerationMixin):
    """Writes nonsense quickly. ``decoders`` are all that it has started."""

    def __init__(self, vocab_size=13, seed=0, longest=None, scale=3.0, **settings):
        draw = torch.Generator().manual_seed(seed)
        self.table = torch.randn(vocab_size, vocab_size, vocab_size, generator=draw) * scale
        self.table[:, :, 0] = -60.0  # padding is never written, so that tests can tell it
        self.vectors = torch.randn(vocab_size, vocab_size, 4, generator=draw)
        self.config = SimpleNamespace(vocab_size=vocab_size, is_encoder_decoder=False)
        self.device, self.longest_output = torch.device("cpu"), longest
        self.generation_config = GenerationConfig(**{"eos_token_id": 1, "pad_token_id": 0, **settings})
        self.decoders = []

    def start_decoding(self, *, rows, capacity):
        self.decoders.append(FakeDecoder(self, rows, capacity))
        return self.decoders[-1]
