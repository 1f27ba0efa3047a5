"""The public classes of BERT."""

from __future__ import annotations

from bothways.families.bert import BERT, BertConfig
from bothways.models.base import PreTrainedModel
from bothways.models.causal_models import EncoderLMModel, GoesOn
from bothways.models.pretraining_models import MaskedLMModel, NextSentenceModel, PreTrainingModel
from bothways.models.task_models import (
    EncoderModel,
    MultipleChoiceModel,
    QuestionAnsweringModel,
    SequenceClassificationModel,
    TokenClassificationModel,
)


class BertPreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``BertModel`` themselves; call ``post_init()`` last in ``__init__``."""

    family = BERT


class BertModel(GoesOn, EncoderModel):
    """BERT's body: a vector for every token, and a pooled one for the text."""

    family = BERT


class BertForPreTraining(PreTrainingModel):
    """BERT with both heads of its pretraining: masked words and next sentence."""

    family = BERT
    base_class = BertModel


class BertForMaskedLM(MaskedLMModel):
    """BERT that fills gaps."""

    family = BERT
    base_class = BertModel


class BertForNextSentencePrediction(NextSentenceModel):
    """BERT that says whether one text follows another."""

    family = BERT
    base_class = BertModel


class BertLMHeadModel(EncoderLMModel):
    """BERT that writes, with ``is_decoder=True``."""

    family = BERT
    base_class = BertModel


class BertForSequenceClassification(SequenceClassificationModel):
    """BERT that classifies or scores texts and pairs of texts."""

    family = BERT
    base_class = BertModel


class BertForTokenClassification(TokenClassificationModel):
    """BERT that labels every token."""

    family = BERT
    base_class = BertModel


class BertForQuestionAnswering(QuestionAnsweringModel):
    """BERT that marks the answer to a question in a text."""

    family = BERT
    base_class = BertModel


class BertForMultipleChoice(MultipleChoiceModel):
    """BERT that picks the text that fits."""

    family = BERT
    base_class = BertModel


__all__ = ["BertConfig"] + [name for name in list(globals()) if name.startswith("Bert") and name != "BertConfig"]
