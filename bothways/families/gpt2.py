"""GPT-2 (Radford et al., 2019). Differs from BERT in: causal, norms at the inputs, segments are words, classes from the
last token; published files store matrices transposed and query, key and value as one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from bothways.checkpoints.config import PretrainedConfig
from bothways.checkpoints.key_map import Ignore, KeyMap, Rename, Split, Tie, Transpose
from bothways.errors import ConfigError
from bothways.families.registry import Family, Head, register
from bothways.heads import SequenceSummary
from bothways.nn.block import BlockSpec
from bothways.nn.dropout import Dropout
from bothways.nn.embeddings import Embeddings
from bothways.nn.linear import Linear
from bothways.nn.stack import TransformerStack


class GPT2Config(PretrainedConfig):
    """Sizes and settings of a GPT-2 model; the defaults are those of the smallest published one."""

    model_type = "gpt2"
    aliases = {
        "hidden_size": "n_embd",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
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
    scale_attn_weights: bool = True
    use_cache: bool = True
    bos_token_id: int | None = 50256
    eos_token_id: int | None = 50256
    scale_attn_by_inverse_layer_idx: bool = False
    reorder_and_upcast_attn: bool = False
    pad_token_id: int | None = None

    @property
    def intermediate_size(self) -> int:
        return 4 * self.n_embd if self.n_inner is None else self.n_inner

    def validate(self) -> None:
        super().validate()
        if self.add_cross_attention:
            raise ConfigError("add_cross_attention is not supported for gpt2: BART and T5 read an encoded source.")


def block_spec(config: GPT2Config) -> BlockSpec:
    """Pre-norm blocks that see no later tokens."""
    return BlockSpec(
        hidden_size=config.n_embd,
        num_attention_heads=config.n_head,
        intermediate_size=config.intermediate_size,
        hidden_act=config.activation_function,
        layer_norm_eps=config.layer_norm_epsilon,
        pre_norm=True,
        causal=True,
        attention_scale=None if config.scale_attn_weights else 1.0,
        hidden_dropout=config.resid_pdrop,
        attention_dropout=config.attn_pdrop,
    )


def layer_spec(config: GPT2Config, layer: int) -> BlockSpec:
    """Scores may be divided by the number of the layer. Source: the published code of Mistral's GPT-2 models."""
    spec = block_spec(config)
    if not config.scale_attn_by_inverse_layer_idx:
        return spec
    scale = spec.head_dim**-0.5 if spec.attention_scale is None else spec.attention_scale
    return replace(spec, attention_scale=scale / (layer + 1))


def build_backbone(config: GPT2Config, add_pooling_layer: bool) -> dict[str, nn.Module]:
    """Embeddings and blocks; there is no pooler."""
    embeddings = SegmentsAreWords(
        vocab_size=config.vocab_size,
        hidden_size=config.n_embd,
        max_position_embeddings=config.n_positions,
        type_vocab_size=0,
        layer_norm_eps=None,
        hidden_dropout=config.embd_pdrop,
    )
    return {
        "embeddings": embeddings,
        "encoder": TransformerStack(block_spec(config), config.n_layer, lambda i: layer_spec(config, i)),
    }


class SegmentsAreWords(Embeddings):
    """Embeddings whose segments are looked up in the vocabulary. Source: Wolf et al. 2019 (TransferTransfo), 3.1."""

    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.type_vocab_size = sizes["vocab_size"]

    def _segments(self, token_type_ids: Tensor | None) -> Tensor:
        if token_type_ids is None:
            return self.word_embeddings.weight.new_zeros(())
        return self.word_embeddings(token_type_ids)


def initialise(path: str, module: nn.Module, config: GPT2Config) -> bool:
    """Layers that add to the residual sum begin smaller, by the root of their number. Radford et al. 2019, 2.3."""
    if not (isinstance(module, nn.Linear) and path.endswith("output.dense")):
        return False
    with torch.no_grad():
        module.weight.normal_(0.0, config.initializer_range / math.sqrt(2 * config.n_layer))
        module.bias.zero_()
    return True


def _token_classifier(config: GPT2Config) -> dict[str, nn.Module]:
    chosen = [getattr(config, name, None) for name in ("classifier_dropout", "hidden_dropout")]
    p = next((value for value in chosen if value is not None), 0.1)
    return {"dropout": Dropout(p), "classifier": nn.Linear(config.n_embd, config.num_labels)}


def language_head(config: PretrainedConfig) -> dict[str, nn.Module]:
    """Scores over the vocabulary, without a bias."""
    return {"lm_head": Linear(config.hidden_size, config.vocab_size, bias=False)}


def double_heads(config: Any) -> dict[str, nn.Module]:
    """Scores over the vocabulary, and a number for each text, from one of its tokens.

    Raises:
        ConfigError: settings under which the second head would give no number.
    """
    settings = (config.summary_type, config.summary_use_proj, config.summary_proj_to_labels)
    if settings != ("cls_index", True, True):
        raise ConfigError(
            "summary_type, summary_use_proj and summary_proj_to_labels are {!r}, {!r} and {!r}; only 'cls_index', True "
            "and True give one number for each text.".format(*settings)
        )
    summary = SequenceSummary(
        config.n_embd,
        act=config.summary_activation,
        first_dropout=config.summary_first_dropout,
        last_dropout=getattr(config, "summary_last_dropout", 0.0),
    )
    return {**language_head(config), "multiple_choice_head": summary}


HEADS = {
    "causal-lm": Head(reads="tokens", build=language_head, logits=lambda m, x: m.lm_head(x)),
    "double-heads": Head(reads="tokens", build=double_heads, logits=lambda m, x: m.lm_head(x)),
    "sequence-classification": Head(
        reads="last",
        build=lambda c: {"score": nn.Linear(c.n_embd, c.num_labels, bias=False)},
        logits=lambda m, x: m.score(x),
    ),
    "token-classification": Head(
        reads="tokens", build=_token_classifier, logits=lambda m, x: m.classifier(m.dropout(x))
    ),
    "question-answering": Head(
        reads="tokens",
        build=lambda c: {"qa_outputs": nn.Linear(c.n_embd, 2)},
        logits=lambda m, x: m.qa_outputs(x),
    ),
}

_THEIRS, _OURS = "h.{i}", "encoder.layer.{i}"
_PROJECTIONS = tuple(f"{_OURS}.attention.self.{name}" for name in ("query", "key", "value"))

KEY_MAP = KeyMap(
    Rename("wte", "embeddings.word_embeddings"),
    Rename("wpe", "embeddings.position_embeddings"),
    Rename(f"{_THEIRS}.ln_1", f"{_OURS}.attention.input_norm"),
    Split(f"{_THEIRS}.attn.c_attn.weight", tuple(f"{name}.weight" for name in _PROJECTIONS), transpose=True),
    Split(f"{_THEIRS}.attn.c_attn.bias", tuple(f"{name}.bias" for name in _PROJECTIONS)),
    Transpose(f"{_THEIRS}.attn.c_proj.weight", f"{_OURS}.attention.output.dense.weight"),
    Rename(f"{_THEIRS}.attn.c_proj.bias", f"{_OURS}.attention.output.dense.bias"),
    Rename(f"{_THEIRS}.ln_2", f"{_OURS}.intermediate.input_norm"),
    Transpose(f"{_THEIRS}.mlp.c_fc.weight", f"{_OURS}.intermediate.dense.weight"),
    Rename(f"{_THEIRS}.mlp.c_fc.bias", f"{_OURS}.intermediate.dense.bias"),
    Transpose(f"{_THEIRS}.mlp.c_proj.weight", f"{_OURS}.output.dense.weight"),
    Rename(f"{_THEIRS}.mlp.c_proj.bias", f"{_OURS}.output.dense.bias"),
    Rename("ln_f", "encoder.final_norm"),
    Ignore(f"{_THEIRS}.attn.bias"),
    Ignore(f"{_THEIRS}.attn.masked_bias"),
    Tie("lm_head.weight", to="transformer.embeddings.word_embeddings.weight"),
    base_prefix="transformer",
)

GPT2 = register(
    Family(
        config_class=GPT2Config,
        base_prefix="transformer",
        build_backbone=build_backbone,
        heads=HEADS,
        key_map=KEY_MAP,
        output_embeddings="lm_head",
        other_names={
            "h": "encoder.layer",
            "wte": "embeddings.word_embeddings",
            "wpe": "embeddings.position_embeddings",
            "ln_f": "encoder.final_norm",
            "drop": "embeddings.dropout",
        },
        initialise=initialise,
    )
)
