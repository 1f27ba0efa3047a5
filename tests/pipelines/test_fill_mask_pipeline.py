"""Fill-mask against the reference pipeline, with all its traps."""

from __future__ import annotations

import logging
import math

import pytest
import torch

from bothways import pipeline
from bothways.errors import InputError, PipelineException
from tests.pipelines.conftest import VOCAB, same

HEAD = "BertForMaskedLM"
ONE = "the [MASK] sat on the mat."
TWO = "the [MASK] sat on [MASK] mat."


@pytest.fixture(scope="module")
def both(models):
    return models.pair("fill-mask", HEAD)


@pytest.mark.parametrize(
    "inputs", [ONE, TWO, [ONE], [TWO], [ONE, TWO], [ONE, ONE, TWO], "[MASK]", "[MASK][MASK][MASK]"], ids=str
)
@pytest.mark.parametrize("options", [{}, {"top_k": 1}, {"top_k": 3}], ids=str)
def test_forms(both, inputs, options):
    theirs, ours = both
    same(theirs(inputs, **options), ours(inputs, **options))


def test_top_k_and_targets_at_construction(models):
    theirs, ours = models.pair("fill-mask", HEAD, top_k=2, targets=["cat", "dog", "cat", "mat"])
    for inputs in (ONE, TWO, [ONE, TWO]):
        same(theirs(inputs), ours(inputs))
        same(theirs(inputs, top_k=7), ours(inputs, top_k=7))


@pytest.mark.parametrize("inputs", [ONE, TWO, [ONE, TWO]], ids=str)
def test_first_pieces_as_in_the_reference(both, inputs, caplog):
    theirs, ours = both
    targets = ["cats", "dog", "  ", "cat", "Dog", "unknownword", "dog"]
    with caplog.at_level(logging.WARNING, logger="bothways"):
        got = ours(inputs, targets=targets, compat="v4")
    same(theirs(inputs, targets=targets), got)
    assert "'cats' is not one token of the vocabulary; its first piece 'cat'" in caplog.text
    assert "'  ' has no token in the vocabulary and is left out" in caplog.text
    for nothing in ([], [""]):
        with pytest.raises(ValueError, match="at least one target"):
            ours(ONE, targets=nothing, compat="v4")


def whole_word_scores(models, text: str, place: int, words: dict[str, list[str]]) -> dict[str, float]:
    """By definition, with the reference model: masks for all pieces in the place of one, product of probabilities."""
    import transformers

    path = models.directory(HEAD)
    tokenizer = transformers.BertTokenizerFast.from_pretrained(path)
    model = transformers.BertForMaskedLM.from_pretrained(path).eval()
    parts = text.split("[MASK]")
    scores = {}
    for word, pieces in words.items():
        before, after = "[MASK]".join(parts[: place + 1]), "[MASK]".join(parts[place + 1 :])
        encoded = tokenizer(before + "[MASK] " * len(pieces) + after, return_tensors="pt")
        masks = (encoded["input_ids"][0] == tokenizer.mask_token_id).nonzero().flatten()[place : place + len(pieces)]
        with torch.no_grad():
            probabilities = model(**encoded).logits[0, masks].softmax(-1)
        ids = tokenizer.convert_tokens_to_ids(pieces)
        scores[word] = math.prod(probabilities[range(len(ids)), ids].tolist())
    return scores


WHOLE = {"cats": ["cat", "##s"], "dog": ["dog"], "trees": ["tree", "##s"], "sateding": ["sat", "##ed", "##ing"]}


@pytest.mark.parametrize("text", [ONE, TWO], ids=str)
def test_words_of_several_pieces_are_scored_as_a_whole(models, both, text):
    _, ours = both
    answers = ours(text, targets=["dog", "Cats", *WHOLE, "trees"], top_k=10)
    for place, rows in enumerate([answers] if text is ONE else answers):
        expected = whole_word_scores(models, text, place, WHOLE)
        assert {row["token_str"]: row["score"] for row in rows} == pytest.approx(expected, abs=1e-6, rel=1e-4)
        assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
        for row in rows:
            ids = ours.tokenizer.convert_tokens_to_ids(WHOLE[row["token_str"]])
            assert row["token"] == (ids if len(ids) > 1 else ids[0])
            filled = text.split("[MASK]")
            filled = "[MASK]".join(filled[: place + 1]) + row["token_str"] + "[MASK]".join(filled[place + 1 :])
            assert row["sequence"].replace("[CLS] ", "").replace(" [SEP]", "") == filled
    same(ours(ONE, targets=list(WHOLE))[:2], ours(ONE, targets=list(WHOLE), top_k=2))


def test_targets_of_one_piece_need_no_further_rows(both):
    theirs, ours = both
    before = ours.runner.computed_sequences
    same(theirs(TWO, targets="dog"), ours(TWO, targets="dog"))
    same(theirs(TWO, targets=["DOG"]), ours(TWO, targets=["DOG"]))
    assert ours.runner.computed_sequences - before == 2
    ours([TWO, TWO], targets=["dog", "cats", "trees", "bad"])
    assert ours.runner.computed_sequences - before == 2 + 3  # one for single pieces, one for two pieces at each mask


def test_whole_words_in_a_text_as_long_as_the_model_reads(both):
    _, ours = both
    for words in range(33, 60):
        text = "the [MASK] " + "saw " * words + "[MASK] ran"
        answers = ours(text, targets=["sateding", "dog"])
        assert [sorted(row["token_str"] for row in rows) for rows in answers] == [["dog", "sateding"]] * 2
        assert all(len(row["sequence"].split()) == words + 6 for rows in answers for row in rows)
    cut = ours(text, targets=["sateding"], tokenizer_kwargs={"truncation": True, "max_length": 40})
    assert len(cut[0]["sequence"].split()) == 38 - 2  # the first mask alone is left, two more tokens stand for it


def test_targets_without_a_token(both):
    _, ours = both
    with pytest.raises(InputError, match=r"2 of 4 targets have no token in the vocabulary: 'zzz', '  '\. Leave"):
        ours(ONE, targets=["cat", "zzz", "cats", "  "])
    with pytest.raises(InputError, match="at least one target is needed"):
        ours(ONE, targets=[])
    with pytest.raises(InputError, match=r"targets must be words, got 3 \(int\)"):
        ours(ONE, targets=["cat", 3])
    with pytest.raises(InputError, match=r"targets is 5 \(int\); expected a word or a list of words"):
        ours(ONE, targets=5)
    with pytest.raises(InputError, match=r"the target 'a.ud800' has a lone surrogate"):
        ours(ONE, targets="a\ud800")
    with pytest.raises(InputError, match="compat is 'v3'"):
        ours(ONE, targets=["cat"], compat="v3")
    with pytest.raises(InputError, match="a target has 44 pieces, which leaves no room for a text within 40 tokens"):
        ours(ONE, targets=["cat" + "s" * 43])


def test_more_than_the_vocabulary(both):
    theirs, ours = both
    same(theirs(ONE, top_k=len(VOCAB)), ours(ONE, top_k=10**6))
    assert sum(row["score"] for row in ours(ONE, top_k=10**6)) == pytest.approx(1)


def test_streams(both):
    theirs, ours = both
    texts = [ONE, TWO, ONE]
    same(list(theirs(text for text in texts)), list(ours(text for text in texts)))


@pytest.mark.parametrize("kwargs", [{"truncation": True, "max_length": 6}, {"padding": "max_length", "max_length": 30}])
def test_tokenizer_kwargs(both, kwargs):
    theirs, ours = both
    same(theirs(ONE, tokenizer_kwargs=kwargs), ours(ONE, tokenizer_kwargs=kwargs))


def test_masks_anywhere_in_a_long_text(both):
    _, ours = both
    text = "the [MASK] " + "saw a cat and " * 20 + "[MASK] " + "ran " * 30 + "under the [MASK]"
    answers = ours(text)
    assert len(answers) == 3
    for mask, rows in enumerate(answers):
        assert len(rows) == 5
        sequence = rows[0]["sequence"].split()
        assert sequence.count("[MASK]") == 2
        expected = text.split()
        at = [i for i, word in enumerate(expected) if word == "[MASK]"][mask]
        expected[at] = rows[0]["token_str"]
        assert sequence == ["[CLS]", *expected, "[SEP]"]


def test_only_masks_reach_the_vocabulary(both, monkeypatch):
    _, ours = both
    seen = []
    decoder = ours.model.get_output_embeddings()
    hook = decoder.register_forward_hook(lambda _module, inputs, _output: seen.append(len(inputs[0])))
    ours([ONE, TWO, ONE])
    hook.remove()
    assert sum(seen) == 3  # one mask, two masks, and the repeated text not again


@pytest.mark.parametrize(
    ("inputs", "options", "error", "message"),
    [
        ("no gap", {}, PipelineException, r"input 0 has no mask token \(\[MASK\]\)\. Put"),
        ([ONE, "no gap"], {}, PipelineException, "input 1 has no mask"),
        ("cat " * 9 + ONE, {"tokenizer_kwargs": {"truncation": True, "max_length": 8}}, PipelineException, "truncat"),
        ([ONE, 3], {}, InputError, r"input 1 is 3 \(int\)"),
        (ONE, {"top_k": 0}, InputError, "top_k is 0"),
        (ONE, {"target": "cat"}, TypeError, "Did you mean 'targets'"),
    ],
)
def test_errors(both, inputs, options, error, message):
    _, ours = both
    with pytest.raises(error, match=message):
        ours(inputs, **options)


def test_pretraining_weights_will_do(models):
    theirs, ours = models.pair("fill-mask", "BertForPreTraining")
    same(theirs(ONE), ours(ONE))


def test_tokeniser_without_a_mask(models):
    directory = models.directory(HEAD)
    ours = pipeline("fill-mask", directory)
    ours.tokenizer.mask_token = None
    with pytest.raises(PipelineException, match="mask_token"):
        type(ours)(ours.model, ours.tokenizer)
