"""The public classes of the first GPT."""

from __future__ import annotations

from bothways.families.openai_gpt import OPENAI_GPT
from bothways.models.base import PreTrainedModel
from bothways.models.causal_models import CausalLMModel, CausalModel
from bothways.models.double_heads import DoubleHeadsModel
from bothways.models.task_models import SequenceClassificationModel


class OpenAIGPTPreTrainedModel(PreTrainedModel):
    """Base of models around ``OpenAIGPTModel`` that people build; ``post_init()`` ends their ``__init__``."""

    family = OPENAI_GPT


class OpenAIGPTModel(CausalModel):
    """GPT's body: a vector for every token, from the tokens up to it."""

    family = OPENAI_GPT


class OpenAIGPTLMHeadModel(CausalLMModel):
    """GPT that writes."""

    family = OPENAI_GPT
    base_class = OpenAIGPTModel


class OpenAIGPTDoubleHeadsModel(DoubleHeadsModel):
    """GPT that writes and chooses."""

    family = OPENAI_GPT
    base_class = OpenAIGPTModel


class OpenAIGPTForSequenceClassification(SequenceClassificationModel):
    """GPT that classifies texts by their last token."""

    family = OPENAI_GPT
    base_class = OpenAIGPTModel
