"""The first weights of a model, before it learned or was given any."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from bothways.families import Family
from bothways.nn.norms import RMSNorm


class WithFirstWeights(nn.Module):
    """Mixed into a model: draws the weights of its modules, once for each."""

    family: ClassVar[Family]
    config: Any
    _has_first_weights = False

    def post_init(self) -> None:
        """Initialise all weights and tie those that are one. Called last in the constructor of a model.

        Models inside, which are initialised already, stay as they are.
        """
        if not any(p.is_meta for p in self.parameters()):
            inner = [m for m in self.modules() if isinstance(m, WithFirstWeights) and m._has_first_weights]
            done = {id(module) for model in inner for module in model.modules()}
            for path, module in self.named_modules():
                if id(module) not in done:
                    self.initialise(path, module)
            self._has_first_weights = True
        self.tie_weights()  # type: ignore[operator]

    init_weights = post_init  # the older name

    def initialise(self, path: str, module: nn.Module) -> None:
        """Draw the first weights of one module, its own parameters only; ``path`` is its name in the model."""
        if type(self)._init_weights is WithFirstWeights._init_weights:
            self._draw(path, module)
        else:  # a program's own
            self._init_weights(module)

    def _init_weights(self, module: nn.Module) -> None:
        """The name under which programs draw weights anew (``layer.apply(model._init_weights)``), or say how."""
        self._draw(next((path for path, own in self.named_modules() if own is module), ""), module)

    @torch.no_grad()
    def _draw(self, path: str, module: nn.Module) -> None:
        if self.family.initialise is None or not self.family.initialise(path, module, self.config):
            initialise(module, getattr(self.config, "initializer_range", 0.02))


@torch.no_grad()
def initialise(module: nn.Module, initializer_range: float) -> None:
    """Normal weights, zero biases, unit norms. Source: Devlin et al. 2019, appendix A.2 and its published code."""
    if isinstance(module, nn.Linear):
        module.weight.normal_(0.0, initializer_range)
        if module.bias is not None:
            module.bias.zero_()
    elif isinstance(module, nn.Embedding):
        module.weight.normal_(0.0, initializer_range)
        if module.padding_idx is not None:
            module.weight[module.padding_idx].zero_()
    elif isinstance(module, (nn.LayerNorm, RMSNorm)):
        module.weight.fill_(1.0)
        bias = getattr(module, "bias", None)
        if bias is not None:
            bias.zero_()
