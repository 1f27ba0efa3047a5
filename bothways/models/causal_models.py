"""Bodies that read from left to right, and the head that writes the next word.

Shapes: B rows, S columns, T packed tokens, N hidden_size, V vocab_size. A forward that is given a ``PackedBatch``
returns packed tensors.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from bothways.batching import PackedBatch, SeqLens
from bothways.errors import InputError
from bothways.generation.decoder import Decoder
from bothways.models import losses
from bothways.models.decoding import RowsDecoder
from bothways.models.inputs import ModelInputs
from bothways.models.outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from bothways.models.own_forward import OwnForwardDecoder, has_own_forward
from bothways.models.past import DynamicCache, past_of
from bothways.models.rows import chosen_rows
from bothways.models.task_models import (
    EncoderModel,
    TaskModel,
    extras_of,
    refuse_decoding,
    refuse_head_mask,
    returned,
    tokens_of,
    wanted,
)
from bothways.models.writing import WritingModel
from bothways.nn.block import Rows, Source
from bothways.nn.kv_cache import KeyValueCache
from bothways.nn.stack import StackOutput, TransformerStack


class GoesOn:
    """Mixed into a body whose blocks can be causal: it reads on where a cache ends."""

    embeddings: Any
    encoder: TransformerStack

    @property
    def writer(self) -> TransformerStack:
        return self.encoder

    def decode_packed(
        self,
        batch: PackedBatch,
        *,
        rows: Rows | None = None,
        cache: KeyValueCache | None = None,
        source: Source | None = None,
    ) -> StackOutput:
        """Continue the rows of ``cache`` with the tokens of a packed batch; there is no source."""
        hidden = self.embeddings(batch, None)
        return self.encoder(hidden, batch.seqlens, position_ids=batch.position_ids, rows=rows, cache=cache)

    def run_cached(
        self, inputs: ModelInputs, cache: KeyValueCache | None, want_hidden: bool, want_weights: bool
    ) -> StackOutput:
        """Embeddings and blocks over everything that was passed, added to ``cache`` where there is one."""
        batch = inputs.batch
        return self.encoder(
            self.embeddings(batch, inputs.inputs_embeds),
            batch.seqlens,
            position_ids=batch.position_ids,
            cache=cache,
            want_hidden=want_hidden,
            want_weights=want_weights,
        )


class CausalModel(GoesOn, EncoderModel):
    """A body whose tokens see no later ones."""

    has_pooler = False

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        token_type_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        cache_position: Tensor | None = None,
    ) -> Any:
        """Hidden vectors of every token, (B, S, N), zeros at padding; and what was read, to go on from.

        Args:
            input_ids: int64 (B, S), or a ``PackedBatch``; with a past only the tokens after it.
            attention_mask: (B, S), 0 for padding, anywhere in a row; with a past (B, past + S) or (B, S).
            position_ids: int64 (B, S); by default the column.
            past_key_values: what an earlier call returned; it grows in place.
            inputs_embeds: (B, S, N) in place of ``input_ids``.
            use_cache: return ``past_key_values``; by default as the configuration says, and never in training.
            token_type_ids: int64 (B, S), where the family knows them.
            output_attentions, output_hidden_states, return_dict: as in the configuration when None.
            head_mask: only all ones, or None.
            cache_position: no effect; positions follow from the past.
        """
        refuse_head_mask(head_mask)
        read = Reading.of(
            self, input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, past_key_values, use_cache
        )
        asked = wanted(self.config, output_hidden_states, output_attentions)
        encoded = self.run_cached(read.inputs, read.cache, *asked)
        output = BaseModelOutputWithPast(
            last_hidden_state=read.inputs.unpack(encoded.hidden),
            past_key_values=read.past_after(),
            **extras_of(read.inputs, encoded),
        )
        return returned(output, self.config, return_dict)


class CausalTaskModel(TaskModel):
    """Heads that read the hidden vectors of a causal body."""

    base_class: ClassVar[Any] = CausalModel


class CausalLMModel(WritingModel, CausalTaskModel):
    """The next word after every token."""

    task = "causal-lm"
    output_class = CausalLMOutputWithPast

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        token_type_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        cache_position: Tensor | None = None,
        logits_to_keep: int = 0,
    ) -> Any:
        """Scores of the next word, (B, S, V); the loss when ``labels`` are given. Other arguments as for the body.

        Args:
            labels: int64 (B, S), the same tokens as the input: they are shifted here; -100 is ignored.
            logits_to_keep: only the scores of so many last columns; 0 is all.
        """
        refuse_head_mask(head_mask)
        body = self.base_model
        read = Reading.of(
            body, input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, past_key_values, use_cache
        )
        inputs = read.inputs
        labels = inputs.batch.labels if labels is None else labels
        encoded = body.run_cached(inputs, read.cache, *wanted(self.config, output_hidden_states, output_attentions))
        loss, logits = self._score(encoded.hidden, labels, inputs, logits_to_keep)
        output = self.output_class(
            loss=loss, logits=logits, past_key_values=read.past_after(), **extras_of(inputs, encoded)
        )
        return returned(output, self.config, return_dict)

    def _score(
        self, hidden: Tensor, labels: Tensor | None, inputs: ModelInputs, keep: int
    ) -> tuple[Tensor | None, Tensor]:
        """The loss and the scores in the caller's form. A packed caller with labels gets those of counted tokens."""
        if labels is None:
            if keep and inputs.layout is not None:
                return None, self.score_hidden(inputs.unpack(hidden)[:, -keep:])
            return None, inputs.unpack(self.score_hidden(hidden))
        targets = next_tokens(tokens_of(labels, inputs), inputs.batch.seqlens)
        if inputs.layout is None:
            counted = chosen_rows(targets != -100, inputs.batch.seqlens).index
            logits = self.score_hidden(hidden.index_select(0, counted))
            return losses.token_loss(logits, targets.index_select(0, counted)), logits
        logits = self.score_hidden(hidden)
        return losses.token_loss(logits, targets), inputs.unpack(logits)[:, -keep:]

    def score_hidden(self, hidden: Tensor) -> Tensor:
        """(..., N) to (..., V)."""
        return self.head.logits(self, hidden)

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        past_key_values: Any = None,
        attention_mask: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """What ``forward`` is given for the next token, for programs that write by themselves or change this.

        Args:
            input_ids: int64 (B, S), all of the rows.
            past_key_values: what was read of them; only the tokens after it are given.
            attention_mask: (B, S).
            kwargs: no effect.
        """
        past = past_of(past_key_values)
        given = {"input_ids": input_ids if past is None else input_ids[:, past.columns :]}
        return {**given, "attention_mask": attention_mask, "past_key_values": past, "use_cache": use_cache}

    def start_decoding(self, *, rows: int, capacity: int) -> Decoder:
        """Empty rows for generation; see ``generation.decoder.Decoder``."""
        if has_own_forward(self):
            return OwnForwardDecoder(self, rows=rows)
        self.make_ready_to_write()
        return RowsDecoder(self, rows=rows, capacity=capacity)


class EncoderLMModel(CausalLMModel):
    """The next word, from an encoder whose tokens see no later ones: ``is_decoder=True`` in its configuration.

    Without it the words are scored in both directions, as in the reference, and nothing can be generated.
    """

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
        past_key_values: Any = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: Tensor | None = None,
    ) -> Any:
        """Scores of the next word, (B, S, V). Arguments as for ``CausalLMModel``, in the order of encoders.

        Args:
            encoder_hidden_states, encoder_attention_mask: of an encoded source, which these models do not read.
        """
        refuse_decoding(encoder_hidden_states, encoder_attention_mask)
        if past_key_values is not None:
            check_direction(type(self), self.config)
        if labels is not None or not self.config.is_decoder:
            use_cache = False
        return super().forward(
            input_ids,
            attention_mask,
            position_ids,
            past_key_values,
            inputs_embeds,
            labels,
            use_cache,
            output_attentions,
            output_hidden_states,
            return_dict,
            token_type_ids,
            head_mask,
        )

    def start_decoding(self, *, rows: int, capacity: int) -> Decoder:
        """As for every model that writes.

        Raises:
            InputError: its tokens see later ones.
        """
        check_direction(type(self), self.config)
        return super().start_decoding(rows=rows, capacity=capacity)


def check_direction(cls: type, config: Any) -> None:
    """Refuse to write with, or to teach the next word to, an encoder whose tokens see it.

    Raises:
        InputError: says what its configuration lacks.
    """
    if issubclass(cls, EncoderLMModel) and not config.is_decoder:
        raise InputError(
            f"{config.model_type} reads in both directions here, so that a token sees the next one. To write it needs "
            '"is_decoder": true in its configuration, as from_pretrained(..., is_decoder=True) sets it.'
        )


class Reading:
    """The inputs of one forward of a decoder, and the cache that it reads and fills."""

    def __init__(self, inputs: ModelInputs, past: DynamicCache | None, columns: int) -> None:
        self.inputs = inputs
        self.cache = None if past is None else past.own
        self.past = past
        self._columns = columns

    @classmethod
    def of(
        cls,
        body: Any,
        input_ids: Tensor | PackedBatch | None,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        past_key_values: Any,
        use_cache: bool | None,
    ) -> Reading:
        """Pack what was passed; positions and mask go on where the past ends."""
        past = past_of(past_key_values)
        if isinstance(input_ids, PackedBatch):
            return cls(body.packed(input_ids), None, 0)
        given = input_ids if input_ids is not None else inputs_embeds
        columns = 0 if given is None or given.ndim < 2 else given.shape[1]
        seen = 0 if past is None else past.columns
        if seen and attention_mask is not None and attention_mask.shape[1] == seen + columns:
            attention_mask = attention_mask[:, seen:]
        if seen and attention_mask is not None:
            refuse_empty_rows(attention_mask)
        if seen and position_ids is None and given is not None:
            position_ids = torch.arange(seen, seen + columns, device=given.device)[None] + body.config.first_position
        inputs = body.packed(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        if use_cache is None:
            use_cache = body.config.use_cache and not body.training
        if past is None and use_cache:
            past = DynamicCache()
        if past is not None:
            past.begin(body, inputs.batch.seqlens)
        if past is not None and body.writer.counts_places:
            inputs = past.placed(inputs)
        return cls(inputs, past, columns)

    def past_after(self) -> DynamicCache | None:
        """What to return: the past with the columns of this call."""
        if self.past is not None:
            self.past.finish(self._columns)
        return self.past


def refuse_empty_rows(attention_mask: Tensor) -> None:
    """A row without any token in a step would remember the first of its padding.

    Raises:
        InputError: with the number of the first such row.
    """
    empty = (attention_mask == 0).all(1)
    if bool(empty.any()):
        raise InputError(
            f"after what was read the mask leaves row {int(empty.nonzero()[0])} without a token in the "
            f"{attention_mask.shape[1]} columns of this call. Pad at the left, or leave the row out."
        )


def next_tokens(labels: Tensor, seqlens: SeqLens) -> Tensor:
    """What each of T tokens should be followed by: the label of the next one, -100 after the last of a sequence."""
    targets = torch.cat((labels[1:], labels.new_full((1,), -100)))
    return targets.index_fill(0, seqlens.last_tokens, -100)
