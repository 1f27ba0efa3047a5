"""Generation with a ``forward`` of a program's own: a subclass changes scores, and ``generate`` asks it at every step.

The house's models write through ``RowsDecoder``, which never calls ``forward``. Where a program has put its own in its
place, or its own ``prepare_inputs_for_generation``, rows are read anew for every token, since nobody knows what that
code remembers. Shapes: R live rows, T tokens given in one call, S columns, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bothways.errors import InputError

_HERE = __name__.partition(".")[0]


def has_own_forward(model: Any) -> bool:
    """Whether a program has changed what a model does when it is called."""
    names = ("forward", "prepare_inputs_for_generation")
    return any(name in vars(model) or getattr(type(model), name).__module__.split(".")[0] != _HERE for name in names)


class OwnForwardDecoder:
    """Rows of tokens that a program's own ``forward`` continues; see ``generation.decoder.Decoder``.

    Args:
        rows: how many, all empty.
        source: for encoder-decoder models ``encoder_outputs`` and ``attention_mask``, with a row for each.
    """

    def __init__(self, model: Any, *, rows: int, source: dict[str, Any] | None = None) -> None:
        self.vocab_size: int = model.get_output_embeddings().out_features
        self.max_length: int | None = model.longest_output
        self._model = model
        self._source = source
        self._rows = [torch.empty(0, dtype=torch.int64, device=model.device)] * rows

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens read of each live row."""
        return tuple(map(len, self._rows))

    @property
    def last_hidden(self) -> Tensor:
        """Not known of such a model.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"contrastive search reads hidden vectors, which {type(self._model).__name__} with a forward of its own "
            "does not give. Leave out penalty_alpha."
        )

    def advance(self, ids: Tensor, lengths: Sequence[int], *, every: bool = False) -> Tensor:
        """Read further tokens of every live row; see ``Decoder.advance``."""
        pieces = ids.split(list(lengths))
        self._rows = [torch.cat(pair) for pair in zip(self._rows, pieces, strict=True)]
        columns = pad_sequence(self._rows, batch_first=True)
        scores = self._scores(columns)
        if every:
            spans = zip(self.lengths, lengths, strict=True)
            return torch.cat([row[end - count : end] for row, (end, count) in zip(scores, spans, strict=True)])
        last = torch.tensor(self.lengths, device=scores.device) - 1
        return scores[torch.arange(len(scores), device=scores.device), last]

    def select(self, rows: Tensor) -> None:
        """Go on with these rows of the live ones, int64 (R',)."""
        self._rows = [self._rows[row] for row in rows.tolist()]
        if self._source is not None:
            encoded = self._source["encoder_outputs"]
            kept = type(encoded)(last_hidden_state=encoded[0].index_select(0, rows))
            mask = self._source["attention_mask"].index_select(0, rows)
            self._source = {"encoder_outputs": kept, "attention_mask": mask}

    def shorten(self, lengths: Sequence[int]) -> None:
        """Forget the last tokens of each live row."""
        self._rows = [row[:length] for row, length in zip(self._rows, lengths, strict=True)]

    def _scores(self, columns: Tensor) -> Tensor:
        """What the program's model says of every column, fp32 (R, S, V). The rows stand at the left."""
        given = self._source
        if given is None:
            ends = torch.tensor(self.lengths, device=columns.device)[:, None]
            mask = (torch.arange(columns.shape[1], device=columns.device) < ends).long()
            given = {"attention_mask": mask}
        arguments = self._model.prepare_inputs_for_generation(columns, past_key_values=None, use_cache=False, **given)
        scores: Tensor = self._model(**arguments, return_dict=True).logits.float()
        if scores.shape[:2] != columns.shape:
            raise InputError(
                f"{type(self._model).__name__}.forward gave logits {tuple(scores.shape)} for ids of shape "
                f"{tuple(columns.shape)}, expected scores for every token."
            )
        return scores
