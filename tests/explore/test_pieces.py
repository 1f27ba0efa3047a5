"""Tokenisers side by side."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways import explore
from bothways.errors import InputError, ModelNotFoundError


def test_every_column_is_that_of_the_reference(tiny_model):
    import transformers

    text, pair = "the plays was üb", "good film"
    (row,) = explore.tokens(text, pair=pair, models=tiny_model).rows
    tokenizer = transformers.BertTokenizerFast.from_pretrained(tiny_model)
    expected = tokenizer(text, pair, return_offsets_mapping=True, return_special_tokens_mask=True)
    assert [p.text for p in row.pieces] == expected.tokens()
    assert [p.id for p in row.pieces] == expected["input_ids"]
    assert [p.type_id for p in row.pieces] == expected["token_type_ids"]
    assert [p.mask for p in row.pieces] == expected["attention_mask"]
    assert [(p.start, p.end) for p in row.pieces] == expected["offset_mapping"]
    assert [int(p.special) for p in row.pieces] == expected["special_tokens_mask"]
    assert [p.second for p in row.pieces] == [s == 1 for s in expected.sequence_ids()]
    assert row.pieces[2].surface == "play" and row.pieces[3].surface == "s"


def test_numbers_of_a_row(tiny_model):
    report = explore.tokens("the plays zebra zebra", models=[tiny_model])
    (row,) = report.rows
    assert (row.n_words, row.n_unknown, row.n_special, len(row.pieces)) == (4, 2, 2, 7)
    assert row.pieces_per_word == 5 / 4
    assert "does not know 2 of 4 words" in report.sentences[0]


def test_several_tokenisers_are_compared(tiny_model, tiny_gpt2):
    from bothways import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    report = explore.tokens("the film", models=[tiny_model, tokenizer])
    assert [len(row.pieces) for row in report.rows] == [4, 8]
    assert report.rows[1].n_special == 0 and report.rows[1].limit == 64
    assert "needs the fewest tokens (4)" in report.sentences[0] and "the most (8)" in report.sentences[0]
    long = explore.tokens("abcdefgh " * 9, models=tokenizer)
    assert "has 81 tokens, more than the 64 it states" in long.sentences[0]


def test_words_stand_beside_their_pieces(tiny_model, tiny_gpt2):
    report = explore.tokens("the plays", pair="a film", models=[tiny_model, tiny_gpt2])
    words = report.by_word
    assert [word for word, _ in words] == ["the", "plays", "a", "film"]
    assert [divided[0] for _, divided in words] == [("the",), ("play", "##s"), ("a",), ("film",)]
    assert [len(divided[1]) for _, divided in words] == [3, 6, 1, 5]  # a byte each, white space with the word after it
    assert dict(report.facts)["tokens"] == ["8", "15"]


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1).filter(str.strip))
def test_surfaces_are_the_characters_at_the_offsets(tokenizer_of_bytes, text):
    (row,) = explore.tokens(text, models=tokenizer_of_bytes).rows
    assert all(p.surface == text[p.start : p.end] for p in row.pieces)
    assert len(row.pieces) == len(text.encode("utf-8", "surrogatepass"))
    report = explore.tokens(text, models=[tokenizer_of_bytes] * 2)
    assert [word for word, _ in report.by_word] == text.split()
    assert sum(len(divided[1]) for _, divided in report.by_word) == len(row.pieces)


@pytest.fixture(scope="module")
def tokenizer_of_bytes(tiny_gpt2):
    from bothways import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_gpt2)


def test_impossible_arguments_are_sentences(tiny_model):
    with pytest.raises(InputError, match="models is empty"):
        explore.tokens("a", models=[])
    with pytest.raises(InputError, match=r"models has 3 \(int\)"):
        explore.tokens("a", models=[3])
    with pytest.raises(InputError, match="pair is blank"):
        explore.tokens("a", pair="", models=tiny_model)
    with pytest.raises(ModelNotFoundError):
        explore.tokens("a", models="no/such/place")
