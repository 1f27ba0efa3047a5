"""Training only the word vectors that the training texts use.

A vector whose word never occurs has no gradient; the optimizer would still fill, scan and update its row at every step,
which is a third of a small model's work on a CPU. Rows in use get exactly the updates they would get otherwise.

Shapes: V vocab_size, U words in use, N hidden_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bothways.nn.embeddings import with_rows


class CompactVocabulary:
    """The U rows of a model's word embeddings that occur in ``input_ids``, as the parameter that is trained.

    Args:
        model: its input embeddings must not be tied to an output.
        input_ids: all sequences of the training set.
    """

    def __init__(self, model: Any, input_ids: Sequence[Sequence[int]]) -> None:
        self.model = model
        self.full: nn.Embedding = model.get_input_embeddings()
        used = np.zeros(self.full.num_embeddings, dtype=bool)
        for ids in input_ids:
            used[np.asarray(ids)] = True
        # the pad token and those before it keep their ids: RoBERTa's positions follow from which token is padding
        used[: model.config.first_position] = True
        self.rows = torch.from_numpy(used.nonzero()[0])  # (U,)
        self.place = torch.zeros(self.full.num_embeddings, dtype=torch.int64)  # (V,) row to compact row
        self.place[self.rows] = torch.arange(len(self.rows))
        weight = self.full.weight.detach()[self.rows.to(self.full.weight.device)].clone()
        padding = self.full.padding_idx
        own_padding = int(self.place[padding]) if padding is not None and used[padding] else None
        self.compact = with_rows(self.full, weight, own_padding)

    def enter(self) -> None:
        """Give the model the compact embeddings; its ``input_ids`` must now go through ``translate``."""
        self.model.set_input_embeddings(self.compact)

    def leave(self) -> None:
        """Write the rows back and give the model its full embeddings."""
        with torch.no_grad():
            self.full.weight[self.rows.to(self.full.weight.device)] = self.compact.weight
        self.model.set_input_embeddings(self.full)

    def translate(self, input_ids: Tensor) -> Tensor:
        """int64 (T,) ids of the vocabulary to ids of the compact one."""
        return self.place[input_ids]
