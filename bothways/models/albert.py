"""The public classes of ALBERT."""

from __future__ import annotations

from bothways.families.albert import ALBERT, AlbertConfig
from bothways.models.base import PreTrainedModel
from bothways.models.pretraining_models import MaskedLMModel, SentenceOrderModel
from bothways.models.task_models import (
    EncoderModel,
    MultipleChoiceModel,
    QuestionAnsweringModel,
    SequenceClassificationModel,
    TaskModel,
    TokenClassificationModel,
)


class AlbertPreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``AlbertModel`` themselves; call ``post_init()`` last in ``__init__``."""

    family = ALBERT


class AlbertModel(EncoderModel):
    """ALBERT's body: a vector for every token, and a pooled one for the text."""

    family = ALBERT


class AlbertForPreTraining(SentenceOrderModel):
    """ALBERT with both heads of its pretraining: masked words and sentence order."""

    family = ALBERT
    base_class = AlbertModel


class AlbertForMaskedLM(MaskedLMModel):
    """ALBERT that fills gaps."""

    family = ALBERT
    base_class = AlbertModel
    forward = TaskModel.forward  # type: ignore[assignment]  # without the arguments of decoders


class AlbertForSequenceClassification(SequenceClassificationModel):
    """ALBERT that classifies or scores texts and pairs of texts."""

    family = ALBERT
    base_class = AlbertModel


class AlbertForTokenClassification(TokenClassificationModel):
    """ALBERT that labels every token."""

    family = ALBERT
    base_class = AlbertModel


class AlbertForQuestionAnswering(QuestionAnsweringModel):
    """ALBERT that marks the answer to a question in a text."""

    family = ALBERT
    base_class = AlbertModel


class AlbertForMultipleChoice(MultipleChoiceModel):
    """ALBERT that picks the text that fits."""

    family = ALBERT
    base_class = AlbertModel


__all__ = ["AlbertConfig"] + [name for name in list(globals()) if name.startswith("Albert") and name != "AlbertConfig"]
