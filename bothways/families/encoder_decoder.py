"""What BART, mBART, Pegasus and Marian share: their fields but for the order, blocks, heads and names in files.

They differ in where the norms stand, in their positions and vocabularies, and in the token with which a target begins.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from bothways.checkpoints.config import PretrainedConfig
from bothways.checkpoints.key_map import Ignore, KeyMap, Rename, Rule, Tie
from bothways.families.registry import Head
from bothways.heads import FirstTokenClassifier
from bothways.nn.block import BlockSpec
from bothways.nn.embeddings import Embeddings, ScaledEmbedding
from bothways.nn.linear import Linear
from bothways.nn.stack import TransformerStack

LAYER_NORM_EPS = 1e-5
FIRST_POSITION = 2
"""Row of BART's position table for position 0; fairseq counts from the one behind the padding token."""

OTHER_NAMES = {"shared": "embeddings.word_embeddings"}


class EncoderDecoderConfig(PretrainedConfig):
    """What the configurations have besides fields. ``encoder_layerdrop`` and ``decoder_layerdrop`` have no effect."""

    aliases = {"hidden_size": "d_model", "num_attention_heads": "encoder_attention_heads"}
    further_sizes = {
        "encoder_layers": "num_hidden_layers",
        "decoder_layers": "num_hidden_layers",
        "encoder_ffn_dim": "intermediate_size",
        "decoder_ffn_dim": "intermediate_size",
        "decoder_attention_heads": "num_attention_heads",
    }

    def validate(self) -> None:
        self.num_hidden_layers = self.encoder_layers  # files have both, and the former does not count
        super().validate()

    def _relations(self) -> list[str]:
        found = super()._relations()
        if self.d_model % self.decoder_attention_heads:
            found.append(
                f"d_model ({self.d_model}) must be divisible by decoder_attention_heads "
                f"({self.decoder_attention_heads})"
            )
        return found

    @property
    def initializer_range(self) -> float:
        return self.init_std

    @property
    def embed_scale(self) -> float:
        """Factor of the word vectors. Source: Vaswani et al. 2017, section 3.4."""
        return math.sqrt(self.d_model) if self.scale_embedding else 1.0


def block_spec(config: Any, *, pre_norm: bool, decoder: bool) -> BlockSpec:
    """The blocks of one side; a decoder's read the source too."""
    return BlockSpec(
        hidden_size=config.d_model,
        num_attention_heads=config.decoder_attention_heads if decoder else config.encoder_attention_heads,
        intermediate_size=config.decoder_ffn_dim if decoder else config.encoder_ffn_dim,
        hidden_act=config.activation_function,
        layer_norm_eps=LAYER_NORM_EPS,
        pre_norm=pre_norm,
        causal=decoder,
        cross_attention=decoder,
        hidden_dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        intermediate_dropout=config.activation_dropout,
    )


def stacks(config: Any, *, pre_norm: bool) -> dict[str, nn.Module]:
    """The blocks of both sides."""
    return {
        "encoder": TransformerStack(block_spec(config, pre_norm=pre_norm, decoder=False), config.encoder_layers),
        "decoder": TransformerStack(block_spec(config, pre_norm=pre_norm, decoder=True), config.decoder_layers),
    }


def learned_positions(config: Any, vocab_size: int) -> Embeddings:
    """Embeddings of one side with learned positions and a norm; the lookup itself scales words."""
    embeddings = Embeddings(
        vocab_size=0,
        hidden_size=config.d_model,
        max_position_embeddings=config.max_position_embeddings + FIRST_POSITION,
        type_vocab_size=0,
        layer_norm_eps=LAYER_NORM_EPS,
        hidden_dropout=config.dropout,
        first_position=FIRST_POSITION,
    )
    if vocab_size:
        sizes = (vocab_size, config.d_model, config.pad_token_id)
        embeddings.word_embeddings = ScaledEmbedding(*sizes, embed_scale=config.embed_scale)
    return embeddings


def waves(config: Any, vocab_size: int) -> Embeddings:
    """Embeddings of one side with positions that are computed and not trained, and no norm."""
    embeddings = Embeddings(
        vocab_size=vocab_size,
        hidden_size=config.d_model,
        max_position_embeddings=config.max_position_embeddings,
        type_vocab_size=0,
        layer_norm_eps=None,
        hidden_dropout=config.dropout,
        padding_idx=config.pad_token_id,
        embed_scale=config.embed_scale,
    )
    embeddings.position_embeddings.weight.requires_grad = False
    return embeddings


def initialise_waves(path: str, module: nn.Module, config: Any) -> bool:
    """Sines in the first half of the width, cosines in the second. Vaswani et al. 2017, section 3.5, published code."""
    if not (isinstance(module, nn.Embedding) and path.endswith("position_embeddings")):
        return False
    rows, width = module.weight.shape
    place = torch.arange(rows, dtype=torch.float64)[:, None]
    pair = torch.arange(width, dtype=torch.float64) // 2
    angle = place / 10_000 ** (2 * pair / width)  # (rows, width)
    both = torch.cat((angle[:, 0::2].sin(), angle[:, 1::2].cos()), 1)
    module.weight.copy_(both)
    module.weight.requires_grad = False
    return True


def _score(model: Any, hidden: Tensor) -> Tensor:
    return model.lm_head(hidden) + model.final_logits_bias


WRITING_HEAD = Head(
    reads="tokens",
    build=lambda c: {"lm_head": Linear(c.d_model, c.vocab_size, bias=False)},
    logits=_score,
)

READING_HEADS = {
    "sequence-classification": Head(
        reads="eos",
        build=lambda c: {"classification_head": FirstTokenClassifier(c.d_model, c.num_labels, c.classifier_dropout)},
        logits=lambda m, x: m.classification_head(x),
    ),
    "question-answering": Head(
        reads="tokens", build=lambda c: {"qa_outputs": nn.Linear(c.d_model, 2)}, logits=lambda m, x: m.qa_outputs(x)
    ),
}

SHARED_WORDS: tuple[Rule, ...] = (
    Rename("shared", "embeddings.word_embeddings"),
    Ignore("encoder.embed_tokens"),
    Ignore("decoder.embed_tokens"),
    Tie("lm_head.weight", to="model.embeddings.word_embeddings.weight"),
)
"""One matrix for the words of both sides and, unless that is untied, for the scores."""


COPIED_WORDS: tuple[Rule, ...] = (
    *SHARED_WORDS,
    *(
        Tie(f"{prefix}{side}.embed_tokens.weight", to=f"{prefix}embeddings.word_embeddings.weight", write=True)
        for prefix in ("model.", "")
        for side in ("encoder", "decoder")
    ),
)
"""The same where scores have a matrix of their own: BART's published classes then read the words of each side."""


def key_map(*, pre_norm: bool, words: tuple[Rule, ...] = SHARED_WORDS) -> KeyMap:
    """The names in published files; rules for what a family does not have fit nothing."""
    sides = {"encoder": "embeddings", "decoder": "decoder_embeddings"}
    rules = [
        rule
        for side, embeddings in sides.items()
        for rule in (
            Rename(f"{side}.embed_positions", f"{embeddings}.position_embeddings"),
            Rename(f"{side}.layernorm_embedding", f"{embeddings}.LayerNorm"),
            Rename(f"{side}.layer_norm", f"{side}.final_norm"),
            Ignore(f"{side}.version"),
            *_layer(side, pre_norm),
        )
    ]
    return KeyMap(*words, *rules, base_prefix="model")


def _layer(side: str, pre_norm: bool) -> list[Rule]:
    theirs, ours = f"{side}.layers.{{i}}", f"{side}.layer.{{i}}"
    rules: list[Rule] = []
    attentions = {"self_attn": "attention"} | ({"encoder_attn": "crossattention"} if side == "decoder" else {})
    for name, own in attentions.items():
        for letter, projection in (("q", "query"), ("k", "key"), ("v", "value")):
            rules.append(Rename(f"{theirs}.{name}.{letter}_proj", f"{ours}.{own}.self.{projection}"))
        rules.append(Rename(f"{theirs}.{name}.out_proj", f"{ours}.{own}.output.dense"))
        slot = "input_norm" if pre_norm else "output.LayerNorm"
        rules.append(Rename(f"{theirs}.{name}_layer_norm", f"{ours}.{own}.{slot}"))
    return [
        *rules,
        Rename(f"{theirs}.fc1", f"{ours}.intermediate.dense"),
        Rename(f"{theirs}.fc2", f"{ours}.output.dense"),
        Rename(f"{theirs}.final_layer_norm", f"{ours}.{'intermediate.input_norm' if pre_norm else 'output.LayerNorm'}"),
    ]
