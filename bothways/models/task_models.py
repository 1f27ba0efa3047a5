"""A body, and bodies with heads. The public classes of each family are three lines on top of these.

Shapes: B rows, S columns, T packed tokens, N hidden_size, C labels, V vocab_size. A forward that is given a
``PackedBatch`` returns packed tensors.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bothways.batching import Layout, PackedBatch
from bothways.checkpoints.config import PretrainedConfig
from bothways.errors import InputError
from bothways.families import Head
from bothways.models import losses
from bothways.models.base import PreTrainedModel
from bothways.models.call_options import extras_of, refuse_decoding, refuse_head_mask, returned, wanted
from bothways.models.inputs import ModelInputs
from bothways.models.outputs import (
    BaseModelOutputWithPooling,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from bothways.models.parts import open_parts
from bothways.models.rows import end_rows, first_rows, last_rows
from bothways.nn.block import Rows
from bothways.nn.stack import StackOutput


class EncoderModel(PreTrainedModel):
    """A body: text in, a vector for every token out."""

    task: ClassVar[str] = "base"
    has_pooler: ClassVar[bool] = True
    """Whether the family has one, and outputs a place for it even where a model does without."""

    def __init__(self, config: PretrainedConfig, add_pooling_layer: bool = True, *, nested: bool = False) -> None:
        super().__init__(config)
        for name, module in self.family.build_backbone(config, add_pooling_layer).items():
            setattr(self, name, module)
        if self.has_pooler and not hasattr(self, "pooler"):
            self.pooler: Any = None  # as the reference's, so that ``model.pooler is None`` can be asked
        open_parts(self)
        if not nested:
            self.post_init()

    def run_body(
        self,
        inputs: ModelInputs,
        *,
        rows: Rows | None = None,
        want_hidden: bool = False,
        want_weights: bool = False,
    ) -> StackOutput:
        """Run embeddings and encoder on a packed batch; ``rows`` limits the last layer to what is read."""
        hidden = self.embeddings(inputs.batch, inputs.inputs_embeds)
        return self.encoder(
            hidden,
            inputs.batch.seqlens,
            position_ids=inputs.batch.position_ids,
            rows=rows,
            want_hidden=want_hidden,
            want_weights=want_weights,
        )

    def forward(
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: None = None,
        encoder_attention_mask: None = None,
        past_key_values: None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Hidden vectors of every token, (B, S, N), zeros at padding; pooled first token, (B, N).

        Args:
            input_ids: int64 (B, S), or a ``PackedBatch``.
            attention_mask: (B, S), 0 for padding, anywhere in a row.
            token_type_ids, position_ids: int64 (B, S).
            head_mask: only all ones, or None.
            inputs_embeds: (B, S, N) in place of ``input_ids``.
            encoder_hidden_states, encoder_attention_mask, past_key_values, use_cache: of decoders; no effect here, and
                the first three must be None.
            output_attentions, output_hidden_states, return_dict: as in the configuration when None.
        """
        refuse_head_mask(head_mask)
        refuse_decoding(encoder_hidden_states, encoder_attention_mask, past_key_values)
        inputs = self.packed(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        want_hidden, want_weights = wanted(self.config, output_hidden_states, output_attentions)
        encoded = self.run_body(inputs, want_hidden=want_hidden, want_weights=want_weights)
        extras = extras_of(inputs, encoded)
        last = inputs.unpack(encoded.hidden)
        pooled = None
        pooler = getattr(self, "pooler", None)
        if pooler is not None:
            pooled = pooler(encoded.hidden.index_select(0, inputs.batch.seqlens.first_tokens))
        output = BaseModelOutputWithPooling(last_hidden_state=last, pooler_output=pooled, **extras)
        if not self.has_pooler or (self.config.use_return_dict if return_dict is None else return_dict):
            return returned(output, self.config, return_dict)
        return (last, pooled, *output.to_tuple()[1 if pooled is None else 2 :])  # the second place is the pooled one


class TaskModel(PreTrainedModel):
    """A body and the head of one task."""

    base_class: ClassVar[Any]
    task: ClassVar[str]
    output_class: ClassVar[type] = SequenceClassifierOutput

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.build_body(config)
        for name, module in self.head.build(config).items():
            setattr(self, name, module)
        self.num_labels = config.num_labels
        self.post_init()

    def build_body(self, config: PretrainedConfig) -> None:
        """Add the body, as an attribute of the family's name for it."""
        body = self.base_class(config, add_pooling_layer=self.needs_pooler, nested=True)
        setattr(self, self.family.base_prefix, body)

    @property
    def head(self) -> Head:
        return self.family.heads[self.task].of(self.config)

    @property
    def needs_pooler(self) -> bool:
        return self.head.reads == "pooled"

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
    ) -> Any:
        """Logits of the task, and its loss when ``labels`` are given. Other arguments as for the body."""
        refuse_head_mask(head_mask)
        inputs = self.packed(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        if labels is None:
            labels = inputs.batch.labels
        want_hidden, want_weights = wanted(self.config, output_hidden_states, output_attentions)
        logits, encoded = self.compute_logits(inputs, want_hidden=want_hidden, want_weights=want_weights)
        loss = None if labels is None else self.compute_loss(logits, labels, inputs)
        output = self.output_class(loss=loss, logits=self.present(logits, inputs), **extras_of(inputs, encoded))
        return returned(output, self.config, return_dict)

    def compute_logits(
        self,
        inputs: ModelInputs,
        *,
        rows: Rows | None = None,
        want_hidden: bool = False,
        want_weights: bool = False,
    ) -> tuple[Tensor, StackOutput]:
        """Packed logits: (B, C) for a head that reads one vector of each sequence; for one that reads tokens (T, C), or
        (R, C) for R chosen ``rows``.
        """
        body = self.base_model
        head, seqlens = self.head, inputs.batch.seqlens
        if head.reads in ("pooled", "first"):
            rows = first_rows(seqlens)
        elif head.reads == "last":
            rows = last_rows(inputs, self.config.pad_token_id)
        elif head.reads == "eos":
            rows = end_rows(inputs, self.config.eos_token_id)
        encoded = body.run_body(inputs, rows=rows, want_hidden=want_hidden, want_weights=want_weights)
        features = encoded.hidden
        if head.reads == "pooled":
            features = body.pooler(features)
        elif head.reads == "mean":
            features = torch.segment_reduce(features, "mean", lengths=seqlens.cu_seqlens.diff().long())
        return head.logits(self, features), encoded

    def present(self, logits: Tensor, inputs: ModelInputs) -> Tensor:
        """Packed logits in the caller's form."""
        return inputs.unpack(logits) if self.head.reads == "tokens" else logits

    def compute_loss(self, logits: Tensor, labels: Tensor, inputs: ModelInputs) -> Tensor:
        """The task's loss from packed logits and the caller's labels."""
        return losses.token_loss(logits, tokens_of(labels, inputs))


class SequenceClassificationModel(TaskModel):
    """One answer for each sequence: a class, several classes, or a number (``config.problem_type``)."""

    task = "sequence-classification"

    def compute_loss(self, logits: Tensor, labels: Tensor, inputs: ModelInputs) -> Tensor:
        if self.config.problem_type is None:
            self.config.problem_type = losses.infer_problem_type(labels, self.num_labels)
        return losses.sequence_loss(logits, labels, self.config.problem_type)


class TokenClassificationModel(TaskModel):
    """One class for each token. Labels int64 (B, S), -100 is ignored."""

    task = "token-classification"
    output_class = TokenClassifierOutput


class QuestionAnsweringModel(TaskModel):
    """A score for each token to begin and to end the answer.

    Source: Devlin et al. 2019, section 4.2. Positions are columns of the padded form; one outside it is ignored.
    """

    task = "question-answering"

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """start_logits and end_logits, (B, S); the loss when both positions, int64 (B,), are given."""
        refuse_head_mask(head_mask)
        inputs = self.packed(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        want_hidden, want_weights = wanted(self.config, output_hidden_states, output_attentions)
        logits, encoded = self.compute_logits(inputs, want_hidden=want_hidden, want_weights=want_weights)
        if inputs.batch.labels is not None and start_positions is None:
            start_positions, end_positions = inputs.batch.labels.unbind(-1)
        parts = span_answer(logits, inputs, start_positions, end_positions) | extras_of(inputs, encoded)
        output = QuestionAnsweringModelOutput(**parts)
        return returned(output, self.config, return_dict)


def span_answer(
    logits: Tensor, inputs: ModelInputs, start_positions: Tensor | None, end_positions: Tensor | None
) -> dict[str, Any]:
    """``loss``, ``start_logits`` and ``end_logits`` from packed logits (T, 2); the loss if positions are given."""
    layout = inputs.layout or Layout.padded(inputs.batch.seqlens)
    lowest = torch.finfo(logits.dtype).min
    start, end = layout.unpack(logits, fill=lowest).unbind(-1)  # (B, S) each
    loss = None
    if start_positions is not None and end_positions is not None:
        loss = losses.span_loss(start, end, start_positions, end_positions)
    return {"loss": loss, "start_logits": start.contiguous(), "end_logits": end.contiguous()}


class MultipleChoiceModel(TaskModel):
    """Which of several texts fits. ``input_ids`` (B, choices, S); labels int64 (B,)."""

    task = "multiple-choice"
    output_class = MultipleChoiceModelOutput

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
    ) -> Any:
        """logits (B, choices). Arguments as for other heads, with the dimension of choices after the batch.

        A ``PackedBatch`` holds the choices of each question side by side; its labels (B,) tell how many there are.
        """
        rows: list[Any] = [input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds]
        if isinstance(input_ids, PackedBatch):
            questions = input_ids.batch_size if input_ids.labels is None else len(input_ids.labels)
            self._choices = input_ids.batch_size // max(questions, 1)
        else:
            shaped = input_ids if input_ids is not None else inputs_embeds
            if not isinstance(shaped, Tensor) or shaped.ndim < 3:
                got = tuple(shaped.shape) if isinstance(shaped, Tensor) else type(shaped).__name__
                raise InputError(f"multiple choice needs input_ids of shape (batch, choices, sequence), got {got}.")
            self._choices = shaped.shape[1]
            rows = [None if value is None else value.flatten(0, 1) for value in rows]
        input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds = rows
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

    def present(self, logits: Tensor, inputs: ModelInputs) -> Tensor:
        return logits.view(-1, self._choices)

    def compute_loss(self, logits: Tensor, labels: Tensor, inputs: ModelInputs) -> Tensor:
        return losses.token_loss(logits.view(-1, self._choices), labels)


def tokens_of(labels: Tensor, inputs: ModelInputs) -> Tensor:
    """Labels of the T packed tokens."""
    return labels.flatten() if inputs.layout is None else inputs.layout.pack(labels)


__all__ = [name for name, value in globals().items() if isinstance(value, type) and issubclass(value, nn.Module)]
