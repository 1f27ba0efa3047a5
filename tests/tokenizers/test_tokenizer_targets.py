"""Texts to write: ``text_target``, ``as_target_tokenizer``, languages, from several threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tokenizer_kinds import build
from writing_kinds import WRITING, build_writing

from bothways.errors import TokenizerError

TEXT, OTHER = "the boat and the sea", "Abend Brief"


@pytest.mark.parametrize("kind", WRITING)
def test_targets_in_every_form(kind):
    tokenizer = build_writing(kind)
    sources = tokenizer(TEXT)["input_ids"]
    both = tokenizer(TEXT, text_target=OTHER, text_pair_target="the")
    assert both["input_ids"] == sources and list(both) == ["input_ids", "attention_mask", "labels"]
    assert both["labels"] == tokenizer(text_target=OTHER, text_pair_target="the")["input_ids"]
    labels = tokenizer(text_target=OTHER)["input_ids"]
    with tokenizer.as_target_tokenizer():
        assert tokenizer(OTHER)["input_ids"] == labels
        assert tokenizer(text_target=OTHER)["input_ids"] == labels
        assert tokenizer(OTHER)["input_ids"] == labels  # still
    assert tokenizer(TEXT)["input_ids"] == sources
    assert (tokenizer(OTHER)["input_ids"] != labels) is (kind in ("mbart", "mbart50", "marian"))
    tokenizer._switch_to_target_mode()
    assert tokenizer.encode(OTHER) == labels
    tokenizer._switch_to_input_mode()
    assert tokenizer.encode(TEXT) == sources


@pytest.mark.parametrize("kind", ["t5", "mbart", "marian", "bart"])
def test_prepare_seq2seq_batch(transformers, kind):
    tokenizer = build_writing(kind, model_max_length=9)
    batch = tokenizer.prepare_seq2seq_batch([TEXT, "a"], tgt_texts=[OTHER, OTHER * 9], max_target_length=5,
                                            return_tensors="np")  # fmt: skip
    assert batch["input_ids"].shape[0] == 2 and batch["input_ids"].shape[1] <= 9 and batch["labels"].shape == (2, 5)
    assert "labels" not in tokenizer.prepare_seq2seq_batch([TEXT])
    if kind == "mbart":
        again = tokenizer.prepare_seq2seq_batch([TEXT], "fr_XX", [OTHER], "cs_CZ")
        codes = tokenizer.lang_code_to_id
        assert (again["input_ids"][0][-1], again["labels"][0][-1]) == (codes["fr_XX"], codes["cs_CZ"])


def test_an_error_in_a_call_leaves_the_sources_mode():
    tokenizer = build_writing("mbart50")
    before = tokenizer(TEXT)["input_ids"]
    with pytest.raises(TokenizerError, match="input 0 is 5"):
        tokenizer(TEXT, text_target=[5])
    assert tokenizer.encode(TEXT) == before
    with pytest.raises(ZeroDivisionError), tokenizer.as_target_tokenizer():
        raise ZeroDivisionError
    assert tokenizer.encode(TEXT) == before


def test_languages():
    tokenizer = build_writing("mbart")
    tokenizer.src_lang = "fr_XX"
    code = tokenizer.lang_code_to_id["fr_XX"]
    assert tokenizer(TEXT)["input_ids"][-2:] == [2, code] and tokenizer.suffix_tokens == [2, code]
    for name, value, message in (
        ("src_lang", "fr_FR", r"unknown src_lang 'fr_FR'. Did you mean 'fr_XX'\? Known: ar_AR, cs_CZ"),
        ("src_lang", 5, "unknown src_lang 5"),
    ):
        with pytest.raises(TokenizerError, match=message):
            setattr(tokenizer, name, value)
    assert tokenizer.src_lang == "fr_XX"
    tokenizer.tgt_lang = None
    with pytest.raises(TokenizerError, match="tgt_lang is not set.*Set tokenizer.tgt_lang = 'ro_RO'"):
        tokenizer(TEXT, text_target=OTHER)
    assert tokenizer(TEXT)["input_ids"][-1] == code
    with pytest.raises(TokenizerError, match="unknown tgt_lang 'xx'"):
        build_writing("mbart50").__class__(WRITING["mbart50"][1]["vocab_file"], tgt_lang="xx")
    tokenizer.add_special_tokens({"additional_special_tokens": ["eo_XX"]}, replace_additional_special_tokens=False)
    tokenizer.tgt_lang = "eo_XX"  # a language of one's own
    assert tokenizer(text_target=OTHER)["input_ids"][-1] == tokenizer.convert_tokens_to_ids("eo_XX")
    inputs = tokenizer._build_translation_inputs([TEXT], return_tensors="np", src_lang="de_DE", tgt_lang="ro_RO")
    assert inputs["forced_bos_token_id"] == tokenizer.lang_code_to_id["ro_RO"] and tokenizer.src_lang == "de_DE"
    with pytest.raises(TokenizerError, match="src_lang is 'de_DE' and tgt_lang is None"):
        tokenizer._build_translation_inputs([TEXT], return_tensors=None, src_lang="de_DE", tgt_lang=None)


@pytest.mark.parametrize("kind", ["mbart", "mbart50", "marian", "t5"])
def test_threads_do_not_disturb_each_other(kind):
    tokenizer = build_writing(kind)
    expected = [tokenizer(TEXT)["input_ids"], tokenizer(text_target=OTHER)["input_ids"]]

    def work(number):
        if number % 2:
            return tokenizer(text_target=OTHER)["input_ids"] == expected[1]
        return tokenizer(TEXT)["input_ids"] == expected[0]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))


def test_tokenisers_that_only_read_have_targets_too():
    tokenizer = build("wordpiece")
    assert tokenizer("the cat", text_target="the mat")["labels"] == tokenizer("the mat")["input_ids"]
    with pytest.raises(TokenizerError, match="Bothways executes none"):
        tokenizer.apply_chat_template([])
