"""The public classes of Llama."""

from __future__ import annotations

from bothways.families.llama import LLAMA, LLAMA_READER
from bothways.models.base import PreTrainedModel
from bothways.models.causal_models import CausalLMModel, CausalModel
from bothways.models.task_models import QuestionAnsweringModel, SequenceClassificationModel, TokenClassificationModel


class LlamaPreTrainedModel(PreTrainedModel):
    """Base of models around ``LlamaModel`` that people build themselves; ``post_init()`` ends their ``__init__``."""

    family = LLAMA


class LlamaModel(CausalModel):
    """Llama's body: a vector for every token, from the tokens up to it."""

    family = LLAMA


class LlamaForCausalLM(CausalLMModel):
    """Llama that writes."""

    family = LLAMA
    base_class = LlamaModel


class LlamaForSequenceClassification(SequenceClassificationModel):
    """Llama that classifies texts by their last token."""

    family = LLAMA
    base_class = LlamaModel


class LlamaForTokenClassification(TokenClassificationModel):
    """Llama that classifies tokens."""

    family = LLAMA
    base_class = LlamaModel


class LlamaForQuestionAnswering(QuestionAnsweringModel):
    """Llama that finds answers in texts."""

    family = LLAMA_READER
    base_class = LlamaModel
