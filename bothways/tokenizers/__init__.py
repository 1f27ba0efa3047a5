"""Texts to ids and back: the ecosystem's tokeniser classes over the Rust engine."""

from bothways.tokenizers.albert import AlbertTokenizer, AlbertTokenizerFast
from bothways.tokenizers.auto import AutoTokenizer
from bothways.tokenizers.bart import BartTokenizer, BartTokenizerFast
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
from bothways.tokenizers.gpt2 import GPT2Tokenizer, GPT2TokenizerFast
from bothways.tokenizers.llama import LlamaTokenizer, LlamaTokenizerFast
from bothways.tokenizers.marian import MarianTokenizer
from bothways.tokenizers.mbart import MBart50Tokenizer, MBart50TokenizerFast, MBartTokenizer, MBartTokenizerFast
from bothways.tokenizers.openai_gpt import OpenAIGPTTokenizer, OpenAIGPTTokenizerFast
from bothways.tokenizers.pegasus import PegasusTokenizer, PegasusTokenizerFast
from bothways.tokenizers.roberta import RobertaTokenizer, RobertaTokenizerFast
from bothways.tokenizers.t5 import T5Tokenizer, T5TokenizerFast
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
    "BartTokenizer",
    "BartTokenizerFast",
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
    "GPT2Tokenizer",
    "GPT2TokenizerFast",
    "LlamaTokenizer",
    "LlamaTokenizerFast",
    "MBart50Tokenizer",
    "MBart50TokenizerFast",
    "MBartTokenizer",
    "MBartTokenizerFast",
    "MarianTokenizer",
    "OpenAIGPTTokenizer",
    "OpenAIGPTTokenizerFast",
    "PegasusTokenizer",
    "PegasusTokenizerFast",
    "PreTrainedTokenizerBase",
    "PreTrainedTokenizerFast",
    "RobertaTokenizer",
    "RobertaTokenizerFast",
    "T5Tokenizer",
    "T5TokenizerFast",
    "TokenSpan",
    "XLMRobertaTokenizer",
    "XLMRobertaTokenizerFast",
]
