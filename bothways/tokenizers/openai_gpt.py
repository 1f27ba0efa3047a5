"""GPT (Radford et al., 2018): BPE on lower-cased words, the last piece of each ends in ``</w>``. Rows are bare."""

from __future__ import annotations

import os
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from bothways.tokenizers.base import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from bothways.tokenizers.bpe import BpeFiles, read_merges, read_vocab_json
from bothways.tokenizers.engine import guarded
from bothways.tokenizers.plain import PlainTokenizer
from bothways.tokenizers.special_tokens import checked_token

END_OF_WORD = "</w>"


class OpenAIGPTBase(BpeFiles, PreTrainedTokenizerBase):
    """What both GPT classes share.

    Text is cleaned and cut as BERT's is, which is what the ecosystem does too where ``ftfy`` and ``spacy`` are missing.

    Args:
        vocab_file, merges_file: ``vocab.json`` (token to id) and ``merges.txt`` (two tokens a line, best first).
        tokenizer_file, tokenizer_object: an engine instead of a vocabulary.
        unk_token: stands for characters that the vocabulary lacks.
        kwargs: other special tokens and the arguments of ``PreTrainedTokenizerBase``.
    """

    vocab_files_names = {"vocab_file": "vocab.json", "merges_file": "merges.txt", "tokenizer_file": "tokenizer.json"}
    model_input_names = ["input_ids", "attention_mask"]
    do_lower_case = True

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        merges_file: str | os.PathLike[str] | None = None,
        *,
        tokenizer_file: str | os.PathLike[str] | None = None,
        tokenizer_object: Tokenizer | None = None,
        unk_token: Any = "<unk>",
        **kwargs: Any,
    ) -> None:
        built = tokenizer_file is None and tokenizer_object is None
        unk_token = "<unk>" if unk_token is None else checked_token("unk_token", unk_token)
        if built:
            vocab_file, merges_file = self._both_files(vocab_file, merges_file)
            tokenizer_object = _engine(vocab_file, merges_file, str(unk_token))
        super().__init__(
            tokenizer_object=tokenizer_object,
            tokenizer_file=tokenizer_file,
            copy_engine=not built,
            unk_token=unk_token,
            **kwargs,
        )


class OpenAIGPTTokenizer(PlainTokenizer, OpenAIGPTBase):
    """GPT's tokeniser as the ecosystem's plain class."""

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Pieces joined, with a space where a word ends."""
        return "".join(tokens).replace(END_OF_WORD, " ").strip()


class OpenAIGPTTokenizerFast(OpenAIGPTBase, PreTrainedTokenizerFast):
    """GPT's tokeniser as the ecosystem's fast class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        merges_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocab_file, merges_file, tokenizer_file=tokenizer_file, **kwargs)


def _engine(vocab_file: str | os.PathLike[str], merges_file: str | os.PathLike[str], unk_token: str) -> Tokenizer:
    vocab = read_vocab_json(vocab_file)
    merges = read_merges(merges_file, vocab)
    with guarded(f"{vocab_file} and {merges_file} cannot be read"):
        engine = Tokenizer(
            models.BPE(vocab, merges, dropout=None, unk_token=unk_token, end_of_word_suffix=END_OF_WORD, fuse_unk=False)
        )
        if unk_token in vocab:
            engine.add_special_tokens([unk_token])
        engine.normalizer = normalizers.BertNormalizer(lowercase=True)
        engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        engine.decoder = decoders.BPEDecoder(suffix=END_OF_WORD)
    return engine
