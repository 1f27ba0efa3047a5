"""DistilBERT (Sanh et al., 2019). Differs from BERT in: no segments, no pooler, one more layer in heads, all names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bothways.checkpoints.config import PretrainedConfig
from bothways.checkpoints.key_map import Ignore, KeyMap, Rename, Tie
from bothways.families.registry import Family, Head, register
from bothways.heads import MaskedLMHead, PretrainingHeads
from bothways.nn.block import BlockSpec
from bothways.nn.dropout import Dropout
from bothways.nn.embeddings import Embeddings
from bothways.nn.stack import TransformerStack

LAYER_NORM_EPS = 1e-12


class DistilBertConfig(PretrainedConfig):
    """Sizes and settings of a DistilBERT model; the defaults are those of distilbert-base-uncased.

    Fields answer to BERT's names too: ``config.hidden_size`` is ``config.dim``.
    """

    model_type = "distilbert"
    aliases = {
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
    }

    vocab_size: int = 30522
    max_position_embeddings: int = 512
    sinusoidal_pos_embds: bool = False
    n_layers: int = 6
    n_heads: int = 12
    dim: int = 768
    hidden_dim: int = 3072
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: str = "gelu"
    initializer_range: float = 0.02
    qa_dropout: float = 0.1
    seq_classif_dropout: float = 0.2
    pad_token_id: int = 0


def block_spec(config: DistilBertConfig) -> BlockSpec:
    """BERT's block."""
    return BlockSpec(
        hidden_size=config.dim,
        num_attention_heads=config.n_heads,
        intermediate_size=config.hidden_dim,
        hidden_act=config.activation,
        layer_norm_eps=LAYER_NORM_EPS,
        hidden_dropout=config.dropout,
        attention_dropout=config.attention_dropout,
    )


def build_backbone(config: DistilBertConfig, add_pooling_layer: bool) -> dict[str, nn.Module]:
    """Embeddings and encoder; there is no pooler."""
    return {
        "embeddings": Embeddings(
            vocab_size=config.vocab_size,
            hidden_size=config.dim,
            max_position_embeddings=config.max_position_embeddings,
            type_vocab_size=0,
            layer_norm_eps=LAYER_NORM_EPS,
            hidden_dropout=config.dropout,
            padding_idx=config.pad_token_id,
        ),
        "encoder": TransformerStack(block_spec(config), config.n_layers),
    }


def initialise(path: str, module: nn.Module, config: DistilBertConfig) -> bool:
    """With ``sinusoidal_pos_embds`` positions begin as waves, and are not trained. Vaswani et al. 2017, section 3.5."""
    if not (config.sinusoidal_pos_embds and isinstance(module, nn.Embedding) and path.endswith("position_embeddings")):
        return False
    position = torch.arange(config.max_position_embeddings, dtype=torch.float64)[:, None]
    pair = torch.arange(config.dim, dtype=torch.float64) // 2
    angle = position / 10_000 ** (2 * pair / config.dim)  # (positions, dim)
    module.weight[:, 0::2] = angle[:, 0::2].sin().to(module.weight)
    module.weight[:, 1::2] = angle[:, 1::2].cos().to(module.weight)
    module.weight.requires_grad = False
    return True


def _classifier(config: DistilBertConfig, outputs: int) -> dict[str, nn.Module]:
    return {
        "pre_classifier": nn.Linear(config.dim, config.dim),
        "classifier": nn.Linear(config.dim, outputs),
        "dropout": Dropout(config.seq_classif_dropout),
    }


def _classify(model: Any, first: Tensor) -> Tensor:
    return model.classifier(model.dropout(F.relu(model.pre_classifier(first))))


def _token_classifier(config: DistilBertConfig) -> dict[str, nn.Module]:
    return {"dropout": Dropout(config.dropout), "classifier": nn.Linear(config.dim, config.num_labels)}


def _span(config: DistilBertConfig) -> dict[str, nn.Module]:
    return {"qa_outputs": nn.Linear(config.dim, 2), "dropout": Dropout(config.qa_dropout)}


def _masked_lm(config: DistilBertConfig) -> dict[str, nn.Module]:
    head = MaskedLMHead(config.dim, config.vocab_size, config.activation, LAYER_NORM_EPS)
    return {"cls": PretrainingHeads({"predictions": head})}


HEADS = {
    "sequence-classification": Head(reads="first", build=lambda c: _classifier(c, c.num_labels), logits=_classify),
    "multiple-choice": Head(reads="first", build=lambda c: _classifier(c, 1), logits=_classify),
    "token-classification": Head(
        reads="tokens", build=_token_classifier, logits=lambda m, x: m.classifier(m.dropout(x))
    ),
    "question-answering": Head(reads="tokens", build=_span, logits=lambda m, x: m.qa_outputs(m.dropout(x))),
    "masked-lm": Head(reads="tokens", build=_masked_lm, logits=lambda m, x: m.cls.predictions(x)),
}

_THEIRS, _OURS = "transformer.layer.{i}", "encoder.layer.{i}"

KEY_MAP = KeyMap(
    Rename(f"{_THEIRS}.attention.q_lin", f"{_OURS}.attention.self.query"),
    Rename(f"{_THEIRS}.attention.k_lin", f"{_OURS}.attention.self.key"),
    Rename(f"{_THEIRS}.attention.v_lin", f"{_OURS}.attention.self.value"),
    Rename(f"{_THEIRS}.attention.out_lin", f"{_OURS}.attention.output.dense"),
    Rename(f"{_THEIRS}.sa_layer_norm", f"{_OURS}.attention.output.LayerNorm"),
    Rename(f"{_THEIRS}.ffn.lin1", f"{_OURS}.intermediate.dense"),
    Rename(f"{_THEIRS}.ffn.lin2", f"{_OURS}.output.dense"),
    Rename(f"{_THEIRS}.output_layer_norm", f"{_OURS}.output.LayerNorm"),
    Rename("vocab_transform", "cls.predictions.transform.dense"),
    Rename("vocab_layer_norm", "cls.predictions.transform.LayerNorm"),
    Rename("vocab_projector", "cls.predictions.decoder"),
    Ignore("embeddings.position_ids"),
    Tie("cls.predictions.decoder.weight", to="distilbert.embeddings.word_embeddings.weight"),
    Tie("cls.predictions.bias", to="cls.predictions.decoder.bias"),
    base_prefix="distilbert",
)

DISTILBERT = register(
    Family(
        config_class=DistilBertConfig,
        base_prefix="distilbert",
        build_backbone=build_backbone,
        heads=HEADS,
        key_map=KEY_MAP,
        output_embeddings="cls.predictions.decoder",
        other_names={
            "transformer": "encoder",
            "vocab_transform": "cls.predictions.transform.dense",
            "vocab_layer_norm": "cls.predictions.transform.LayerNorm",
            "vocab_projector": "cls.predictions.decoder",
        },
        initialise=initialise,
    )
)
