"""Embeddings of a width of their own.

Shapes: T total tokens, E embedding_size, N hidden_size.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from bothways.batching import PackedBatch
from bothways.nn.embeddings import Embeddings


class FactorisedEmbeddings(Embeddings):
    """Embeddings of width E and a matrix from E to N: V * E + E * N numbers. Source: Lan et al. 2020, section 3.1.

    Args:
        embedding_size: E.
        hidden_size: N.
        **sizes: as for ``Embeddings``.
    """

    def __init__(self, *, embedding_size: int, hidden_size: int, **sizes: Any) -> None:
        super().__init__(hidden_size=embedding_size, **sizes)
        self.projection = nn.Linear(embedding_size, hidden_size)

    def forward(self, batch: PackedBatch, inputs_embeds: Tensor | None = None) -> Tensor:
        """(T, N). ``inputs_embeds`` is (T, E); the rest as for ``Embeddings``."""
        narrow = super().forward(batch, inputs_embeds)
        # autocast would leave bfloat16 here, and with it the residual sums of all layers
        return self.projection(narrow).to(narrow.dtype)
