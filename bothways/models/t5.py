"""The public classes of T5."""

from __future__ import annotations

from bothways.checkpoints.config import PretrainedConfig
from bothways.families.t5 import T5
from bothways.models.base import PreTrainedModel
from bothways.models.seq2seq_models import Seq2SeqBody, Seq2SeqLMModel, Seq2SeqModel
from bothways.models.seq2seq_task_models import Seq2SeqQuestionAnsweringModel, Seq2SeqSequenceClassificationModel
from bothways.models.task_models import EncoderModel, TokenClassificationModel


class T5PreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``T5Model`` themselves; call ``post_init()`` last in ``__init__``."""

    family = T5


class T5Model(Seq2SeqModel):
    """T5's body: a source and a target in, a vector for every token of the target out."""

    family = T5
    _shift_right = Seq2SeqModel.shift_right


class T5EncoderModel(EncoderModel):
    """T5's encoder alone: a vector for every token."""

    family = T5
    task = "encoder"
    has_pooler = False
    leaves_out = ("decoder.", "lm_head.")

    def __init__(self, config: PretrainedConfig, add_pooling_layer: bool = False, *, nested: bool = False) -> None:
        super().__init__(config, nested=True)
        del self.decoder, self.decoder_embeddings
        if not nested:
            self.post_init()


class T5ForConditionalGeneration(Seq2SeqLMModel):
    """T5 that writes a target for a source."""

    family = T5
    base_class = T5Model
    has_inner_body = False
    _shift_right = Seq2SeqLMModel.shift_right


class T5ForSequenceClassification(Seq2SeqSequenceClassificationModel):
    """T5 that classifies texts by the vector of their last end token, read by both halves."""

    family = T5
    base_class = T5Model


class T5ForTokenClassification(TokenClassificationModel):
    """T5's encoder that classifies tokens."""

    family = T5
    base_class = T5EncoderModel
    leaves_out = T5EncoderModel.leaves_out


class T5ForQuestionAnswering(Seq2SeqQuestionAnsweringModel, Seq2SeqBody):
    """T5 that finds answers in texts, read by both halves; these are its own attributes, as in the published class."""

    family = T5
    base_class = T5Model

    def build_body(self, config: PretrainedConfig) -> None:
        Seq2SeqBody.build_body(self, config)
