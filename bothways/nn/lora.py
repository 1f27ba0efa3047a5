"""LoRA: a linear layer learns as the product of two thin matrices beside its own, which stays as it is.

    y = W x + b + (alpha / r) B A dropout(x)

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.

Shapes: T tokens (any leading dimensions), I in_features, O out_features, r rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bothways.errors import InputError
from bothways.nn.dropout import Dropout
from bothways.nn.linear import Linear, Prepared, is_plain


class LoraLinear(Linear):
    """A linear layer with LoRA. ``weight`` and ``bias`` keep their names and are frozen; A and B are trained.

    Args:
        base: the layer; its parameters are shared, not copied.
        r: rank of the product.
        alpha: the product is scaled by ``alpha / r``.
        dropout: of what enters A.
        lora_A: a parameter (r, I) to use in place of a new one: layers that a published file joins to one share it.
    """

    def __init__(
        self, base: nn.Linear, r: int, *, alpha: float, dropout: float = 0.0, lora_A: nn.Parameter | None = None
    ) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.weight.requires_grad_(False)
        if self.bias is not None:
            self.bias.requires_grad_(False)
        self.r = r
        self.alpha = alpha
        self.merged = False
        self.lora_dropout = Dropout(dropout)
        if lora_A is None:
            lora_A = nn.Parameter(base.weight.new_empty(r, base.in_features))
            # the bounds of nn.Linear, as in the authors' code (loralib) and in everybody's since
            nn.init.kaiming_uniform_(lora_A, a=math.sqrt(5))
        self.lora_A = lora_A
        self.lora_B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        self.train(base.training)

    @property
    def scaling(self) -> float:
        return self.alpha / self.r

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., I); returns (..., O)."""
        if self.prepared is not None:
            return self.prepared(x)
        own = F.linear(x, self.weight, self.bias)
        if self.merged:
            return own
        low = F.linear(self.lora_dropout(x), self.lora_A) * self.scaling  # (..., r)
        return own + F.linear(low, self.lora_B)

    def inference_weight(self) -> Tensor:
        return self.weight.detach() if self.merged else self.plus(self.weight, self.lora_A, self.lora_B)

    @torch.no_grad()
    def plus(self, weight: Tensor, lora_A: Tensor, lora_B: Tensor) -> Tensor:
        """``weight`` (O, I) with the scaled product added, in its dtype, computed in fp32 or better."""
        wide = torch.promote_types(weight.dtype, torch.float32)
        return (weight.to(wide) + self.scaling * (lora_B.to(wide) @ lora_A.to(wide))).to(weight.dtype)

    @torch.no_grad()
    def merge(self) -> None:
        """Add the product to ``weight``: the layer costs no more than without LoRA. ``train()`` takes it out again."""
        if not self.merged:
            self.weight.copy_(self.plus(self.weight, self.lora_A, self.lora_B))
            self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take the product out of ``weight`` again: exact up to rounding."""
        if self.merged:
            self.weight.copy_(self.plus(self.weight, self.lora_A, -self.lora_B))
            self.merged = False

    def train(self, mode: bool = True) -> LoraLinear:
        if mode:
            self.unmerge()
        return super().train(mode)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, r={self.r}, alpha={self.alpha:g}"


class LowRank:
    """The products of LoRA on layers with the same input, side by side, in a fixed dtype, for inference only.

    Attributes:
        down: (R, I), the A of all layers one below the other.
        up: (R, O), the scaled B, each at the rows of its A and the columns of its layer.
    """

    def __init__(self, down: Tensor, up: Tensor) -> None:
        self.down, self.up = down, up

    @classmethod
    @torch.no_grad()
    def of(cls, layers: Sequence[nn.Linear], dtype: torch.dtype) -> LowRank | None:
        """The products of these layers; None if none has LoRA."""
        adapted = [layer for layer in layers if isinstance(layer, LoraLinear)]
        if not adapted:
            return None
        up = adapted[0].lora_B.new_zeros(sum(layer.r for layer in adapted), sum(m.out_features for m in layers))
        row = column = 0
        for layer in layers:
            if isinstance(layer, LoraLinear):
                block = up[row : row + layer.r, column : column + layer.out_features]
                block.copy_(layer.lora_B.T * layer.scaling)
                row += layer.r
            column += layer.out_features
        return cls(torch.cat([layer.lora_A for layer in adapted]).to(dtype), up.to(dtype))

    def add_to(self, out: Tensor, x: Tensor) -> None:
        """Add what x (T, I) gives to ``out`` (T, O)."""
        out.addmm_(x @ self.down.T, self.up)


class PreparedBeside:
    """A prepared product that several models share, and the LoRA of one of them beside it."""

    def __init__(self, shared: Prepared, low: LowRank) -> None:
        self.shared, self.low = shared, low

    def __reduce__(self) -> tuple[Any, ...]:
        """As ``PreparedLinear``: a copy of a model prepares itself anew."""
        return type(None), ()

    def __call__(self, x: Tensor) -> Tensor:
        out = self.shared(x)
        self.low.add_to(out, x)
        return out


def put_lora(
    model: nn.Module, paths: tuple[str, ...], r: int, *, alpha: float, dropout: float = 0.0
) -> tuple[LoraLinear, ...]:
    """Give the linear layers at ``paths`` LoRA. All of them read the same input and share one A.

    Raises:
        InputError: see ``check_rank``; no layer is changed then.
    """
    check_rank(model, paths, r)
    layers: list[LoraLinear] = []
    for path in paths:
        base = model.get_submodule(path)
        assert isinstance(base, nn.Linear)
        layer = LoraLinear(base, r, alpha=alpha, dropout=dropout, lora_A=layers[0].lora_A if layers else None)
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, layer)
        layers.append(layer)
    return tuple(layers)


def check_rank(model: nn.Module, paths: Iterable[str], r: int) -> None:
    """Raise ``InputError`` if the rank is larger than the smaller side of a matrix at ``paths``, or is none."""
    for path in paths:
        rows, columns = model.get_submodule(path).weight.shape  # type: ignore[misc]
        if not isinstance(r, int) or not 1 <= r <= min(rows, columns):
            most = min(rows, columns)
            raise InputError(f"r is {r}, expected a whole number from 1 to {most}: {path} is {rows}x{columns}.")


def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoraLinear]]:
    """Path and layer of all layers with LoRA; one that stands in several places comes once."""
    return ((path, module) for path, module in model.named_modules() if isinstance(module, LoraLinear))


def merged_state(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dictionary as if there were no LoRA: products are added to the weights, A and B are left out.

    Of an A that several layers share the first name counts: a dictionary made from ``named_parameters()`` has no other.
    """
    merged = dict(state)
    shared: dict[int, Tensor | None] = {}
    for path, layer in lora_layers(model):
        lora_A, lora_B = (merged.pop(f"{path}.{name}", None) for name in ("lora_A", "lora_B"))
        lora_A = shared.setdefault(id(layer.lora_A), lora_A)
        if lora_A is not None and lora_B is not None and not layer.merged:
            merged[f"{path}.weight"] = layer.plus(merged[f"{path}.weight"], lora_A, lora_B)
    return merged


def is_foldable(layer: nn.Module) -> bool:
    """Whether a call of the layer is no more than a product with its ``inference_weight``: plain, or with LoRA."""
    return is_plain(layer) or is_plain(layer, LoraLinear)
