"""The optimizers of pretraining: AdamW, or Muon for the matrices of the blocks and AdamW for all else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bothways.engine.optimizers import AdamW
from bothways.errors import UsageError

BETAS = (0.9, 0.98)
"""Source: Liu et al. 2019, section 3.1: stable where steps are large."""
EPS = 1e-6
MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
LIKE_ADAMW = 0.2
"""Root mean square of the numbers in AdamW's updates. Source: Liu et al. 2025, section 2.2."""


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for some parameters, AdamW for the others.

    Muon changes a matrix by the nearest orthogonal one to its momentum, scaled so that the rate and the decay of AdamW
    suit it. Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; the scale: Liu et
    al. 2025, "Muon is scalable for LLM training", section 2.2. (torch's own multiplies in bfloat16, which CPUs without
    units for it do a hundred times slower.)

    Args:
        groups: with ``lr``, ``weight_decay`` and ``params``.
        matrices: ids of the parameters that are Muon's.
    """

    def __init__(self, groups: list[dict[str, Any]], matrices: set[int]) -> None:
        def only(muon: bool) -> list[dict[str, Any]]:
            own = [{**g, "params": [p for p in g["params"] if (id(p) in matrices) == muon]} for g in groups]
            return [g for g in own if g["params"]]

        # a model without a head of its own has LoRA alone to learn
        self.adamw = AdamW(only(False) or [{**groups[0], "params": []}], betas=BETAS, eps=EPS)
        super().__init__([{**group, "muon": True} for group in only(True)], {})
        self.muon_groups = list(self.param_groups)
        self.param_groups += self.adamw.param_groups

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.muon_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._change(parameter, group["lr"], group["weight_decay"])
        self.adamw.step()

    def _change(self, matrix: nn.Parameter, rate: float, decay: float) -> None:
        assert matrix.grad is not None
        state = self.state[matrix]
        if not state:
            state["momentum"] = torch.zeros_like(matrix)
        state["momentum"].lerp_(matrix.grad, 1 - MOMENTUM)
        ahead = matrix.grad.lerp(state["momentum"], MOMENTUM)  # Nesterov's
        scale = LIKE_ADAMW * max(matrix.shape) ** 0.5
        matrix.mul_(1 - rate * decay).add_(orthogonal(ahead), alpha=-rate * scale)

    def state_dict(self) -> dict[str, Any]:
        parameters = [p for group in self.muon_groups for p in group["params"]]
        momentum = {i: self.state[p]["momentum"] for i, p in enumerate(parameters) if p in self.state}
        return {"momentum": momentum, "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        parameters = [p for group in self.muon_groups for p in group["params"]]
        for i, momentum in state_dict["momentum"].items():
            self.state[parameters[int(i)]] = {"momentum": momentum.to(parameters[int(i)])}
        self.adamw.load_state_dict(state_dict["adamw"])
        self.param_groups = [*self.muon_groups, *self.adamw.param_groups]


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix (m, n) of the same singular vectors whose singular values are all near 1, by Newton-Schulz iterations.

    They are multiplied in bfloat16 on a GPU, where that is enough, and in the matrix's own numbers elsewhere.
    """
    x = matrix.bfloat16() if matrix.is_cuda else matrix
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x.T if tall else x).to(matrix.dtype)


def make_optimizer(name: str, groups: list[dict[str, Any]], model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of that name, over groups of the model's parameters.

    Raises:
        UsageError: Muon, and no matrix of a block learns.
    """
    if name == "adamw":
        return AdamW(groups, betas=BETAS, eps=EPS)
    matrices = block_matrices(model)
    if not matrices:
        raise UsageError(
            "--optimizer muon is for the matrices of blocks, and none of them learns here. Take --optimizer adamw."
        )
    return MuonWithAdamW(groups, matrices)


def block_matrices(model: nn.Module) -> set[int]:
    """Ids of the matrices of linear layers in blocks that learn, those of LoRA among them: no embeddings, no heads."""
    linear = [m for path, m in model.named_modules() if isinstance(m, nn.Linear) and ".layer." in f".{path}"]
    return {id(p) for module in linear for p in module.parameters(recurse=False) if p.ndim == 2 and p.requires_grad}
