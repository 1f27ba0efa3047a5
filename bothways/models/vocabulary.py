"""The two ends of a model that know its vocabulary: word embeddings, and the projection that may share their matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bothways.errors import InputError
from bothways.models.other_names import OtherNames
from bothways.nn.embeddings import with_rows


class WithVocabulary(OtherNames):
    """Access to both ends, tying and resizing."""

    config: Any
    base_model: Any

    def tie_weights(self) -> None:
        """Let the vocabulary projection be the matrix of the word embeddings."""
        decoder = self.get_output_embeddings()
        if decoder is not None:
            if self.config.tie_word_embeddings:
                decoder.weight = self.tied_embeddings().weight
            parent = self.family.output_embeddings.rpartition(".")[0]  # type: ignore[union-attr]
            if parent:  # a head of its own shows the bias, too, as published files do
                self.get_submodule(parent).bias = decoder.bias

    def get_input_embeddings(self) -> Any:
        return self.base_model.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.base_model.embeddings.word_embeddings = value

    def enable_input_require_grads(self) -> None:
        """Let the vectors of words take part in gradients though nothing before them learns, as adapters need it."""
        self._require_grads_hook = self.get_input_embeddings().register_forward_hook(
            lambda module, inputs, output: output.requires_grad_(True)
        )

    def disable_input_require_grads(self) -> None:
        """Undo ``enable_input_require_grads``."""
        self._require_grads_hook.remove()

    def tied_embeddings(self) -> nn.Embedding:
        """The words whose matrix the vocabulary projection shares."""
        return self.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Linear | None:
        path = self.family.output_embeddings
        try:
            return None if path is None else self.get_submodule(path)  # type: ignore[return-value]
        except AttributeError:
            return None

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """Replace the vocabulary projection. A model whose matrices are tied ties this one at ``tie_weights()``."""
        path = self.family.output_embeddings
        if path is None or self.get_output_embeddings() is None:
            raise InputError(f"{type(self).__name__} has no vocabulary projection to replace.")
        parent, _, name = path.rpartition(".")
        setattr(self.get_submodule(parent), name, value)
        if parent:
            self.get_submodule(parent).bias = value.bias

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """Give the vocabulary another size. Old rows are kept; new ones are drawn as in a new model.

        Args:
            new_num_tokens: rows wanted; None only reports the embeddings.
            pad_to_multiple_of: round the number up.
            mean_resizing: draw the new rows around the mean of the old ones.
        """
        old = self.get_input_embeddings()
        if new_num_tokens is None and pad_to_multiple_of is None:
            return old
        count = old.num_embeddings if new_num_tokens is None else new_num_tokens
        if pad_to_multiple_of:
            count = -(-count // pad_to_multiple_of) * pad_to_multiple_of
        spread = self.config.initializer_range
        padding = old.padding_idx if old.padding_idx is None or old.padding_idx < count else None
        new = with_rows(old, resized(old.weight, count, spread, mean_resizing), padding)
        self.set_input_embeddings(new)
        decoder = self.get_output_embeddings()
        if decoder is not None:
            decoder.out_features = count
            if not self.config.tie_word_embeddings:
                decoder.weight = resized(decoder.weight, count, spread, mean_resizing)
            if decoder.bias is not None:
                decoder.bias = resized(decoder.bias, count, 0.0, False)
        self.config.vocab_size = count
        self.tie_weights()
        return new


@torch.no_grad()
def resized(old: Tensor, count: int, spread: float, around_mean: bool) -> nn.Parameter:
    """A parameter (count, ...) with the old rows, and further ones from a normal distribution of that spread."""
    new = torch.empty(count, *old.shape[1:], dtype=old.dtype, device=old.device).normal_(0.0, spread)
    if around_mean:
        new += old.mean(0)
    kept = min(count, len(old))
    new[:kept] = old[:kept]
    return nn.Parameter(new, requires_grad=old.requires_grad)
