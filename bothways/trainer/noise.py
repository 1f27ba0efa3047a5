"""Noise on word vectors during training: NEFTune.

Shapes: T packed tokens, B rows, S columns, E width of the word vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bothways.batching import PackedBatch, SeqLens
from bothways.errors import UsageError


@contextmanager
def noisy_embeddings(model: nn.Module, alpha: float | None) -> Iterator[None]:
    """While training inside, word vectors get uniform noise up to ``alpha / sqrt(L E)``, L tokens in the sequence.

    In evaluation mode nothing is added. Source: Jain et al. 2023, algorithm 1.

    Args:
        alpha: 5 is usual; None and 0 add nothing.

    Raises:
        UsageError: a model without ``get_input_embeddings``.
    """
    if not alpha:
        yield
        return
    if not hasattr(model, "get_input_embeddings"):
        raise UsageError(f"neftune_noise_alpha needs get_input_embeddings(), which {type(model).__name__} has not.")
    words: nn.Module = model.get_input_embeddings()  # type: ignore[operator]
    lengths = _Lengths()
    handles = [
        parent.register_forward_pre_hook(lengths.note)
        for parent in model.modules()
        if any(child is words for child in parent.children())
    ]
    handles.append(words.register_forward_hook(lambda module, _, vectors: lengths.add_noise(module, vectors, alpha)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Lengths:
    """The sequence lengths of the packed batch that is on its way to the word vectors."""

    def __init__(self) -> None:
        self.seqlens: SeqLens | None = None

    def note(self, module: nn.Module, arguments: Any) -> None:
        self.seqlens = next((a.seqlens for a in arguments if isinstance(a, PackedBatch)), None)

    def add_noise(self, module: nn.Module, vectors: Tensor, alpha: float) -> Tensor:
        if not module.training:
            return vectors
        width = vectors.shape[-1]
        if vectors.ndim == 2 and self.seqlens is not None:  # (T, E)
            counts = self.seqlens.cu_seqlens.diff().long()
            lengths = counts.repeat_interleave(counts, output_size=len(vectors))[:, None]
        else:  # (B, S, E), of a model of somebody else
            lengths = torch.tensor(vectors.shape[-2], device=vectors.device)
        size = alpha / (lengths.to(vectors.dtype) * width).sqrt()
        return vectors + torch.empty_like(vectors).uniform_(-1, 1) * size
