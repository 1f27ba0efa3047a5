"""Texts to ids and back: the ecosystem's tokeniser classes over the Rust engine."""

from bothways.tokenizers.albert import AlbertTokenizer, AlbertTokenizerFast
from bothways.tokenizers.auto import AutoTokenizer
from bothways.tokenizers.base import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from bothways.tokenizers.batch_encoding import BatchEncoding, CharSpan, TokenSpan
from bothways.tokenizers.bert import (
    BertTokenizer,
    BertTokenizerFast,
    DistilBertTokenizer,
    DistilBertTokenizerFast,
    ElectraTokenizer,
    ElectraTokenizerFast,
)
from bothways.tokenizers.roberta import RobertaTokenizer, RobertaTokenizerFast
from bothways.tokenizers.xlm_roberta import (
    CamembertTokenizer,
    CamembertTokenizerFast,
    XLMRobertaTokenizer,
    XLMRobertaTokenizerFast,
)

__all__ = [
    "AlbertTokenizer",
    "AlbertTokenizerFast",
    "AutoTokenizer",
    "BatchEncoding",
    "BertTokenizer",
    "BertTokenizerFast",
    "CamembertTokenizer",
    "CamembertTokenizerFast",
    "CharSpan",
    "DistilBertTokenizer",
    "DistilBertTokenizerFast",
    "ElectraTokenizer",
    "ElectraTokenizerFast",
    "PreTrainedTokenizerBase",
    "PreTrainedTokenizerFast",
    "RobertaTokenizer",
    "RobertaTokenizerFast",
    "TokenSpan",
    "XLMRobertaTokenizer",
    "XLMRobertaTokenizerFast",
]
