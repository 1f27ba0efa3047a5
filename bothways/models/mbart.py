"""The public classes of mBART."""

from __future__ import annotations

import torch
from torch import Tensor

from bothways.batching import SeqLens
from bothways.families.mbart import MBART
from bothways.models.base import PreTrainedModel
from bothways.models.biased_seq2seq import BiasedSeq2SeqLMModel
from bothways.models.seq2seq_models import Seq2SeqModel
from bothways.models.seq2seq_task_models import Seq2SeqQuestionAnsweringModel, Seq2SeqSequenceClassificationModel


class MBartPreTrainedModel(PreTrainedModel):
    """Base of models that people build around ``MBartModel`` themselves; call ``post_init()`` last in ``__init__``."""

    family = MBART


class MBartModel(Seq2SeqModel):
    """mBART's body: a source and a target in, a vector for every token of the target out."""

    family = MBART
    reads_input_twice = True

    def shift_right(self, labels: Tensor) -> Tensor:
        """What the decoder reads when it shall write ``labels``, int64 (B, L): the last token, then all but the last.

        A text of mBART ends with its language, and one of mBART-50 with the end token: that begins the target.
        Padding at the end is passed over. Source: Liu et al. 2020, section 2.2.
        """
        pad = self.config.pad_token_id
        filled = labels.masked_fill(labels == -100, pad)
        last = (filled != pad).sum(1, keepdim=True) - 1
        return torch.cat((filled.gather(1, last.clamp(min=0)), filled[:, :-1]), 1)

    def moved_right_packed(self, ids: Tensor, seqlens: SeqLens) -> Tensor:
        pad = self.config.pad_token_id
        filled = ids.masked_fill(ids == -100, pad)
        rows = torch.repeat_interleave(seqlens.cu_seqlens.diff().long())
        counts = torch.zeros_like(seqlens.first_tokens).index_add(0, rows, (filled != pad).long())
        last = seqlens.first_tokens + (counts - 1).clamp(min=0)
        moved = torch.cat((filled[:1], filled[:-1]))
        return moved.index_copy(0, seqlens.first_tokens, filled.index_select(0, last))


class MBartForConditionalGeneration(BiasedSeq2SeqLMModel):
    """mBART that writes a target for a source; ``forced_bos_token_id`` says in which language."""

    family = MBART
    base_class = MBartModel


class MBartForSequenceClassification(Seq2SeqSequenceClassificationModel):
    """mBART that classifies texts."""

    family = MBART
    base_class = MBartModel


class MBartForQuestionAnswering(Seq2SeqQuestionAnsweringModel):
    """mBART that finds answers in texts."""

    family = MBART
    base_class = MBartModel
