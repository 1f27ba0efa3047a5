"""GPT (Radford et al., 2018), the first of its line. Differs from GPT-2 in: norms behind the residual sums."""

from __future__ import annotations

from torch import nn

from bothways.checkpoints.config import PretrainedConfig
from bothways.checkpoints.key_map import Ignore, KeyMap, Legacy, Rename, Split, Tie, Transpose
from bothways.errors import ConfigError
from bothways.families.gpt2 import HEADS as GPT2_HEADS
from bothways.families.gpt2 import SegmentsAreWords
from bothways.families.registry import Family, register
from bothways.nn.block import BlockSpec
from bothways.nn.stack import TransformerStack

ACTIVATIONS = {"gelu": "gelu_new", "relu": "relu", "silu": "silu", "swish": "silu"}
"""What ``afn`` means: the GELU of the first GPT is the tanh formula."""


class OpenAIGPTConfig(PretrainedConfig):
    """Sizes and settings of a GPT model; the defaults are those of the published one."""

    model_type = "openai-gpt"
    aliases = {
        "hidden_size": "n_embd",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }
    use_cache = False  # the ecosystem's class returns none; a call may ask for it

    vocab_size: int = 40478
    n_positions: int = 512
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    afn: str = "gelu"
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    summary_type: str = "cls_index"
    summary_use_proj: bool = True
    summary_activation: str | None = None
    summary_proj_to_labels: bool = True
    summary_first_dropout: float = 0.1
    pad_token_id: int | None = None

    @property
    def intermediate_size(self) -> int:
        return 4 * self.n_embd

    def validate(self) -> None:
        super().validate()
        if self.afn not in ACTIVATIONS:
            raise ConfigError(f"afn is {self.afn!r}, expected one of {', '.join(ACTIVATIONS)}.")


def block_spec(config: OpenAIGPTConfig) -> BlockSpec:
    """Post-norm blocks that see no later tokens."""
    return BlockSpec(
        hidden_size=config.n_embd,
        num_attention_heads=config.n_head,
        intermediate_size=config.intermediate_size,
        hidden_act=ACTIVATIONS[config.afn],
        layer_norm_eps=config.layer_norm_epsilon,
        causal=True,
        hidden_dropout=config.resid_pdrop,
        attention_dropout=config.attn_pdrop,
    )


def build_backbone(config: OpenAIGPTConfig, add_pooling_layer: bool) -> dict[str, nn.Module]:
    """Embeddings and blocks; there is no pooler."""
    embeddings = SegmentsAreWords(
        vocab_size=config.vocab_size,
        hidden_size=config.n_embd,
        max_position_embeddings=config.n_positions,
        type_vocab_size=0,
        layer_norm_eps=None,
        hidden_dropout=config.embd_pdrop,
    )
    return {"embeddings": embeddings, "encoder": TransformerStack(block_spec(config), config.n_layer)}


HEADS = {task: GPT2_HEADS[task] for task in ("causal-lm", "double-heads", "sequence-classification")}

_THEIRS, _OURS = "h.{i}", "encoder.layer.{i}"
_PROJECTIONS = tuple(f"{_OURS}.attention.self.{name}" for name in ("query", "key", "value"))

KEY_MAP = KeyMap(
    Rename("tokens_embed", "embeddings.word_embeddings"),
    Rename("positions_embed", "embeddings.position_embeddings"),
    Split(f"{_THEIRS}.attn.c_attn.weight", tuple(f"{name}.weight" for name in _PROJECTIONS), transpose=True),
    Split(f"{_THEIRS}.attn.c_attn.bias", tuple(f"{name}.bias" for name in _PROJECTIONS)),
    Transpose(f"{_THEIRS}.attn.c_proj.weight", f"{_OURS}.attention.output.dense.weight"),
    Rename(f"{_THEIRS}.attn.c_proj.bias", f"{_OURS}.attention.output.dense.bias"),
    Rename(f"{_THEIRS}.ln_1", f"{_OURS}.attention.output.LayerNorm"),
    Transpose(f"{_THEIRS}.mlp.c_fc.weight", f"{_OURS}.intermediate.dense.weight"),
    Rename(f"{_THEIRS}.mlp.c_fc.bias", f"{_OURS}.intermediate.dense.bias"),
    Transpose(f"{_THEIRS}.mlp.c_proj.weight", f"{_OURS}.output.dense.weight"),
    Rename(f"{_THEIRS}.mlp.c_proj.bias", f"{_OURS}.output.dense.bias"),
    Rename(f"{_THEIRS}.ln_2", f"{_OURS}.output.LayerNorm"),
    Ignore(f"{_THEIRS}.attn.bias"),
    Ignore("position_ids"),
    Legacy("g", "weight"),  # the names of TensorFlow's file, which the first converters kept
    Legacy("w", "weight"),
    Legacy("b", "bias"),
    Legacy("lm_head.decoder.weight", "lm_head.weight"),
    Legacy("multiple_choice_head.linear.weight", "multiple_choice_head.summary.weight"),
    Legacy("multiple_choice_head.linear.bias", "multiple_choice_head.summary.bias"),
    Tie("lm_head.weight", to="transformer.embeddings.word_embeddings.weight"),
    base_prefix="transformer",
)

OPENAI_GPT = register(
    Family(
        config_class=OpenAIGPTConfig,
        base_prefix="transformer",
        build_backbone=build_backbone,
        heads=HEADS,
        key_map=KEY_MAP,
        output_embeddings="lm_head",
        other_names={
            "h": "encoder.layer",
            "tokens_embed": "embeddings.word_embeddings",
            "positions_embed": "embeddings.position_embeddings",
            "drop": "embeddings.dropout",
        },
    )
)
