"""mBART (Liu et al., 2020). Differs from BART in: norms at the inputs and one behind each side; a target begins with
its language."""

from __future__ import annotations

from torch import nn

from bothways.families.encoder_decoder import (
    COPIED_WORDS,
    OTHER_NAMES,
    READING_HEADS,
    WRITING_HEAD,
    EncoderDecoderConfig,
    key_map,
    learned_positions,
    stacks,
)
from bothways.families.registry import Family, register


class MBartConfig(EncoderDecoderConfig):
    """Sizes and settings of an mBART or mBART-50 model; the defaults are the reference's."""

    model_type = "mbart"

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
    classifier_dropout: float = 0.0
    scale_embedding: bool = False
    pad_token_id: int = 1
    bos_token_id: int | None = 0
    eos_token_id: int | None = 2
    forced_eos_token_id: int | None = 2
    decoder_start_token_id: int | None = None


def build_backbone(config: MBartConfig, add_pooling_layer: bool) -> dict[str, nn.Module]:
    """Words for both sides, and norms at the inputs; there is no pooler."""
    return {
        "embeddings": learned_positions(config, config.vocab_size),
        "decoder_embeddings": learned_positions(config, 0),
        **stacks(config, pre_norm=True),
    }


KEY_MAP = key_map(pre_norm=True)
KEY_MAP_WITH_COPIES = key_map(pre_norm=True, words=COPIED_WORDS)

MBART = register(
    Family(
        config_class=MBartConfig,
        base_prefix="model",
        build_backbone=build_backbone,
        heads={"seq2seq-lm": WRITING_HEAD, **READING_HEADS},
        key_map=KEY_MAP,
        key_map_of=lambda c: KEY_MAP if c.tie_word_embeddings else KEY_MAP_WITH_COPIES,
        output_embeddings="lm_head",
        other_names=OTHER_NAMES,
        may_lack=("final_logits_bias",),
    )
)
