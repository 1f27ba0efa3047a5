"""What generation knows of a model: a decoder that continues some rows of tokens and remembers what it has read.

Shapes: R live rows, T tokens given in one call, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Decoder(Protocol):
    """Rows of tokens that are being written. Rows have no padding, and lengths of their own.

    A model makes one with ``start_decoding``; generation calls it and never sees the model's caches.
    """

    vocab_size: int
    max_length: int | None
    """The longest row that the model reads, or None if nothing limits it."""

    def advance(self, ids: Tensor, lengths: Sequence[int], *, every: bool = False) -> Tensor:
        """Read further tokens of every live row.

        Args:
            ids: int64 (T,), the tokens of the rows end to end.
            lengths: how many of them each live row gets, at least one.
            every: scores after every token instead of after the last of each row.

        Returns:
            fp32 (R, V), or (T, V) with ``every``.
        """
        ...

    def select(self, rows: Tensor) -> None:
        """Go on with these rows of the live ones, int64 (R',), in this order; a row may be left out or come twice."""
        ...

    def shorten(self, lengths: Sequence[int]) -> None:
        """Forget the last tokens of each live row, so that so many are left."""
        ...

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens read of each live row."""
        ...

    @property
    def last_hidden(self) -> Tensor:
        """(R or T, hidden_size): the hidden vectors behind the scores of the last ``advance``."""
        ...
