"""The public classes of XLM-RoBERTa."""

from __future__ import annotations

from bothways.families.xlm_roberta import XLM_ROBERTA, XLMRobertaConfig
from bothways.models.base import PreTrainedModel
from bothways.models.causal_models import EncoderLMModel, GoesOn
from bothways.models.pretraining_models import MaskedLMModel
from bothways.models.roberta import ChoicesInOrder
from bothways.models.task_models import (
    EncoderModel,
    QuestionAnsweringModel,
    SequenceClassificationModel,
    TokenClassificationModel,
)


class XLMRobertaPreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``XLMRobertaModel`` themselves; end ``__init__`` with ``post_init()``."""

    family = XLM_ROBERTA


class XLMRobertaModel(GoesOn, EncoderModel):
    """XLM-RoBERTa's body: a vector for every token, and a pooled one for the text."""

    family = XLM_ROBERTA


class XLMRobertaForMaskedLM(MaskedLMModel):
    """XLM-RoBERTa that fills gaps."""

    family = XLM_ROBERTA
    base_class = XLMRobertaModel


class XLMRobertaForCausalLM(EncoderLMModel):
    """XLM-RoBERTa that writes, with ``is_decoder=True``."""

    family = XLM_ROBERTA
    base_class = XLMRobertaModel


class XLMRobertaForSequenceClassification(SequenceClassificationModel):
    """XLM-RoBERTa that classifies or scores texts and pairs of texts."""

    family = XLM_ROBERTA
    base_class = XLMRobertaModel


class XLMRobertaForTokenClassification(TokenClassificationModel):
    """XLM-RoBERTa that labels every token."""

    family = XLM_ROBERTA
    base_class = XLMRobertaModel


class XLMRobertaForQuestionAnswering(QuestionAnsweringModel):
    """XLM-RoBERTa that marks the answer to a question in a text."""

    family = XLM_ROBERTA
    base_class = XLMRobertaModel


class XLMRobertaForMultipleChoice(ChoicesInOrder):
    """XLM-RoBERTa that picks the text that fits."""

    family = XLM_ROBERTA
    base_class = XLMRobertaModel


__all__ = ["XLMRobertaConfig"] + [
    name for name in list(globals()) if name.startswith("XLMRoberta") and name != "XLMRobertaConfig"
]
