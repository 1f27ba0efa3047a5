"""RoBERTa (Liu et al., 2019). Differs from BERT in: positions that follow from the ids, no next sentence, two heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bothways.batching import SeqLens
from bothways.checkpoints.config import PretrainedConfig
from bothways.checkpoints.key_map import Ignore, KeyMap, Legacy, Tie
from bothways.errors import ConfigError
from bothways.families import bert
from bothways.families.registry import Family, Head, register
from bothways.heads import FirstTokenClassifier, LMHead
from bothways.nn.dropout import Dropout


class RobertaConfig(PretrainedConfig):
    """Sizes and settings of a RoBERTa model; the defaults are the ecosystem's, roberta-base itself has 514 positions.

    The first ``pad_token_id + 1`` rows of the position table are never a token's: of 514 rows 512 can be used.
    """

    model_type = "roberta"

    vocab_size: int = 50265
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
    pad_token_id: int = 1
    bos_token_id: int | None = 0
    eos_token_id: int | None = 2
    position_embedding_type: str = "absolute"
    use_cache: bool = True
    classifier_dropout: float | None = None

    @property
    def first_position(self) -> int:
        return self.pad_token_id + 1

    def validate(self) -> None:
        super().validate()
        bert.check_encoder(self, may_decode=True)
        most = min(self.vocab_size - 1, self.max_position_embeddings - 2)
        if type(self.pad_token_id) is not int or not 0 <= self.pad_token_id <= most:
            raise ConfigError(
                f"pad_token_id is {self.pad_token_id!r}, expected a whole number from 0 to {most}: positions begin "
                f"behind it, and there are {self.max_position_embeddings}."
            )


def positions(config: RobertaConfig, input_ids: Tensor, seqlens: SeqLens) -> Tensor:
    """Tokens are numbered from 0 in each sequence; pad tokens are left out and have -1.

    Args:
        input_ids: int64 (T,).
        seqlens: boundaries of the sequences.

    Returns:
        int64 (T,).
    """
    counted = input_ids != config.pad_token_id
    up_to = counted.cumsum(0)
    before = F.pad(up_to, (1, 0))[seqlens.first_tokens]  # (B,) in the sequences before
    lengths = seqlens.cu_seqlens.diff()
    own = up_to - before.repeat_interleave(lengths, output_size=len(input_ids))
    return torch.where(counted, own - 1, -1)


def _sequence_classifier(config: RobertaConfig) -> dict[str, nn.Module]:
    p = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
    return {"classifier": FirstTokenClassifier(config.hidden_size, config.num_labels, p)}


def _choice(config: RobertaConfig) -> dict[str, nn.Module]:
    """As BERT's, but ``classifier_dropout`` has no say."""
    return {"dropout": Dropout(config.hidden_dropout_prob), "classifier": nn.Linear(config.hidden_size, 1)}


def _masked_lm(config: RobertaConfig) -> dict[str, nn.Module]:
    return {"lm_head": LMHead(config.hidden_size, config.vocab_size, config.layer_norm_eps)}


WORDS = Head(reads="tokens", build=_masked_lm, logits=lambda model, hidden: model.lm_head(hidden))

HEADS = {
    "sequence-classification": Head(
        reads="first", build=_sequence_classifier, logits=lambda model, first: model.classifier(first)
    ),
    "token-classification": bert.HEADS["token-classification"],
    "question-answering": bert.HEADS["question-answering"],
    "multiple-choice": Head(reads="pooled", build=_choice, logits=bert.HEADS["multiple-choice"].logits),
    "masked-lm": WORDS,
    "causal-lm": WORDS,
}


KEY_MAP = KeyMap(
    Legacy("LayerNorm.gamma", "LayerNorm.weight"),
    Legacy("LayerNorm.beta", "LayerNorm.bias"),
    Ignore("embeddings.position_ids"),
    Tie("lm_head.decoder.weight", to="roberta.embeddings.word_embeddings.weight"),
    Tie("lm_head.decoder.bias", to="lm_head.bias"),
    base_prefix="roberta",
)


def roberta_family(config_class: type[RobertaConfig]) -> Family:
    """The family of one of RoBERTa's namesakes: other weights and tokenisers, the same model."""
    return Family(
        config_class=config_class,
        base_prefix="roberta",
        build_backbone=bert.build_backbone,
        heads=HEADS,
        key_map=KEY_MAP,
        output_embeddings="lm_head.decoder",
        positions=positions,
    )


ROBERTA = register(roberta_family(RobertaConfig))
