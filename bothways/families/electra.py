"""ELECTRA (Clark et al., 2020). Differs from BERT in: finding replaced tokens, narrow embeddings, no pooler."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from bothways.checkpoints.config import PretrainedConfig
from bothways.checkpoints.key_map import Ignore, KeyMap, Legacy, Rename, Tie
from bothways.errors import ConfigError
from bothways.families import bert
from bothways.families.albert import MOST_EMBEDDING_SIZE, check_size, factorised_embeddings, factorised_masked_lm
from bothways.families.registry import Family, Head, register
from bothways.heads import FirstTokenClassifier, PretrainingHeads
from bothways.nn.activations import activation
from bothways.nn.dropout import Dropout


class ElectraConfig(PretrainedConfig):
    """Sizes and settings of an ELECTRA model; the defaults are those of electra-small-discriminator."""

    model_type = "electra"

    vocab_size: int = 30522
    embedding_size: int = 128
    hidden_size: int = 256
    num_hidden_layers: int = 12
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    summary_type: str = "first"
    summary_use_proj: bool = True
    summary_activation: str | None = "gelu"
    summary_last_dropout: float = 0.1
    pad_token_id: int = 0
    position_embedding_type: str = "absolute"
    use_cache: bool = True
    classifier_dropout: float | None = None

    def validate(self) -> None:
        super().validate()
        bert.check_encoder(self, may_decode=True)
        check_size(self, "embedding_size", MOST_EMBEDDING_SIZE)


def build_backbone(config: ElectraConfig, add_pooling_layer: bool) -> dict[str, nn.Module]:
    """BERT's, with a projection behind embeddings of another width; there is no pooler."""
    modules = bert.build_backbone(config, add_pooling_layer=False)  # type: ignore[arg-type]  # the same fields
    if config.embedding_size != config.hidden_size:
        modules["embeddings"] = factorised_embeddings(config)
    return modules


class SequenceSummary(nn.Module):
    """One vector of a text from its first token, as ``summary_*`` of the configuration say."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        if config.summary_type != "first":
            raise ConfigError(f"summary_type is {config.summary_type!r}; only 'first' is implemented for electra.")
        use = config.summary_use_proj
        self.summary = nn.Linear(config.hidden_size, config.hidden_size) if use else nn.Identity()
        self.act = activation(config.summary_activation or "linear")
        self.last_dropout = Dropout(config.summary_last_dropout)

    def forward(self, first: Tensor) -> Tensor:
        """(B, N) to (B, N)."""
        return self.last_dropout(self.act(self.summary(first)))


class DiscriminatorPredictions(nn.Module):
    """Whether each token was replaced. Source: Clark et al. 2020, section 2."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = activation(config.hidden_act)
        self.dense_prediction = nn.Linear(config.hidden_size, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """(T, N) to (T,)."""
        return self.dense_prediction(self.act(self.dense(hidden))).squeeze(-1)


def _sequence_classifier(config: ElectraConfig) -> dict[str, nn.Module]:
    p = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
    # GELU whatever hidden_act says, as published
    return {"classifier": FirstTokenClassifier(config.hidden_size, config.num_labels, p, act="gelu")}


def _multiple_choice(config: ElectraConfig) -> dict[str, nn.Module]:
    return {"sequence_summary": SequenceSummary(config), "classifier": nn.Linear(config.hidden_size, 1)}


def _choose(model: Any, first: Tensor) -> Tensor:
    return model.classifier(model.sequence_summary(first))


WORDS = Head(
    reads="tokens",
    build=lambda c: {"cls": PretrainingHeads({"predictions": factorised_masked_lm(c, "gelu")})},
    logits=lambda m, x: m.cls.predictions(x),
)

HEADS = {
    "sequence-classification": Head(
        reads="first",
        build=_sequence_classifier,
        logits=lambda m, x: m.classifier(x),
    ),
    "token-classification": bert.HEADS["token-classification"],
    "question-answering": bert.HEADS["question-answering"],
    "multiple-choice": Head(reads="first", build=_multiple_choice, logits=_choose),
    "masked-lm": WORDS,
    "causal-lm": WORDS,
    "pretraining": Head(
        reads="tokens",
        build=lambda c: {"discriminator_predictions": DiscriminatorPredictions(c)},
        logits=lambda m, x: m.discriminator_predictions(x),
    ),
}

KEY_MAP = KeyMap(
    Legacy("LayerNorm.gamma", "LayerNorm.weight"),
    Legacy("LayerNorm.beta", "LayerNorm.bias"),
    Ignore("embeddings.position_ids"),
    Rename("embeddings_project", "embeddings.projection"),
    Rename("generator_predictions", "cls.predictions.transform"),
    Rename("generator_lm_head.weight", "cls.predictions.decoder.weight"),
    Rename("generator_lm_head.bias", "cls.predictions.bias"),
    Tie("cls.predictions.decoder.weight", to="electra.embeddings.word_embeddings.weight"),
    Tie("cls.predictions.decoder.bias", to="cls.predictions.bias"),
    base_prefix="electra",
)

ELECTRA = register(
    Family(
        config_class=ElectraConfig,
        base_prefix="electra",
        build_backbone=build_backbone,
        heads=HEADS,
        key_map=KEY_MAP,
        output_embeddings="cls.predictions.decoder",
        other_names={
            "embeddings_project": "embeddings.projection",
            "generator_predictions": "cls.predictions.transform",
            "generator_lm_head": "cls.predictions.decoder",
        },
    )
)
