"""From shards of tokens to a language model."""

from bothways.pretraining.job import pretrain
from bothways.pretraining.results import PretrainOutcome

__all__ = ["PretrainOutcome", "pretrain"]
