"""ModernBERT (Warner et al., 2024). Differs from BERT in: norms first, rotary positions, windows, gates, no biases."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from bothways.batching import PackedBatch
from bothways.checkpoints.config import PretrainedConfig
from bothways.checkpoints.key_map import KeyMap, Rename, Split, Tie
from bothways.errors import ConfigError
from bothways.families.registry import Family, Head, register
from bothways.nn.activations import activation
from bothways.nn.block import BlockSpec
from bothways.nn.dropout import Dropout
from bothways.nn.embeddings import check_ids, embedding
from bothways.nn.stack import TransformerStack


class ModernBertConfig(PretrainedConfig):
    """Sizes and settings of a ModernBERT model; the defaults are those of ModernBERT-base."""

    model_type = "modernbert"
    aliases = {"rope_theta": "global_rope_theta"}

    vocab_size: int = 50368
    hidden_size: int = 768
    intermediate_size: int = 1152
    num_hidden_layers: int = 22
    num_attention_heads: int = 12
    hidden_activation: str = "gelu"
    max_position_embeddings: int = 8192
    initializer_range: float = 0.02
    initializer_cutoff_factor: float | None = 2.0
    norm_eps: float = 1e-5
    norm_bias: bool = False
    pad_token_id: int = 50283
    eos_token_id: int = 50282
    bos_token_id: int = 50281
    cls_token_id: int = 50281
    sep_token_id: int = 50282
    global_rope_theta: float = 160000.0
    attention_bias: bool = False
    attention_dropout: float = 0.0
    global_attn_every_n_layers: int = 3
    local_attention: int = 128
    local_rope_theta: float | None = 10000.0
    embedding_dropout: float = 0.0
    mlp_bias: bool = False
    mlp_dropout: float = 0.0
    decoder_bias: bool = True
    classifier_pooling: str = "cls"
    classifier_dropout: float = 0.0
    classifier_bias: bool = False
    classifier_activation: str = "gelu"
    deterministic_flash_attn: bool = False
    sparse_prediction: bool = False
    sparse_pred_ignore_index: int = -100
    reference_compile: bool | None = None
    repad_logits_with_grad: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        layer_types = kwargs.pop("layer_types", None)
        super().__init__(*args, **_without_rope_parameters(kwargs))
        _check_layer_types(self, layer_types)

    def validate(self) -> None:
        super().validate()
        found = [problem for problem in _problems(self) if problem]
        if found:
            raise ConfigError("; ".join(found) + ".")

    def to_dict(self) -> dict[str, Any]:
        values = super().to_dict()
        del values["reference_compile"]  # of this machine, not of the model
        return values


def block_spec(config: ModernBertConfig) -> BlockSpec:
    """Pre-norm blocks with gates and full attention."""
    return BlockSpec(
        hidden_size=config.hidden_size,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        hidden_act=config.hidden_activation,
        layer_norm_eps=config.norm_eps,
        pre_norm=True,
        rotary_theta=config.global_rope_theta,
        gated=True,
        norm_bias=config.norm_bias,
        attention_bias=config.attention_bias,
        feed_forward_bias=config.mlp_bias,
        attention_dropout=config.attention_dropout,
        attention_output_dropout=config.attention_dropout,
        intermediate_dropout=config.mlp_dropout,
    )


def layer_spec(config: ModernBertConfig, layer: int) -> BlockSpec:
    """Every n-th block sees all tokens, the others a window; the first has its norm in the embeddings."""
    spec = replace(block_spec(config), first_norm=layer > 0)
    if layer % config.global_attn_every_n_layers == 0:
        return spec
    theta = config.global_rope_theta if config.local_rope_theta is None else config.local_rope_theta
    return replace(spec, window=config.local_attention // 2, rotary_theta=theta)


def build_backbone(config: ModernBertConfig, add_pooling_layer: bool) -> dict[str, nn.Module]:
    """Embeddings and encoder; there is no pooler."""
    return {
        "embeddings": WordEmbeddings(config),
        "encoder": TransformerStack(
            block_spec(config),
            config.num_hidden_layers,
            lambda i: layer_spec(config, i),
            shows_final_norm=False,
        ),
    }


def initialise(path: str, module: nn.Module, config: ModernBertConfig) -> bool:
    """Normal weights cut off at ``initializer_cutoff_factor`` deviations, smaller where they add to the residuals.

    Source: Warner et al. 2024, appendix A.2 ("Megatron initialisation"), and its published code.
    """
    if not isinstance(module, (nn.Linear, nn.Embedding)):
        return False
    name = path.rpartition(".")[2]
    if path.endswith(("output.dense", "transform.dense")) or name == "decoder":
        deviation = config.initializer_range / math.sqrt(2 * config.num_hidden_layers)
    elif name == "classifier":
        deviation = config.hidden_size**-0.5
    else:
        deviation = config.initializer_range
    most = (config.initializer_cutoff_factor or 3) * deviation
    nn.init.trunc_normal_(module.weight, std=deviation, a=-most, b=most)
    if getattr(module, "bias", None) is not None:
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return True


class WordEmbeddings(nn.Module):
    """Learned vectors for words, normalised. Positions enter in the blocks."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.word_embeddings = embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.LayerNorm = _norm(config)
        self.dropout = Dropout(config.embedding_dropout)

    def forward(self, batch: PackedBatch, inputs_embeds: Tensor | None = None) -> Tensor:
        """The vectors that enter the first block, (T, N).

        Args:
            batch: ids of T tokens.
            inputs_embeds: (T, N), used in place of the word vectors.

        Raises:
            InputError: an id outside the vocabulary.
        """
        if inputs_embeds is None:
            check_ids(batch.input_ids, self.word_embeddings.num_embeddings)
            inputs_embeds = self.word_embeddings(batch.input_ids)
        return self.dropout(self.LayerNorm(inputs_embeds))


class Transform(nn.Module):
    """Dense, activation, norm: stands before the vocabulary and before the classes."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, bias=config.classifier_bias)
        self.act = activation(config.classifier_activation)
        self.LayerNorm = _norm(config)

    def forward(self, hidden: Tensor) -> Tensor:
        """(T, N) to (T, N)."""
        return self.LayerNorm(self.act(self.dense(hidden)))


def _norm(config: ModernBertConfig) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm_bias)


def _classifier(config: ModernBertConfig, outputs: int) -> dict[str, nn.Module]:
    return {
        "transform": Transform(config),
        "dropout": Dropout(config.classifier_dropout),
        "classifier": nn.Linear(config.hidden_size, outputs),
    }


def _classify(model: Any, features: Tensor) -> Tensor:
    return model.classifier(model.dropout(model.transform(features)))


def _masked_lm(config: ModernBertConfig) -> dict[str, nn.Module]:
    decoder = nn.Linear(config.hidden_size, config.vocab_size, bias=config.decoder_bias)
    return {"transform": Transform(config), "decoder": decoder}


def _pooling(config: ModernBertConfig) -> Any:
    return {"cls": "first", "mean": "mean"}[config.classifier_pooling]


HEADS = {
    "sequence-classification": Head(reads=_pooling, build=lambda c: _classifier(c, c.num_labels), logits=_classify),
    "multiple-choice": Head(reads=_pooling, build=lambda c: _classifier(c, 1), logits=_classify),
    "token-classification": Head(reads="tokens", build=lambda c: _classifier(c, c.num_labels), logits=_classify),
    "question-answering": Head(reads="tokens", build=lambda c: _classifier(c, 2), logits=_classify),
    "masked-lm": Head(reads="tokens", build=_masked_lm, logits=lambda m, x: m.decoder(m.transform(x))),
}

_THEIRS, _OURS = "layers.{i}", "encoder.layer.{i}"
_PROJECTIONS = tuple(f"{_OURS}.attention.self.{name}" for name in ("query", "key", "value"))

KEY_MAP = KeyMap(
    Rename("embeddings.tok_embeddings", "embeddings.word_embeddings"),
    Rename("embeddings.norm", "embeddings.LayerNorm"),
    Rename(f"{_THEIRS}.attn_norm", f"{_OURS}.attention.input_norm"),
    Split(f"{_THEIRS}.attn.Wqkv.weight", tuple(f"{name}.weight" for name in _PROJECTIONS)),
    Split(f"{_THEIRS}.attn.Wqkv.bias", tuple(f"{name}.bias" for name in _PROJECTIONS)),
    Rename(f"{_THEIRS}.attn.Wo", f"{_OURS}.attention.output.dense"),
    Rename(f"{_THEIRS}.mlp_norm", f"{_OURS}.intermediate.input_norm"),
    Rename(f"{_THEIRS}.mlp.Wi", f"{_OURS}.intermediate.dense"),
    Rename(f"{_THEIRS}.mlp.Wo", f"{_OURS}.output.dense"),
    Rename("final_norm", "encoder.final_norm"),
    Rename("head.dense", "transform.dense"),
    Rename("head.norm", "transform.LayerNorm"),
    Tie("decoder.weight", to="model.embeddings.word_embeddings.weight"),
    base_prefix="model",
)

MODERNBERT = register(
    Family(
        config_class=ModernBertConfig,
        base_prefix="model",
        build_backbone=build_backbone,
        heads=HEADS,
        key_map=KEY_MAP,
        output_embeddings="decoder",
        other_names={"layers": "encoder.layer", "final_norm": "encoder.final_norm"},
        initialise=initialise,
    )
)


def _without_rope_parameters(values: dict[str, Any]) -> dict[str, Any]:
    """The arguments in the notation of transformers 4, from either; version 5 nests both thetas in one field."""
    nested = values.pop("rope_parameters", None)
    if nested is None:
        return values
    kinds = {"full_attention": "global_rope_theta", "sliding_attention": "local_rope_theta"}
    if not isinstance(nested, dict) or not all(isinstance(nested.get(kind), dict) for kind in kinds):
        raise ConfigError(f"rope_parameters is {nested!r}, expected settings for each of {', '.join(kinds)}.")
    for kind, name in kinds.items():
        if nested[kind].get("rope_type", "default") != "default":
            raise ConfigError(_other_rope(f"rope_parameters of {kind}", nested[kind]))
        if "rope_theta" in nested[kind]:
            values[name] = nested[kind]["rope_theta"]
    return values


def _check_layer_types(config: ModernBertConfig, layer_types: Any) -> None:
    every = config.global_attn_every_n_layers
    expected = ["sliding_attention" if i % every else "full_attention" for i in range(config.num_hidden_layers)]
    if layer_types is not None and list(layer_types) != expected:
        raise ConfigError(
            f"layer_types is {layer_types!r}, but global_attn_every_n_layers {every} and num_hidden_layers "
            f"{config.num_hidden_layers} mean {expected!r}; other orders are not implemented."
        )


def _problems(config: ModernBertConfig) -> list[str | None]:
    def whole(name: str, least: int) -> str | None:
        value = getattr(config, name)
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= 2**20
        return None if fits else f"{name} is {value!r}, expected a whole number from {least} to {2**20:,}"

    def between(name: str, least: float, most: float) -> str | None:
        value = getattr(config, name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return None if number and least < value < most else f"{name} is {value!r}, expected a number above {least:g}"

    scaling = getattr(config, "rope_scaling", None) or {}
    head_dim = config.hidden_size // config.num_attention_heads
    return [
        whole("local_attention", 0),
        whole("global_attn_every_n_layers", 1),
        between("norm_eps", 0, 1),
        between("global_rope_theta", 0, 1e12),
        None if config.local_rope_theta is None else between("local_rope_theta", 0, 1e12),
        f"{head_dim} values of each head cannot be paired: rotary positions need an even number"
        if head_dim % 2
        else None,
        None
        if config.classifier_pooling in ("cls", "mean")
        else f"classifier_pooling is {config.classifier_pooling!r}, expected 'cls' or 'mean'",
        None
        if scaling.get("rope_type", scaling.get("type", "default")) == "default"
        else _other_rope("rope_scaling", scaling).removesuffix("."),
    ]


def _other_rope(name: str, value: Any) -> str:
    return f"{name} is {value!r}; only the type 'default' is implemented, and another would give other numbers."
