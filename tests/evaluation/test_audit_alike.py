"""Which texts count as equal and nearly equal, compared with the definition word by word."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from bothways.data import TextExample
from bothways.evaluation.audit_alike import equal_groups, near_pairs
from bothways.evaluation.audit_parts import entry_of
from bothways.evaluation.audit_words import one_letter_apart, word_table, words_of

LETTERS = "abc"


def entries(*texts: str | tuple[str, str]):
    pairs = [(text, None) if isinstance(text, str) else text for text in texts]
    return [entry_of(TextExample(text, pair, "x", row)) for row, (text, pair) in enumerate(pairs, 1)]


def near(*texts: str | tuple[str, str], n_train: int | None = None) -> dict[tuple[int, int], float]:
    found = near_pairs(entries(*texts), len(texts) if n_train is None else n_train)
    return {(pair.earlier, pair.later): round(pair.similarity, 3) for pair in found}


def test_equal_is_equal_up_to_case_and_white_space():
    assert equal_groups(entries("A b", "a  B", "a b.", " ", "", "a\nb ")) == [[0, 1, 5], [2]]
    assert equal_groups(entries(("a", "b"), ("A", "b "), ("b", "a"), ("a", ""))) == [[0, 1], [2], [3]]


def test_punctuation_and_normal_forms_do_not_make_texts_differ():
    assert near("I saw it.", "I saw it!", "it saw I") == {(0, 1): 1.0}, "another order is another text"
    assert near("the caf\u00e9 is new", "the cafe\u0301 is new") == {(0, 1): 1.0}
    assert near("great :)", "great :(", "great \U0001f600", "great \U0001f621") == {}


def test_short_texts_differ_by_one_misspelt_word_at_most():
    assert near("where is my payment", "where is my paymnet") == {(0, 1): round(1 - 1 / 16, 3)}
    assert near("my card is lost", "my card is late", "my card is last") == {}, "words of four letters are other words"
    assert near("order 12345 is late", "order 12346 is late") == {}, "no digit is misspelt"
    assert near("a pretty film", "a petty film") == {(0, 1): round(1 - 1 / 11, 3)}
    assert near("a brown film", "a crown film") == {}, "the first letter is rarely wrong"
    assert near("awfully", "awfuly") == {}, "two words say too little"
    assert near("dogs chase the other cats", "cats chase the other dogs") == {}, "the order of short texts counts"


def test_texts_of_some_length_differ_by_one_more_word_at_most():
    base = "one two three four five six seven eight nine ten"
    assert near(base, base.replace("five", "five and")) == {(0, 1): round(10 / 11, 3)}
    assert near(f"{base} so", base) == {(0, 1): round(10 / 11, 3)}
    assert near(base, base.replace("ten", "eleven")) == {}, "another word is another text"
    assert near(base, base.replace("five", "five and then")) == {}
    assert near(base, " ".join(reversed(base.split()))) == {}
    assert near("one two three four five six seven", "one two three four five six seven eight") == {}


def test_long_texts_share_four_of_five_words():
    words = [f"word{i}" for i in range(40)]
    text = " ".join(words)
    assert near(text, " ".join([*words[:36], "and", "so", "it", "goes"])) == {(0, 1): round(36 / 44, 3)}
    assert near(text, " ".join([*words[:35], "and", "so", "it", "goes", "on"])) == {}, "35 of 45"
    assert near(text, " ".join([*words, *words[:11]])) == {}, "51 words against 40"
    assert near(text, " ".join(reversed(words))) == {(0, 1): 1.0}


def test_both_halves_of_a_pair_must_be_alike():
    long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    assert near((long, "it is so"), (long, "it is not"), (f"{long}.", "It is so!"), (long, "")) == {(0, 2): 1.0}
    assert near(("it is so", long), ("it is so", f"{long} seventeen")) == {(0, 1): round(16 / 17, 3)}
    assert near((long, "x"), ("x", long)) == {}


def test_texts_without_spaces_are_compared_by_their_letters():
    assert words_of("我们今天去看电影") == list("我们今天去看电影")
    assert words_of("ABC今天 don't हिन्दी") == ["abc", "今", "天", "don", "t", "हिन्दी"]
    assert near("我们今天晚上去看一部新电影吧", "我们今天晚上去看一部新电影") == {(0, 1): round(13 / 14, 3)}


def test_minhash_finds_what_the_definition_says():
    generator = random.Random(7)
    vocabulary = [f"w{i}" for i in range(300)]
    texts = []
    for _ in range(120):
        words = generator.sample(vocabulary, generator.choice([25, 30, 50, 80]))
        other = list(words)
        for place in generator.sample(
            range(len(words)), round(len(words) * generator.choice([0.02, 0.1, 0.11, 0.2, 0.5]))
        ):
            other[place] = generator.choice(vocabulary)
        texts += [" ".join(words), " ".join(generator.sample(other, len(other)))]
    groups = equal_groups(entries(*texts))
    texts = [texts[group[0]] for group in groups]
    found = near(*texts)
    sets = [frozenset(text.split()) for text in texts]
    right = {
        (i, j): round(len(sets[i] & sets[j]) / len(sets[i] | sets[j]), 3)
        for j in range(len(texts))
        for i in range(j)
        if len(sets[i] & sets[j]) >= 0.8 * len(sets[i] | sets[j]) and min(len(sets[i]), len(sets[j])) >= 20
    }
    assert found.items() <= right.items()
    assert len(right) > 50 and len(found) >= 0.97 * len(right)


def test_each_text_of_evaluation_meets_those_of_training_in_a_crowd():
    words = [f"word{i}" for i in range(30)]
    crowd = [" ".join([*words, f"number{i}"]) for i in range(60)]
    texts = [*crowd[:20], *crowd[20:]]
    found = near(*texts, n_train=20)
    assert {later for earlier, later in found if earlier < 20 <= later} == set(range(20, 60))


@given(st.lists(st.text("ab cé.!한", max_size=30), max_size=6))
def test_the_table_holds_the_words(texts):
    table = word_table(entries(*texts))
    for number, text in enumerate(texts):
        assert [table.names[word] for word in table.half(number, 0)] == words_of(text)
        assert len(table.half(number, 1)) == 0
    assert table.n_distinct.tolist() == [len(set(words_of(text))) for text in texts]


@given(st.text(LETTERS, max_size=6), st.text(LETTERS, max_size=6))
def test_one_letter_apart(one, other):
    deleted = {one[:i] + one[i + 1 :] for i in range(len(one))}
    inserted = {one[:i] + letter + one[i:] for i in range(len(one) + 1) for letter in LETTERS}
    replaced = {one[:i] + letter + one[i + 1 :] for i in range(len(one)) for letter in LETTERS}
    exchanged = {one[:i] + one[i + 1] + one[i] + one[i + 2 :] for i in range(len(one) - 1)}
    expected = other in (deleted | inserted | replaced | exchanged) - {one}
    assert one_letter_apart(one, other) == expected == one_letter_apart(other, one)


@given(st.text(max_size=40), st.integers(0, 40), st.sampled_from([" ", "\n", "  "]))
def test_a_text_is_near_to_no_other_form_of_itself_twice(text, place, space):
    """Forms that are equal make one group, whatever the characters; nothing fails on any of them."""
    spaced = f"{text[:place]}{space}{text[place:]}" if text[place : place + 1].isspace() else text + space
    groups = equal_groups(entries(text, spaced))
    assert groups in ([], [[0, 1]])
    near_pairs(entries(text), 1)
