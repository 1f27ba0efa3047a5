"""BERT (Devlin et al., 2019): the family all others are compared with."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from bothways.checkpoints.config import PretrainedConfig
from bothways.checkpoints.key_map import Ignore, KeyMap, Legacy, Tie
from bothways.errors import ConfigError
from bothways.families.registry import Family, Head, register
from bothways.heads import MaskedLMHead, Pooler, PretrainingHeads
from bothways.nn.block import BlockSpec
from bothways.nn.dropout import Dropout
from bothways.nn.embeddings import Embeddings
from bothways.nn.stack import TransformerStack


class BertConfig(PretrainedConfig):
    """Sizes and settings of a BERT model; the defaults are those of bert-base-uncased."""

    model_type = "bert"

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    position_embedding_type: str = "absolute"
    use_cache: bool = True
    classifier_dropout: float | None = None

    def validate(self) -> None:
        super().validate()
        check_encoder(self, may_decode=True)


def check_encoder(config: PretrainedConfig, *, may_decode: bool = False) -> None:
    """Refuse settings of BERT and its relatives that would give other numbers here.

    Args:
        may_decode: ``is_decoder`` is known: tokens then see no later ones.

    Raises:
        ConfigError: relative positions, or a decoder.
    """
    if config.position_embedding_type != "absolute":
        raise ConfigError(
            f"position_embedding_type is {config.position_embedding_type!r}; only 'absolute' is implemented, and "
            "another type would give other numbers."
        )
    if config.is_decoder and not may_decode:
        raise ConfigError(f"is_decoder is not supported for {config.model_type}: it reads both ways.")
    if config.add_cross_attention:
        raise ConfigError(
            f"add_cross_attention is not supported for {config.model_type}: BART and T5 read an encoded source."
        )


def block_spec(config: BertConfig) -> BlockSpec:
    """Post-norm blocks with full attention; with ``is_decoder`` tokens see no later ones."""
    return BlockSpec(
        causal=config.is_decoder,
        hidden_size=config.hidden_size,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        hidden_act=config.hidden_act,
        layer_norm_eps=config.layer_norm_eps,
        hidden_dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
    )


def embedding_settings(config: BertConfig) -> dict[str, Any]:
    """The arguments of ``Embeddings``."""
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "max_position_embeddings": config.max_position_embeddings,
        "type_vocab_size": config.type_vocab_size,
        "layer_norm_eps": config.layer_norm_eps,
        "hidden_dropout": config.hidden_dropout_prob,
        "padding_idx": config.pad_token_id,
        "first_position": config.first_position,
    }


def build_backbone(config: BertConfig, add_pooling_layer: bool) -> dict[str, nn.Module]:
    """Embeddings, encoder, pooler."""
    modules: dict[str, nn.Module] = {
        "embeddings": Embeddings(**embedding_settings(config)),
        "encoder": TransformerStack(block_spec(config), config.num_hidden_layers),
    }
    if add_pooling_layer:
        modules["pooler"] = Pooler(config.hidden_size)
    return modules


def _classifier(config: BertConfig, outputs: int) -> dict[str, nn.Module]:
    p = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
    return {"dropout": Dropout(p), "classifier": nn.Linear(config.hidden_size, outputs)}


def _classify(model: Any, features: Tensor) -> Tensor:
    return model.classifier(model.dropout(features))


def _masked_lm(config: BertConfig) -> MaskedLMHead:
    return MaskedLMHead(config.hidden_size, config.vocab_size, config.hidden_act, config.layer_norm_eps)


def _next_sentence(config: BertConfig) -> nn.Linear:
    return nn.Linear(config.hidden_size, 2)


WORDS = Head(
    reads="tokens",
    build=lambda c: {"cls": PretrainingHeads({"predictions": _masked_lm(c)})},
    logits=lambda m, x: m.cls.predictions(x),
)
"""A word for every token: the masked one, or with ``is_decoder`` the next one."""

HEADS = {
    "sequence-classification": Head(reads="pooled", build=lambda c: _classifier(c, c.num_labels), logits=_classify),
    "token-classification": Head(reads="tokens", build=lambda c: _classifier(c, c.num_labels), logits=_classify),
    "multiple-choice": Head(reads="pooled", build=lambda c: _classifier(c, 1), logits=_classify),
    "question-answering": Head(
        reads="tokens",
        build=lambda c: {"qa_outputs": nn.Linear(c.hidden_size, 2)},
        logits=lambda m, x: m.qa_outputs(x),
    ),
    "masked-lm": WORDS,
    "causal-lm": WORDS,
    "next-sentence-prediction": Head(
        reads="pooled",
        build=lambda c: {"cls": PretrainingHeads({"seq_relationship": _next_sentence(c)})},
        logits=lambda m, x: m.cls.seq_relationship(x),
    ),
    "pretraining": Head(
        reads="tokens",
        build=lambda c: {
            "cls": PretrainingHeads({"predictions": _masked_lm(c), "seq_relationship": _next_sentence(c)})
        },
        logits=lambda m, x: m.cls.predictions(x),
    ),
}

KEY_MAP = KeyMap(
    Legacy("LayerNorm.gamma", "LayerNorm.weight"),
    Legacy("LayerNorm.beta", "LayerNorm.bias"),
    Ignore("embeddings.position_ids"),
    Tie("cls.predictions.decoder.weight", to="bert.embeddings.word_embeddings.weight"),
    Tie("cls.predictions.decoder.bias", to="cls.predictions.bias"),
    base_prefix="bert",
)

BERT = register(
    Family(
        config_class=BertConfig,
        base_prefix="bert",
        build_backbone=build_backbone,
        heads=HEADS,
        key_map=KEY_MAP,
        output_embeddings="cls.predictions.decoder",
    )
)
