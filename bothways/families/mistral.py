"""Mistral (Jiang et al., 2023). Differs from Llama in: a token sees a window of those before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from bothways.checkpoints.config import PretrainedConfig
from bothways.errors import ConfigError
from bothways.families.llama import HEADS, KEY_MAP, OTHER_NAMES, backbone, refuse_impossible
from bothways.families.llama import block_spec as llama_block_spec
from bothways.families.registry import Family, register
from bothways.families.rotary_settings import longest_readable, without_rope_parameters
from bothways.nn.block import BlockSpec


class MistralConfig(PretrainedConfig):
    """Sizes and settings of a Mistral model; the defaults are those of the first with 7 billion parameters."""

    model_type = "mistral"
    heads_divide_hidden_size = False

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 14336
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = 8
    head_dim: int | None = None
    hidden_act: str = "silu"
    max_position_embeddings: int = 4096 * 32
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    use_cache: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    tie_word_embeddings: bool = False
    rope_theta: float = 10000.0
    sliding_window: int | None = 4096
    attention_dropout: float = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **without_rope_parameters(kwargs))

    def validate(self) -> None:
        super().validate()
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        refuse_impossible(self)
        window = self.sliding_window
        if window is not None and (not isinstance(window, int) or isinstance(window, bool) or not 1 <= window <= 2**30):
            raise ConfigError(f"sliding_window is {window!r}, expected a whole number from 1 to {2**30:,}, or null.")
        kinds = set(getattr(self, "layer_types", None) or ())
        if kinds - {"full_attention" if window is None else "sliding_attention"}:
            raise ConfigError(
                f"layer_types has {', '.join(sorted(map(str, kinds)))}, but with sliding_window {window} all layers "
                "see alike; layers that differ are not implemented."
            )

    @property
    def longest_sequence(self) -> int:
        return longest_readable(self)


def block_spec(config: MistralConfig) -> BlockSpec:
    """Llama's blocks. A window of w tokens is the token itself and w - 1 before it."""
    window = None if config.sliding_window is None else config.sliding_window - 1
    return replace(llama_block_spec(config), window=window, attention_bias=False, feed_forward_bias=False)


def build_backbone(config: MistralConfig, add_pooling_layer: bool) -> dict[str, nn.Module]:
    """Embeddings and blocks; there is no pooler."""
    return backbone(config, block_spec(config))


MISTRAL = register(
    Family(
        config_class=MistralConfig,
        base_prefix="model",
        build_backbone=build_backbone,
        heads=HEADS,
        key_map=KEY_MAP,
        output_embeddings="lm_head",
        other_names=OTHER_NAMES,
    )
)
