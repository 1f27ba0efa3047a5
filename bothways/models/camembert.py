"""The public classes of CamemBERT."""

from __future__ import annotations

from bothways.families.camembert import CAMEMBERT, CamembertConfig
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


class CamembertPreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``CamembertModel`` themselves; end ``__init__`` with ``post_init()``."""

    family = CAMEMBERT


class CamembertModel(GoesOn, EncoderModel):
    """CamemBERT's body: a vector for every token, and a pooled one for the text."""

    family = CAMEMBERT


class CamembertForMaskedLM(MaskedLMModel):
    """CamemBERT that fills gaps."""

    family = CAMEMBERT
    base_class = CamembertModel


class CamembertForCausalLM(EncoderLMModel):
    """CamemBERT that writes, with ``is_decoder=True``."""

    family = CAMEMBERT
    base_class = CamembertModel


class CamembertForSequenceClassification(SequenceClassificationModel):
    """CamemBERT that classifies or scores texts and pairs of texts."""

    family = CAMEMBERT
    base_class = CamembertModel


class CamembertForTokenClassification(TokenClassificationModel):
    """CamemBERT that labels every token."""

    family = CAMEMBERT
    base_class = CamembertModel


class CamembertForQuestionAnswering(QuestionAnsweringModel):
    """CamemBERT that marks the answer to a question in a text."""

    family = CAMEMBERT
    base_class = CamembertModel


class CamembertForMultipleChoice(ChoicesInOrder):
    """CamemBERT that picks the text that fits."""

    family = CAMEMBERT
    base_class = CamembertModel


__all__ = ["CamembertConfig"] + [
    name for name in list(globals()) if name.startswith("Camembert") and name != "CamembertConfig"
]
