"""The public classes of ELECTRA."""

from __future__ import annotations

from bothways.families.electra import ELECTRA, ElectraConfig
from bothways.models.base import PreTrainedModel
from bothways.models.causal_models import EncoderLMModel, GoesOn
from bothways.models.pretraining_models import DiscriminatorModel, MaskedLMModel
from bothways.models.task_models import (
    EncoderModel,
    MultipleChoiceModel,
    QuestionAnsweringModel,
    SequenceClassificationModel,
    TaskModel,
    TokenClassificationModel,
)


class ElectraPreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``ElectraModel``; call ``post_init()`` last in ``__init__``."""

    family = ELECTRA


class ElectraModel(GoesOn, EncoderModel):
    """ELECTRA's body: a vector for every token."""

    family = ELECTRA
    has_pooler = False


class ElectraForPreTraining(DiscriminatorModel):
    """ELECTRA's discriminator: whether each token was replaced."""

    family = ELECTRA
    base_class = ElectraModel


class ElectraForMaskedLM(MaskedLMModel):
    """ELECTRA's generator: fills gaps."""

    family = ELECTRA
    base_class = ElectraModel
    forward = TaskModel.forward  # type: ignore[assignment]  # without the arguments of decoders


class ElectraForCausalLM(EncoderLMModel):
    """ELECTRA that writes, with ``is_decoder=True``."""

    family = ELECTRA
    base_class = ElectraModel


class ElectraForSequenceClassification(SequenceClassificationModel):
    """ELECTRA that classifies or scores texts and pairs of texts."""

    family = ELECTRA
    base_class = ElectraModel


class ElectraForTokenClassification(TokenClassificationModel):
    """ELECTRA that labels every token."""

    family = ELECTRA
    base_class = ElectraModel


class ElectraForQuestionAnswering(QuestionAnsweringModel):
    """ELECTRA that marks the answer to a question in a text."""

    family = ELECTRA
    base_class = ElectraModel


class ElectraForMultipleChoice(MultipleChoiceModel):
    """ELECTRA that picks the text that fits."""

    family = ELECTRA
    base_class = ElectraModel


__all__ = ["ElectraConfig"] + [
    name for name in list(globals()) if name.startswith("Electra") and name != "ElectraConfig"
]
