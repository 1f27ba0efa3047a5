"""Heads: from hidden vectors to logits.

Shapes: T total tokens, B sequences, N hidden_size, E embedding_size, V vocab_size, C labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bothways.nn.activations import activation
from bothways.nn.dropout import Dropout


class Pooler(nn.Module):
    """tanh(W h_first). Source: Devlin et al. 2019, section 4.1."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)

    def forward(self, first: Tensor) -> Tensor:
        """(B, N) to (B, N); of (B, S, N) the first token of each row is read."""
        return torch.tanh(self.dense(first[:, 0] if first.ndim == 3 else first))


class MaskedLMTransform(nn.Module):
    """Dense, activation, LayerNorm before the vocabulary, at the width E of the word embeddings."""

    def __init__(self, hidden_size: int, embedding_size: int, hidden_act: str, layer_norm_eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, embedding_size)
        self.act = activation(hidden_act)
        self.LayerNorm = nn.LayerNorm(embedding_size, eps=layer_norm_eps)

    def forward(self, hidden: Tensor) -> Tensor:
        """(T, N) to (T, E)."""
        return self.LayerNorm(self.act(self.dense(hidden)))


class MaskedLMHead(nn.Module):
    """Scores over the vocabulary; the decoder shares its matrix with the word embeddings. Devlin et al. 2019, 3.1."""

    def __init__(
        self,
        hidden_size: int,
        vocab_size: int,
        hidden_act: str,
        layer_norm_eps: float,
        embedding_size: int | None = None,
    ) -> None:
        """``embedding_size`` is the width of the word embeddings where it is not ``hidden_size``."""
        super().__init__()
        width = hidden_size if embedding_size is None else embedding_size
        self.transform = MaskedLMTransform(hidden_size, width, hidden_act, layer_norm_eps)
        self.decoder = nn.Linear(width, vocab_size)
        self.bias = self.decoder.bias  # both names are in published files

    def forward(self, hidden: Tensor) -> Tensor:
        """(T, N) to (T, V)."""
        return self.decoder(self.transform(hidden))


class PretrainingHeads(nn.ModuleDict):
    """``predictions`` of words, ``seq_relationship`` of texts, or both, under one name as in published files."""

    def forward(self, sequence_output: Tensor, pooled_output: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """(B, S, N) to scores of words (B, S, V), (B, N) to scores of texts; both, with both heads, to both."""
        if "predictions" not in self:
            scores: Tensor = self["seq_relationship"](sequence_output)
            return scores
        words: Tensor = self["predictions"](sequence_output)
        return words if "seq_relationship" not in self else (words, self["seq_relationship"](pooled_output))


class LMHead(nn.Module):
    """Scores over the vocabulary under RoBERTa's names; GELU whatever ``hidden_act`` says. Liu et al. 2019."""

    def __init__(self, hidden_size: int, vocab_size: int, layer_norm_eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.act = activation("gelu")
        self.layer_norm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.decoder = nn.Linear(hidden_size, vocab_size)
        self.bias = self.decoder.bias  # both names are in published files

    def forward(self, hidden: Tensor) -> Tensor:
        """(T, N) to (T, V)."""
        return self.decoder(self.layer_norm(self.act(self.dense(hidden))))


class SequenceSummary(nn.Module):
    """A number for each text from one of its tokens: D' act(w D h), with the ecosystem's names of its settings."""

    def __init__(self, hidden_size: int, *, act: str | None, first_dropout: float, last_dropout: float) -> None:
        super().__init__()
        self.summary = nn.Linear(hidden_size, 1)
        self.activation = activation(act or "linear")
        self.first_dropout = Dropout(first_dropout)
        self.last_dropout = Dropout(last_dropout)

    def forward(self, chosen: Tensor) -> Tensor:
        """(B, N) to (B, 1)."""
        return self.last_dropout(self.activation(self.summary(self.first_dropout(chosen))))


class FirstTokenClassifier(nn.Module):
    """W act(D h_first), with dropout before each matrix: RoBERTa's head for sequences (tanh), and ELECTRA's (GELU)."""

    def __init__(self, hidden_size: int, num_labels: int, dropout: float, act: str = "tanh") -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.act = activation(act)
        self.dropout = Dropout(dropout)
        self.out_proj = nn.Linear(hidden_size, num_labels)

    def forward(self, first: Tensor) -> Tensor:
        """(B, N) to (B, C); of all tokens (B, S, N), as programs call it, the first ones are read."""
        first = first[:, 0] if first.ndim == 3 else first
        return self.out_proj(self.dropout(self.act(self.dense(self.dropout(first)))))
