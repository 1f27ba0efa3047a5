"""Bodies with the heads of pretraining: masked words, next sentences, sentence order, replaced tokens.

Shapes: B rows, S columns, T packed tokens, V vocab_size. A forward that is given a ``PackedBatch`` returns packed ones.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bothways.batching import PackedBatch
from bothways.models import losses
from bothways.models.inputs import ModelInputs
from bothways.models.outputs import (
    AlbertForPreTrainingOutput,
    BertForPreTrainingOutput,
    ElectraForPreTrainingOutput,
    MaskedLMOutput,
    NextSentencePredictorOutput,
)
from bothways.models.rows import chosen_rows
from bothways.models.task_models import (
    TaskModel,
    extras_of,
    refuse_decoding,
    refuse_head_mask,
    returned,
    tokens_of,
    wanted,
)
from bothways.nn.block import Rows


class NextSentenceModel(TaskModel):
    """Whether the second text follows the first. Labels int64 (B,): 0 it does, 1 it does not."""

    task = "next-sentence-prediction"
    output_class = NextSentencePredictorOutput

    def forward(
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **older: Tensor | None,
    ) -> Any:
        """logits (B, 2). ``next_sentence_label`` is the older name of ``labels``."""
        # not in the signature: whoever reads there what the labels are called would ask for both names
        labels = older.pop("next_sentence_label", labels)
        if older:
            raise TypeError(f"{type(self).__name__}.forward() got unexpected arguments: {', '.join(older)}.")
        return super().forward(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            head_mask,
            inputs_embeds,
            labels,
            output_attentions,
            output_hidden_states,
            return_dict,
        )

    def compute_loss(self, logits: Tensor, labels: Tensor, inputs: ModelInputs) -> Tensor:
        return losses.token_loss(logits.view(-1, 2), labels.view(-1))


class MaskedLMModel(TaskModel):
    """Scores over the vocabulary at every token. Labels int64 (B, S), -100 is ignored.

    With a ``PackedBatch`` that has labels, only the labelled tokens are scored: logits are (labelled, V).
    """

    task = "masked-lm"
    output_class = MaskedLMOutput

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: None = None,
        encoder_attention_mask: None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """logits (B, S, V). The two encoder arguments are of decoders and must be None."""
        refuse_decoding(encoder_hidden_states, encoder_attention_mask, None)
        return super().forward(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            head_mask,
            inputs_embeds,
            labels,
            output_attentions,
            output_hidden_states,
            return_dict,
        )

    def compute_logits(self, inputs: ModelInputs, *, rows: Rows | None = None, **options: Any) -> Any:
        if rows is None and inputs.layout is None and inputs.batch.labels is not None:
            rows = chosen_rows(inputs.batch.labels != -100, inputs.batch.seqlens)
        return super().compute_logits(inputs, rows=rows, **options)

    def compute_loss(self, logits: Tensor, labels: Tensor, inputs: ModelInputs) -> Tensor:
        tokens = tokens_of(labels, inputs)
        return losses.token_loss(logits, tokens if len(tokens) == len(logits) else tokens[tokens != -100])


class PreTrainingModel(TaskModel):
    """Both objectives of BERT's pretraining: masked words and next sentence.

    With a ``PackedBatch`` that has labels, only the labelled tokens are scored: prediction_logits are (labelled, V).
    """

    task = "pretraining"
    needs_pooler = True

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """prediction_logits (B, S, V) and seq_relationship_logits (B, 2); the sum of both losses with both labels."""
        refuse_head_mask(head_mask)
        inputs = self.packed(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        asked = wanted(self.config, output_hidden_states, output_attentions)
        loss, scores, relation, extras = self._objectives(inputs, labels, next_sentence_label, *asked)
        output = BertForPreTrainingOutput(
            loss=loss, prediction_logits=scores, seq_relationship_logits=relation, **extras
        )
        return returned(output, self.config, return_dict)

    def _objectives(
        self, inputs: ModelInputs, words: Tensor | None, relation_label: Tensor | None, hidden: bool, weights: bool
    ) -> tuple[Tensor | None, Tensor, Tensor, dict[str, Any]]:
        """The sum of both losses where both have labels, scores (B, S, V), relation (B, C), and what was collected."""
        encoded = self.base_model.run_body(inputs, want_hidden=hidden, want_weights=weights)
        words = inputs.batch.labels if words is None else words
        targets = None if words is None else tokens_of(words, inputs)
        asked = encoded.hidden
        if targets is not None and inputs.layout is None:
            chosen = (targets != -100).nonzero(as_tuple=True)[0]
            asked, targets = asked.index_select(0, chosen), targets.index_select(0, chosen)
        scores = self.head.logits(self, asked)
        pooled = self.base_model.pooler(encoded.hidden.index_select(0, inputs.batch.seqlens.first_tokens))
        relation = self.cls.seq_relationship(pooled)
        loss = None
        if targets is not None and relation_label is not None:
            loss = losses.token_loss(scores, targets)
            loss = loss + losses.token_loss(relation, relation_label.view(-1))
        return loss, inputs.unpack(scores), relation, extras_of(inputs, encoded)


class SentenceOrderModel(PreTrainingModel):
    """Both objectives of ALBERT's pretraining: masked words and the order of two texts."""

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        sentence_order_label: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """prediction_logits (B, S, V) and sop_logits (B, 2); the sum of both losses with both labels."""
        refuse_head_mask(head_mask)
        inputs = self.packed(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        asked = wanted(self.config, output_hidden_states, output_attentions)
        loss, scores, order, extras = self._objectives(inputs, labels, sentence_order_label, *asked)
        output = AlbertForPreTrainingOutput(loss=loss, prediction_logits=scores, sop_logits=order, **extras)
        return returned(output, self.config, return_dict)


class DiscriminatorModel(TaskModel):
    """Whether each token was replaced: logits (B, S). Labels (B, S), 1 for a replaced token, -100 is ignored.

    Source: Clark et al. 2020, section 2.
    """

    task = "pretraining"
    output_class = ElectraForPreTrainingOutput

    def compute_loss(self, logits: Tensor, labels: Tensor, inputs: ModelInputs) -> Tensor:
        return losses.replaced_token_loss(logits, tokens_of(labels, inputs))
