"""Pairs as ids: prefix, end token, limits and what was cut."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from bothways import PreTrainedTokenizerFast
from bothways.errors import InputError
from bothways.tasks.text_pairs import encode_pairs, source_ids, target_ids, task_prefix, translation_prefix

WORDS = ["<pad>", "</s>", "<unk>", "a", "b", "c", "sum", ":"]


def tokenizer(template: str | None = "$A </s>", **names):
    engine = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    engine.pre_tokenizer = pre_tokenizers.Whitespace()
    if template:
        engine.post_processor = processors.TemplateProcessing(single=template, special_tokens=[("</s>", 1)])
    names = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"} | names
    return PreTrainedTokenizerFast(tokenizer_object=engine, **names)


def test_sources_have_the_prefix_and_targets_the_end():
    found = encode_pairs(tokenizer(), ["a b", "c"], ["b", "c a"], prefix="sum: ")
    assert [row.tolist() for row in found.input_ids] == [[6, 7, 3, 4, 1], [6, 7, 5, 1]]
    assert [row.tolist() for row in found.labels] == [[4, 1], [5, 3, 1]]
    assert found.n_source_tokens.tolist() == [5, 4] and found.n_target_tokens.tolist() == [2, 3]
    assert not found.source_cut.any() and not found.target_cut.any()
    assert (found.input_ids[0].dtype, found.labels[0].dtype, len(found)) == ("int32", "int64", 2)


def test_what_is_cut_is_counted_and_keeps_its_end():
    found = encode_pairs(tokenizer(), ["a b c a", "a"], ["c b a", "c"], max_source=3, max_target=3)
    assert [row.tolist() for row in found.input_ids] == [[3, 4, 1], [3, 1]]
    assert [row.tolist() for row in found.labels] == [[5, 4, 1], [5, 1]]
    assert found.source_cut.tolist() == [True, False] and found.target_cut.tolist() == [True, False]
    assert found.n_source_tokens.tolist() == [5, 2] and found.n_target_tokens.tolist() == [4, 2]
    with pytest.raises(InputError, match="max_target is 1; expected 2"):
        encode_pairs(tokenizer(), ["a"], ["b"], max_target=1)


def test_a_tokeniser_that_adds_no_end_gets_one():
    assert target_ids(tokenizer(template=None), ["a b", ""]) == [[3, 4, 1], [1]]
    assert source_ids(tokenizer(template=None), ["a b"]) == [[3, 4]]
    with pytest.raises(InputError, match="no end token"):
        target_ids(tokenizer(template=None, eos_token=None), ["a"])


def test_unequal_numbers_and_none():
    with pytest.raises(InputError, match="2 sources for 1 targets"):
        encode_pairs(tokenizer(), ["a", "b"], ["a"])
    assert len(encode_pairs(tokenizer(), [], [])) == 0


def test_prefixes():
    params = {"summarization": {"prefix": "summarize: "}, "translation_en_to_de": {"prefix": "translate: "}, "x": 3}
    config = SimpleNamespace(task_specific_params=params)
    assert task_prefix(config, "summarization") == "summarize: "
    assert task_prefix(config, "translation_en_to_fr") == task_prefix(config, "x") == ""
    assert task_prefix(SimpleNamespace(), "summarization") == ""
    assert task_prefix(SimpleNamespace(task_specific_params=None), "summarization") == ""
    assert translation_prefix("en", "de") == "translate English to German: "
    assert translation_prefix("en_XX", "ro-RO") == "translate English to Romanian: "
    assert translation_prefix("en", "source") == ""
