"""The public classes of Pegasus."""

from __future__ import annotations

from bothways.families.pegasus import PEGASUS
from bothways.models.base import PreTrainedModel
from bothways.models.biased_seq2seq import BiasedSeq2SeqLMModel
from bothways.models.seq2seq_models import Seq2SeqModel


class PegasusPreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``PegasusModel``; call ``post_init()`` last in ``__init__``."""

    family = PEGASUS


class PegasusModel(Seq2SeqModel):
    """Pegasus's body: a source and a target in, a vector for every token of the target out."""

    family = PEGASUS
    scales_given_targets = True


class PegasusForConditionalGeneration(BiasedSeq2SeqLMModel):
    """Pegasus that writes a summary of a source."""

    family = PEGASUS
    base_class = PegasusModel
