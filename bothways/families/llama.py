"""Llama (Touvron et al., 2023). Differs from GPT-2 in: rotary positions, root mean square norms, gates, grouped keys,
no biases; the words that it reads and those that it writes have a matrix each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from bothways.checkpoints.config import PretrainedConfig
from bothways.checkpoints.key_map import Concat, Ignore, KeyMap, Rename, Rule, Tie
from bothways.errors import ConfigError
from bothways.families.gpt2 import language_head
from bothways.families.registry import Family, Head, register
from bothways.families.rotary_settings import (
    longest_readable,
    rotary_problems,
    rotary_scaling,
    without_rope_parameters,
)
from bothways.nn.block import BlockSpec
from bothways.nn.dropout import Dropout
from bothways.nn.embeddings import Embeddings
from bothways.nn.stack import TransformerStack


class LlamaConfig(PretrainedConfig):
    """Sizes and settings of a Llama model; the defaults are those of the first with 7 billion parameters."""

    model_type = "llama"
    heads_divide_hidden_size = False

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = None
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    use_cache: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pretraining_tp: int = 1
    tie_word_embeddings: bool = False
    rope_theta: float = 10000.0
    rope_scaling: dict[str, Any] | None = None
    attention_bias: bool = False
    attention_dropout: float = 0.0
    mlp_bias: bool = False
    head_dim: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **without_rope_parameters(kwargs))

    def validate(self) -> None:
        super().validate()
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        refuse_impossible(self)
        self.head_dim = head_size(self)

    @property
    def longest_sequence(self) -> int:
        return longest_readable(self)


def head_size(config: Any) -> int:
    """Values of a head, said or following from the width."""
    return config.hidden_size // config.num_attention_heads if config.head_dim is None else config.head_dim


def refuse_impossible(config: Any) -> None:
    """Check what the sizes of heads, norms and positions have to do with each other.

    Raises:
        ConfigError: all problems are named together.
    """
    heads, groups, size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    found = []
    if not isinstance(groups, int) or isinstance(groups, bool) or groups < 1 or heads % groups:
        found.append(f"num_attention_heads ({heads}) must be divisible by num_key_value_heads ({groups!r})")
    if size is None and config.hidden_size % heads:
        found.append(f"hidden_size ({config.hidden_size}) must be divisible by num_attention_heads ({heads})")
    elif size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 4096):
        found.append(f"head_dim is {size!r}, expected a whole number from 1 to 4,096")
    else:
        found += rotary_problems(config, head_size(config))
    eps = config.rms_norm_eps
    if not isinstance(eps, (int, float)) or isinstance(eps, bool) or not 0 < eps < 1:
        found.append(f"rms_norm_eps is {eps!r}, expected a small positive number")
    pad = config.pad_token_id
    if pad is not None and (not isinstance(pad, int) or not -config.vocab_size <= pad < config.vocab_size):
        found.append(f"pad_token_id is {pad!r}, expected a number below vocab_size ({config.vocab_size}), or null")
    if found:
        raise ConfigError("; ".join(found) + ".")


def block_spec(config: Any) -> BlockSpec:
    """Pre-norm blocks with gates that see no later tokens."""
    return BlockSpec(
        hidden_size=config.hidden_size,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        head_size=head_size(config),
        intermediate_size=config.intermediate_size,
        hidden_act=config.hidden_act,
        layer_norm_eps=config.rms_norm_eps,
        norm="rms",
        pre_norm=True,
        causal=True,
        rotary_theta=config.rope_theta,
        rotary_scaling=rotary_scaling(config),
        gated=True,
        attention_bias=getattr(config, "attention_bias", False),
        feed_forward_bias=getattr(config, "mlp_bias", False),
        attention_dropout=config.attention_dropout,
    )


def build_backbone(config: LlamaConfig, add_pooling_layer: bool) -> dict[str, nn.Module]:
    """Embeddings and blocks; there is no pooler."""
    return backbone(config, block_spec(config))


def backbone(config: Any, spec: BlockSpec) -> dict[str, nn.Module]:
    """Words, which alone enter, and blocks."""
    embeddings = Embeddings(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        max_position_embeddings=0,
        type_vocab_size=0,
        layer_norm_eps=None,
        hidden_dropout=0.0,
        padding_idx=config.pad_token_id,
    )
    return {"embeddings": embeddings, "encoder": TransformerStack(spec, config.num_hidden_layers)}


def _token_classifier(config: Any) -> dict[str, nn.Module]:
    chosen = [getattr(config, name, None) for name in ("classifier_dropout", "hidden_dropout")]
    p = next((value for value in chosen if value is not None), 0.1)
    return {"dropout": Dropout(p), "score": nn.Linear(config.hidden_size, config.num_labels)}


HEADS = {
    "causal-lm": Head(reads="tokens", build=language_head, logits=lambda m, x: m.lm_head(x)),
    "sequence-classification": Head(
        reads="last",
        build=lambda c: {"score": nn.Linear(c.hidden_size, c.num_labels, bias=False)},
        logits=lambda m, x: m.score(x),
    ),
    "token-classification": Head(reads="tokens", build=_token_classifier, logits=lambda m, x: m.score(m.dropout(x))),
    "question-answering": Head(
        reads="tokens",
        build=lambda c: {"qa_outputs": nn.Linear(c.hidden_size, 2)},
        logits=lambda m, x: m.qa_outputs(x),
    ),
}

_THEIRS, _OURS = "layers.{i}", "encoder.layer.{i}"
_GATES = (f"{_THEIRS}.mlp.gate_proj", f"{_THEIRS}.mlp.up_proj")

RULES: tuple[Rule, ...] = (
    Rename("embed_tokens", "embeddings.word_embeddings"),
    Rename(f"{_THEIRS}.input_layernorm", f"{_OURS}.attention.input_norm"),
    Rename(f"{_THEIRS}.self_attn.q_proj", f"{_OURS}.attention.self.query"),
    Rename(f"{_THEIRS}.self_attn.k_proj", f"{_OURS}.attention.self.key"),
    Rename(f"{_THEIRS}.self_attn.v_proj", f"{_OURS}.attention.self.value"),
    Rename(f"{_THEIRS}.self_attn.o_proj", f"{_OURS}.attention.output.dense"),
    Rename(f"{_THEIRS}.post_attention_layernorm", f"{_OURS}.intermediate.input_norm"),
    Concat(tuple(f"{name}.weight" for name in _GATES), f"{_OURS}.intermediate.dense.weight"),
    Concat(tuple(f"{name}.bias" for name in _GATES), f"{_OURS}.intermediate.dense.bias"),
    Rename(f"{_THEIRS}.mlp.down_proj", f"{_OURS}.output.dense"),
    Rename("norm", "encoder.final_norm"),
    Ignore(f"{_THEIRS}.self_attn.rotary_emb"),
    Tie("lm_head.weight", to="model.embeddings.word_embeddings.weight"),
)
KEY_MAP = KeyMap(*RULES, base_prefix="model", other_prefix="transformer")

OTHER_NAMES = {
    "layers": "encoder.layer",
    "embed_tokens": "embeddings.word_embeddings",
    "norm": "encoder.final_norm",
}

LLAMA = register(
    Family(
        config_class=LlamaConfig,
        base_prefix="model",
        build_backbone=build_backbone,
        heads=HEADS,
        key_map=KEY_MAP,
        output_embeddings="lm_head",
        other_names=OTHER_NAMES,
    )
)

LLAMA_READER = replace(
    LLAMA,
    base_prefix="transformer",
    key_map=KeyMap(*RULES, base_prefix="transformer", other_prefix="model"),
)
"""The same under the older prefix, which question answering has kept in the ecosystem."""
