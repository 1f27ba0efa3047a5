"""What a call returns: dictionary, attributes, rows, mappings, tensors, copies."""

import copy
import pickle

import pytest
import torch

from bothways.errors import TokenizerError
from bothways.tokenizers import BatchEncoding, CharSpan, TokenSpan

TEXT = "un believable [MASK] cat!"


def test_access(fast):
    encoded = fast(["the cat", "mat"], padding=True)
    assert encoded.input_ids is encoded["input_ids"] is encoded.data["input_ids"]
    assert list(encoded) == list(encoded.keys()) == ["input_ids", "token_type_ids", "attention_mask"]
    assert dict(encoded.items()) == encoded.data and len(encoded) == 3 and "input_ids" in encoded
    assert encoded[1].ids == encoded["input_ids"][1] and len(encoded[0:2]) == 2
    assert encoded.encodings is not None and encoded.is_fast and encoded.n_sequences == 1
    assert fast("a", "b").n_sequences == 2
    with pytest.raises(AttributeError, match="labels"):
        _ = encoded.labels
    with pytest.raises(KeyError):
        _ = encoded["labels"]


def test_works_as_keyword_arguments(fast):
    def model(input_ids, attention_mask=None, token_type_ids=None):
        return input_ids.shape, attention_mask.sum().item()

    assert model(**fast(["the cat", "mat"], padding=True, return_tensors="pt")) == ((2, 4), 7)


def test_mappings_agree_with_the_reference(fast, reference_fast):
    mine, reference = fast([TEXT, "b"], ["the mat", "c"]), reference_fast([TEXT, "b"], ["the mat", "c"])
    for row in (0, 1):
        assert mine.tokens(row) == reference.tokens(row)
        assert mine.word_ids(row) == reference.word_ids(row) == mine.words(row)
        assert mine.sequence_ids(row) == reference.sequence_ids(row)
    count = len(mine.tokens(0))
    assert mine.token_to_word(0, -2) == mine.word_ids(0)[-2]  # the reference fails for negative numbers
    for token in range(count):
        assert mine.token_to_word(0, token) == reference.token_to_word(0, token)
        assert mine.token_to_sequence(token) == reference.token_to_sequence(token)
    for token in range(count):
        assert mine.token_to_chars(token) == reference.token_to_chars(token)
    for side, text in enumerate((TEXT, "the mat")):
        for char in range(len(text)):
            assert mine.char_to_token(0, char, side) == reference.char_to_token(0, char, side)
            assert mine.char_to_word(0, char, side) == reference.char_to_word(0, char, side)
    for word in range(4):
        assert mine.word_to_chars(word) == reference.word_to_chars(word)
        assert mine.word_to_tokens(word) == reference.word_to_tokens(word)


def test_literal_mappings(fast):
    encoded = fast("unable cat")  # [CLS] un ##able cat [SEP]
    assert encoded.tokens() == ["[CLS]", "un", "##able", "cat", "[SEP]"]
    assert encoded.word_ids() == [None, 0, 0, 1, None]
    assert encoded.word_to_tokens(0) == TokenSpan(1, 3)
    assert encoded.word_to_chars(1) == CharSpan(7, 10) and encoded.token_to_chars(2) == CharSpan(2, 6)
    assert encoded.char_to_token(8) == 3 and encoded.char_to_token(6) is None
    assert encoded.token_to_chars(0) is None


def test_copies(fast):
    encoded = fast(["the cat", "mat"], padding=True, return_tensors="pt")
    for again in (pickle.loads(pickle.dumps(encoded)), copy.copy(encoded), copy.deepcopy(encoded)):
        assert type(again) is BatchEncoding and again.tokens(1) == encoded.tokens(1) and again.n_sequences == 1
        assert torch.equal(again.input_ids, encoded.input_ids)


def test_to(fast):
    encoded = fast("the", return_tensors="pt")
    encoded["note"] = "kept"
    assert encoded.to("meta", non_blocking=True) is encoded
    assert encoded.input_ids.device.type == "meta" and encoded["note"] == "kept"
    assert fast("the", return_tensors="pt").to(torch.float16).input_ids.dtype == torch.int64


def test_conversion():
    encoded = BatchEncoding({"input_ids": [1, 2], "labels": [0.5, 1.0]}, tensor_type="pt", prepend_batch_axis=True)
    assert encoded.input_ids.shape == (1, 2) and encoded.labels.dtype == torch.float32
    with pytest.raises(TokenizerError, match="values that are not numbers"):
        BatchEncoding({"text": ["a", "b"]}).convert_to_tensors("pt")
    with pytest.raises(TokenizerError, match="no encodings"):
        BatchEncoding({"input_ids": [[1]]}).word_ids(0)
    assert BatchEncoding({"input_ids": [[1], [2]]})[1:] == {"input_ids": [[2]]}
