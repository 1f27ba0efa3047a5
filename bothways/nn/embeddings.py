"""Input embeddings: word + position + segment, normalised; a family may leave out any of them.

Shapes: T total tokens, N hidden_size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bothways.batching import PackedBatch
from bothways.errors import InputError
from bothways.nn.dropout import Dropout
from bothways.nn.opened import Opened


def embedding(rows: int, width: int, padding_idx: int | None = None) -> nn.Embedding:
    """An embedding; without first values on the meta device, where torch would import its compiler to draw none.

    Measured on two cores: the import takes longer than loading the model and answering a text.
    """
    nothing = torch.empty(rows, width) if torch.empty(0).is_meta else None
    return nn.Embedding(rows, width, padding_idx, _weight=nothing)


class Embeddings(Opened):
    """Sum of learned vectors for word, position and segment, then LayerNorm. Source: Devlin et al. 2019, section 3.

    Args:
        vocab_size: 0 for a decoder that shares the words of its encoder and is given their vectors.
        max_position_embeddings: 0 where positions enter elsewhere, or nowhere.
        layer_norm_eps: None for no norm.
        embed_scale: factor of the word vectors. Source: Vaswani et al. 2017, section 3.4.
        type_vocab_size: number of segments; 0 for a family that knows none.
        padding_idx: row of the vocabulary that is not trained.
        first_position: row of the position table for position 0. The row before it, if any, is for padding and not
            trained.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        hidden_size: int,
        max_position_embeddings: int,
        type_vocab_size: int,
        layer_norm_eps: float | None,
        hidden_dropout: float,
        padding_idx: int | None = None,
        first_position: int = 0,
        embed_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.embed_scale = embed_scale
        self.type_vocab_size = type_vocab_size
        self.first_position = first_position
        unused = first_position - 1 if first_position else None
        if vocab_size:
            self.word_embeddings = embedding(vocab_size, hidden_size, padding_idx)
        if max_position_embeddings:
            self.position_embeddings = embedding(max_position_embeddings, hidden_size, unused)
        if type_vocab_size:
            self.token_type_embeddings = embedding(type_vocab_size, hidden_size)
        self.LayerNorm = nn.Identity() if layer_norm_eps is None else nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.dropout = Dropout(hidden_dropout)

    @property
    def max_positions(self) -> int:
        """Rows of the position table as it is now: programs replace it to read longer texts."""
        return self.position_embeddings.num_embeddings if hasattr(self, "position_embeddings") else 0

    def forward(self, batch: PackedBatch, inputs_embeds: Tensor | None = None) -> Tensor:
        """The vectors that enter the first block, (T, N).

        Args:
            batch: ids, positions and segments of T tokens.
            inputs_embeds: (T, N), used in place of the word vectors; not multiplied with ``embed_scale``.

        Raises:
            InputError: a sequence longer than the positions, or an id outside the vocabulary.
        """
        self._check(batch)
        hidden = self.words(batch.input_ids) if inputs_embeds is None else inputs_embeds
        if self.max_positions:
            hidden = hidden + self.position_embeddings(batch.position_ids + self.first_position)
        if self.type_vocab_size:
            hidden = hidden + self._segments(batch.token_type_ids)
        return self.dropout(self.LayerNorm(hidden))

    def words(self, ids: Tensor) -> Tensor:
        """The vectors of words, scaled. ids: int64 (T,); returns (T, N)."""
        vectors = self.word_embeddings(ids)
        return vectors if self.embed_scale == 1.0 else vectors * self.embed_scale

    def _segments(self, token_type_ids: Tensor | None) -> Tensor:
        """(T, N); (N,) when all tokens are of the first segment."""
        if token_type_ids is None:
            return self.token_type_embeddings.weight[0]
        return self.token_type_embeddings(token_type_ids)

    def _check(self, batch: PackedBatch) -> None:
        if not batch.total_tokens or batch.input_ids.is_cuda:  # on a GPU the check would wait for the device
            return
        positions = self.max_positions - self.first_position
        if self.max_positions and int(batch.position_ids.max()) >= positions:
            lengths = batch.seqlens.lengths
            longest = max(range(len(lengths)), key=lengths.__getitem__)
            raise InputError(
                f"sequence {longest} has {int(batch.position_ids.max()) + 1} tokens but the model has {positions} "
                "positions. Pass truncation=True with max_length, or split the text into windows."
            )
        if hasattr(self, "word_embeddings"):
            check_ids(batch.input_ids, self.word_embeddings.num_embeddings)
        types = batch.token_type_ids
        table = getattr(self, "token_type_embeddings", None)  # as it is now, too
        known = table.num_embeddings if table is not None else self.type_vocab_size
        if types is not None and int(types.max()) >= max(known, 1):  # a family without segments reads all as one
            raise InputError(
                f"token_type_ids go up to {int(types.max())}, but type_vocab_size is {known}. "
                f"{'Pass numbers below it' if known > 1 else 'Leave them out: this model knows no segments'}."
            )


class ScaledEmbedding(nn.Embedding):
    """Word vectors that are multiplied with a factor where they are looked up, by whoever does that.

    Args:
        embed_scale: the factor. Source: Vaswani et al. 2017, section 3.4.
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, *, embed_scale: float = 1.0
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.embed_scale = embed_scale

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:  # as in ``embedding``
            super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        vectors = super().forward(input)
        return vectors if self.embed_scale == 1.0 else vectors * self.embed_scale


def with_rows(old: nn.Embedding, weight: Tensor, padding_idx: int | None) -> nn.Embedding:
    """An embedding of the same kind with other rows, ``weight`` (rows, N)."""
    rows, width = weight.shape
    with torch.device("meta"):
        if isinstance(old, ScaledEmbedding):
            new: nn.Embedding = ScaledEmbedding(rows, width, padding_idx, embed_scale=old.embed_scale)
        else:
            new = embedding(rows, width, padding_idx)
    new.weight = weight if isinstance(weight, nn.Parameter) else nn.Parameter(weight)
    return new


def check_ids(ids: Tensor, vocab_size: int) -> None:
    """Refuse ids outside the vocabulary.

    Raises:
        InputError: with the range found.
    """
    if not len(ids) or ids.is_cuda:  # on a GPU the check would wait for the device
        return
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= vocab_size:
        raise InputError(
            f"input_ids from {low} to {high} do not fit the vocabulary of {vocab_size}. "
            "Does the tokeniser belong to this model?"
        )
