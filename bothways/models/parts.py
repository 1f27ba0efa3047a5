"""Parts of a body called by themselves: ``model.bert.embeddings(input_ids)``, ``bert.encoder.layer[3](hidden, mask)``.

The house runs its parts on packed tokens (``Opened``); published programs call them with rectangles, and with masks
that are added to scores. Shapes: B rows, S columns, N hidden_size, T packed tokens.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from bothways.errors import InputError
from bothways.models.call_options import extras_of, refuse_decoding, refuse_head_mask, returned, wanted
from bothways.models.inputs import ModelInputs
from bothways.models.outputs import BaseModelOutput
from bothways.nn.block import Sight, TransformerBlock
from bothways.nn.embeddings import Embeddings
from bothways.nn.stack import TransformerStack


class WithMasks:
    """The masks that programs make for a part before they call it."""

    def get_extended_attention_mask(
        self: Any, attention_mask: Tensor, input_shape: Any = None, device: Any = None, dtype: torch.dtype | None = None
    ) -> Tensor:
        """What is added to scores, (B, 1, 1, S): 0, and the lowest number at padding.

        Args:
            attention_mask: (B, S), 0 for padding.
            input_shape, device: no effect; layers that look only back do so by themselves.
            dtype: by default that of the parameters.

        Raises:
            InputError: a mask of another shape.
        """
        if attention_mask.ndim != 2:
            raise InputError(f"attention_mask has shape {tuple(attention_mask.shape)}, expected (batch, sequence).")
        dtype = self.dtype if dtype is None else dtype
        return (1.0 - attention_mask[:, None, None].to(dtype)) * torch.finfo(dtype).min

    def invert_attention_mask(self, encoder_attention_mask: Tensor) -> Tensor:
        """The same for the mask of a source."""
        return self.get_extended_attention_mask(encoder_attention_mask)

    def get_head_mask(self, head_mask: Any, num_hidden_layers: int, is_attention_chunked: bool = False) -> list[Any]:
        """The mask of each layer: none, since only None and ones are supported."""
        refuse_head_mask(head_mask)
        return [None] * num_hidden_layers


def open_parts(body: Any) -> None:
    """Let the embeddings, the encoder and the layers of a body be called by themselves."""
    if body.encoder.relative_positions is not None:  # its layers do not know by themselves how far apart tokens stand
        open_source_encoder(body)
        return
    body.embeddings.opened = partial(embed, type(body), body.config)
    open_layers(body.encoder)


def open_layers(encoder: TransformerStack) -> None:
    """Let an encoder and its layers be called by themselves."""
    encoder.opened = run_layers
    for block in encoder.modules():
        if isinstance(block, TransformerBlock):
            block.opened = run_layer


def open_source_encoder(body: Any) -> None:
    """Let an encoder that has its words with it in published models be called with ids."""
    body.encoder.opened = partial(encode_ids, type(body), body.config, body.embeddings)
    name_modules(body.encoder, body.embeddings, body.embeddings)


def name_modules(stack: TransformerStack, words: Embeddings, places: Embeddings) -> None:
    """Let programs read ``stack.block`` and ``stack.embed_tokens``, as to freeze them."""
    own = {"block": "layer", "layers": "layer", "final_layer_norm": "final_norm", "layer_norm": "final_norm"}
    stack.other_names = {
        **{name: (None, path) for name, path in own.items()},
        "embed_tokens": (words, "word_embeddings"),
        "embed_positions": (places, "position_embeddings"),
        "layernorm_embedding": (places, "LayerNorm"),
    }


def embed(
    cls: Any,
    config: Any,
    embeddings: Embeddings,
    input_ids: Tensor | None = None,
    token_type_ids: Tensor | None = None,
    position_ids: Tensor | None = None,
    inputs_embeds: Tensor | None = None,
    past_key_values_length: int = 0,
) -> Tensor:
    """The vectors that enter the first layer, (B, S, N), of padding too."""
    given = (input_ids, None, token_type_ids, position_ids, inputs_embeds)
    inputs = ModelInputs.with_positions(cls.family, config, *given)
    return inputs.unpack(embeddings(inputs.batch, inputs.inputs_embeds))


def run_layers(
    encoder: TransformerStack,
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    head_mask: Any = None,
    encoder_hidden_states: None = None,
    encoder_attention_mask: None = None,
    past_key_values: None = None,
    use_cache: bool | None = None,
    output_attentions: bool = False,
    output_hidden_states: bool = False,
    return_dict: bool = True,
) -> Any:
    """All layers, (B, S, N) to (B, S, N) with zeros at padding. ``attention_mask`` as in ``kept``."""
    _refuse_head_masks(head_mask)
    refuse_decoding(encoder_hidden_states, encoder_attention_mask, past_key_values)
    inputs = _packed(hidden_states, attention_mask)
    encoded = encoder(
        inputs.inputs_embeds,
        inputs.batch.seqlens,
        position_ids=inputs.batch.position_ids,
        want_hidden=output_hidden_states,
        want_weights=output_attentions,
    )
    output = BaseModelOutput(last_hidden_state=inputs.unpack(encoded.hidden), **extras_of(inputs, encoded))
    return output if return_dict else output.to_tuple()


def run_layer(
    block: TransformerBlock,
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    head_mask: Any = None,
    encoder_hidden_states: None = None,
    encoder_attention_mask: None = None,
    past_key_value: None = None,
    output_attentions: bool = False,
) -> tuple[Tensor, ...]:
    """One layer, (B, S, N) to a tuple of (B, S, N), zeros at padding, and, when wanted, the weights (B, H, S, S).

    Raises:
        InputError: a layer that cannot run without its stack, which knows where tokens stand.
    """
    _refuse_head_masks(head_mask)
    refuse_decoding(encoder_hidden_states, encoder_attention_mask, past_key_value)
    if block.spec.rotary is not None:
        raise InputError("this layer has rotary positions, which its stack gives it: call the encoder, or the model.")
    inputs = _packed(hidden_states, attention_mask)
    hidden, weights, _ = block(inputs.inputs_embeds, Sight(lens=inputs.batch.seqlens, want_weights=output_attentions))
    return (inputs.unpack(hidden), *(() if weights is None else (inputs.unpack_weights(weights),)))


def encode_ids(
    cls: Any,
    config: Any,
    embeddings: Embeddings,
    encoder: TransformerStack,
    input_ids: Any = None,
    attention_mask: Tensor | None = None,
    inputs_embeds: Tensor | None = None,
    head_mask: Any = None,
    output_attentions: bool | None = None,
    output_hidden_states: bool | None = None,
    return_dict: bool | None = None,
) -> Any:
    """Hidden vectors of a source, (B, S, N), zeros at padding."""
    _refuse_head_masks(head_mask)
    given = (input_ids, attention_mask, None, None, inputs_embeds)
    inputs = ModelInputs.with_positions(cls.family, config, *given)
    want_hidden, want_weights = wanted(config, output_hidden_states, output_attentions)
    hidden = embeddings(inputs.batch, inputs.inputs_embeds)
    encoded = encoder(hidden, inputs.batch.seqlens, want_hidden=want_hidden, want_weights=want_weights)
    output = BaseModelOutput(last_hidden_state=inputs.unpack(encoded.hidden), **extras_of(inputs, encoded))
    return returned(output, config, return_dict)


def kept(attention_mask: Tensor, columns: int) -> Tensor:
    """Which columns of (B, S) are no padding, from a mask of ones and zeros (B, S), or one that is added to scores.

    Raises:
        InputError: a mask of another shape, such as one that differs between the tokens of a row.
    """
    if attention_mask.ndim == 2:
        return attention_mask
    if attention_mask.ndim != 4 or attention_mask.shape[1:] != (1, 1, columns):
        raise InputError(
            f"attention_mask has shape {tuple(attention_mask.shape)}, expected (batch, {columns}), or (batch, 1, 1, "
            f"{columns}) as get_extended_attention_mask makes it."
        )
    row = attention_mask[:, 0, 0]
    return row > LEFT_OUT if row.is_floating_point() else row


LEFT_OUT = -5_000.0
"""What is added to the scores of padding is at most -10,000, as in the first programs; to others nothing."""


def _packed(hidden_states: Tensor, attention_mask: Tensor | None) -> ModelInputs:
    mask = None if attention_mask is None else kept(attention_mask, hidden_states.shape[1]).to(torch.int64)
    return ModelInputs.of(None, mask, None, None, hidden_states)


def _refuse_head_masks(head_mask: Any) -> None:
    """One mask, or a list with one of each layer."""
    for own in head_mask if isinstance(head_mask, (list, tuple)) else [head_mask]:
        refuse_head_mask(own)
