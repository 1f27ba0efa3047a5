"""A causal body with two heads: one writes the next word, the other says which of several texts fits.

Source: Radford et al. 2018, section 3.3. Shapes: B rows, C choices, S columns, T packed tokens, N hidden_size, V
vocab_size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bothways.batching import PackedBatch
from bothways.checkpoints.config import PretrainedConfig
from bothways.errors import InputError
from bothways.models import losses
from bothways.models.call_options import extras_of, refuse_head_mask, returned, wanted
from bothways.models.causal_models import CausalLMModel, Reading
from bothways.models.inputs import ModelInputs
from bothways.models.outputs import DoubleHeadsModelOutput


class DoubleHeadsModel(CausalLMModel):
    """The next word after every token, and a number for each text."""

    task = "double-heads"

    def __init__(self, config: PretrainedConfig) -> None:
        config.num_labels = 1  # as in the ecosystem, whose files then say so
        super().__init__(config)

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        mc_token_ids: Tensor | None = None,
        labels: Tensor | None = None,
        mc_labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        token_type_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        cache_position: Tensor | None = None,
    ) -> Any:
        """logits (B, C, S, V) and mc_logits (B, C). Arguments as for ``CausalLMModel``, with C after the batch.

        Args:
            mc_token_ids: int64 (B, C), the column of the token that is read to compare the texts; by default the last
                one that is no padding.
            labels: int64 (B, C, S), the same tokens as the input; -100 is ignored.
            mc_labels: int64 (B,), which text fits.

        Raises:
            InputError: ``mc_token_ids`` of another shape, or a column that the mask leaves out.
        """
        refuse_head_mask(head_mask)
        given = input_ids if input_ids is not None else inputs_embeds
        lead = _lead(given, 1 if input_ids is not None else 2)
        rows = [attention_mask, token_type_ids, position_ids, labels]
        attention_mask, token_type_ids, position_ids, labels = (_flat(value, lead, 1) for value in rows)
        ids = input_ids if isinstance(input_ids, PackedBatch) else _flat(input_ids, lead, 1)
        embeds = _flat(inputs_embeds, lead, 2)
        read = Reading.of(
            self.base_model, ids, attention_mask, token_type_ids, position_ids, embeds, past_key_values, use_cache
        )
        inputs = read.inputs
        encoded = self.base_model.run_cached(
            inputs, read.cache, *wanted(self.config, output_hidden_states, output_attentions)
        )
        loss, logits = self._score(encoded.hidden, labels, inputs, 0)
        compared = encoded.hidden.index_select(0, _chosen_tokens(mc_token_ids, inputs, lead))
        mc_logits = self.multiple_choice_head(compared).view(lead)
        mc_loss = None
        if mc_labels is not None:
            mc_loss = losses.token_loss(mc_logits.view(-1, lead[-1]), mc_labels.view(-1))
        extras = extras_of(inputs, encoded)
        hidden = extras["hidden_states"]
        if hidden is not None and inputs.layout is not None:  # only the last one has the caller's shape
            extras["hidden_states"] = (*hidden[:-1], hidden[-1].unflatten(0, lead))
        output = DoubleHeadsModelOutput(
            loss=loss,
            mc_loss=mc_loss,
            logits=logits if inputs.layout is None else logits.unflatten(0, lead),
            mc_logits=mc_logits,
            past_key_values=read.past_after(),
            **extras,
        )
        return returned(output, self.config, return_dict)


def _lead(given: Tensor | PackedBatch | None, trailing: int) -> tuple[int, ...]:
    """(B, C), or (B,) of texts that are not compared."""
    if isinstance(given, PackedBatch):
        return (given.batch_size,)
    return () if given is None else tuple(given.shape[: given.ndim - trailing])


def _flat(value: Tensor | None, lead: tuple[int, ...], trailing: int) -> Tensor | None:
    """(B, C, ...) to (B * C, ...); what has no choices, as it is."""
    if value is None or len(lead) < 2 or value.ndim != len(lead) + trailing:
        return value
    return value.expand(*lead, *value.shape[len(lead) :]).flatten(0, len(lead) - 1)


def _chosen_tokens(columns: Tensor | None, inputs: ModelInputs, lead: tuple[int, ...]) -> Tensor:
    """Which of the T tokens are read to compare the texts, int64 (B * C,)."""
    seqlens, layout = inputs.batch.seqlens, inputs.layout
    if columns is None:
        return seqlens.last_tokens
    if layout is None or tuple(columns.shape) != lead:
        raise InputError(f"mc_token_ids has shape {tuple(columns.shape)}, expected {lead}: one column for each text.")
    count, width = layout.shape
    columns = columns.flatten()
    if bool(((columns < 0) | (columns >= width)).any()):
        raise InputError(
            f"mc_token_ids go from {int(columns.min())} to {int(columns.max())}, expected columns from 0 to "
            f"{width - 1}."
        )
    places = torch.arange(count, device=columns.device) * width + columns
    if layout.kept is None:
        return places
    found = torch.searchsorted(layout.kept, places).clamp(max=len(layout.kept) - 1)
    lost = layout.kept[found] != places
    if bool(lost.any()):
        row = int(lost.nonzero()[0])
        raise InputError(f"mc_token_ids chooses column {int(columns[row])} of text {row}, which the mask leaves out.")
    return found
