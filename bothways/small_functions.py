"""Small functions of the ecosystem that research programs import, found by their paths there (``module_paths.py``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property as cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bothways.tokenizers.base import PreTrainedTokenizerBase
from bothways.trainer.datasets import has_length as has_length
from bothways.trainer.smoothing import LabelSmoother as LabelSmoother

SpecialTokensMixin = PreTrainedTokenizerBase
"""There a part of every tokeniser; here tokenisers have no such parts."""
TRAINING_ARGS_NAME, TRAINER_STATE_NAME = "training_args.bin", "trainer_state.json"
OPTIMIZER_NAME, SCHEDULER_NAME = "optimizer.pt", "scheduler.pt"
"""Names of files of the ecosystem's trainer; checkpoints here have safe formats in their place."""

Decorator = Callable[[Any], Any]


def add_start_docstrings(*docstr: str) -> Decorator:
    """Put texts before the docstring of what is decorated."""

    def decorate(it: Any) -> Any:
        it.__doc__ = "".join(docstr) + (it.__doc__ or "")
        return it

    return decorate


def add_end_docstrings(*docstr: str) -> Decorator:
    """Put texts behind the docstring of what is decorated."""

    def decorate(it: Any) -> Any:
        it.__doc__ = (it.__doc__ or "") + "".join(docstr)
        return it

    return decorate


add_start_docstrings_to_model_forward = add_start_docstrings


def add_code_sample_docstrings(*args: Any, **kwargs: Any) -> Decorator:
    """Nothing: there the docstring gets an example that fits the names in it."""
    return lambda it: it


replace_return_docstrings = add_code_sample_docstrings


def nested_detach(tensors: Any) -> Any:
    """Tensors in lists, tuples and mappings without their gradients."""
    return _mapped(lambda t: t.detach() if isinstance(t, Tensor) else t, tensors)


def nested_numpify(tensors: Any) -> Any:
    """Tensors in lists, tuples and mappings as arrays; bfloat16 becomes fp32."""
    return _mapped(lambda t: (t.float() if t.dtype == torch.bfloat16 else t).cpu().numpy(), tensors)


def nested_concat(tensors: Any, new_tensors: Any, padding_index: int = -100) -> Any:
    """Rows of the second behind those of the first, in lists, tuples and mappings; shorter rows are filled up."""
    if isinstance(tensors, (list, tuple)):
        pairs = zip(tensors, new_tensors, strict=True)
        return type(tensors)(nested_concat(one, other, padding_index) for one, other in pairs)
    if isinstance(tensors, Mapping):
        return type(tensors)({k: nested_concat(t, new_tensors[k], padding_index) for k, t in tensors.items()})  # type: ignore[call-arg]
    if isinstance(tensors, np.ndarray):
        return nested_concat(torch.from_numpy(tensors), torch.from_numpy(new_tensors), padding_index).numpy()
    tensors, new_tensors = torch.atleast_1d(tensors), torch.atleast_1d(new_tensors)
    if tensors.ndim > 1 and tensors.shape[1] != new_tensors.shape[1]:
        width = max(tensors.shape[1], new_tensors.shape[1])
        behind = [0, 0] * (tensors.ndim - 2)
        tensors, new_tensors = (
            F.pad(t, (*behind, 0, width - t.shape[1]), value=padding_index) for t in (tensors, new_tensors)
        )
    return torch.cat((tensors, new_tensors))


def denumpify_detensorize(metrics: Any) -> Any:
    """Numbers of numpy and tensors of one element as plain numbers, in lists, tuples and dictionaries."""

    def plain(value: Any) -> Any:
        alone = isinstance(value, np.generic) or (isinstance(value, Tensor) and value.numel() == 1)
        return value.item() if alone else value

    return _mapped(plain, metrics)


def _mapped(change: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, (list, tuple)):
        return type(tree)(_mapped(change, value) for value in tree)
    if isinstance(tree, Mapping):
        return type(tree)({key: _mapped(change, value) for key, value in tree.items()})  # type: ignore[call-arg]
    return change(tree)


def apply_chunking_to_forward(
    forward_fn: Callable[..., Tensor], chunk_size: int, chunk_dim: int, *input_tensors: Tensor
) -> Tensor:
    """A function over pieces of its inputs, to need less memory. Source: Kitaev et al. 2020, section 3.

    Raises:
        ValueError: the length is no multiple of the chunk.
    """
    if chunk_size <= 0:
        return forward_fn(*input_tensors)
    length = input_tensors[0].shape[chunk_dim]
    if length % chunk_size:
        raise ValueError(f"The dimension to be chunked {length} has to be a multiple of the chunk size {chunk_size}")
    pieces = zip(*(t.chunk(length // chunk_size, dim=chunk_dim) for t in input_tensors), strict=True)
    return torch.cat([forward_fn(*piece) for piece in pieces], dim=chunk_dim)


def prune_linear_layer(layer: nn.Linear, index: Tensor, dim: int = 0) -> nn.Linear:
    """A linear layer with these outputs only (``dim`` 0) or these inputs (``dim`` 1), int64 (n,)."""
    weight = layer.weight.detach().index_select(dim, index.to(layer.weight.device)).clone()
    new = nn.Linear(weight.shape[1], weight.shape[0], bias=layer.bias is not None).to(weight)
    new.weight.data.copy_(weight)
    if layer.bias is not None:
        new.bias.data.copy_(layer.bias.detach() if dim == 1 else layer.bias.detach()[index])
    return new


def find_pruneable_heads_and_indices(
    heads: Any, n_heads: int, head_size: int, already_pruned_heads: set[int]
) -> tuple[set[int], Tensor]:
    """The heads that are not pruned yet, and the places, int64 (n,), that stay without them."""
    heads = set(heads) - already_pruned_heads
    kept = torch.ones(n_heads, head_size, dtype=torch.bool)
    for head in heads:
        kept[head - sum(pruned < head for pruned in already_pruned_heads)] = False
    return heads, kept.flatten().nonzero().flatten()
