"""Pegasus (Zhang et al., 2020). Differs from mBART in: positions that are computed, no norm over the embeddings, only
the head that writes."""

from __future__ import annotations

from torch import nn

from bothways.families.encoder_decoder import (
    OTHER_NAMES,
    WRITING_HEAD,
    EncoderDecoderConfig,
    initialise_waves,
    key_map,
    stacks,
    waves,
)
from bothways.families.registry import Family, register


class PegasusConfig(EncoderDecoderConfig):
    """Sizes and settings of a Pegasus model; the defaults are the reference's."""

    model_type = "pegasus"

    vocab_size: int = 50265
    max_position_embeddings: int = 1024
    encoder_layers: int = 12
    encoder_ffn_dim: int = 4096
    encoder_attention_heads: int = 16
    decoder_layers: int = 12
    decoder_ffn_dim: int = 4096
    decoder_attention_heads: int = 16
    encoder_layerdrop: float = 0.0
    decoder_layerdrop: float = 0.0
    use_cache: bool = True
    is_encoder_decoder: bool = True
    activation_function: str = "gelu"
    d_model: int = 1024
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    init_std: float = 0.02
    decoder_start_token_id: int | None = 0
    scale_embedding: bool = False
    pad_token_id: int = 0
    eos_token_id: int | None = 1
    forced_eos_token_id: int | None = 1


def build_backbone(config: PegasusConfig, add_pooling_layer: bool) -> dict[str, nn.Module]:
    """Words for both sides, and norms at the inputs; there is no pooler."""
    return {
        "embeddings": waves(config, config.vocab_size),
        "decoder_embeddings": waves(config, 0),
        **stacks(config, pre_norm=True),
    }


PEGASUS = register(
    Family(
        config_class=PegasusConfig,
        base_prefix="model",
        build_backbone=build_backbone,
        heads={"seq2seq-lm": WRITING_HEAD},
        key_map=key_map(pre_norm=True),
        output_embeddings="lm_head",
        other_names=OTHER_NAMES,
        initialise=initialise_waves,
        may_lack=("final_logits_bias", "position_embeddings.weight"),
    )
)
