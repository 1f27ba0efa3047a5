"""How many operations a step of pretraining is."""

from __future__ import annotations

from typing import Any

from torch import nn


def operations_per_token(model: nn.Module, asked_share: float, mean_length: float) -> float:
    """Floating-point operations of training on one token: forward, and twice as many backward.

    Source: the count of Hoffmann et al. 2022, appendix F, with the vocabulary projected for the asked tokens alone.

    Args:
        asked_share: share of the tokens that the vocabulary is projected for.
        mean_length: tokens of a row, all of which each of them looks at.
    """
    vocabulary = {id(p) for p in _projections(model)}
    products = 0.0
    for module in model.modules():
        if isinstance(module, nn.Linear):
            share = asked_share if id(module.weight) in vocabulary else 1.0
            products += 2 * module.weight.numel() * share
    attention = sum(4 * mean_length * own.config.hidden_size * own.config.num_hidden_layers for own in _models(model))
    return 3 * (products + attention)


def _projections(model: nn.Module) -> list[nn.Parameter]:
    found = [own.get_output_embeddings() for own in _models(model)]
    return [head.weight for head in found if head is not None]


def _models(model: Any) -> list[Any]:
    if hasattr(model, "get_output_embeddings"):
        return [model]
    return [model.generator, model.discriminator]
