"""Windows of whole sentences, and summaries of summaries."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.tasks.sentences import split_sentences
from bothways.tasks.summarize_windows import LongSummary, summarize_long, text_windows


def words(texts):
    return [len(text.split()) for text in texts]


def characters(texts):
    return [len(text) for text in texts]


def test_windows_are_whole_sentences_of_nearly_equal_length():
    text = "One two three. Four five. Six seven eight nine. Ten. Eleven twelve."
    windows = text_windows(text, words, 6)
    assert [text[w.start : w.end] for w in windows] == [
        "One two three. Four five.",
        "Six seven eight nine. Ten.",
        "Eleven twelve.",
    ]
    assert [w.n_tokens for w in windows] == [5, 5, 2]
    assert [w.n_tokens for w in text_windows("Aa bb. Cc dd. Ee ff. Gg hh.", words, 6)] == [4, 4]  # not 6 and 2
    assert text_windows(" \n", words, 5) == []


def test_a_long_sentence_is_divided_at_a_clause_else_at_a_space_else_anywhere():
    text = "aaa bbb ccc, ddd eee fff"
    assert [text[w.start : w.end] for w in text_windows(text, words, 3)] == ["aaa bbb ccc,", "ddd eee fff"]
    text = "aaa bbb ccc ddd"
    assert [text[w.start : w.end] for w in text_windows(text, words, 2)] == ["aaa bbb", "ccc ddd"]
    assert [w.n_tokens for w in text_windows("x" * 10, characters, 3)] == [2, 3, 2, 3]


@given(st.text(alphabet="ab. ,\n。é", max_size=60), st.integers(1, 12), st.sampled_from([words, characters]))
def test_every_character_is_in_one_window_that_fits(text, limit, count):
    windows = text_windows(text, count, limit)
    assert all(0 < w.n_tokens <= limit for w in windows)
    assert [w.n_tokens for w in windows] == count([text[w.start : w.end] for w in windows])
    assert all(a.end <= b.start for a, b in zip(windows, windows[1:], strict=False))
    covered = "".join(text[w.start : w.end] for w in windows)
    assert re.sub(r"\s", "", covered) == re.sub(r"\s", "", text)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.integers(6, 15))
def test_as_few_windows_as_fit(lengths, limit):
    text = " ".join(" ".join(["Aa", *["bb"] * (n - 1)]) + "." for n in lengths)
    assert words(split_sentences(text).sentences) == lengths
    windows = text_windows(text, words, limit)
    needed, room = 0, 0
    for n in lengths:
        if n > room:
            needed, room = needed + 1, limit
        room -= n
    assert len(windows) == needed


def test_impossible_limits():
    with pytest.raises(InputError, match="limit is 0 tokens"):
        text_windows("a", words, 0)
    with pytest.raises(InputError, match=r"'é' has 2 tokens and cannot be divided to fit 1"):
        text_windows("aé", lambda texts: [len(t.encode()) for t in texts], 1)


def first_word_of_each_sentence(texts):
    """A summariser that shortens."""
    return [" ".join(s.split()[0].rstrip(".") + "." for s in split_sentences(text).sentences) for text in texts]


def test_map_then_reduce():
    calls = []

    def write(texts):
        calls.append(list(texts))
        return first_word_of_each_sentence(texts)

    long = "Aa b cc. Dd e ff. Gg h ii. Jj k ll."
    found = summarize_long([long, "Short one.", ""], count=words, write=write, limit=6)
    assert calls[0] == ["Aa b cc. Dd e ff.", "Gg h ii. Jj k ll.", "Short one.", ""]
    assert calls[1:] == [["Aa. Dd. Gg. Jj."]]
    assert found[0] == LongSummary(text="Aa. Dd. Gg. Jj.", n_tokens=12, n_windows=2, n_rounds=2, is_whole=True)
    assert found[1] == LongSummary(text="Short.", n_tokens=2, n_windows=1, n_rounds=1, is_whole=True)
    assert (found[2].text, found[2].n_tokens, found[2].n_rounds) == ("", 0, 1)


def test_summaries_that_do_not_get_shorter_stand_one_after_another():
    found = summarize_long(["Aa bb. Cc dd. Ee ff."], count=words, write=list, limit=2, separator="\n")
    assert found == [LongSummary(text="Aa bb.\nCc dd.\nEe ff.", n_tokens=6, n_windows=3, n_rounds=1, is_whole=False)]


def test_many_rounds():
    text = " ".join(f"W{i} x y zz." for i in range(64))
    found = summarize_long([text], count=words, write=lambda texts: [t.split()[0] + "." for t in texts], limit=8)[0]
    assert found.is_whole and found.n_windows == 32 and found.n_rounds == 3
    assert summarize_long([], count=words, write=list, limit=3) == []
