"""Models that read a source in both directions and write a target from left to right.

Shapes: B rows, S source columns, L target columns, T and Ts packed tokens of target and source, N hidden_size, V
vocab_size. A forward that is given a ``PackedBatch`` returns packed tensors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from bothways.batching import PackedBatch, SeqLens
from bothways.checkpoints.config import PretrainedConfig
from bothways.errors import InputError
from bothways.generation.decoder import Decoder
from bothways.models import losses
from bothways.models.base import PreTrainedModel
from bothways.models.call_options import refuse_head_mask, returned
from bothways.models.decoding import RowsDecoder, source_for_decoding
from bothways.models.inputs import ModelInputs
from bothways.models.outputs import BaseModelOutput, Seq2SeqLMOutput, Seq2SeqModelOutput
from bothways.models.own_forward import OwnForwardDecoder, has_own_forward
from bothways.models.parts import name_modules, open_source_encoder
from bothways.models.past import past_of
from bothways.models.seq2seq_call import Seq2SeqCall, up_to_the_last
from bothways.models.task_models import tokens_of
from bothways.models.writing import WritingModel
from bothways.nn.block import Rows, Source
from bothways.nn.embeddings import Embeddings, check_ids
from bothways.nn.kv_cache import KeyValueCache
from bothways.nn.stack import StackOutput, TransformerStack


class Seq2SeqBody(PreTrainedModel):
    """``embeddings`` and ``encoder`` for the source, ``decoder_embeddings`` and ``decoder`` for the target."""

    reads_input_twice: ClassVar[bool] = False
    """Whether the decoder reads the source, moved by one place, when it is given nothing else."""
    scales_given_targets: ClassVar[bool] = False
    """Whether ``decoder_inputs_embeds`` are multiplied with ``embed_scale``. What the encoder is given never is."""

    def build_body(self, config: PretrainedConfig) -> None:
        """Add the family's modules to this one."""
        for name, module in self.family.build_backbone(config, False).items():
            setattr(self, name, module)
        open_source_encoder(self)
        name_modules(self.decoder, self.target_embeddings, self.decoder_embeddings)

    @property
    def writer(self) -> TransformerStack:
        return self.decoder

    @property
    def target_embeddings(self) -> Embeddings:
        """Where the decoder's words are looked up: in its own vocabulary if it has one, else in the encoder's."""
        own = self.decoder_embeddings
        return own if hasattr(own, "word_embeddings") else self.embeddings

    def get_encoder(self) -> TransformerStack:
        """The stack that reads; it can be called with ``input_ids``, see ``parts.encode_ids``."""
        return self.base_model.encoder

    def get_decoder(self) -> TransformerStack:
        """The stack that writes."""
        return self.base_model.decoder

    def encode_packed(self, inputs: ModelInputs, want_hidden: bool = False, want_weights: bool = False) -> StackOutput:
        """The encoder over a packed source."""
        batch = inputs.batch
        hidden = self.embeddings(batch, inputs.inputs_embeds)
        return self.encoder(hidden, batch.seqlens, want_hidden=want_hidden, want_weights=want_weights)

    def decode_packed(
        self,
        batch: PackedBatch,
        *,
        rows: Rows | None = None,
        cache: KeyValueCache | None = None,
        source: Source | None = None,
        inputs_embeds: Tensor | None = None,
        want_hidden: bool = False,
        want_weights: bool = False,
    ) -> StackOutput:
        """The decoder over a packed target; ``cache`` holds what it has read before."""
        if inputs_embeds is None:
            words = self.target_embeddings
            check_ids(batch.input_ids, words.word_embeddings.num_embeddings)
            inputs_embeds = words.words(batch.input_ids)
        elif self.scales_given_targets:
            inputs_embeds = inputs_embeds * self.embeddings.embed_scale
        return self.decoder(
            self.decoder_embeddings(batch, inputs_embeds),
            batch.seqlens,
            rows=rows,
            cache=cache,
            source=source,
            want_hidden=want_hidden,
            want_weights=want_weights,
        )

    def run_body(
        self,
        inputs: ModelInputs,
        *,
        rows: Rows | None = None,
        want_hidden: bool = False,
        want_weights: bool = False,
    ) -> StackOutput:
        """Source through the encoder, and once more, moved by one place, through the decoder: what classifiers read."""
        encoded = self.encode_packed(inputs)
        moved = self.read_again(inputs.batch)
        source = Source(hidden=encoded.hidden, lens=moved.seqlens)
        return self.decode_packed(moved, rows=rows, source=source, want_hidden=want_hidden, want_weights=want_weights)

    def read_again(self, batch: PackedBatch) -> PackedBatch:
        """A source as the target that a decoder reads beside it: moved by one place."""
        return replace(batch, input_ids=self.moved_right_packed(batch.input_ids, batch.seqlens), labels=None)

    def shift_right(self, labels: Tensor) -> Tensor:
        """What the decoder reads when it shall write ``labels``, int64 (B, L): the start token, then all but the last.

        Raises:
            InputError: the configuration names no start token.
        """
        moved = labels.roll(1, -1)
        moved[..., 0] = self.start_token()
        return moved.masked_fill(moved == -100, self.config.pad_token_id)

    def moved_right_packed(self, ids: Tensor, seqlens: SeqLens) -> Tensor:
        """``shift_right`` of each packed sequence, int64 (T,)."""
        moved = torch.cat((ids[:1], ids[:-1])).masked_fill(ids == -100, self.config.pad_token_id)
        return moved.index_fill(0, seqlens.first_tokens, self.start_token())

    def start_token(self) -> int:
        """The token with which a target begins."""
        start = self.config.decoder_start_token_id
        if start is None:
            raise InputError(
                "decoder_start_token_id is not set: the decoder does not know with which token a target begins. "
                f"Set model.config.decoder_start_token_id; {self.config.model_type} usually begins with the padding or "
                "the end token."
            )
        return start


class Seq2SeqModel(Seq2SeqBody):
    """A body: a source and a target in, a vector for every token of the target out."""

    task = "base"

    def __init__(self, config: PretrainedConfig, add_pooling_layer: bool = False, *, nested: bool = False) -> None:
        super().__init__(config)
        self.build_body(config)
        if not nested:
            self.post_init()

    def forward(
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | PackedBatch | None = None,
        decoder_attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        decoder_head_mask: Tensor | None = None,
        cross_attn_head_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: Tensor | None = None,
    ) -> Any:
        """Hidden vectors of the target, (B, L, N).

        Args:
            input_ids: the source, int64 (B, S), or a ``PackedBatch``.
            attention_mask: (B, S), 0 for padding.
            decoder_input_ids: the target, int64 (B, L), or a ``PackedBatch`` beside a packed source.
            decoder_attention_mask: (B, L), 0 for padding.
            encoder_outputs: what the encoder returned earlier, in place of ``input_ids``.
            past_key_values: what an earlier call returned; the target then goes on after it.
            inputs_embeds, decoder_inputs_embeds: (B, S, N) and (B, L, N) in place of ids.
            use_cache: return ``past_key_values``; by default as the configuration says, and never in training.
            output_attentions, output_hidden_states, return_dict: as in the configuration when None.
            head_mask, decoder_head_mask, cross_attn_head_mask: only all ones, or None.
            cache_position: no effect; positions follow from the past.
        """
        for mask in (head_mask, decoder_head_mask, cross_attn_head_mask):
            refuse_head_mask(mask)
        if decoder_input_ids is None and decoder_inputs_embeds is None and self.reads_input_twice:
            decoder_input_ids = self._input_again(input_ids)
        call = Seq2SeqCall(self, output_hidden_states, output_attentions)
        call.encode(input_ids, attention_mask, inputs_embeds, encoder_outputs)
        decoded = call.decode(
            decoder_input_ids, decoder_attention_mask, decoder_inputs_embeds, past_key_values, use_cache
        )
        output = Seq2SeqModelOutput(last_hidden_state=call.target.inputs.unpack(decoded.hidden), **call.extras(decoded))
        return returned(output, self.config, return_dict)

    def _input_again(self, input_ids: Tensor | PackedBatch | None) -> Tensor | PackedBatch:
        if input_ids is None:
            raise InputError("pass decoder_input_ids or decoder_inputs_embeds: without input_ids there is no default.")
        if isinstance(input_ids, PackedBatch):
            return self.read_again(input_ids)
        return self.shift_right(input_ids)


class Seq2SeqLMModel(WritingModel, Seq2SeqBody):
    """The next word of the target after every token."""

    task = "seq2seq-lm"
    base_class: ClassVar[type[Seq2SeqModel]]
    has_inner_body: ClassVar[bool] = True
    """False where the published class has encoder and decoder as its own attributes."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        if self.has_inner_body:
            setattr(self, self.family.base_prefix, self.base_class(config, nested=True))
        else:
            self.build_body(config)
        for name, module in self.family.heads[self.task].build(config).items():
            setattr(self, name, module)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | PackedBatch | None = None,
        decoder_attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        decoder_head_mask: Tensor | None = None,
        cross_attn_head_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: Tensor | None = None,
    ) -> Any:
        """Scores of the next word, (B, L, V); the loss when ``labels`` are given. Other arguments as for the body.

        Args:
            labels: int64 (B, L), the target itself: the decoder reads it moved by one place unless it is given
                something else; -100 is ignored, and what is ignored at the end of a row is not computed.
        """
        for mask in (head_mask, decoder_head_mask, cross_attn_head_mask):
            refuse_head_mask(mask)
        body = self.base_model
        if isinstance(decoder_input_ids, PackedBatch) and labels is None:
            labels = decoder_input_ids.labels
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            if labels is not None:
                decoder_input_ids = body.shift_right(labels)
            elif body.reads_input_twice:
                decoder_input_ids = body._input_again(input_ids)
        if decoder_attention_mask is None and labels is not None and labels.ndim == 2:
            decoder_attention_mask = up_to_the_last(labels != -100)
        call = Seq2SeqCall(body, output_hidden_states, output_attentions)
        call.encode(input_ids, attention_mask, inputs_embeds, encoder_outputs)
        decoded = call.decode(
            decoder_input_ids,
            decoder_attention_mask,
            decoder_inputs_embeds,
            past_key_values,
            False if labels is not None and use_cache is None else use_cache,
        )
        logits = self.score_hidden(decoded.hidden)
        loss = None if labels is None else losses.token_loss(logits, tokens_of(labels, call.target.inputs))
        output = Seq2SeqLMOutput(loss=loss, logits=call.target.inputs.unpack(logits), **call.extras(decoded))
        return returned(output, self.config, return_dict)

    def score_hidden(self, hidden: Tensor) -> Tensor:
        """(..., N) to (..., V)."""
        return self.family.heads[self.task].logits(self, hidden)

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """What collators call: ``shift_right`` under the ecosystem's name."""
        return self.base_model.shift_right(labels)

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        past_key_values: Any = None,
        attention_mask: Tensor | None = None,
        use_cache: bool | None = None,
        encoder_outputs: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """What ``forward`` is given for the next token, for programs that write by themselves or change this.

        Args:
            input_ids: the target so far, int64 (B, L).
            past_key_values: what was read of it; only the tokens after it are given.
            attention_mask: of the source, (B, S).
            encoder_outputs: what the encoder made of the source.
            kwargs: no effect.
        """
        past = past_of(past_key_values)
        target = {"decoder_input_ids": input_ids if past is None else input_ids[:, past.columns :]}
        source = {"input_ids": None, "encoder_outputs": encoder_outputs, "attention_mask": attention_mask}
        return {**source, **target, "past_key_values": past, "use_cache": use_cache}

    def _encoded(
        self, input_ids: Tensor | None, attention_mask: Tensor | None, inputs_embeds: Tensor | None, given: Any
    ) -> dict[str, Any]:
        """The source as ``forward`` takes it."""
        if given is None:
            given = self.get_encoder()(input_ids, attention_mask, inputs_embeds, return_dict=True)
        hidden = given[0]
        mask = hidden.new_ones(hidden.shape[:2], dtype=torch.int64) if attention_mask is None else attention_mask
        return {"encoder_outputs": BaseModelOutput(last_hidden_state=hidden), "attention_mask": mask}

    def start_decoding(
        self,
        *,
        rows: int,
        capacity: int,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_outputs: Any = None,
    ) -> Decoder:
        """Empty rows for generation, one for each source; see ``generation.decoder.Decoder``."""
        if has_own_forward(self):
            return OwnForwardDecoder(
                self, rows=rows, source=self._encoded(input_ids, attention_mask, inputs_embeds, encoder_outputs)
            )
        self.make_ready_to_write()
        call = Seq2SeqCall(self.base_model, False, False)
        call.encode(input_ids, attention_mask, inputs_embeds, encoder_outputs)
        source = source_for_decoding(call.source.hidden, call.source.lens)
        return RowsDecoder(self, rows=rows, capacity=capacity, source=source)
