"""The public classes of GPT-2."""

from __future__ import annotations

from bothways.families.gpt2 import GPT2
from bothways.models.base import PreTrainedModel
from bothways.models.causal_models import CausalLMModel, CausalModel
from bothways.models.double_heads import DoubleHeadsModel
from bothways.models.task_models import QuestionAnsweringModel, SequenceClassificationModel, TokenClassificationModel


class GPT2PreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``GPT2Model`` themselves; call ``post_init()`` last in ``__init__``."""

    family = GPT2


class GPT2Model(CausalModel):
    """GPT-2's body: a vector for every token, from the tokens up to it."""

    family = GPT2


class GPT2LMHeadModel(CausalLMModel):
    """GPT-2 that writes."""

    family = GPT2
    base_class = GPT2Model


class GPT2DoubleHeadsModel(DoubleHeadsModel):
    """GPT-2 that writes and chooses."""

    family = GPT2
    base_class = GPT2Model


class GPT2ForSequenceClassification(SequenceClassificationModel):
    """GPT-2 that classifies texts by their last token."""

    family = GPT2
    base_class = GPT2Model


class GPT2ForTokenClassification(TokenClassificationModel):
    """GPT-2 that classifies tokens."""

    family = GPT2
    base_class = GPT2Model


class GPT2ForQuestionAnswering(QuestionAnsweringModel):
    """GPT-2 that finds answers in texts."""

    family = GPT2
    base_class = GPT2Model
