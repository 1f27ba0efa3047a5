"""Encoding with an account of long texts; stable functions; candidates for gaps."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from bothways.errors import InputError
from bothways.tasks.encoded import encode, position_limit
from bothways.tasks.fill_mask import Targets, candidates, find_masks
from bothways.tasks.text_classification import decode, named_scores, sigmoid, softmax, top_labels
from bothways.tokenizers import BertTokenizerFast

WORDS = [f"w{i}" for i in range(60)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    return BertTokenizerFast(vocab_file=str(path))


def test_account_of_windows(tokenizer):
    texts = ["w1 w2", " ".join(WORDS[:30]), "w3"]
    encoded = encode(tokenizer, texts, max_length=12, window_overlap=2)
    assert encoded.n_tokens == [4, 32, 3]
    assert encoded.n_windows == [1, 4, 1]
    assert encoded.truncated == [False, False, False]
    assert encoded.owner.tolist() == [0, 1, 1, 1, 1, 2]
    assert encoded.first_windows.tolist() == [0, 1, 5]
    assert encoded.token_type_ids is None
    assert encoded.whole_ids(1, 1) == tokenizer(texts[1])["input_ids"]
    np.testing.assert_allclose(np.bincount(encoded.owner, encoded.weights), 1, atol=1e-6)
    assert position_limit(SimpleNamespace(longest_sequence=40)) == 40
    assert position_limit(SimpleNamespace()) is None


def test_truncation_and_errors(tokenizer):
    texts = ["w1", " ".join(WORDS)]
    cut = encode(tokenizer, texts, max_length=8, long_input="truncate")
    assert (cut.n_tokens, cut.n_windows, cut.truncated) == ([3, 62], [1, 1], [False, True])
    assert cut.input_ids[1] == tokenizer(texts[1], truncation=True, max_length=8)["input_ids"]
    with pytest.raises(InputError, match=r"input 6 has 62 tokens, but the limit is 8\. Shorten"):
        encode(tokenizer, texts, max_length=8, long_input="error", first=5)
    with pytest.raises(InputError, match="and 1 more|so have 1 more"):
        encode(tokenizer, [texts[1]] * 2, max_length=8, long_input="error")
    with pytest.raises(InputError, match="'split'; expected one of 'window'"):
        encode(tokenizer, texts, max_length=8, long_input="split")


def test_pairs_and_single_texts_together(tokenizer):
    encoded = encode(tokenizer, ["w1", "w2"], ["w3 w4", None], max_length=None)
    assert encoded.token_type_ids == [[0, 0, 0, 1, 1, 1], [0, 0, 0]]
    long = encode(tokenizer, ["w1 w2"], [" ".join(WORDS)], max_length=20, window_overlap=3)
    assert all(ids[1:3] == long.input_ids[0][1:3] for ids in long.input_ids)
    for ids, types in zip(long.input_ids, long.token_type_ids, strict=True):
        assert len(ids) == len(types) <= 20
        assert types == [0] * 4 + [1] * (len(ids) - 4)


def test_functions_do_not_overflow():
    logits = np.array([[1e4, -1e4, 0.0]], dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert softmax(logits).tolist() == [[1.0, 0.0, 0.0]]
        assert sigmoid(logits).tolist() == [[1.0, 0.0, 0.5]]
    values = np.linspace(-20, 20, 101, dtype=np.float32)
    np.testing.assert_allclose(sigmoid(values), 1 / (1 + np.exp(-values.astype(np.float64))), atol=1e-7)


def test_decode_and_results(tokenizer):
    encoded = encode(tokenizer, ["w1", " ".join(WORDS[:18])], max_length=12, window_overlap=0)
    assert encoded.n_windows == [1, 2]
    logits = np.array([[0, 1], [2, 3], [4, 5]], dtype=np.float32)
    assert decode(logits, encoded, "none").tolist() == [[0, 1], [3, 4]]  # two windows of 11 tokens
    with pytest.raises(InputError, match="'tanh'; expected one of 'softmax', 'sigmoid', 'none'"):
        decode(logits, encoded, "tanh")
    scores = np.array([[0.25, 0.5, 0.25]])
    names = {0: "a", 1: "b", 2: "c"}
    assert list(top_labels(scores, names)) == [{"label": "b", "score": 0.5}]
    (ranked,) = named_scores(scores, names, top_k=None, sort=True)
    assert [label["label"] for label in ranked] == ["b", "a", "c"]
    (plain,) = named_scores(scores, names, top_k=None, sort=False)
    assert [label["label"] for label in plain] == ["a", "b", "c"]


def test_candidates():
    logits = np.log(np.array([[0.1, 0.4, 0.2, 0.3]], dtype=np.float32))
    ((values, tokens),) = candidates(logits, 2)
    assert tokens == [(1,), (3,)]
    np.testing.assert_allclose(values, [0.4, 0.3], rtol=1e-6)
    targets = Targets(((0,), (2,)))
    values, tokens = targets.best({1: (0, 0)}, [targets.log_probabilities(logits)], 5)
    assert tokens == [(2,), (0,)]
    np.testing.assert_allclose(values, [0.2, 0.1], rtol=1e-6)  # not renormalised


def test_each_mask_is_asked_once_where_it_has_most_context(tokenizer):
    words = list(WORDS[:40])
    for at in (0, 13, 39):
        words[at] = "[MASK]"
    encoded = encode(tokenizer, ["w1 [MASK]", " ".join(words)], max_length=20, window_overlap=8)
    masks = find_masks(encoded, tokenizer.mask_token_id)
    assert masks.places == [[2], [1, 14, 40]]
    assert sum(map(len, masks.asked)) == 4
    for slots in masks.slots:
        for window, slot in slots:
            place = masks.asked[window][slot]
            assert encoded.input_ids[window][place] == tokenizer.mask_token_id
    assert all(sorted(own) == own for own in masks.asked)
