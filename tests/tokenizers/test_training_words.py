"""The fast way to count words is the exact one."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from bothways.errors import TokenizerError
from bothways.tokenizers.held_texts import HeldTexts
from bothways.tokenizers.train_words import WordCounter, count_words

ALBERT = [
    normalizers.Replace("``", '"'),
    normalizers.Nmt(),
    normalizers.NFKD(),
    normalizers.StripAccents(),
    normalizers.Lowercase(),
    normalizers.Replace(Regex(" {2,}"), " "),
]
T5 = [normalizers.NFKC(), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")]
ENGINES = {
    "bert": (normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()),
    "bert-cased": (normalizers.BertNormalizer(lowercase=False), pre_tokenizers.BertPreTokenizer()),
    "bert-bare": (
        normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True),
        pre_tokenizers.BertPreTokenizer(),
    ),
    "byte-level": (None, pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "byte-level-prefix": (None, pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "byte-level-whole": (None, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
    "albert": (normalizers.Sequence(ALBERT), pre_tokenizers.Metaspace()),
    "t5": (normalizers.Sequence(T5), pre_tokenizers.Metaspace()),
    "metaspace-first": (None, pre_tokenizers.Metaspace(prepend_scheme="first")),
    "metaspace-never": (None, pre_tokenizers.Metaspace(prepend_scheme="never")),
    "strip": (normalizers.Strip(), pre_tokenizers.Metaspace(prepend_scheme="never")),
    "prefix": (normalizers.Prepend("▁"), pre_tokenizers.Metaspace()),
    "punctuation": (normalizers.Lowercase(), pre_tokenizers.Punctuation()),
}
TRICKY = "aB'`.,1é\u0301ßİ日\u200b\x00\x1c\x85\xa0\u3000\u2028¨´ \t\n\r\x0b▁"
TEXTS = st.lists(
    st.one_of(
        st.text(st.sampled_from(TRICKY), max_size=12),
        st.text(max_size=8),
        st.lists(st.sampled_from(["the", "don't", "``x''", "A,", "", "naïve", " "]), max_size=6).map(" ".join),
    ),
    max_size=8,
)


def engine_of(name):
    engine = Tokenizer(models.BPE())
    normalizer, splitter = ENGINES[name]
    if normalizer is not None:
        engine.normalizer = normalizer
    engine.pre_tokenizer = splitter
    return engine


def exact(engine, texts):
    words = Counter()
    for text in texts:
        text = engine.normalizer.normalize_str(text) if engine.normalizer else text
        words.update(word for word, _ in engine.pre_tokenizer.pre_tokenize_str(text) if word and not word.isspace())
    return words


@pytest.mark.parametrize("name", ENGINES)
@settings(max_examples=60, deadline=None)
@given(texts=TEXTS)
def test_words_are_those_of_the_engine(name, texts):
    engine = engine_of(name)
    expected = exact(engine, texts)
    counter = WordCounter(engine, max_parts=5)  # the engine sees the parts of a few texts at a time
    for text in texts:
        counter.add(text)
    assert (counter.words() if expected else {}) == expected


def test_words_are_sorted_and_texts_may_come_in_lists():
    engine = engine_of("bert")
    words = count_words(engine, [["b a", "c"], "a"])
    assert list(words.items()) == [("a", 2), ("b", 1), ("c", 1)]


def test_without_a_pre_tokeniser_words_begin_at_spaces():
    engine = Tokenizer(models.BPE())
    engine.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    assert count_words(engine, ["to be or", "to be"]) == {"▁be": 2, "▁or": 1, "▁to": 2}
    engine.normalizer = None
    engine.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    assert count_words(engine, ["to be or", "to be"]) == {"▁be": 2, "▁or": 1, "▁to": 2}


def counted(texts, **limits):
    counter = WordCounter(engine_of("bert"), **limits)
    for text in texts:
        counter.add(text)
    return counter.words(), counter.n_left_out


def test_more_words_than_memory_holds_lose_the_rarest_in_any_order():
    texts = [f"word{n % (3 + n % 40)}" for n in range(600)]
    everything, none = counted(texts)
    assert none == 0 and len(everything) == 40
    few, left_out = counted(texts, max_parts=3, max_words=10)
    assert counted(texts[::-1], max_parts=7, max_words=10) == (few, left_out)
    assert 5 <= len(few) <= 15 and left_out == 40 - len(few)  # about ten: hashes decide between equals
    assert min(few.values()) >= max(times for word, times in everything.items() if word not in few)
    assert all(everything[word] == times for word, times in few.items())
    equal, _ = counted([f"w{n}" for n in range(1000)], max_parts=50, max_words=100)
    assert 60 < len(equal) < 140
    most, _ = counted(texts, max_parts=3, max_words=39)  # runs are merged to the same totals
    assert most == {word: everything[word] for word in most} and len(most) >= 35


def test_what_is_no_text():
    with pytest.raises(TokenizerError, match="no word in the training texts"):
        count_words(engine_of("bert"), ["", " \n", "\x00"])
    with pytest.raises(TokenizerError, match="must be str or lists of str, not bytes"):
        count_words(engine_of("bert"), [[b"a"]])
    with pytest.raises(TokenizerError, match="must be several, such as a list of texts, and came as one str"):
        count_words(engine_of("bert"), "just a text")


@given(st.permutations([f"{n:03d} " + "x" * (n * 7 % 31) for n in range(120)] * 2))
@settings(max_examples=20, deadline=None)
def test_held_texts_do_not_depend_on_the_order(texts):
    held = HeldTexts(share=5, max_chars=150)
    passed = list(held.passing(texts))
    again = HeldTexts(share=5, max_chars=150)
    assert sorted(passed) == sorted(again.passing(sorted(texts))) and held.texts == again.texts
    assert sorted([*passed, *held.texts]) == sorted(texts)
    assert len(held.texts) >= 2 and sum(map(len, held.texts)) <= 150
