"""The public classes of Mistral."""

from __future__ import annotations

from bothways.families.mistral import MISTRAL
from bothways.models.base import PreTrainedModel
from bothways.models.causal_models import CausalLMModel, CausalModel
from bothways.models.task_models import QuestionAnsweringModel, SequenceClassificationModel, TokenClassificationModel


class MistralPreTrainedModel(PreTrainedModel):
    """Base of models around ``MistralModel`` that people build themselves; ``post_init()`` ends their ``__init__``."""

    family = MISTRAL


class MistralModel(CausalModel):
    """Mistral's body: a vector for every token, from the tokens up to it."""

    family = MISTRAL


class MistralForCausalLM(CausalLMModel):
    """Mistral that writes."""

    family = MISTRAL
    base_class = MistralModel


class MistralForSequenceClassification(SequenceClassificationModel):
    """Mistral that classifies texts by their last token."""

    family = MISTRAL
    base_class = MistralModel


class MistralForTokenClassification(TokenClassificationModel):
    """Mistral that classifies tokens."""

    family = MISTRAL
    base_class = MistralModel


class MistralForQuestionAnswering(QuestionAnsweringModel):
    """Mistral that finds answers in texts."""

    family = MISTRAL
    base_class = MistralModel
