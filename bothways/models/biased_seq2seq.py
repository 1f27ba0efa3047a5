"""The model that writes, of families whose scores have a bias that is not trained: BART and its relatives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bothways.checkpoints.config import PretrainedConfig
from bothways.models.seq2seq_models import Seq2SeqLMModel


class BiasedSeq2SeqLMModel(Seq2SeqLMModel):
    """The next word of the target after every token; ``final_logits_bias``, (1, V), is a buffer and usually zeros."""

    final_logits_bias: Tensor

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.register_buffer("final_logits_bias", torch.zeros(1, self.lm_head.out_features))

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        """As for every model; words that are new have no bias."""
        embeddings = super().resize_token_embeddings(*args, **kwargs)
        self._resize_bias(self.lm_head.out_features)
        return embeddings

    def _resize_bias(self, count: int) -> None:
        self.final_logits_bias = F.pad(self.final_logits_bias, (0, count - self.final_logits_bias.shape[1]))
