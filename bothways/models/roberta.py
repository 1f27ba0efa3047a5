"""The public classes of RoBERTa."""

from __future__ import annotations

from bothways.families.roberta import ROBERTA, RobertaConfig
from bothways.models.base import PreTrainedModel
from bothways.models.pretraining_models import MaskedLMModel
from bothways.models.task_models import (
    EncoderModel,
    MultipleChoiceModel,
    QuestionAnsweringModel,
    SequenceClassificationModel,
    TokenClassificationModel,
)

MULTIPLE_CHOICE_ORDER = (
    *("token_type_ids", "attention_mask", "labels", "position_ids", "head_mask", "inputs_embeds"),
    *("output_attentions", "output_hidden_states", "return_dict"),
)
"""Of the positional arguments behind ``input_ids``, as the ecosystem has it for this one head."""


class RobertaPreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``RobertaModel`` themselves; end ``__init__`` with ``post_init()``."""

    family = ROBERTA


class RobertaModel(EncoderModel):
    """RoBERTa's body: a vector for every token, and a pooled one for the text."""

    family = ROBERTA


class RobertaForMaskedLM(MaskedLMModel):
    """RoBERTa that fills gaps."""

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


class RobertaForMultipleChoice(MultipleChoiceModel):
    """RoBERTa that picks the text that fits."""

    family = ROBERTA
    base_class = RobertaModel
    argument_order = MULTIPLE_CHOICE_ORDER


__all__ = ["RobertaConfig"] + [
    name for name in list(globals()) if name.startswith("Roberta") and name != "RobertaConfig"
]
