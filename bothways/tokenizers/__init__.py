"""Texts to ids and back: the ecosystem's tokeniser classes over the Rust engine."""

from bothways.tokenizers.auto import AutoTokenizer
from bothways.tokenizers.base import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from bothways.tokenizers.batch_encoding import BatchEncoding, CharSpan, TokenSpan
from bothways.tokenizers.bert import BertTokenizer, BertTokenizerFast

__all__ = [
    "AutoTokenizer",
    "BatchEncoding",
    "BertTokenizer",
    "BertTokenizerFast",
    "CharSpan",
    "PreTrainedTokenizerBase",
    "PreTrainedTokenizerFast",
    "TokenSpan",
]
