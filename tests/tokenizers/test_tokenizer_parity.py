"""The same ids, masks, offsets and keys as the reference tokenisers, over options and hostile texts."""

import gzip
import json
import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from tokenizer_samples import HOSTILE, PAIRS, WORD_LISTS

EVERYTHING = {
    "return_special_tokens_mask": True,
    "return_offsets_mapping": True,
    "return_length": True,
}
GRID = [
    {"padding": padding, "truncation": truncation, "max_length": max_length}
    for padding, truncation, max_length in product(
        [False, True, "longest", "max_length", "do_not_pad"],
        [None, True, False, "longest_first", "do_not_truncate"],
        [None, 3, 7, 16],
    )
]


def same(ours, theirs):
    """Equal keys in equal order, equal values of equal types."""
    assert list(ours.keys()) == list(theirs.keys())
    for key in theirs:
        mine, reference = ours[key], theirs[key]
        if hasattr(reference, "dtype"):
            assert type(mine) is type(reference) and mine.dtype == reference.dtype and mine.shape == reference.shape
            assert np.array_equal(np.asarray(mine), np.asarray(reference)), key
        else:
            assert mine == reference, key
    if ours.encodings is not None and theirs.encodings is not None:
        for a, b in zip(ours.encodings, theirs.encodings, strict=True):
            assert a.tokens == b.tokens and a.word_ids == b.word_ids and a.sequence_ids == b.sequence_ids


@pytest.mark.parametrize("options", GRID, ids=str)
@pytest.mark.filterwarnings("ignore:`max_length` is ignored")
def test_call_options_on_a_batch(fast, reference_fast, options):
    texts = HOSTILE[:12]
    same(fast(texts, **options, **EVERYTHING), reference_fast(texts, **options, **EVERYTHING))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text(fast, reference_fast, text):
    same(fast(text, **EVERYTHING), reference_fast(text, **EVERYTHING))
    same(fast(text, add_special_tokens=False), reference_fast(text, add_special_tokens=False))
    assert fast.tokenize(text) == reference_fast.tokenize(text)
    ids = fast.encode(text)
    for skip, clean in product([True, False], [True, False, None]):
        expected = reference_fast.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=clean)
        assert fast.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=clean) == expected


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_with_the_plain_class(plain, reference_plain, text):
    if "\ufffe" in text:
        pytest.skip("the reference's plain class drops unassigned characters; the engine keeps them as [UNK]")
    expected = reference_plain(text)
    assert dict(plain(text)) == dict(expected)
    ids = expected["input_ids"]
    for skip, clean in product([True, False], [True, False, None]):
        wanted = reference_plain.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=clean)
        assert plain.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=clean) == wanted


@pytest.mark.filterwarnings("ignore:`max_length` is ignored")
@pytest.mark.parametrize("truncation", ["only_first", "only_second", "longest_first", False])
@pytest.mark.parametrize("max_length", [9, 12, 40])
@pytest.mark.parametrize("padding", [False, True, "max_length"])
def test_pairs(fast, reference_fast, truncation, max_length, padding):
    pairs = [PAIRS[0], ("the cat", "sat on the mat")]
    if max_length > 9:
        pairs.append(PAIRS[2])
    if truncation == "only_first":
        pairs = [(second, first) for first, second in pairs]
    first, second = zip(*pairs, strict=True)
    options = {"truncation": truncation, "max_length": max_length, "padding": padding, **EVERYTHING}
    same(fast(list(first), list(second), **options), reference_fast(list(first), list(second), **options))
    same(fast(pairs, **options), reference_fast(pairs, **options))
    same(fast(*pairs[0], **options), reference_fast(*pairs[0], **options))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("stride", [0, 1, 3])
@pytest.mark.parametrize("truncation", [True, "only_second"])
def test_windows(fast, reference_fast, side, stride, truncation):
    options = {
        "truncation": truncation,
        "max_length": 16,
        "stride": stride,
        "padding": "max_length",
        "return_overflowing_tokens": True,
        **EVERYTHING,
    }
    fast.truncation_side = reference_fast.truncation_side = side
    fast.padding_side = reference_fast.padding_side = side
    first = ["where is the cat", "what"]
    second = ["the cat sat on the mat " * 8, "short answer"]
    same(fast(first, second, **options), reference_fast(first, second, **options))
    same(fast(first[0], second[0], **options), reference_fast(first[0], second[0], **options))
    if truncation is True:
        same(fast(second, return_tensors="pt", **options), reference_fast(second, return_tensors="pt", **options))


@pytest.mark.parametrize("padding", [False, True])
def test_words(fast, reference_fast, padding):
    options = {"is_split_into_words": True, "padding": padding, **EVERYTHING}
    same(fast(WORD_LISTS, **options), reference_fast(WORD_LISTS, **options))
    for words in WORD_LISTS:
        same(fast(words, **options), reference_fast(words, **options))
    pairs = WORD_LISTS[::-1]
    same(fast(WORD_LISTS, pairs, **options), reference_fast(WORD_LISTS, pairs, **options))


@pytest.mark.parametrize("tensors", ["pt", "np"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_tensors(fast, reference_fast, tensors, side):
    options = {"padding": True, "padding_side": side, "pad_to_multiple_of": 8, "return_tensors": tensors, **EVERYTHING}
    same(fast(HOSTILE[:6], **options), reference_fast(HOSTILE[:6], **options))
    same(fast("the cat", **options), reference_fast("the cat", **options))
    same(fast("", add_special_tokens=False, return_tensors=tensors), reference_fast(
        "", add_special_tokens=False, return_tensors=tensors))  # fmt: skip


@pytest.mark.parametrize("types", [None, True, False])
@pytest.mark.parametrize("mask", [None, True, False])
def test_chosen_columns(fast, reference_fast, types, mask):
    for names in (["input_ids", "attention_mask"], ["input_ids", "token_type_ids", "attention_mask"]):
        fast.model_input_names = reference_fast.model_input_names = names
        options = {"return_token_type_ids": types, "return_attention_mask": mask}
        same(fast("the cat", **options), reference_fast("the cat", **options))


def test_targets(fast, reference_fast):
    same(fast("the cat", text_target="a mat"), reference_fast("the cat", text_target="a mat"))
    same(fast(text_target=["a mat"]), reference_fast(text_target=["a mat"]))
    same(
        fast(["the cat"], text_target=["a"], text_pair_target=["mat"], return_tensors="pt"),
        reference_fast(["the cat"], text_target=["a"], text_pair_target=["mat"], return_tensors="pt"),
    )


@pytest.mark.parametrize("split", [True, False])
def test_special_tokens_inside_the_text(fast, reference_fast, split):
    text = "the [MASK] sat [SEP] on"
    same(fast(text, split_special_tokens=split), reference_fast(text, split_special_tokens=split))


def test_old_methods(fast, reference_fast):
    assert fast.encode("the cat", "a mat", truncation=True, max_length=6) == reference_fast.encode(
        "the cat", "a mat", truncation=True, max_length=6
    )
    same(fast.encode_plus("the", "cat", **EVERYTHING), reference_fast.encode_plus("the", "cat", **EVERYTHING))
    same(
        fast.batch_encode_plus([("the", "cat"), ("a", "")], padding=True),
        reference_fast.batch_encode_plus([("the", "cat"), ("a", "")], padding=True),
    )
    assert fast.tokenize("un the", pair="mat", add_special_tokens=True) == reference_fast.tokenize(
        "un the", pair="mat", add_special_tokens=True
    )


STYLES = [
    {"do_lower_case": lower, "strip_accents": accents, "tokenize_chinese_chars": chinese}
    for lower, accents, chinese in product([True, False], [None, True, False], [True, False])
] + [{"do_basic_tokenize": False}]


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_normalisation(transformers, vocab_file, style):
    from bothways.tokenizers import BertTokenizerFast

    mine, reference = BertTokenizerFast(vocab_file, **style), transformers.BertTokenizerFast(str(vocab_file), **style)
    same(mine(HOSTILE, **EVERYTHING), reference(HOSTILE, **EVERYTHING))


def test_no_basic_split(transformers, vocab_file):
    from bothways.tokenizers import BertTokenizer

    mine = BertTokenizer(vocab_file, do_basic_tokenize=False)
    reference = transformers.BertTokenizer(str(vocab_file), do_basic_tokenize=False)
    for text in ("The cat, the mat.", "cafe\u0301 un", "[MASK] the"):
        assert mine.tokenize(text) == reference.tokenize(text)


PAD_INPUTS = [
    [{"input_ids": [1, 2, 3]}, {"input_ids": [4]}],
    [
        {"input_ids": [1, 2], "token_type_ids": [0, 1], "labels": 3},
        {"input_ids": [4], "token_type_ids": [1], "labels": 0},
    ],
    {"input_ids": [[1, 2, 3], [4]], "special_tokens_mask": [[1, 0, 1], [1]]},
    {"input_ids": [1, 2, 3], "attention_mask": [1, 1, 0]},
    [{"input_ids": []}, {"input_ids": [4]}],
]


@pytest.mark.parametrize("encoded", PAD_INPUTS, ids=range(len(PAD_INPUTS)))
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("how", [
    {"padding": True}, {"padding": "max_length", "max_length": 5}, {"padding": "longest", "pad_to_multiple_of": 4},
    {"padding": False}, {"padding": True, "return_tensors": "pt"}, {"padding": True, "return_attention_mask": False},
])  # fmt: skip
def test_pad(fast, reference_fast, encoded, side, how):
    before = json.dumps(encoded)
    mine = fast.pad(encoded, padding_side=side, **how)
    assert json.dumps(encoded) == before
    same(mine, reference_fast.pad(json.loads(before), padding_side=side, **how))


def test_pad_keeps_tensors(fast, reference_fast):
    import torch

    rows = [{"input_ids": torch.tensor([1, 2, 3])}, {"input_ids": torch.tensor([4])}]
    same(fast.pad(rows), reference_fast.pad(rows))
    arrays = [{"input_ids": np.array([1, 2, 3])}, {"input_ids": np.array([4])}]
    same(fast.pad(arrays), reference_fast.pad(arrays))


@pytest.mark.parametrize("options", [
    {}, {"truncation": True, "max_length": 6}, {"truncation": "only_second", "max_length": 12},
    {"padding": "max_length", "max_length": 12}, {"add_special_tokens": False},
    {"return_special_tokens_mask": True, "return_length": True}, {"return_tensors": "pt", "prepend_batch_axis": True},
])  # fmt: skip
def test_prepare_for_model(plain, reference_plain, options):
    for pair in (None, [7, 8, 9, 10]):
        if pair is None and options.get("truncation") == "only_second":
            continue
        same(
            plain.prepare_for_model([5, 6, 7, 8, 9, 10, 11], pair, **options),
            reference_plain.prepare_for_model([5, 6, 7, 8, 9, 10, 11], pair, **options),
        )


def test_plain_class_takes_tokens_and_ids(plain, reference_plain):
    tokens = ["the", "cat"]
    assert plain.encode(tokens) == reference_plain.encode(tokens)
    assert plain.encode([7, 8]) == reference_plain.encode([7, 8])
    same(plain.encode_plus(tokens, return_tensors="pt"), reference_plain.encode_plus(tokens, return_tensors="pt"))


@pytest.fixture(scope="module")
def real_lines():
    root = Path(os.environ.get("BOTHWAYS_DATA", "/nonexistent"))
    sources = [root / "multi30k" / f"val.{language}.gz" for language in ("de", "en", "fr")]
    if not all(source.is_file() for source in sources):
        pytest.skip("needs BOTHWAYS_DATA")
    sources.append(root / "text" / "wikitext-2-valid.txt.gz")
    lines = [line for source in sources for line in gzip.decompress(source.read_bytes()).decode("utf-8").split("\n")]
    return lines[:5000]


@pytest.mark.data
@pytest.mark.parametrize("lower", [True, False])
def test_real_lines(transformers, bert_vocab_file, real_lines, lower):
    from bothways.tokenizers import BertTokenizerFast

    assert len(real_lines) == 5000
    mine = BertTokenizerFast(bert_vocab_file, do_lower_case=lower)
    reference = transformers.BertTokenizerFast(str(bert_vocab_file), do_lower_case=lower)
    a, b = mine(real_lines, return_offsets_mapping=True), reference(real_lines, return_offsets_mapping=True)
    assert dict(a) == dict(b)
    assert [e.ids for e in mine.encode_texts(real_lines)] == b["input_ids"]


@pytest.mark.data
def test_real_lines_with_the_plain_class(transformers, bert_vocab_file, real_lines):
    from bothways.tokenizers import BertTokenizer

    lines = real_lines[::5]
    mine, reference = BertTokenizer(bert_vocab_file), transformers.BertTokenizer(str(bert_vocab_file))
    ids = mine(lines)["input_ids"]
    assert ids == reference(lines)["input_ids"]
    assert mine.batch_decode(ids[:300]) == reference.batch_decode(ids[:300])


@pytest.mark.data
def test_known_sentence(bert_vocab_file):
    from bothways.tokenizers import BertTokenizer, BertTokenizerFast

    for cls in (BertTokenizer, BertTokenizerFast):
        ids = cls(bert_vocab_file)("The cat sat on the mat.")["input_ids"]
        assert ids == [101, 1996, 4937, 2938, 2006, 1996, 13523, 1012, 102]
