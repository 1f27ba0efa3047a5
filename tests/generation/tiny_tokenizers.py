"""Small tokenisers of every kind, learned from a few sentences in milliseconds."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "abcdef the quick brown fox jumps over the lazy dog, and stops. Stop! It doesn't stop; don't you see?",
    "the opera stopped at ten o'clock\nthe last stop is the topmost one, unstoppable stopping stoppers",
    "Zoë naïve café – “quotes” … 你好世界 これはペンです สวัสดีครับ 🙂🙃👩‍👩‍👧 Ünïcödé",
    "one two three\n\nfour five six. seven",
]


@lru_cache
def byte_level() -> Any:
    """As GPT-2 and RoBERTa."""
    engine = Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    engine.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    )
    return _fast(engine)


@lru_cache
def byte_fallback() -> Any:
    """As Llama: words begin with a mark, unknown characters are bytes, and the space of the first word is dropped."""
    engine = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True))
    engine.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    engine.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    ascii_only = [text for text in TEXTS if text.isascii()]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<unk>", *bytes_], show_progress=False)
    engine.train_from_iterator(ascii_only, trainer)
    # The bytes are tokens of the model, not added ones: only then the decoder joins them.
    import json

    data = json.loads(engine.to_str())
    data["added_tokens"] = [token for token in data["added_tokens"] if token["content"] == "<unk>"]
    return _fast(Tokenizer.from_str(json.dumps(data)))


@lru_cache
def unigram() -> Any:
    """As T5."""
    engine = Tokenizer(models.Unigram())
    engine.pre_tokenizer = pre_tokenizers.Metaspace()
    engine.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=150, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    engine.train_from_iterator([text.replace("\n", " ") for text in TEXTS], trainer)
    return _fast(engine)


@lru_cache
def wordpiece() -> Any:
    """As BERT, with spaces before punctuation removed."""
    engine = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece(cleanup=True)
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]"], show_progress=False)
    engine.train_from_iterator(TEXTS, trainer)
    return _fast(engine, clean_up_tokenization_spaces=True)


ALL = {"byte_level": byte_level, "byte_fallback": byte_fallback, "unigram": unigram, "wordpiece": wordpiece}


def _fast(engine: Tokenizer, **kwargs: Any) -> Any:
    engine.add_special_tokens([AddedToken("</s>", special=True)])
    settings = {"clean_up_tokenization_spaces": False, "eos_token": "</s>", **kwargs}
    return PreTrainedTokenizerFast(tokenizer_object=engine, **settings)
