"""One forward of an encoder-decoder model: the source, then the target, and what was collected on the way.

Shapes: B rows, S source columns, L target columns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bothways.batching import Layout, PackedBatch
from bothways.errors import InputError
from bothways.models.call_options import extras_of, wanted
from bothways.models.causal_models import Reading
from bothways.models.inputs import ModelInputs, unpack_cross_weights
from bothways.models.past import past_of
from bothways.nn.block import Rows, Source
from bothways.nn.kv_cache import SourceCache
from bothways.nn.stack import StackOutput


class Seq2SeqCall:
    """One forward: the source, then the target, and what was collected on the way."""

    inputs: ModelInputs
    source: Source
    target: Reading

    def __init__(self, body: Any, want_hidden: bool | None, want_weights: bool | None) -> None:
        self._body = body
        self._asked = wanted(body.config, want_hidden, want_weights)

    def encode(
        self,
        input_ids: Tensor | PackedBatch | None,
        attention_mask: Tensor | None,
        inputs_embeds: Tensor | None,
        encoder_outputs: Any,
    ) -> None:
        """Run the encoder, or take what it returned earlier."""
        if encoder_outputs is None:
            self.inputs = self._body.packed(input_ids, attention_mask, None, None, inputs_embeds)
            encoded = self._body.encode_packed(self.inputs, *self._asked)
            self._shown: dict[str, Any] = {"encoder_last_hidden_state": self.inputs.unpack(encoded.hidden)}
            self._shown |= {f"encoder_{k}": v for k, v in extras_of(self.inputs, encoded).items()}
            hidden = encoded.hidden
        else:
            last, *more = encoder_outputs.to_tuple() if hasattr(encoder_outputs, "to_tuple") else encoder_outputs
            layout = Layout.of_mask(attention_mask, tuple(last.shape[:2]), last.device)
            hidden = layout.pack(last)
            places = layout.pack(torch.arange(last.shape[1], device=last.device).expand(last.shape[:2]))
            self.inputs = ModelInputs(PackedBatch(places, places, layout.seqlens), layout, hidden)
            names = ("encoder_hidden_states", "encoder_attentions")
            self._shown = {"encoder_last_hidden_state": last} | dict(zip(names, more, strict=False))
        self.source = Source(hidden=hidden, lens=self.inputs.batch.seqlens)

    def decode(
        self,
        ids: Tensor | PackedBatch | None,
        mask: Tensor | None,
        embeds: Tensor | None,
        past_key_values: Any,
        use_cache: bool | None,
    ) -> StackOutput:
        """Run the decoder over the target, after the past if there is one."""
        if ids is None and embeds is None:
            raise InputError(
                "the decoder has nothing to read: pass decoder_input_ids, decoder_inputs_embeds or, to a model with a "
                "head that writes, labels. To write a target from its beginning call generate()."
            )
        past = past_of(past_key_values)
        self.target = Reading.of(self._body, ids, mask, None, None, embeds, past, use_cache)
        kept = self.target.past
        if kept is not None:
            if kept.source is None:
                kept.source = SourceCache(self.source.lens)
            self.source = replace(self.source, cache=kept.source)
        return self._decode_target()

    def decode_again(self, inputs: ModelInputs, rows: Rows | None = None) -> StackOutput:
        """Run the decoder over the source itself, moved by one place; ``rows`` are those that are read."""
        self.target = Reading(replace(inputs, batch=self._body.read_again(inputs.batch)), None, 0)
        return self._decode_target(rows)

    def _decode_target(self, rows: Rows | None = None) -> StackOutput:
        inputs = self.target.inputs
        hidden, weights = self._asked
        return self._body.decode_packed(
            inputs.batch,
            rows=rows,
            cache=self.target.cache,
            source=self.source,
            inputs_embeds=inputs.inputs_embeds,
            want_hidden=hidden,
            want_weights=weights,
        )

    def extras(self, decoded: StackOutput) -> dict[str, Any]:
        """All that an output shows besides its first value."""
        inputs = self.target.inputs
        shown = {f"decoder_{k}": v for k, v in extras_of(inputs, decoded).items()}
        cross = decoded.all_cross_weights
        if cross is not None:
            shown["cross_attentions"] = tuple(unpack_cross_weights(w, inputs, self.inputs) for w in cross)
        return {"past_key_values": self.target.past_after(), **shown, **self._shown}


def up_to_the_last(counted: Tensor) -> Tensor:
    """Columns up to the last one that counts, at least the first: int64 (B, L) from bool (B, L)."""
    kept = counted.flip(-1).cumsum(-1).flip(-1) > 0
    kept[:, 0] = True
    return kept.long()
