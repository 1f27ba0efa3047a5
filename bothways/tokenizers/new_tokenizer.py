"""A new tokeniser from nothing but texts, with the conventions of a family of models.

A family's class is built around a vocabulary of special tokens alone, and then trained like any other tokeniser.
"""

from __future__ import annotations

import json
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from bothways.errors import UsageError, nearest
from bothways.tokenizers.albert import AlbertTokenizerFast
from bothways.tokenizers.bart import BartTokenizerFast
from bothways.tokenizers.bert import BertTokenizerFast, DistilBertTokenizerFast, ElectraTokenizerFast
from bothways.tokenizers.engine import guarded
from bothways.tokenizers.gpt2 import END, GPT2TokenizerFast
from bothways.tokenizers.llama import LlamaTokenizerFast
from bothways.tokenizers.roberta import RobertaTokenizerFast
from bothways.tokenizers.t5 import T5TokenizerFast
from bothways.tokenizers.training import check_vocab_size, retrain
from bothways.tokenizers.unigram import SPACE

MIN_FREQUENCY = 2
LIMIT_ALPHABET = 1000


class Family(NamedTuple):
    """How a blank tokeniser is made, whether its class can lower-case, and tokens a row of its models has at most."""

    blank: Callable[[bool, dict[str, Any]], Any]
    can_lowercase: bool
    max_length: int


@dataclass(frozen=True, kw_only=True)
class TokenizerQuality:
    """How well a tokeniser cuts texts that its vocabulary was not learned from.

    Attributes:
        n_words: between white space. n_tokens: that they became. n_unknown: words with something unknown in them.
    """

    n_words: int
    n_tokens: int
    n_unknown: int

    @property
    def tokens_per_word(self) -> float:
        return self.n_tokens / max(1, self.n_words)

    @property
    def unknown_share(self) -> float:
        return self.n_unknown / max(1, self.n_words)


def train_tokenizer(
    texts: Iterable[Any],
    *,
    kind: str = "wordpiece",
    model_type: str | None = None,
    vocab_size: int,
    lowercase: bool | None = None,
    min_frequency: int | None = None,
    limit_alphabet: int = LIMIT_ALPHABET,
    special_tokens: Sequence[str] = (),
    model_max_length: int | None = None,
) -> Any:
    """Learn a vocabulary; the same texts in any order give the same tokeniser.

    Args:
        texts: texts, or lists of texts; read once. Memory is bounded by the number of distinct words.
        kind: ``"wordpiece"``, ``"bpe"`` or ``"unigram"``.
        model_type: whose conventions; by default those of BERT, RoBERTa and ALBERT. See ``MODEL_TYPES``.
        vocab_size: number of entries, special tokens included; fewer if the texts do not support so many.
        lowercase: None means yes for the families that do so by default (BERT and its kin, ALBERT).
        min_frequency: how often a pair of pieces must occur to become one; 2 by default, nothing for Unigram.
        limit_alphabet: number of different characters to keep, the most frequent ones. Byte-level BPE has no limit.
        special_tokens: further special tokens.
        model_max_length: tokens of a row; by default that of the family's first model.

    Raises:
        UsageError: an unknown kind or model type, or an option that it does not have.
        TokenizerError: no text, or too small a ``vocab_size``.
    """
    family = find_family(kind, model_type)
    name = model_type or MODEL_TYPES[kind][0]
    check_vocab_size(vocab_size)
    if lowercase and not family.can_lowercase:
        raise UsageError(f"the tokeniser of {name} keeps case. Leave lowercase out, or choose another model type.")
    if "" in special_tokens:
        raise UsageError("a special token is empty; expected some characters, such as '[USER]'.")
    lower = family.can_lowercase if lowercase is None else lowercase
    options: dict[str, Any] = {} if name in _ALL_LETTERS else {"limit_alphabet": limit_alphabet}
    if kind != "unigram":
        options["min_frequency"] = MIN_FREQUENCY if min_frequency is None else min_frequency
    elif min_frequency is not None:
        raise UsageError("min_frequency has no meaning for a unigram vocabulary, which weighs its pieces itself.")
    arguments = {"model_max_length": model_max_length or family.max_length}
    with tempfile.TemporaryDirectory(prefix="bothways-") as directory:
        blank = family.blank(lower, {**arguments, "_directory": Path(directory)})
    last = [token for token in blank.additional_special_tokens if name == "t5"][::-1]  # <extra_id_0> is the very last
    new = [AddedToken(token, special=True, normalized=False) for token in special_tokens]
    return retrain(blank, texts, vocab_size, new, {}, options, last_tokens=last)


def measure_tokenizer(tokenizer: Any, texts: Sequence[str]) -> TokenizerQuality:
    """Encode texts and count words, tokens and unknown words."""
    n_words = n_tokens = n_unknown = 0
    for text, row in zip(texts, tokenizer.encode_texts(texts, add_special_tokens=False, offsets=True), strict=True):
        words = text.split()
        n_words += len(words)
        n_tokens += len(row.ids)
        if tokenizer.unk_token_id in row.ids:
            begins = _begins(text, words)
            n_unknown += len({
                bisect_right(begins, begin)
                for index, (begin, _) in zip(row.ids, row.offsets, strict=True)
                if index == tokenizer.unk_token_id
            })  # fmt: skip
    return TokenizerQuality(n_words=n_words, n_tokens=n_tokens, n_unknown=n_unknown)


def find_family(kind: str, model_type: str | None) -> Family:
    """The family of a kind of vocabulary, by default its first one.

    Raises:
        UsageError: an unknown kind or model type, or a model type that has another kind of vocabulary.
    """
    if kind not in MODEL_TYPES:
        near = nearest(kind, list(MODEL_TYPES), most=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"unknown type {kind!r}.{hint} Known types: {', '.join(MODEL_TYPES)}.")
    if model_type is None:
        return _FAMILIES[MODEL_TYPES[kind][0]]
    if model_type in MODEL_TYPES[kind]:
        return _FAMILIES[model_type]
    if model_type in _FAMILIES:
        right = next(kind for kind, types in MODEL_TYPES.items() if model_type in types)
        raise UsageError(
            f"models of type {model_type!r} have a {right} vocabulary, not {kind}. Known for {kind}: "
            f"{', '.join(MODEL_TYPES[kind])}."
        )
    near = nearest(model_type, list(_FAMILIES), most=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"unknown model type {model_type!r}.{hint} Known for {kind}: {', '.join(MODEL_TYPES[kind])}.")


def _begins(text: str, words: list[str]) -> list[int]:
    found, place = [], 0
    for word in words:
        place = text.index(word, place)
        found.append(place)
        place += len(word)
    return found


def _wordpiece(cls: type[BertTokenizerFast]) -> Callable[[bool, dict[str, Any]], Any]:
    def blank(lowercase: bool, arguments: dict[str, Any]) -> Any:
        path = arguments.pop("_directory") / "vocab.txt"
        path.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", encoding="utf-8")
        return cls(path, do_lower_case=lowercase, **arguments)

    return blank


def _byte_level(cls: Any, *tokens: str) -> Callable[[bool, dict[str, Any]], Any]:
    def blank(lowercase: bool, arguments: dict[str, Any]) -> Any:
        directory = arguments.pop("_directory")
        (directory / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
        (directory / "merges.txt").write_text("")
        return cls(directory / "vocab.json", directory / "merges.txt", **arguments)

    return blank


def _llama(lowercase: bool, arguments: dict[str, Any]) -> Any:
    """As the ecosystem converts Llama's own file: spaces are ``▁``, unknown characters their bytes."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocab = {token: index for index, token in enumerate(tokens)}
    engine = Tokenizer(models.BPE(vocab, [], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    engine.add_special_tokens([AddedToken(token, normalized=False) for token in tokens[:3]])
    engine.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    engine.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1)]
    )
    del arguments["_directory"]
    return LlamaTokenizerFast(tokenizer_object=engine, legacy=True, **arguments)


def _albert(lowercase: bool, arguments: dict[str, Any]) -> Any:
    """ALBERT's steps; SentencePiece's table of characters (``nmt_nfkc``) is written as the two steps it consists of."""
    letters = [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    engine = _unigram(
        ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
        [
            normalizers.Replace("``", '"'),
            normalizers.Replace("''", '"'),
            normalizers.Nmt(),
            *(letters if lowercase else [normalizers.NFKC()]),
            normalizers.Replace(Regex(" {2,}"), " "),
        ],
    )
    engine.post_processor = processors.TemplateProcessing(
        single=["[CLS]:0", "$A:0", "[SEP]:0"],
        pair=["[CLS]:0", "$A:0", "[SEP]:0", "$B:1", "[SEP]:1"],
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    del arguments["_directory"]
    return AlbertTokenizerFast(
        tokenizer_object=engine, do_lower_case=lowercase, keep_accents=not lowercase, **arguments
    )


def _t5(lowercase: bool, arguments: dict[str, Any]) -> Any:
    engine = _unigram(
        ["<pad>", "</s>", "<unk>"],
        [
            normalizers.Nmt(),
            normalizers.NFKC(),
            normalizers.Strip(left=False, right=True),
            normalizers.Replace(Regex(" {2,}"), SPACE),
        ],
    )
    engine.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", 1)]
    )
    del arguments["_directory"]
    return T5TokenizerFast(tokenizer_object=engine, **arguments)


def _unigram(tokens: list[str], steps: list[Any]) -> Tokenizer:
    with guarded("the blank tokeniser cannot be made"):
        engine = Tokenizer(models.Unigram([(token, 0.0) for token in tokens], unk_id=tokens.index("<unk>")))
        mask = AddedToken("[MASK]", lstrip=True, normalized=False)
        engine.add_special_tokens(
            [mask if token == "[MASK]" else AddedToken(token, normalized=False) for token in tokens]
        )
        engine.normalizer = normalizers.Sequence(steps)
        engine.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")
        engine.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    return engine


_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_FAMILIES = {
    "bert": Family(_wordpiece(BertTokenizerFast), True, 512),
    "distilbert": Family(_wordpiece(DistilBertTokenizerFast), True, 512),
    "electra": Family(_wordpiece(ElectraTokenizerFast), True, 512),
    "roberta": Family(_byte_level(RobertaTokenizerFast, *_ROBERTA), False, 512),
    "bart": Family(_byte_level(BartTokenizerFast, *_ROBERTA), False, 1024),
    "gpt2": Family(_byte_level(GPT2TokenizerFast, END), False, 1024),
    "llama": Family(_llama, False, 2048),
    "albert": Family(_albert, True, 512),
    "t5": Family(_t5, False, 512),
}
_ALL_LETTERS = ("roberta", "bart", "gpt2")  # their letters are the 256 bytes
MODEL_TYPES = {
    "wordpiece": ("bert", "distilbert", "electra"),
    "bpe": ("roberta", "gpt2", "bart", "llama"),
    "unigram": ("albert", "t5"),
}
"""The kinds of vocabularies, and the families that have them; the first is the default."""
