"""T5 (Raffel et al., 2020): an encoder and a decoder. Differs from BERT in: root mean square norms at the inputs, no
biases, scores that depend on distance in place of positions and of a scale, gates in version 1.1 and later."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bothways.checkpoints.config import PretrainedConfig
from bothways.checkpoints.key_map import Concat, Conversion, Ignore, KeyMap, Rename, Tie
from bothways.errors import ConfigError
from bothways.families.registry import Family, Head, register
from bothways.heads import FirstTokenClassifier
from bothways.nn.block import BlockSpec
from bothways.nn.dropout import Dropout
from bothways.nn.embeddings import Embeddings
from bothways.nn.linear import Linear
from bothways.nn.norms import RMSNorm
from bothways.nn.relative_positions import RelativePositions
from bothways.nn.stack import TransformerStack


class T5Config(PretrainedConfig):
    """Sizes and settings of a T5 model, by default of t5-small; version 1.1 and FLAN have ``gated-gelu``."""

    model_type = "t5"
    aliases = {
        "hidden_size": "d_model",
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "num_layers",
        "head_dim": "d_kv",
        "intermediate_size": "d_ff",
    }
    heads_divide_hidden_size = False
    further_sizes = {"num_decoder_layers": "num_hidden_layers"}

    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_decoder_layers: int | None = None
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.1
    layer_norm_epsilon: float = 1e-6
    initializer_factor: float = 1.0
    feed_forward_proj: str = "relu"
    is_encoder_decoder: bool = True
    use_cache: bool = True
    pad_token_id: int = 0
    eos_token_id: int = 1
    classifier_dropout: float = 0.0
    decoder_start_token_id: int | None = None

    def validate(self) -> None:
        if self.num_decoder_layers is None:
            self.num_decoder_layers = self.num_layers
        super().validate()
        gate, _, act = self.feed_forward_proj.rpartition("-")
        if gate not in ("", "gated") or not act:
            raise ConfigError(
                f"feed_forward_proj is {self.feed_forward_proj!r}, expected an activation such as 'relu', or "
                "'gated-gelu' for one with gates."
            )

    @property
    def initializer_range(self) -> float:
        return self.initializer_factor

    @property
    def is_gated_act(self) -> bool:
        return self.feed_forward_proj.startswith("gated-")

    @property
    def dense_act_fn(self) -> str:
        """The activation; what files call ``gated-gelu`` is its tanh form."""
        if self.feed_forward_proj == "gated-gelu":
            return "gelu_new"
        return self.feed_forward_proj.removeprefix("gated-")


def block_spec(config: T5Config, *, decoder: bool = False) -> BlockSpec:
    """Pre-norm blocks without biases; a decoder's read the source too."""
    return BlockSpec(
        hidden_size=config.d_model,
        num_attention_heads=config.num_heads,
        head_size=config.d_kv,
        intermediate_size=config.d_ff,
        hidden_act=config.dense_act_fn,
        layer_norm_eps=config.layer_norm_epsilon,
        norm="rms",
        pre_norm=True,
        causal=decoder,
        cross_attention=decoder,
        attention_scale=1.0,
        gated=config.is_gated_act,
        attention_bias=False,
        feed_forward_bias=False,
        hidden_dropout=config.dropout_rate,
        attention_dropout=config.dropout_rate,
        intermediate_dropout=config.dropout_rate,
    )


def build_backbone(config: T5Config, add_pooling_layer: bool) -> dict[str, nn.Module]:
    """Words for both sides, encoder and decoder; there is no pooler."""
    return {
        "embeddings": _embeddings(config, config.vocab_size),
        "encoder": _stack(config, config.num_layers, decoder=False),
        "decoder_embeddings": _embeddings(config, 0),
        "decoder": _stack(config, config.num_decoder_layers or 0, decoder=True),
    }


def _embeddings(config: T5Config, vocab_size: int) -> Embeddings:
    return Embeddings(
        vocab_size=vocab_size,
        hidden_size=config.d_model,
        max_position_embeddings=0,
        type_vocab_size=0,
        layer_norm_eps=None,
        hidden_dropout=config.dropout_rate,
    )


def _stack(config: T5Config, num_layers: int, *, decoder: bool) -> TransformerStack:
    buckets, longest = config.relative_attention_num_buckets, config.relative_attention_max_distance
    return TransformerStack(
        block_spec(config, decoder=decoder),
        num_layers,
        relative_positions=RelativePositions(buckets, longest, config.num_heads, bidirectional=not decoder),
        final_dropout=config.dropout_rate,
    )


def initialise(path: str, module: nn.Module, config: T5Config) -> bool:
    """As large as keeps the size of what flows through. Source: the published code of Mesh TensorFlow's T5."""
    width, heads = config.d_model, config.num_heads * config.d_kv
    deviations = {
        "word_embeddings": 1.0,
        "lm_head": 1.0,
        "classifier": 1.0,
        "self.query": (width * config.d_kv) ** -0.5,
        "relative_attention_bias": width**-0.5,
        "attention.output.dense": heads**-0.5,
        "crossattention.output.dense": heads**-0.5,
        "output.dense": config.d_ff**-0.5,
        "": width**-0.5,
    }
    with torch.no_grad():
        if isinstance(module, RMSNorm):
            module.weight.fill_(config.initializer_factor)
        elif isinstance(module, (nn.Linear, nn.Embedding)):
            deviation = next(value for ending, value in deviations.items() if path.endswith(ending))
            module.weight.normal_(0.0, config.initializer_factor * deviation)
            if getattr(module, "bias", None) is not None:
                module.bias.zero_()  # type: ignore[operator]
    return True


def _score(model: Any, hidden: Tensor) -> Tensor:
    """Where the matrix is that of the words, what it reads is scaled down. Raffel et al. 2020, published code."""
    if model.config.tie_word_embeddings:
        hidden = hidden * model.config.d_model**-0.5
    return model.lm_head(hidden)


def _sequence_classifier(config: T5Config) -> dict[str, nn.Module]:
    return {"classification_head": FirstTokenClassifier(config.d_model, config.num_labels, config.classifier_dropout)}


def _token_classifier(config: T5Config) -> dict[str, nn.Module]:
    return {
        "dropout": Dropout(config.classifier_dropout),
        "classifier": nn.Linear(config.d_model, config.num_labels),
    }


HEADS = {
    "seq2seq-lm": Head(
        reads="tokens",
        build=lambda c: {"lm_head": Linear(c.d_model, c.vocab_size, bias=False)},
        logits=_score,
    ),
    "sequence-classification": Head(
        reads="eos", build=_sequence_classifier, logits=lambda m, x: m.classification_head(x)
    ),
    "token-classification": Head(
        reads="tokens", build=_token_classifier, logits=lambda m, x: m.classifier(m.dropout(x))
    ),
    "question-answering": Head(
        reads="tokens", build=lambda c: {"qa_outputs": nn.Linear(c.d_model, 2)}, logits=lambda m, x: m.qa_outputs(x)
    ),
}


def _layer(theirs: str, ours: str, feed_forward: int, gated: bool) -> list[Conversion]:
    """The rules of a block: attention, perhaps attention over the source, and the feed-forward, by their numbers."""
    sublayers = [("0.SelfAttention", "attention")]
    if feed_forward == 2:
        sublayers.append(("1.EncDecAttention", "crossattention"))
    rules: list[Conversion] = []
    for name, our_name in sublayers:
        number = name[0]
        for letter, projection in (("q", "self.query"), ("k", "self.key"), ("v", "self.value"), ("o", "output.dense")):
            rules.append(Rename(f"{theirs}.layer.{name}.{letter}", f"{ours}.{our_name}.{projection}"))
        rules.append(Rename(f"{theirs}.layer.{number}.layer_norm", f"{ours}.{our_name}.input_norm"))
    dense = f"{theirs}.layer.{feed_forward}.DenseReluDense"
    if gated:
        both = (f"{dense}.wi_0.weight", f"{dense}.wi_1.weight")
        rules.append(Concat(both, f"{ours}.intermediate.dense.weight"))
    else:
        rules.append(Rename(f"{dense}.wi", f"{ours}.intermediate.dense"))
    rules.append(Rename(f"{dense}.wo", f"{ours}.output.dense"))
    rules.append(Rename(f"{theirs}.layer.{feed_forward}.layer_norm", f"{ours}.intermediate.input_norm"))
    return rules


def key_map(gated: bool) -> KeyMap:
    """The names in published files, with or without gates."""
    shared_rules = [
        rule
        for side in ("encoder", "decoder")
        for rule in (
            Rename(
                f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias",
                f"{side}.relative_positions.relative_attention_bias",
            ),
            Rename(f"{side}.final_layer_norm", f"{side}.final_norm"),
            Ignore(f"{side}.embed_tokens"),
        )
    ]
    return KeyMap(
        Rename("shared", "embeddings.word_embeddings"),
        *shared_rules,
        *_layer("encoder.block.{i}", "encoder.layer.{i}", 1, gated),
        *_layer("decoder.block.{i}", "decoder.layer.{i}", 2, gated),
        Ignore("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias"),
        Tie("lm_head.weight", to="embeddings.word_embeddings.weight"),
        base_prefix="transformer",
    )


T5 = register(
    Family(
        config_class=T5Config,
        base_prefix="transformer",
        build_backbone=build_backbone,
        heads=HEADS,
        key_map=key_map(gated=False),
        key_map_of=lambda config: key_map(config.is_gated_act),
        output_embeddings="lm_head",
        other_names={"shared": "embeddings.word_embeddings"},
        initialise=initialise,
    )
)
