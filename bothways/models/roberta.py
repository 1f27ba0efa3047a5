"""The public classes of RoBERTa."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bothways.batching import PackedBatch
from bothways.families.roberta import ROBERTA, RobertaConfig
from bothways.models.base import PreTrainedModel
from bothways.models.causal_models import EncoderLMModel, GoesOn
from bothways.models.pretraining_models import MaskedLMModel
from bothways.models.task_models import (
    EncoderModel,
    MultipleChoiceModel,
    QuestionAnsweringModel,
    SequenceClassificationModel,
    TokenClassificationModel,
)


class RobertaPreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``RobertaModel`` themselves; end ``__init__`` with ``post_init()``."""

    family = ROBERTA


class RobertaModel(GoesOn, EncoderModel):
    """RoBERTa's body: a vector for every token, and a pooled one for the text."""

    family = ROBERTA


class RobertaForMaskedLM(MaskedLMModel):
    """RoBERTa that fills gaps."""

    family = ROBERTA
    base_class = RobertaModel


class RobertaForCausalLM(EncoderLMModel):
    """RoBERTa that writes, with ``is_decoder=True``."""

    family = ROBERTA
    base_class = RobertaModel


class RobertaForSequenceClassification(SequenceClassificationModel):
    """RoBERTa that classifies or scores texts and pairs of texts."""

    family = ROBERTA
    base_class = RobertaModel


class RobertaForTokenClassification(TokenClassificationModel):
    """RoBERTa that labels every token."""

    family = ROBERTA
    base_class = RobertaModel


class RobertaForQuestionAnswering(QuestionAnsweringModel):
    """RoBERTa that marks the answer to a question in a text."""

    family = ROBERTA
    base_class = RobertaModel


class ChoicesInOrder(MultipleChoiceModel):
    """The order of arguments that the ecosystem has for this one head of RoBERTa and its relatives."""

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | PackedBatch | None = None,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """logits (B, choices). Arguments as for other heads, with the dimension of choices after the batch."""
        return super().forward(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            head_mask,
            inputs_embeds,
            labels,
            output_attentions,
            output_hidden_states,
            return_dict,
        )


class RobertaForMultipleChoice(ChoicesInOrder):
    """RoBERTa that picks the text that fits."""

    family = ROBERTA
    base_class = RobertaModel


__all__ = ["RobertaConfig"] + [
    name for name in list(globals()) if name.startswith("Roberta") and name != "RobertaConfig"
]
