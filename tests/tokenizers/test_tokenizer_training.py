"""A vocabulary learned from texts: useful, complete, and the same every time."""

import subprocess
import sys

import pytest

from bothways.errors import TokenizerError
from bothways.tokenizers import AutoTokenizer, BertTokenizerFast, PreTrainedTokenizerFast

TEXTS = [
    "lower lowest low slower slowest slow",
    "newer newest new renew renewed renewing",
    "wider widest wide widen widened",
    "Die Straße, das Café: ein größeres, ein kleineres.",
] * 5


def test_vocabulary_is_learned(fast):
    trained = fast.train_new_from_iterator([TEXTS[:10], TEXTS[10:]], vocab_size=120)
    assert type(trained) is BertTokenizerFast and trained.model_max_length == 64
    assert trained.all_special_tokens == fast.all_special_tokens
    assert [trained.convert_ids_to_tokens(i) for i in range(5)] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(trained) <= 120 and sorted(trained.get_vocab().values()) == list(range(len(trained)))
    for text in TEXTS[:4]:
        assert trained.unk_token_id not in trained.encode(text)
    assert trained.tokenize("lowest") in (["lowest"], ["low", "##est"], ["lo", "##west"])
    assert trained.encode("low [MASK]")[0] == trained.cls_token_id and trained.mask_token_id in trained.encode("[MASK]")
    assert len(trained.tokenize("renewed widest")) < len("renewedwidest")
    assert len(fast) > 200  # the tokeniser that trained is as before


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[2])
from bothways.tokenizers import BertTokenizerFast
from test_tokenizer_training import TEXTS
trained = BertTokenizerFast(sys.argv[1]).train_new_from_iterator(TEXTS, vocab_size=150)
print(list(trained.get_vocab().items()))
"""


def test_same_texts_same_vocabulary(fast, vocab_file, request):
    here = list(fast.train_new_from_iterator(TEXTS, vocab_size=150).get_vocab().items())
    assert list(fast.train_new_from_iterator(TEXTS[::-1], vocab_size=150).get_vocab().items()) == here
    command = [sys.executable, "-c", PROGRAM, str(vocab_file), str(request.path.parent)]
    for _ in range(2):  # each process has its own hash seeds
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        assert done.stdout.strip() == str(here)


def test_trained_tokeniser_is_saved_and_loaded(fast, tmp_path, transformers):
    trained = fast.train_new_from_iterator(TEXTS, vocab_size=120, new_special_tokens=["<x>"])
    trained.save_pretrained(tmp_path)
    expected = trained(["renew <x> the [MASK]"])["input_ids"]
    assert "<x>" in trained.additional_special_tokens
    assert AutoTokenizer.from_pretrained(tmp_path)(["renew <x> the [MASK]"])["input_ids"] == expected
    assert transformers.AutoTokenizer.from_pretrained(str(tmp_path))(["renew <x> the [MASK]"])["input_ids"] == expected


def test_renamed_special_tokens(fast):
    trained = fast.train_new_from_iterator(TEXTS, 120, special_tokens_map={"[MASK]": "<mask>", "[CLS]": "<s>"})
    assert (trained.mask_token, trained.cls_token) == ("<mask>", "<s>")
    assert trained.tokenize("low <mask>", add_special_tokens=True)[0] == "<s>"
    assert "[MASK]" not in trained.get_vocab()


def test_limits(fast):
    with pytest.raises(TokenizerError, match="vocab_size is 20, but 5 special tokens"):
        fast.train_new_from_iterator(TEXTS, 20)
    with pytest.raises(TokenizerError, match="no word"):
        fast.train_new_from_iterator(["", "  "], 100)
    with pytest.raises(TokenizerError, match="not int"):
        fast.train_new_from_iterator([[1]], 100)
    with pytest.raises(TokenizerError, match="unknown training options \\['speed'\\]"):
        fast.train_new_from_iterator(TEXTS, 100, speed=1)
    trained = fast.train_new_from_iterator(TEXTS, 100, limit_alphabet=10)
    assert trained.unk_token in trained.tokenize("straße")
    assert len(fast.train_new_from_iterator(TEXTS, 500, min_frequency=1000)) < 70


def test_other_models_are_refused():
    from tokenizers import Tokenizer, models

    engine = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    with pytest.raises(TokenizerError, match="kinds WordPiece, BPE, Unigram can be trained; this tokeniser has WordL"):
        PreTrainedTokenizerFast(tokenizer_object=engine).train_new_from_iterator(["a b"], 10)
