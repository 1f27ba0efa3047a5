"""Fill-mask against the reference pipeline, with all its traps."""

from __future__ import annotations

import logging

import pytest

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


def test_targets_outside_the_vocabulary(both, caplog):
    theirs, ours = both
    with caplog.at_level(logging.WARNING, logger="bothways"):
        got = ours(ONE, targets=["cats", "dog", "  "])
    same(theirs(ONE, targets=["cats", "dog", "  "]), got)
    assert [row["token_str"] for row in got] in (["cat", "dog"], ["dog", "cat"])
    assert "'cats' is not one token of the vocabulary; its first piece 'cat'" in caplog.text
    assert "left out" in caplog.text
    same(theirs(ONE, targets="dog"), ours(ONE, targets="dog"))
    for nothing in ([], [""]):
        with pytest.raises(ValueError, match="at least one target"):
            ours(ONE, targets=nothing)


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
