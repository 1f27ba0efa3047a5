"""Parts of BERT and RoBERTa built from a configuration, for models that people put together themselves.

They are the parts that our models are made of, under the ecosystem's names and with its calls (``parts.py``):
``BertEncoder(config)(hidden_states, attention_mask=extended)``. Shapes: B rows, S columns, N hidden_size.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from torch import nn

from bothways.families import bert
from bothways.heads import FirstTokenClassifier, LMHead, MaskedLMHead, MaskedLMTransform, Pooler, PretrainingHeads
from bothways.models.bert import BertModel
from bothways.models.parts import embed, open_layers, run_layer
from bothways.models.roberta import RobertaModel
from bothways.nn.block import TransformerBlock
from bothways.nn.embeddings import Embeddings
from bothways.nn.stack import TransformerStack


class BertEmbeddings(Embeddings):
    """``input_ids`` (B, S) to what enters the first layer, (B, S, N)."""

    body: ClassVar[Any] = BertModel

    def __init__(self, config: Any) -> None:
        super().__init__(**bert.embedding_settings(config))
        self.opened = partial(embed, self.body, config)


class BertLayer(TransformerBlock):
    """One layer, (B, S, N) to a tuple whose first value is (B, S, N)."""

    def __init__(self, config: Any, layer_idx: int | None = None) -> None:
        super().__init__(bert.block_spec(config))
        self.opened = run_layer


class BertEncoder(TransformerStack):
    """All layers, (B, S, N) to an output with ``last_hidden_state`` (B, S, N)."""

    def __init__(self, config: Any) -> None:
        super().__init__(bert.block_spec(config), config.num_hidden_layers)
        open_layers(self)


class BertPooler(Pooler):
    """The first token of (B, S, N) to (B, N)."""

    def __init__(self, config: Any) -> None:
        super().__init__(config.hidden_size)


class BertPredictionHeadTransform(MaskedLMTransform):
    """What comes before the vocabulary, (B, S, N) to (B, S, N)."""

    def __init__(self, config: Any) -> None:
        super().__init__(config.hidden_size, config.hidden_size, config.hidden_act, config.layer_norm_eps)


class BertLMPredictionHead(MaskedLMHead):
    """(B, S, N) to scores of the words (B, S, vocab_size)."""

    def __init__(self, config: Any) -> None:
        super().__init__(config.hidden_size, config.vocab_size, config.hidden_act, config.layer_norm_eps)


class BertOnlyMLMHead(PretrainingHeads):
    """``predictions`` alone."""

    def __init__(self, config: Any) -> None:
        super().__init__({"predictions": BertLMPredictionHead(config)})


class BertOnlyNSPHead(PretrainingHeads):
    """``seq_relationship`` alone."""

    def __init__(self, config: Any) -> None:
        super().__init__({"seq_relationship": nn.Linear(config.hidden_size, 2)})


class BertPreTrainingHeads(PretrainingHeads):
    """Both."""

    def __init__(self, config: Any) -> None:
        order = nn.Linear(config.hidden_size, 2)
        super().__init__({"predictions": BertLMPredictionHead(config), "seq_relationship": order})


class RobertaEmbeddings(BertEmbeddings):
    """As BERT's, with RoBERTa's positions."""

    body = RobertaModel


class RobertaClassificationHead(FirstTokenClassifier):
    """The first token of (B, S, N) to scores of the labels (B, num_labels)."""

    def __init__(self, config: Any) -> None:
        p = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        super().__init__(config.hidden_size, config.num_labels, p)


class RobertaLMHead(LMHead):
    """(B, S, N) to scores of the words (B, S, vocab_size)."""

    def __init__(self, config: Any) -> None:
        super().__init__(config.hidden_size, config.vocab_size, config.layer_norm_eps)


RobertaLayer, RobertaEncoder, RobertaPooler = BertLayer, BertEncoder, BertPooler

__all__ = [name for name in globals() if name.startswith(("Bert", "Roberta")) and not name.endswith("Model")]
