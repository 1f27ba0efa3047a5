"""Impossible calls are refused with numbers and a way out; nothing is truncated, padded or dropped in silence."""

import logging

import pytest

from bothways.errors import TokenizerError
from bothways.tokenizers import BertTokenizer, BertTokenizerFast, PreTrainedTokenizerFast
from bothways.tokenizers.options import say_that_it_cuts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "text is None"),
        (5, r"text is 5 \(int\)"),
        (b"bytes", r"text is b'bytes' \(bytes\)"),
        ({"a": 1}, "dict"),
        (["a", None], "input 1 is None"),
        (["a", 2.5], r"input 1 is 2.5 \(float\)"),
        ([["a", "b", "c"]], "input 0 is .*is_split_into_words=True"),
        ([["a", 1]], r"input 0 is 1 \(int\)"),
        ("bad \ud800", r"lone surrogate U\+D800 at character 4"),
        (["ok", "\udfff"], r"input 1 has the lone surrogate U\+DFFF at character 0"),
    ],
)
def test_input_that_is_no_text(fast, text, message):
    with pytest.raises(TokenizerError, match=message):
        fast(text)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_length": 4}, True),
        ({"max_length": 4, "truncation": True}, False),
        ({"max_length": 4, "truncation": False}, False),
        ({"max_length": 4, "padding": "max_length"}, False),
        ({}, False),
    ],
)
def test_a_length_without_truncation_is_told_once(fast, caplog, options, told):
    say_that_it_cuts.cache_clear()
    with caplog.at_level(logging.WARNING, "bothways"):
        for _ in range(2):
            fast("one two three four five six", **options)
    found = [record.message for record in caplog.records if "without truncation" in record.message]
    assert len(found) == told


def test_words_that_are_no_text(fast):
    with pytest.raises(TokenizerError, match=r"input 1 has at word 2 7 \(int\)"):
        fast([["a"], ["b", "c", 7]], is_split_into_words=True)
    with pytest.raises(TokenizerError, match=r"lone surrogate U\+DC00 at character 1"):
        fast(["a", "b\udc00"], is_split_into_words=True)
    with pytest.raises(TokenizerError, match="a list of words is expected"):
        fast("a b", is_split_into_words=True)


def test_unequal_batches(fast):
    with pytest.raises(TokenizerError, match="text has 3 entries but text_pair has 2"):
        fast(["a", "b", "c"], ["d", "e"])
    with pytest.raises(TokenizerError, match="text is a batch of 2, but text_pair is one text"):
        fast(["a", "b"], "c")
    with pytest.raises(TokenizerError, match="texts has 2 entries but pairs has 1"):
        fast.encode_texts(["a", "b"], ["c"])
    with pytest.raises(TokenizerError, match="list of texts"):
        fast.encode_texts("one text")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "longst"}, "unknown padding 'longst'. Did you mean 'longest'"),
        ({"truncation": "only_frist"}, "unknown truncation 'only_frist'. Did you mean 'only_first'"),
        ({"padding": True, "padding_side": "up"}, "unknown padding_side 'up'"),
        ({"return_tensors": "tf"}, "unknown return_tensors 'tf'. Known values: 'pt'"),
        ({"max_lenght": 5}, "unknown option 'max_lenght'.*Did you mean 'max_length'"),
        ({"max_length": -1, "truncation": True}, "max_length is -1; it must be at least 1"),
        ({"max_length": 2.5, "truncation": True}, "max_length must be a whole number, not 2.5"),
        ({"stride": -2, "max_length": 8}, "stride is -2; it must be at least 0"),
        ({"max_length": 1, "truncation": True}, "max_length is 1, but this input gets 2 special tokens"),
        ({"max_length": 8, "truncation": True, "stride": 6}, r"stride \(6\) must be smaller than the 6 tokens"),
        ({"max_length": 8, "truncation": True, "stride": 7}, r"stride \(7\) must be smaller than the 6 tokens"),
        (
            {"max_length": 10, "truncation": True, "padding": True, "pad_to_multiple_of": 8},
            r"max_length \(10\) is not a multiple of pad_to_multiple_of \(8\).*max_length=8",
        ),
    ],
)
def test_options(fast, options, message):
    with pytest.raises(TokenizerError, match=message):
        fast("the cat sat on the mat the cat sat on the mat", **options)


def test_overlap_of_pairs(fast, capfd):
    question, context = "who sat on the mat", "the cat " * 20
    with pytest.raises(TokenizerError, match=r"stride \(4\) must be smaller than the 4 tokens.*=12.*\(5 and 40"):
        fast(question, context, truncation="only_second", max_length=12, stride=4)
    with pytest.raises(TokenizerError, match="input 1: text 1 of the pair has 5 tokens.*max_length=8 leaves no token"):
        fast([("a", "b"), (question, context)], truncation="only_second", max_length=8)
    with pytest.raises(TokenizerError, match=r"stride \(4\) must be smaller than the 4 tokens.*text 1 of the pair"):
        fast(context, context, truncation=True, max_length=11, stride=4)
    with pytest.raises(TokenizerError, match="max_length is 2, but this input gets 3 special tokens"):
        fast("a", "b", truncation=True, max_length=2)
    assert capfd.readouterr().err == ""  # the engine never got to panic


def test_window_without_room(fast):
    assert fast("the cat", truncation=True, max_length=2)["input_ids"] == [2, 3]
    with pytest.raises(TokenizerError, match="window of 4 tokens.*max_length=2.*Raise max_length"):
        fast("the cat", truncation=True, max_length=2, return_overflowing_tokens=True)


def test_only_second_without_a_second(fast):
    with pytest.raises(TokenizerError, match="[Ss]econd sequence not provided"):
        fast("the cat sat on the mat", truncation="only_second", max_length=4)
    assert fast("the", truncation="only_second", max_length=4)["input_ids"] == fast("the")["input_ids"]


def test_settings_survive_an_error(fast):
    with pytest.raises(TokenizerError):
        fast(["the cat", None], truncation=True, max_length=3, padding=True)
    assert len(fast("the cat sat on the mat")["input_ids"]) == 8
    assert fast.backend_tokenizer.truncation is None and fast.backend_tokenizer.padding is None


def test_ragged_rows(fast):
    with pytest.raises(ValueError, match="input_ids has rows of 3 to 4 tokens.*padding=True.*truncation=True"):
        fast(["the", "the cat"], return_tensors="pt")
    with pytest.raises(TokenizerError, match="rows of 1 to 2"):
        fast.pad([{"input_ids": [1]}, {"input_ids": [1, 2]}], padding=False, return_tensors="np")


def test_long_text_is_returned_whole_and_quietly(fast, recwarn, capfd):
    assert len(fast("the " * 500)["input_ids"]) == 502  # model_max_length is 64
    assert len(fast("the " * 500, truncation=True)["input_ids"]) == 64
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


def test_no_limit_means_no_truncation(vocab_file):
    tokenizer = BertTokenizerFast(vocab_file)
    assert tokenizer.model_max_length == int(1e30)
    assert len(tokenizer("the " * 600, truncation=True)["input_ids"]) == 602
    assert len(tokenizer("the", padding="max_length")["input_ids"]) == 3
    assert len(tokenizer("the", truncation=True, max_length=10**30)["input_ids"]) == 3


def test_empty_batch_has_the_usual_columns(fast):
    assert dict(fast([])) == {"input_ids": [], "token_type_ids": [], "attention_mask": []}
    assert fast.encode_texts([]) == []
    assert fast([], return_tensors="pt")["input_ids"].shape == (0,)


def test_empty_second_text_is_a_pair(fast):
    cls, sep = fast.cls_token_id, fast.sep_token_id
    assert fast("", "")["input_ids"] == [cls, sep, sep] == fast([""], [""])["input_ids"][0]


def test_padding_needs_a_pad_token(fast):
    fast.pad_token = None
    with pytest.raises(TokenizerError, match="no pad_token.*add_special_tokens"):
        fast(["the", "the cat"], padding=True)


def test_decoding_errors(fast):
    with pytest.raises(TokenizerError, match="-100 is no token id.*labels to ignore.*pad_token_id"):
        fast.decode([5, -100])
    with pytest.raises(TokenizerError, match="batch_decode"):
        fast.decode([[5, 6], [7]])
    with pytest.raises(TokenizerError, match="whole numbers, not 'a'"):
        fast.decode(["a"])
    assert fast.convert_ids_to_tokens([999_999]) == [None]


def test_pad_errors(fast):
    with pytest.raises(TokenizerError, match="example 1 lacks \\['labels'\\]"):
        fast.pad([{"input_ids": [1], "labels": 1}, {"input_ids": [1]}])
    with pytest.raises(TokenizerError, match="include 'input_ids'; it got \\['a'\\]"):
        fast.pad({"a": [1]})
    with pytest.raises(TokenizerError, match="different numbers of rows"):
        fast.pad({"input_ids": [[1], [2]], "labels": [1]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model_max_length": 0}, "model_max_length must be a positive whole number, not 0"),
        ({"model_max_length": float("nan")}, "not nan"),
        ({"padding_side": "top"}, "padding_side must be 'right' or 'left', not 'top'"),
        ({"truncation_side": 1}, "truncation_side"),
        ({"mask_token": 5}, "mask_token must be a non-empty str"),
        (
            {"unk_token": "<nope>"},
            "unknown token '<nope>' is not among them",
        ),
        ({"never_split": ["abc"]}, "never_split.*add_tokens"),
    ],
)
def test_impossible_arguments(vocab_file, arguments, message):
    with pytest.raises(TokenizerError, match=message):
        BertTokenizerFast(vocab_file, **arguments)


def test_nothing_to_build_from():
    with pytest.raises(TokenizerError, match="needs a vocab_file"):
        BertTokenizer()
    with pytest.raises(TokenizerError, match="needs a tokenizer_file"):
        PreTrainedTokenizerFast()


def test_unknown_special_token_name(fast):
    with pytest.raises(TokenizerError, match="unknown special token name 'mask'. Did you mean 'mask_token'"):
        fast.add_special_tokens({"mask": "[M]"})
