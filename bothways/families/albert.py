"""ALBERT (Lan et al., 2020). Differs from BERT in: shared layers, narrow embeddings, sentence order."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from bothways.checkpoints.config import PretrainedConfig
from bothways.checkpoints.key_map import Ignore, KeyMap, Legacy, Rename, Tie
from bothways.errors import ConfigError
from bothways.families import bert
from bothways.families.registry import Family, Head, register
from bothways.heads import MaskedLMHead, Pooler, PretrainingHeads
from bothways.nn.dropout import Dropout
from bothways.nn.factorised import FactorisedEmbeddings
from bothways.nn.stack import SharedStack

MOST_EMBEDDING_SIZE = 32_768


class AlbertConfig(PretrainedConfig):
    """Sizes and settings of an ALBERT model; the defaults are those of albert-xxlarge."""

    model_type = "albert"

    vocab_size: int = 30000
    embedding_size: int = 128
    hidden_size: int = 4096
    num_hidden_layers: int = 12
    num_hidden_groups: int = 1
    num_attention_heads: int = 64
    intermediate_size: int = 16384
    inner_group_num: int = 1
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    classifier_dropout_prob: float | None = 0.1
    position_embedding_type: str = "absolute"
    pad_token_id: int = 0
    bos_token_id: int | None = 2
    eos_token_id: int | None = 3

    def validate(self) -> None:
        super().validate()
        bert.check_encoder(self)
        check_size(self, "embedding_size", MOST_EMBEDDING_SIZE)
        check_size(self, "num_hidden_groups", max(1, self.num_hidden_layers))
        in_a_group = self.num_hidden_layers // self.num_hidden_groups
        # the reference builds such a model and fails at its first use
        check_size(self, "inner_group_num", max(1, in_a_group), f" (layers of a group: {in_a_group})")


def check_size(config: PretrainedConfig, name: str, most: int, why: str = "") -> None:
    """Raises ConfigError unless the field is a whole number from 1 to ``most``."""
    value = getattr(config, name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ConfigError(f"{name} is {value!r}, expected a whole number from 1 to {most:,}{why}.")


def factorised_embeddings(config: Any) -> FactorisedEmbeddings:
    """Embeddings of width ``embedding_size``, brought to ``hidden_size``."""
    return FactorisedEmbeddings(
        vocab_size=config.vocab_size,
        embedding_size=config.embedding_size,
        hidden_size=config.hidden_size,
        max_position_embeddings=config.max_position_embeddings,
        type_vocab_size=config.type_vocab_size,
        layer_norm_eps=config.layer_norm_eps,
        hidden_dropout=config.hidden_dropout_prob,
        padding_idx=config.pad_token_id,
    )


def factorised_masked_lm(config: Any, hidden_act: str) -> MaskedLMHead:
    """BERT's head at the width of the embeddings, which its first layer comes down to."""
    return MaskedLMHead(config.hidden_size, config.vocab_size, hidden_act, config.layer_norm_eps, config.embedding_size)


def build_backbone(config: AlbertConfig, add_pooling_layer: bool) -> dict[str, nn.Module]:
    """Factorised embeddings, shared layers, pooler."""
    encoder = SharedStack(
        bert.block_spec(config),  # type: ignore[arg-type]  # the same fields
        config.num_hidden_layers,
        config.num_hidden_groups,
        config.inner_group_num,
    )
    for block in {block for blocks in encoder.sequence() for block in blocks}:
        block.output.dropout.p = 0.0  # the reference has no dropout behind the feed-forward
    modules: dict[str, nn.Module] = {"embeddings": factorised_embeddings(config), "encoder": encoder}
    if add_pooling_layer:
        modules["pooler"] = Pooler(config.hidden_size)
    return modules


class SentenceOrderHead(nn.Module):
    """Whether two texts stand in their order. Source: Lan et al. 2020, section 3.1."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dropout = Dropout(_classifier_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, N) to (B, C)."""
        return self.classifier(self.dropout(pooled))


def _classifier_dropout(config: AlbertConfig) -> float:
    p = config.classifier_dropout_prob
    return config.hidden_dropout_prob if p is None else p


def _classifier(config: AlbertConfig, outputs: int) -> dict[str, nn.Module]:
    return {"dropout": Dropout(_classifier_dropout(config)), "classifier": nn.Linear(config.hidden_size, outputs)}


def _classify(model: Any, features: Tensor) -> Tensor:
    return model.classifier(model.dropout(features))


def _pretraining(config: AlbertConfig) -> dict[str, nn.Module]:
    predictions, order = factorised_masked_lm(config, config.hidden_act), SentenceOrderHead(config)
    return {"cls": PretrainingHeads({"predictions": predictions, "seq_relationship": order})}


HEADS = {
    "sequence-classification": Head(reads="pooled", build=lambda c: _classifier(c, c.num_labels), logits=_classify),
    "token-classification": Head(reads="tokens", build=lambda c: _classifier(c, c.num_labels), logits=_classify),
    "multiple-choice": Head(reads="pooled", build=lambda c: _classifier(c, 1), logits=_classify),
    "question-answering": bert.HEADS["question-answering"],
    "masked-lm": Head(
        reads="tokens",
        build=lambda c: {"cls": PretrainingHeads({"predictions": factorised_masked_lm(c, c.hidden_act)})},
        logits=lambda m, x: m.cls.predictions(x),
    ),
    "pretraining": Head(reads="tokens", build=_pretraining, logits=lambda m, x: m.cls.predictions(x)),
}

_THEIRS = "encoder.albert_layer_groups.{g}.albert_layers.{b}"
_OURS = "encoder.layer.{g}.{b}"

KEY_MAP = KeyMap(
    Legacy("LayerNorm.gamma", "LayerNorm.weight"),
    Legacy("LayerNorm.beta", "LayerNorm.bias"),
    Ignore("embeddings.position_ids"),
    Rename("encoder.embedding_hidden_mapping_in", "embeddings.projection"),
    Rename(f"{_THEIRS}.attention.query", f"{_OURS}.attention.self.query"),
    Rename(f"{_THEIRS}.attention.key", f"{_OURS}.attention.self.key"),
    Rename(f"{_THEIRS}.attention.value", f"{_OURS}.attention.self.value"),
    Rename(f"{_THEIRS}.attention.dense", f"{_OURS}.attention.output.dense"),
    Rename(f"{_THEIRS}.attention.LayerNorm", f"{_OURS}.attention.output.LayerNorm"),
    Rename(f"{_THEIRS}.ffn", f"{_OURS}.intermediate.dense"),
    Rename(f"{_THEIRS}.ffn_output", f"{_OURS}.output.dense"),
    Rename(f"{_THEIRS}.full_layer_layer_norm", f"{_OURS}.output.LayerNorm"),
    Rename("pooler.weight", "pooler.dense.weight"),
    Rename("pooler.bias", "pooler.dense.bias"),
    Rename("predictions.dense", "cls.predictions.transform.dense"),
    Rename("predictions.LayerNorm", "cls.predictions.transform.LayerNorm"),
    Rename("predictions.decoder", "cls.predictions.decoder"),
    Rename("predictions.bias", "cls.predictions.bias"),
    Rename("sop_classifier", "cls.seq_relationship"),
    Tie("cls.predictions.decoder.weight", to="albert.embeddings.word_embeddings.weight"),
    Tie("cls.predictions.decoder.bias", to="cls.predictions.bias"),
    base_prefix="albert",
)

ALBERT = register(
    Family(
        config_class=AlbertConfig,
        base_prefix="albert",
        build_backbone=build_backbone,
        heads=HEADS,
        key_map=KEY_MAP,
        output_embeddings="cls.predictions.decoder",
        other_names={"predictions": "cls.predictions", "sop_classifier": "cls.seq_relationship"},
    )
)
