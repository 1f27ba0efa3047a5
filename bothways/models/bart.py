"""The public classes of BART."""

from __future__ import annotations

from bothways.families.bart import BART
from bothways.models.base import PreTrainedModel
from bothways.models.biased_seq2seq import BiasedSeq2SeqLMModel
from bothways.models.seq2seq_models import Seq2SeqModel
from bothways.models.seq2seq_task_models import Seq2SeqQuestionAnsweringModel, Seq2SeqSequenceClassificationModel


class BartPreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``BartModel`` themselves; call ``post_init()`` last in ``__init__``."""

    family = BART


class BartModel(Seq2SeqModel):
    """BART's body: a source and a target in, a vector for every token of the target out."""

    family = BART
    reads_input_twice = True


class BartForConditionalGeneration(BiasedSeq2SeqLMModel):
    """BART that writes a target for a source."""

    family = BART
    base_class = BartModel


class BartForSequenceClassification(Seq2SeqSequenceClassificationModel):
    """BART that classifies texts and pairs, such as a premise with a hypothesis."""

    family = BART
    base_class = BartModel


class BartForQuestionAnswering(Seq2SeqQuestionAnsweringModel):
    """BART that finds answers in texts."""

    family = BART
    base_class = BartModel
