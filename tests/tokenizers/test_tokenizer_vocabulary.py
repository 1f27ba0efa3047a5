"""Ids, tokens, special tokens, decoding, copies; fork and threads."""

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tokenizer_samples import HOSTILE, vocabulary

from bothways.tokenizers import BertTokenizerFast, PreTrainedTokenizerBase, PreTrainedTokenizerFast


def test_classes(fast, plain):
    assert isinstance(fast, PreTrainedTokenizerFast) and not isinstance(plain, PreTrainedTokenizerFast)
    assert isinstance(plain, PreTrainedTokenizerBase)
    assert (fast.is_fast, plain.is_fast) == (True, False)
    assert bool(fast)


@pytest.mark.parametrize("kind", ["fast", "plain"])
def test_surface_equals_the_reference(kind, request):
    mine, reference = request.getfixturevalue(kind), request.getfixturevalue(f"reference_{kind}")
    for name in (
        "vocab_size", "all_special_tokens", "all_special_ids", "special_tokens_map", "additional_special_tokens",
        "cls_token", "sep_token", "pad_token", "unk_token", "mask_token", "bos_token", "eos_token", "cls_token_id",
        "sep_token_id", "pad_token_id", "unk_token_id", "mask_token_id", "bos_token_id", "eos_token_id",
        "pad_token_type_id", "model_max_length", "padding_side", "truncation_side", "model_input_names", "name_or_path",
        "is_fast", "added_tokens_encoder", "max_len_single_sentence", "max_len_sentences_pair", "do_lower_case",
        "clean_up_tokenization_spaces", "init_kwargs",
    ):  # fmt: skip
        assert getattr(mine, name) == getattr(reference, name), name
    assert len(mine) == len(reference) and mine.get_vocab() == reference.get_vocab()
    assert dict(mine.vocab) == dict(reference.vocab)
    assert repr(mine) == repr(reference)
    assert [mine.num_special_tokens_to_add(pair) for pair in (False, True)] == [2, 3]
    assert mine.build_inputs_with_special_tokens([7], [8]) == reference.build_inputs_with_special_tokens([7], [8])
    assert mine.create_token_type_ids_from_sequences([7], [8, 9]) == reference.create_token_type_ids_from_sequences(
        [7], [8, 9]
    )
    assert mine.get_special_tokens_mask([2, 7, 3, 0], already_has_special_tokens=True) == [1, 0, 1, 1]
    assert mine.get_special_tokens_mask([7, 8], [9]) == [1, 0, 0, 1, 0, 1]
    tokens = ["the", "un", "##able", ",", "nothere", "[MASK]"]
    assert mine.convert_tokens_to_ids(tokens) == reference.convert_tokens_to_ids(tokens)
    assert mine.convert_tokens_to_ids("cat") == reference.convert_tokens_to_ids("cat")
    assert mine.convert_tokens_to_string(tokens) == reference.convert_tokens_to_string(tokens)
    assert mine.convert_ids_to_tokens([0, 7, 40], skip_special_tokens=True) == reference.convert_ids_to_tokens(
        [0, 7, 40], skip_special_tokens=True
    )


def test_plain_class_keeps_spaces(plain, fast):
    tokens = ["in", "paris", ",", "france"]
    assert plain.convert_tokens_to_string(tokens) == "in paris , france"
    assert fast.convert_tokens_to_string(tokens) == "in paris, france"


def test_decode_inputs(fast):
    ids = fast.encode("the cat , the mat .")
    for form in (ids, tuple(ids), np.array(ids), torch.tensor(ids)):
        assert fast.decode(form, skip_special_tokens=True) == "the cat, the mat."
    assert fast.batch_decode(torch.tensor([ids, ids]), skip_special_tokens=True) == ["the cat, the mat."] * 2
    assert fast.decode(fast.convert_tokens_to_ids("cat")) == "cat"


def test_adding_tokens(fast, reference_fast):
    from tokenizers import AddedToken

    for tokenizer in (fast, reference_fast):
        assert tokenizer.add_tokens(["newword", "the"]) == 2  # "the" is no longer split off other words, so it counts
        assert tokenizer.add_tokens("single") == 1
        assert tokenizer.add_tokens([]) == 0
        assert tokenizer.add_special_tokens({"bos_token": "<s>", "additional_special_tokens": ["<a>", "<b>"]}) == 3
        assert tokenizer.add_special_tokens(
            {"additional_special_tokens": ["<b>", AddedToken("<c>")]}, replace_additional_special_tokens=False
        ) == 1  # fmt: skip
        tokenizer.pad_token = "[SEP]"
        tokenizer.mask_token_id = 2
    assert len(fast) == len(reference_fast) == len(vocabulary()) + 6
    text = "newword Newword <s> the <a><c> single"
    assert fast(text)["input_ids"] == reference_fast(text)["input_ids"]
    assert fast.special_tokens_map == reference_fast.special_tokens_map
    assert fast.pad_token_id == reference_fast.pad_token_id == 3 and fast.mask_token == "[CLS]"
    ids = fast.encode(text)
    assert fast.decode(ids, skip_special_tokens=True) == reference_fast.decode(ids, skip_special_tokens=True)


def test_copies_are_independent(fast):
    for again in (pickle.loads(pickle.dumps(fast)), copy.deepcopy(fast)):
        again.add_tokens(["brandnew"])
        assert len(again) == len(fast) + 1 and again("the cat")["input_ids"] == fast("the cat")["input_ids"]


def test_engine_object_is_copied(fast):
    engine = fast.backend_tokenizer
    engine.enable_truncation(5)
    wrapped = BertTokenizerFast(tokenizer_object=engine)
    wrapped.add_tokens(["brandnew"])
    assert engine.truncation is not None and wrapped.backend_tokenizer.truncation is None
    assert len(wrapped) == len(fast) + 1
    engine.no_truncation()


@pytest.mark.parametrize("offsets", [True, False])
def test_bulk_path(fast, offsets):
    texts = [text * 3 for text in HOSTILE]
    expected = fast(texts, texts[::-1], truncation=True, max_length=20, return_offsets_mapping=True)
    found = fast.encode_texts(texts, texts[::-1], max_length=20, offsets=offsets)
    assert [e.ids for e in found] == expected["input_ids"]
    assert [e.type_ids for e in found] == expected["token_type_ids"]
    if offsets:
        assert [e.word_ids for e in found] == [expected.word_ids(i) for i in range(len(texts))]
        assert [e.offsets for e in found] == expected["offset_mapping"]
    whole = fast.encode_texts(["the " * 100])
    assert len(whole[0]) == 102  # beyond model_max_length: nothing is cut without max_length
    windows = fast.encode_texts(["the " * 100], max_length=12, stride=5, truncation="only_first")
    assert len(windows[0].overflowing) == 18  # 100 = 10 + 18 * 5


def test_threads_share_a_tokeniser(fast):
    def work(n):
        length = 3 + n % 5
        return fast(["the cat sat on the mat"] * 4, truncation=True, max_length=length, padding=n % 2 == 0)["input_ids"]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(200)))
    assert all([len(row) for row in rows] == [3 + n % 5] * 4 for n, rows in enumerate(results))


FORK = """
import os, sys
from bothways.tokenizers import BertTokenizerFast
tokenizer = BertTokenizerFast(sys.argv[1])
tokenizer(["the cat"] * 100)
pid = os.fork()
if pid == 0:
    os._exit(0 if len(tokenizer(["the cat"] * 100)["input_ids"]) == 100 else 1)
assert os.waitpid(pid, 0)[1] == 0
assert "TOKENIZERS_PARALLELISM" not in os.environ
"""


@pytest.mark.skipif(not hasattr(sys, "getswitchinterval") or sys.platform == "win32", reason="needs fork")
def test_fork_is_quiet(vocab_file):
    # libraries that other tests import may have set the variable that would silence the engine
    plain = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    command = [sys.executable, "-c", FORK, str(vocab_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=plain)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
