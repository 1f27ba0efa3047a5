"""Heads that read a text twice: the encoder as it is, the decoder moved by one place.

Shapes: B rows, S columns, N hidden_size, C labels. A forward that is given a ``PackedBatch`` returns packed tensors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bothways.batching import PackedBatch
from bothways.errors import InputError
from bothways.models.inputs import ModelInputs
from bothways.models.outputs import Seq2SeqQuestionAnsweringModelOutput, Seq2SeqSequenceClassifierOutput
from bothways.models.rows import end_rows
from bothways.models.seq2seq_call import Seq2SeqCall
from bothways.models.task_models import (
    QuestionAnsweringModel,
    SequenceClassificationModel,
    refuse_head_mask,
    returned,
    span_answer,
)


class Seq2SeqSequenceClassificationModel(SequenceClassificationModel):
    """One answer for each text, from the vector that the decoder gives its last end token."""

    output_class = Seq2SeqSequenceClassifierOutput

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        decoder_head_mask: Tensor | None = None,
        cross_attn_head_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: Tensor | None = None,
    ) -> Any:
        """Logits (B, C), and the loss when ``labels`` are given. Other arguments as for the body.

        Args:
            input_ids: int64 (B, S), always needed: they say where the end tokens are.
            decoder_input_ids, decoder_inputs_embeds: as wide as ``input_ids``; by default those moved by one place.
            use_cache, cache_position: no effect.

        Raises:
            InputError: no ids, or a text without an end token.
        """
        for mask in (head_mask, decoder_head_mask, cross_attn_head_mask):
            refuse_head_mask(mask)
        call = Seq2SeqCall(self.base_model, output_hidden_states, output_attentions)
        call.encode(input_ids, attention_mask, inputs_embeds, encoder_outputs)
        inputs = _ids_of(self, call, input_ids, attention_mask, encoder_outputs)
        ends = end_rows(inputs, self.config.eos_token_id)
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            decoded = call.decode_again(inputs, ends)
            features = decoded.hidden
        else:
            decoded = call.decode(decoder_input_ids, decoder_attention_mask, decoder_inputs_embeds, None, False)
            hidden = call.target.inputs.unpack(decoded.hidden)  # (B, S, N)
            columns = inputs.batch.position_ids.index_select(0, ends.index)
            features = hidden[torch.arange(len(hidden), device=hidden.device), columns]
        logits = self.head.logits(self, features)
        labels = inputs.batch.labels if labels is None else labels
        loss = None if labels is None else self.compute_loss(logits, labels, inputs)
        return returned(self.output_class(loss=loss, logits=logits, **call.extras(decoded)), self.config, return_dict)


class Seq2SeqQuestionAnsweringModel(QuestionAnsweringModel):
    """A score for each token to begin and to end the answer, from what the decoder makes of it."""

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        decoder_head_mask: Tensor | None = None,
        cross_attn_head_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: Tensor | None = None,
    ) -> Any:
        """start_logits and end_logits, (B, S); the loss when both positions, int64 (B,), are given.

        Other arguments as for classification; ``input_ids`` are needed unless the decoder is given something.
        """
        for mask in (head_mask, decoder_head_mask, cross_attn_head_mask):
            refuse_head_mask(mask)
        call = Seq2SeqCall(self.base_model, output_hidden_states, output_attentions)
        call.encode(input_ids, attention_mask, inputs_embeds, encoder_outputs)
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            decoded = call.decode_again(_ids_of(self, call, input_ids, attention_mask, encoder_outputs))
        else:
            decoded = call.decode(decoder_input_ids, decoder_attention_mask, decoder_inputs_embeds, None, False)
        labels = call.inputs.batch.labels
        if labels is not None and start_positions is None:
            start_positions, end_positions = labels.unbind(-1)
        logits = self.head.logits(self, decoded.hidden)
        answer = span_answer(logits, call.target.inputs, start_positions, end_positions)
        output = Seq2SeqQuestionAnsweringModelOutput(**answer, **call.extras(decoded))
        return returned(output, self.config, return_dict)


def _ids_of(
    model: Any, call: Seq2SeqCall, input_ids: Any, attention_mask: Tensor | None, encoder_outputs: Any
) -> ModelInputs:
    """The packed ids of the source, which the decoder reads too."""
    if input_ids is None:
        raise InputError(
            f"{type(model).__name__} reads its text twice, the second time moved by one place: pass input_ids. Vectors "
            "cannot be moved, since the first of them would be unknown."
        )
    return call.inputs if encoder_outputs is None else model.packed(input_ids, attention_mask)
