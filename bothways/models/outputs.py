"""What models return: values readable by attribute, by key and by position; absent fields are skipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from bothways.model_output import ModelOutput

Tensors = tuple[Tensor, ...]


@dataclass(eq=False, repr=False)
class BaseModelOutput(ModelOutput):
    """last_hidden_state (B, S, N); hidden_states: embeddings and each layer; attentions."""

    last_hidden_state: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class Seq2SeqModelOutput(ModelOutput):
    """last_hidden_state of the target (B, L, N); past_key_values; what was asked for of decoder and encoder."""

    last_hidden_state: Tensor | None = None
    past_key_values: Any = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class Seq2SeqLMOutput(ModelOutput):
    """loss (); logits (B, L, V); past_key_values; what was asked for of decoder and encoder."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class BaseModelOutputWithPooling(ModelOutput):
    """last_hidden_state (B, S, N); pooler_output (B, N); hidden_states: embeddings and each layer; attentions."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class BaseModelOutputWithPast(ModelOutput):
    """last_hidden_state (B, S, N); past_key_values; hidden_states; attentions."""

    last_hidden_state: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class CausalLMOutput(ModelOutput):
    """For classes of a program's own: loss (); logits (B, S, V); hidden_states and attentions."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class CausalLMOutputWithPast(ModelOutput):
    """loss (); logits (B, S, V); past_key_values."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class BaseModelOutputWithPastAndCrossAttentions(BaseModelOutputWithPast):
    """For classes of a program's own: last_hidden_state (B, S, N); past_key_values; cross_attentions."""

    cross_attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class BaseModelOutputWithPoolingAndCrossAttentions(ModelOutput):
    """For classes of a program's own: last_hidden_state (B, S, N); pooler_output (B, N); cross_attentions."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Tensors | None = None
    past_key_values: Any = None
    attentions: Tensors | None = None
    cross_attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class CausalLMOutputWithCrossAttentions(CausalLMOutputWithPast):
    """For classes of a program's own: loss (); logits (B, S, V); past_key_values; cross_attentions."""

    cross_attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class DoubleHeadsModelOutput(ModelOutput):
    """loss () of words; mc_loss () of choices; logits (B, C, S, V); mc_logits (B, C); past_key_values."""

    loss: Tensor | None = None
    mc_loss: Tensor | None = None
    logits: Tensor | None = None
    mc_logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class SequenceClassifierOutput(ModelOutput):
    """loss (); logits (B, C)."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class SequenceClassifierOutputWithPast(ModelOutput):
    """For classes of a program's own: loss (); logits (B, C); past_key_values."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


class TokenClassifierOutput(SequenceClassifierOutput):
    """loss (); logits (B, S, C)."""


class MultipleChoiceModelOutput(SequenceClassifierOutput):
    """loss (); logits (B, choices)."""


class MaskedLMOutput(SequenceClassifierOutput):
    """loss (); logits (B, S, V)."""


class NextSentencePredictorOutput(SequenceClassifierOutput):
    """loss (); logits (B, 2): index 0 means that the second sentence follows the first."""


@dataclass(eq=False, repr=False)
class Seq2SeqSequenceClassifierOutput(ModelOutput):
    """loss (); logits (B, C); what was asked for of decoder and encoder."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class Seq2SeqQuestionAnsweringModelOutput(ModelOutput):
    """loss (); start_logits and end_logits (B, S), the smallest number where the mask is 0; of decoder and encoder."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    past_key_values: Any = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class QuestionAnsweringModelOutput(ModelOutput):
    """loss (); start_logits and end_logits (B, S), the smallest number where the mask is 0."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class BertForPreTrainingOutput(ModelOutput):
    """loss (); prediction_logits (B, S, V); seq_relationship_logits (B, 2)."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    seq_relationship_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class AlbertForPreTrainingOutput(ModelOutput):
    """loss (); prediction_logits (B, S, V); sop_logits (B, 2): index 0 means that the texts stand in their order."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    sop_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


class ElectraForPreTrainingOutput(SequenceClassifierOutput):
    """loss (); logits (B, S): above 0 where a token seems replaced."""
