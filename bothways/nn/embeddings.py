"""Input embeddings: word + position + segment, normalised.

Shapes: T total tokens, N hidden_size.
"""

from __future__ import annotations

from torch import Tensor, nn

from bothways.batching import PackedBatch
from bothways.errors import InputError
from bothways.nn.dropout import Dropout


class Embeddings(nn.Module):
    """Sum of learned vectors for word, position and segment, then LayerNorm. Source: Devlin et al. 2019, section 3."""

    def __init__(
        self,
        *,
        vocab_size: int,
        hidden_size: int,
        max_position_embeddings: int,
        type_vocab_size: int,
        layer_norm_eps: float,
        hidden_dropout: float,
        padding_idx: int | None,
    ) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, hidden_size, padding_idx=padding_idx)
        self.position_embeddings = nn.Embedding(max_position_embeddings, hidden_size)
        self.token_type_embeddings = nn.Embedding(type_vocab_size, hidden_size)
        self.LayerNorm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.dropout = Dropout(hidden_dropout)

    def forward(self, batch: PackedBatch, inputs_embeds: Tensor | None = None) -> Tensor:
        """The vectors that enter the first block, (T, N).

        Args:
            batch: ids, positions and segments of T tokens.
            inputs_embeds: (T, N), used in place of the word vectors.

        Raises:
            InputError: a sequence longer than the positions, or an id outside the vocabulary.
        """
        self._check(batch)
        words = self.word_embeddings(batch.input_ids) if inputs_embeds is None else inputs_embeds
        hidden = words + self.position_embeddings(batch.position_ids)
        if batch.token_type_ids is None:
            hidden = hidden + self.token_type_embeddings.weight[0]
        else:
            hidden = hidden + self.token_type_embeddings(batch.token_type_ids)
        return self.dropout(self.LayerNorm(hidden))

    def _check(self, batch: PackedBatch) -> None:
        if not batch.total_tokens or batch.input_ids.is_cuda:  # on a GPU the check would wait for the device
            return
        positions = self.position_embeddings.num_embeddings
        if int(batch.position_ids.max()) >= positions:
            lengths = batch.seqlens.lengths
            longest = max(range(len(lengths)), key=lengths.__getitem__)
            raise InputError(
                f"sequence {longest} has {int(batch.position_ids.max()) + 1} tokens but the model has {positions} "
                "positions. Pass truncation=True with max_length, or split the text into windows."
            )
        low, high = int(batch.input_ids.min()), int(batch.input_ids.max())
        if low < 0 or high >= self.word_embeddings.num_embeddings:
            raise InputError(
                f"input_ids from {low} to {high} do not fit the vocabulary of {self.word_embeddings.num_embeddings}. "
                "Does the tokeniser belong to this model?"
            )
        types = batch.token_type_ids
        if types is not None and int(types.max()) >= self.token_type_embeddings.num_embeddings:
            raise InputError(
                f"token_type_ids go up to {int(types.max())}, but type_vocab_size is "
                f"{self.token_type_embeddings.num_embeddings}."
            )
