"""What holds for every text."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizer_samples import WORDS

from bothways.errors import TokenizerError
from bothways.tokenizers import AutoTokenizer, BertTokenizerFast

ANY_TEXT = st.text(max_size=60)  # no surrogates: hypothesis leaves them out by default
KNOWN = st.lists(st.sampled_from([*WORDS, "[MASK]", "newword", ",", "don't"]), max_size=20).map(" ".join)
TEXTS = st.one_of(ANY_TEXT, KNOWN)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def pair_of_tokenizers(vocab_file, tmp_path_factory):
    tokenizer = BertTokenizerFast(vocab_file)
    tokenizer.add_tokens(["newword"])
    directory = tmp_path_factory.mktemp("again")
    tokenizer.save_pretrained(directory)
    return tokenizer, AutoTokenizer.from_pretrained(directory)


@QUICK
@given(text=TEXTS)
def test_offsets_point_into_the_text(pair_of_tokenizers, text):
    tokenizer, _ = pair_of_tokenizers
    encoded = tokenizer(text, return_offsets_mapping=True)
    last = 0
    for token, word, (start, end) in zip(encoded.tokens(), encoded.word_ids(), encoded["offset_mapping"], strict=True):
        if word is None:
            continue
        assert last <= start <= end <= len(text)
        last = start
        piece = text[start:end]
        if token != "[UNK]" and piece.isascii():
            assert tokenizer.backend_tokenizer.normalizer.normalize_str(piece).replace(" ", "") in (
                token.removeprefix("##"), token.lower(),
            )  # fmt: skip


@QUICK
@given(texts=st.lists(TEXTS, max_size=5))
def test_saved_and_loaded_gives_the_same(pair_of_tokenizers, texts):
    tokenizer, again = pair_of_tokenizers
    assert tokenizer(texts)["input_ids"] == again(texts)["input_ids"]


@QUICK
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), pairs=st.data())
def test_a_batch_gives_what_its_items_give_alone(pair_of_tokenizers, texts, pairs):
    tokenizer, _ = pair_of_tokenizers
    options = {"truncation": True, "max_length": 12, "return_offsets_mapping": True}
    batch = tokenizer(texts, **options)
    assert [dict(tokenizer(text, **options)) for text in texts] == [
        {key: values[i] for key, values in batch.items()} for i in range(len(texts))
    ]
    seconds = pairs.draw(st.lists(TEXTS, min_size=len(texts), max_size=len(texts)))
    rows = tokenizer(texts, seconds, **options)["input_ids"]
    assert rows == [tokenizer(a, b, **options)["input_ids"] for a, b in zip(texts, seconds, strict=True)]


@QUICK
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), side=st.sampled_from(["left", "right"]))
def test_padding_only_adds(pair_of_tokenizers, texts, side):
    tokenizer, _ = pair_of_tokenizers
    padded = tokenizer(texts, padding=True, padding_side=side)
    assert len({len(row) for row in padded["input_ids"]}) == 1
    kept = [
        [i for i, m in zip(row, mask, strict=True) if m]
        for row, mask in zip(padded["input_ids"], padded["attention_mask"], strict=True)
    ]
    assert kept == tokenizer(texts)["input_ids"]
    assert dict(tokenizer.pad(tokenizer(texts), padding_side=side)) == dict(padded)


@QUICK
@given(text=TEXTS, max_length=st.integers(3, 20), stride=st.integers(0, 20))
def test_windows_lose_no_token(pair_of_tokenizers, text, max_length, stride):
    tokenizer, _ = pair_of_tokenizers
    whole = tokenizer(text, add_special_tokens=False)["input_ids"]
    options = {"truncation": True, "max_length": max_length, "stride": stride, "return_overflowing_tokens": True}
    if stride >= max_length - 2 and stride:
        with pytest.raises(TokenizerError, match=rf"stride \({stride}\)"):
            tokenizer(text, **options)
        return
    rows = [row[1:-1] for row in tokenizer(text, **options)["input_ids"]]
    assert rows[0] + [i for row in rows[1:] for i in row[stride:]] == whole


@QUICK
@given(a=TEXTS, b=TEXTS, max_length=st.integers(1, 14), stride=st.integers(0, 8),
       truncation=st.sampled_from(["longest_first", "only_first", "only_second"]))  # fmt: skip
def test_pairs_never_panic(pair_of_tokenizers, a, b, max_length, stride, truncation):
    tokenizer, _ = pair_of_tokenizers
    options = {"truncation": truncation, "max_length": max_length, "stride": stride}
    try:
        rows = tokenizer(a, b, return_overflowing_tokens=True, **options)["input_ids"]
    except TokenizerError as problem:
        assert str(max_length) in str(problem) or str(stride) in str(problem)
        assert "strictly less" not in str(problem)  # the engine's panic
        return
    assert all(len(row) <= max_length for row in rows)


@QUICK
@given(text=st.text(alphabet=st.characters(), min_size=1, max_size=20))
def test_surrogates_are_named_or_absent(pair_of_tokenizers, text):
    tokenizer, _ = pair_of_tokenizers
    if any("\ud800" <= char <= "\udfff" for char in text):
        with pytest.raises(TokenizerError, match="lone surrogate"):
            tokenizer(text)
    else:
        assert tokenizer(text)["input_ids"][0] == 2
