"""Marian (Junczys-Dowmunt et al., 2018). Differs from BART in: positions that are computed, no norm over the
embeddings, perhaps a vocabulary for each side, only the head that writes."""

from __future__ import annotations

from torch import nn

from bothways.checkpoints.key_map import Ignore, KeyMap, Rename, Tie
from bothways.families.encoder_decoder import (
    OTHER_NAMES,
    WRITING_HEAD,
    EncoderDecoderConfig,
    initialise_waves,
    key_map,
    stacks,
    waves,
)
from bothways.families.registry import Family, Head, register
from bothways.nn.linear import Linear


class MarianConfig(EncoderDecoderConfig):
    """Sizes and settings of a Marian model; the defaults are the reference's."""

    model_type = "marian"
    further_sizes = {**EncoderDecoderConfig.further_sizes, "decoder_vocab_size": "vocab_size"}

    vocab_size: int = 58101
    decoder_vocab_size: int | None = None
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
    decoder_start_token_id: int | None = 58100
    scale_embedding: bool = False
    pad_token_id: int = 58100
    eos_token_id: int | None = 0
    forced_eos_token_id: int | None = 0
    share_encoder_decoder_embeddings: bool = True

    def validate(self) -> None:
        self.decoder_vocab_size = self.decoder_vocab_size or self.vocab_size
        super().validate()

    @property
    def target_vocab_size(self) -> int:
        """Words that are written."""
        own = None if self.share_encoder_decoder_embeddings else self.decoder_vocab_size
        return own or self.vocab_size


def build_backbone(config: MarianConfig, add_pooling_layer: bool) -> dict[str, nn.Module]:
    """Words for both sides or for each, and norms behind the residual sums; there is no pooler."""
    own_words = 0 if config.share_encoder_decoder_embeddings else config.target_vocab_size
    return {
        "embeddings": waves(config, config.vocab_size),
        "decoder_embeddings": waves(config, own_words),
        **stacks(config, pre_norm=False),
    }


HEADS = {
    "seq2seq-lm": Head(
        reads="tokens",
        build=lambda c: {"lm_head": Linear(c.d_model, c.target_vocab_size, bias=False)},
        logits=WRITING_HEAD.logits,
    )
}

WORDS_OF_EACH_SIDE = (
    Rename("encoder.embed_tokens", "embeddings.word_embeddings"),
    Rename("decoder.embed_tokens", "decoder_embeddings.word_embeddings"),
    Ignore("shared"),
    Tie("lm_head.weight", to="model.decoder_embeddings.word_embeddings.weight"),
)
KEY_MAP = key_map(pre_norm=False)
KEY_MAP_OF_TWO_VOCABULARIES = key_map(pre_norm=False, words=WORDS_OF_EACH_SIDE)


def key_map_of(config: MarianConfig) -> KeyMap:
    """Files of models with two vocabularies have no shared matrix."""
    return KEY_MAP if config.share_encoder_decoder_embeddings else KEY_MAP_OF_TWO_VOCABULARIES


MARIAN = register(
    Family(
        config_class=MarianConfig,
        base_prefix="model",
        build_backbone=build_backbone,
        heads=HEADS,
        key_map=KEY_MAP,
        key_map_of=key_map_of,
        output_embeddings="lm_head",
        other_names=OTHER_NAMES,
        initialise=initialise_waves,
        may_lack=("final_logits_bias", "position_embeddings.weight"),
    )
)
