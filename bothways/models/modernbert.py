"""The public classes of ModernBERT."""

from __future__ import annotations

from bothways.families.modernbert import MODERNBERT, ModernBertConfig
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


class ModernBertPreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``ModernBertModel`` themselves; end ``__init__`` with ``post_init()``."""

    family = MODERNBERT


class ModernBertModel(EncoderModel):
    """ModernBERT's body: a vector for every token."""

    family = MODERNBERT
    has_pooler = False


class ModernBertForMaskedLM(MaskedLMModel):
    """ModernBERT that fills gaps."""

    family = MODERNBERT
    base_class = ModernBertModel
    forward = TaskModel.forward  # type: ignore[assignment]  # without the arguments of decoders


class ModernBertForSequenceClassification(SequenceClassificationModel):
    """ModernBERT that classifies or scores texts and pairs of texts."""

    family = MODERNBERT
    base_class = ModernBertModel


class ModernBertForTokenClassification(TokenClassificationModel):
    """ModernBERT that labels every token."""

    family = MODERNBERT
    base_class = ModernBertModel


class ModernBertForQuestionAnswering(QuestionAnsweringModel):
    """ModernBERT that marks the answer to a question in a text."""

    family = MODERNBERT
    base_class = ModernBertModel


class ModernBertForMultipleChoice(MultipleChoiceModel):
    """ModernBERT that picks the text that fits."""

    family = MODERNBERT
    base_class = ModernBertModel


__all__ = ["ModernBertConfig"] + [
    name for name in list(globals()) if name.startswith("ModernBert") and name != "ModernBertConfig"
]
