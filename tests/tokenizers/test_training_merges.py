"""Merges are the engine's, and do not depend on the order of anything."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from bothways.errors import TokenizerError
from bothways.tokenizers.train_merges import learn_merges
from bothways.tokenizers.train_parts import choose_alphabet, parts_of

WORDS = {"low": 5, "lowest": 2, "newer": 6, "wider": 3, "new": 2}


def of_the_engine(words, trainer=trainers.BpeTrainer, **options):
    """The vocabulary and merges of the engine's own trainer."""
    engine = Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    texts = [" ".join([word] * times) for word, times in words.items()]
    engine.train_from_iterator(texts, trainer=trainer(show_progress=False, **options))
    model = json.loads(engine.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def test_merges_by_hand():
    # er: 9 times; ew and ne: 8, of which ew has the smaller numbers; then new: 8, lo: 7, low: 7, newer: 6
    learned = learn_merges(WORDS, vocab_size=17, special_tokens=["<s>"])
    assert list(learned.vocab)[:11] == ["<s>", "d", "e", "i", "l", "n", "o", "r", "s", "t", "w"]
    assert learned.merges == [("e", "r"), ("e", "w"), ("n", "ew"), ("l", "o"), ("lo", "w"), ("new", "er")]
    assert list(learned.vocab)[11:] == ["er", "ew", "new", "lo", "low", "newer"]
    assert list(learned.vocab.values()) == list(range(17))


@settings(max_examples=60, deadline=None)
@given(
    words=st.dictionaries(st.text("abc", min_size=1, max_size=12), st.integers(1, 9), min_size=1, max_size=20),
    vocab_size=st.integers(4, 60),
    least=st.integers(0, 5),
)
def test_merges_are_those_of_the_engine(words, vocab_size, least):
    options = {"vocab_size": vocab_size, "special_tokens": ["<s>"], "min_frequency": least}
    vocab, merges = of_the_engine(words, **options)
    learned = learn_merges(dict(sorted(words.items())), **options)
    # of two ways to the same token the engine keeps both ids apart or not, as it happens: compared up to the first
    tokens = [left + right for left, right in merges]
    alike = next((n for n, token in enumerate(tokens) if token in tokens[:n]), len(tokens))
    assert learned.merges[:alike] == merges[:alike]
    if alike == len(tokens):
        assert learned.vocab == vocab


def test_many_merges_are_those_of_the_engine():
    generator = random.Random(5)
    syllables = "ka lo mi ter an str ou e ing ion bo x de re un".split()  # noqa: SIM905
    words = {"".join(generator.choices(syllables, k=generator.randint(1, 4))): n % 50 + 1 for n in range(2000)}
    options = {"vocab_size": 900, "special_tokens": ["<s>"]}
    learned = learn_merges(dict(sorted(words.items())), **options)
    assert (learned.vocab, learned.merges) == of_the_engine(words, **options)
    letters = sorted({char for word in words for char in word})
    inner = sorted({f"##{char}" for word in words for char in word[1:]})  # numbers that the engine would draw
    vocab, merges = of_the_engine(
        words, vocab_size=900, special_tokens=["<s>", *inner], initial_alphabet=letters,
        continuing_subword_prefix="##",
    )  # fmt: skip
    learned = learn_merges(dict(sorted(words.items())), prefix="##", **options)
    assert (learned.vocab, learned.merges) == (vocab, merges)


def test_ends_of_words_are_marked():
    learned = learn_merges(WORDS, vocab_size=22, special_tokens=["<unk>"], suffix="</w>")
    assert ("e", "r</w>") in learned.merges and "er</w>" in learned.vocab and "w</w>" in learned.vocab


def test_limits():
    assert len(learn_merges(WORDS, vocab_size=1000, special_tokens=[], min_frequency=1000).vocab) == 10
    learned = learn_merges(WORDS, vocab_size=1000, special_tokens=[], max_token_length=2)
    assert max(map(len, learned.vocab)) == 2 and len(learned.vocab) > 12
    with pytest.raises(TokenizerError, match="vocab_size is 10, but 1 special tokens and .* take 11. Raise .* to 11"):
        learn_merges(WORDS, vocab_size=10, special_tokens=["<s>"])
    few = learn_merges(WORDS, vocab_size=1000, special_tokens=[], limit_alphabet=4)
    assert {token for token in few.vocab if len(token) == 1} == {"e", "w", "r", "n"}
    assert set("".join(few.vocab)) == {"e", "w", "r", "n"}


def test_the_alphabet_is_the_most_frequent_letters():
    assert choose_alphabet({"aab": 2, "c": 2, "d": 1}, 3) == ["a", "b", "c"]
    assert choose_alphabet({"aab": 2, "c": 2, "d": 1}, 3, "xy") == ["a", "x", "y"]
    assert choose_alphabet({"cab": 1}, None) == ["a", "b", "c"]


def test_parts_of_words():
    words = {"abcab": 2, "xbx": 1, "a" * 600: 1, "c": 4}
    assert parts_of(words, "ab", divide=False, max_letters=1000) == {"a" * 88: 1, "a" * 256: 2, "abab": 2, "b": 1}
    assert parts_of(words, "ab", divide=True, max_letters=1000) == {"a" * 88: 1, "a" * 256: 2, "ab": 4, "b": 1}
    assert parts_of({"a\tb": 1}, "a\t", divide=False, max_letters=9) == {"a\t": 1}
    assert parts_of(words, "abcx", divide=True, max_letters=7) == {"abcab": 2, "c": 4}
    many = {f"{n:03d}": 1 + n // 60 for n in range(100)}
    kept = parts_of(many, "0123456789", divide=True, max_letters=180)
    assert len(kept) == 60 and sum(times == 2 for times in kept.values()) == 40 and list(kept) == sorted(kept)
    assert kept == parts_of(dict(reversed(many.items())), "0123456789", divide=True, max_letters=180)
