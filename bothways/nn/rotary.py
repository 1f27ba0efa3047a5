"""Rotary positions: queries and keys are turned by an angle that grows with the position.

Source: Su et al. 2021 (RoFormer), section 3.2.2; halves instead of neighbouring pairs, as GPT-NeoX and its heirs do.
Shapes: T total tokens, H heads, D head_dim (even).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rotary:
    """The angles of the tokens of a batch, made once for all layers with the same ``theta``.

    Attributes:
        cos, sin: (T, D / 2).
    """

    cos: Tensor
    sin: Tensor

    @classmethod
    def of(cls, position_ids: Tensor, head_dim: int, theta: float, dtype: torch.dtype) -> Rotary:
        """Angle ``position * theta ** (-2 i / D)`` for the i-th pair, computed in fp32.

        Args:
            position_ids: int64 (T,).
            head_dim: D.
            theta: base of the wave lengths; the longest is about 2 pi theta tokens.
            dtype: of the result.
        """
        exponents = torch.arange(0, head_dim, 2, device=position_ids.device).float() / head_dim
        angles = position_ids.float()[:, None] * (1.0 / theta**exponents)  # (T, D / 2)
        return cls(angles.cos().to(dtype), angles.sin().to(dtype))

    def rows(self, index: Tensor) -> Rotary:
        """The angles of the tokens ``index``, int64 (R,)."""
        return Rotary(self.cos.index_select(0, index), self.sin.index_select(0, index))

    def rotate(self, x: Tensor) -> Tensor:
        """Turn the pairs (x_i, x_(i + D/2)). x: (T, H, D); the result has its shape and dtype."""
        cos, sin = self.cos[:, None].to(x.dtype), self.sin[:, None].to(x.dtype)
        first, second = x.chunk(2, -1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)
