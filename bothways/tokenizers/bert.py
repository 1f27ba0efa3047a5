"""BERT (Devlin et al., 2019): WordPiece after a split at white space and punctuation; ``[CLS] A [SEP] B [SEP]``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from bothways.errors import TokenizerError
from bothways.files import MAX_JSON_BYTES, write_text
from bothways.tokenizers.base import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from bothways.tokenizers.engine import guarded
from bothways.tokenizers.plain import PlainTokenizer
from bothways.tokenizers.special_tokens import NAMES, checked_token


class BertBase(PreTrainedTokenizerBase):
    """What both BERT classes share.

    Args:
        vocab_file: ``vocab.txt``, one token a line; the line number is the id.
        tokenizer_file, tokenizer_object: an engine instead of a vocabulary.
        do_lower_case: lower-case the text.
        strip_accents: remove accents; None does so exactly if the text is lower-cased.
        tokenize_chinese_chars: put white space around CJK ideographs.
        do_basic_tokenize: False makes the plain class split at white space only; the fast class does not heed it.
        kwargs: special tokens and the arguments of ``PreTrainedTokenizerBase``.
    """

    vocab_files_names = {"vocab_file": "vocab.txt", "tokenizer_file": "tokenizer.json"}

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        *,
        tokenizer_file: str | os.PathLike[str] | None = None,
        tokenizer_object: Tokenizer | None = None,
        do_lower_case: bool = True,
        do_basic_tokenize: bool = True,
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        never_split: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if never_split:
            raise TokenizerError(
                f"never_split={never_split!r} is not supported. Use tokenizer.add_tokens({never_split!r})."
            )
        for name, token in _SPECIAL.items():
            kwargs[name] = token if kwargs.get(name) is None else checked_token(name, kwargs[name])
        built = tokenizer_file is None and tokenizer_object is None
        style = {
            "lowercase": bool(do_lower_case),
            "strip_accents": strip_accents,
            "handle_chinese_chars": bool(tokenize_chinese_chars),
        }
        if built:
            if vocab_file is None:
                raise TokenizerError(f"{type(self).__name__} needs a vocab_file (vocab.txt) or a tokenizer_file.")
            tokenizer_object = build_engine(vocab_file, style, kwargs)
            if not do_basic_tokenize and not self.is_fast:  # the ecosystem's fast class does not heed it
                tokenizer_object.normalizer = None
                tokenizer_object.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
            kwargs.setdefault("clean_up_tokenization_spaces", True)
        super().__init__(
            tokenizer_object=tokenizer_object,
            tokenizer_file=tokenizer_file,
            copy_engine=not built,
            do_lower_case=do_lower_case,
            do_basic_tokenize=do_basic_tokenize,
            tokenize_chinese_chars=tokenize_chinese_chars,
            strip_accents=strip_accents,
            never_split=None,
            **kwargs,
        )
        self.do_lower_case = bool(do_lower_case)
        if not built:
            _restyle(self._tokenizer, style)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """``[CLS] A [SEP]`` or ``[CLS] A [SEP] B [SEP]``."""
        cls: Any = self.cls_token_id
        sep: Any = self.sep_token_id
        row = [cls, *token_ids_0, sep]
        return row if token_ids_1 is None else [*row, *token_ids_1, sep]

    def save_vocabulary(
        self, save_directory: str | os.PathLike[str], filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write ``vocab.txt``: the vocabulary without added tokens, a token a line."""
        vocab = sorted(self._tokenizer.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1])
        ids = [index for _, index in vocab]
        tokens = [token for token, _ in vocab]
        if ids != list(range(len(ids))) or any("\n" in token or "\r" in token for token in tokens):
            return ()  # a list of lines cannot say gaps or line ends; tokenizer.json does
        path = Path(save_directory) / f"{filename_prefix + '-' if filename_prefix else ''}vocab.txt"
        write_text(path, "".join(f"{token}\n" for token in tokens))
        return (str(path),)


class BertTokenizer(PlainTokenizer, BertBase):
    """BERT's tokeniser as the ecosystem's plain class: ``is_fast`` is False, and decoding keeps the spaces between
    tokens until they are cleaned up. The engine is the same, so offsets and word ids are available too."""

    def __init__(
        self, vocab_file: str | os.PathLike[str] | None = None, do_lower_case: bool = True, **kwargs: Any
    ) -> None:
        kwargs.setdefault("clean_up_tokenization_spaces", True)
        super().__init__(vocab_file, do_lower_case=do_lower_case, **kwargs)

    @property
    def vocab(self) -> dict[str, int]:
        """Tokens to ids, without added tokens."""
        return dict(sorted(self._tokenizer.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1]))

    @property
    def ids_to_tokens(self) -> dict[int, str]:
        return {index: token for token, index in self.vocab.items()}

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return " ".join(tokens).replace(" ##", "").strip()


class BertTokenizerFast(BertBase, PreTrainedTokenizerFast):
    """BERT's tokeniser as the ecosystem's fast class."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        do_lower_case: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(vocab_file, tokenizer_file=tokenizer_file, do_lower_case=do_lower_case, **kwargs)


class DistilBertTokenizer(BertTokenizer):
    """BERT's tokeniser for DistilBERT, which has no token types."""

    model_input_names = ["input_ids", "attention_mask"]


class DistilBertTokenizerFast(BertTokenizerFast):
    """As ``DistilBertTokenizer``, the fast class."""

    model_input_names = ["input_ids", "attention_mask"]


class ElectraTokenizer(BertTokenizer):
    """BERT's tokeniser under ELECTRA's name."""


class ElectraTokenizerFast(BertTokenizerFast):
    """As ``ElectraTokenizer``, the fast class."""


_SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


def build_engine(vocab_file: str | os.PathLike[str], style: dict[str, Any], special: dict[str, Any]) -> Tokenizer:
    """The engine of a ``vocab.txt``.

    Args:
        style: the normaliser's ``lowercase``, ``strip_accents`` and ``handle_chinese_chars``.
        special: special tokens by name; those that the vocabulary lacks are added behind it.
    """
    vocab = read_vocab(vocab_file)
    unk = str(special["unk_token"])
    if unk not in vocab:
        raise TokenizerError(
            f"{vocab_file} has {len(vocab):,} tokens, but the unknown token {unk!r} is not among them. "
            "Is it the vocab.txt of a BERT model?"
        )
    with guarded(f"{vocab_file} cannot be read"):
        engine = Tokenizer(models.WordPiece(vocab, unk_token=unk))
        engine.add_special_tokens([special[name] for name in NAMES if special.get(name) is not None])
        engine.normalizer = normalizers.BertNormalizer(clean_text=True, **style)
        engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        cls, sep = str(special["cls_token"]), str(special["sep_token"])
        engine.post_processor = processors.TemplateProcessing(
            single=[f"{cls}:0", "$A:0", f"{sep}:0"],
            pair=[f"{cls}:0", "$A:0", f"{sep}:0", "$B:1", f"{sep}:1"],
            special_tokens=[(token, engine.token_to_id(token)) for token in dict.fromkeys((cls, sep))],
        )
        engine.decoder = decoders.WordPiece(prefix="##")
    return engine


def read_vocab(path: str | os.PathLike[str]) -> dict[str, int]:
    """Read a ``vocab.txt``. Of a token that occurs twice the later line counts, as in the ecosystem."""
    path = Path(path)
    if not path.is_file():
        raise TokenizerError(f"{path} is not a file; a vocab.txt with one token a line is expected.")
    if (size := path.stat().st_size) > MAX_JSON_BYTES:
        raise TokenizerError(f"{path} has {size:,} bytes; vocabularies up to {MAX_JSON_BYTES:,} bytes are read.")
    try:
        text = path.read_text(encoding="utf-8")  # universal newlines
    except UnicodeDecodeError as problem:
        raise TokenizerError(f"{path} is not UTF-8 text (byte {problem.start}).") from None
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return {token: index for index, token in enumerate(lines)}


def _restyle(engine: Tokenizer, style: dict[str, Any]) -> None:
    """Let the arguments win over a ``tokenizer.json`` that says something else about lower-casing and the like."""
    if engine.normalizer is None:
        return
    state = json.loads(engine.normalizer.__getstate__())
    if state.get("type") == "BertNormalizer" and any(state.get(key, value) != value for key, value in style.items()):
        engine.normalizer = normalizers.BertNormalizer(clean_text=state.get("clean_text", True), **style)
