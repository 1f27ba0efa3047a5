"""The public classes of DistilBERT. Their ``forward`` has the ecosystem's arguments: fewer than BERT's."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bothways.batching import PackedBatch
from bothways.families.distilbert import DISTILBERT, DistilBertConfig
from bothways.models.base import PreTrainedModel
from bothways.models.pretraining_models import MaskedLMModel
from bothways.models.task_models import (
    EncoderModel,
    MultipleChoiceModel,
    QuestionAnsweringModel,
    SequenceClassificationModel,
    TaskModel,
    TokenClassificationModel,
)


class DistilBertPreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``DistilBertModel`` themselves; end ``__init__`` with ``post_init()``."""

    family = DISTILBERT


class DistilBertModel(EncoderModel):
    """DistilBERT's body: a vector for every token."""

    family = DISTILBERT
    has_pooler = False

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Any:
        """last_hidden_state (B, S, N). ``token_type_ids`` may hold zeros only: the model knows no segments."""
        return super().forward(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            head_mask,
            inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )


class _Labelled(TaskModel):
    """The order of arguments that all heads but one share."""

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Any:
        """Logits of the task, and its loss when ``labels`` are given. Arguments as for the body."""
        return super().forward(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            head_mask=head_mask,
            inputs_embeds=inputs_embeds,
            labels=labels,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )


class DistilBertForMaskedLM(_Labelled, MaskedLMModel):  # type: ignore[misc]  # fewer arguments than BERT's
    """DistilBERT that fills gaps."""

    family = DISTILBERT
    base_class = DistilBertModel


class DistilBertForSequenceClassification(_Labelled, SequenceClassificationModel):
    """DistilBERT that classifies or scores texts and pairs of texts."""

    family = DISTILBERT
    base_class = DistilBertModel


class DistilBertForTokenClassification(_Labelled, TokenClassificationModel):
    """DistilBERT that labels every token."""

    family = DISTILBERT
    base_class = DistilBertModel


class DistilBertForMultipleChoice(_Labelled, MultipleChoiceModel):  # type: ignore[misc]  # as above
    """DistilBERT that picks the text that fits."""

    family = DISTILBERT
    base_class = DistilBertModel


class DistilBertForQuestionAnswering(QuestionAnsweringModel):
    """DistilBERT that marks the answer to a question in a text."""

    family = DISTILBERT
    base_class = DistilBertModel

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Any:
        """start_logits and end_logits, (B, S); the loss when both positions, int64 (B,), are given."""
        return super().forward(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            head_mask,
            inputs_embeds,
            start_positions,
            end_positions,
            output_attentions,
            output_hidden_states,
            return_dict,
        )


__all__ = ["DistilBertConfig"] + [
    name for name in list(globals()) if name.startswith("DistilBert") and name != "DistilBertConfig"
]
