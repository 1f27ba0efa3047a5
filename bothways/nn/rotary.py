"""Rotary positions: queries and keys are turned by an angle that grows with the position.

Source: Su et al. 2021 (RoFormer), section 3.2.2; halves instead of neighbouring pairs, as GPT-NeoX and its heirs do.
Shapes: T total tokens, B sequences, H heads, D head_dim (even).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bothways.batching import SeqLens


@dataclass(frozen=True, kw_only=True)
class RotaryScaling:
    """Other angles for a model that reads longer texts than it was first trained on.

    Attributes:
        kind: ``"linear"``: all angles are divided by ``factor`` (Chen et al. 2023, section 2.3). ``"dynamic"``: the
            base grows with each sequence that is longer than ``positions`` ("NTK-aware"; Peng et al. 2023, sections
            3.1 and 3.3). ``"llama3"``: angles whose wave is longer than ``positions / low`` tokens are divided by
            ``factor``, those with one shorter than ``positions / high`` stay, between them lies a slope (published
            code of Llama 3.1).
        factor: how many times longer the texts are.
        positions: tokens of the texts of the first training.
        low, high: of ``"llama3"``.
    """

    kind: Literal["linear", "dynamic", "llama3"]
    factor: float
    positions: int
    low: float = 1.0
    high: float = 4.0

    def frequencies(self, position_ids: Tensor, lens: SeqLens, head_dim: int, theta: float) -> Tensor:
        """Angle of each pair at position 1: (D / 2,), or (T, D / 2) where it depends on the sequence."""
        if self.kind == "dynamic":
            return self._dynamic(position_ids, lens, head_dim, theta)
        plain = _frequencies(theta, head_dim, position_ids.device)
        if self.kind == "linear":
            return plain / self.factor
        waves = 2 * math.pi / plain
        share = (self.positions / waves - self.low) / (self.high - self.low)  # 0 for long waves, 1 for short ones
        share = share.clamp(0.0, 1.0)
        return (1 - share) * plain / self.factor + share * plain

    def _dynamic(self, position_ids: Tensor, lens: SeqLens, head_dim: int, theta: float) -> Tensor:
        """By the last position of each sequence; tokens that a cache holds keep the angles that they were given."""
        rows = torch.repeat_interleave(lens.cu_seqlens.diff().long())
        ends = position_ids.new_zeros(lens.batch_size).scatter_reduce(0, rows, position_ids, "amax") + 1
        longer = ends.clamp(min=self.positions).float() / self.positions  # (B,)
        bases = theta * (self.factor * longer - (self.factor - 1)) ** (head_dim / (head_dim - 2))
        return _frequencies(bases[:, None], head_dim, position_ids.device).index_select(0, rows)


@dataclass(frozen=True)
class Rotary:
    """The angles of the tokens of a batch, made once for all layers with the same ``theta``.

    Attributes:
        cos, sin: (T, D / 2).
    """

    cos: Tensor
    sin: Tensor

    @classmethod
    def of(
        cls,
        position_ids: Tensor,
        head_dim: int,
        theta: float,
        dtype: torch.dtype,
        *,
        scaling: RotaryScaling | None = None,
        lens: SeqLens | None = None,
    ) -> Rotary:
        """Angle ``position * theta ** (-2 i / D)`` for the i-th pair, computed in fp32.

        Args:
            position_ids: int64 (T,).
            head_dim: D.
            theta: base of the wave lengths; the longest is about 2 pi theta tokens.
            dtype: of the result.
            scaling: how the angles differ from these.
            lens: boundaries of the sequences, for a scaling.
        """
        if scaling is None:
            frequencies = _frequencies(theta, head_dim, position_ids.device)
        else:
            assert lens is not None
            frequencies = scaling.frequencies(position_ids, lens, head_dim, theta)
        angles = position_ids.float()[:, None] * frequencies  # (T, D / 2)
        return cls(angles.cos().to(dtype), angles.sin().to(dtype))

    def rows(self, index: Tensor) -> Rotary:
        """The angles of the tokens ``index``, int64 (R,)."""
        return Rotary(self.cos.index_select(0, index), self.sin.index_select(0, index))

    def rotate(self, x: Tensor) -> Tensor:
        """Turn the pairs (x_i, x_(i + D/2)). x: (T, H, D); the result has its shape and dtype."""
        cos, sin = self.cos[:, None].to(x.dtype), self.sin[:, None].to(x.dtype)
        first, second = x.chunk(2, -1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


def _frequencies(theta: float | Tensor, head_dim: int, device: torch.device) -> Tensor:
    """``theta ** (-2 i / D)``, (D / 2,); of bases (B, 1) one row for each."""
    exponents = torch.arange(0, head_dim, 2, device=device).float() / head_dim
    return 1.0 / theta**exponents
