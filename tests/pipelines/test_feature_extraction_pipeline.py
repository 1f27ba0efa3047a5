"""Feature extraction against the reference pipeline."""

from __future__ import annotations

import pytest
import torch

from bothways import pipeline
from bothways.tasks.encoded import encode
from bothways.tasks.windows import best_windows
from tests.pipelines.conftest import TEXTS, same

LONG = "the big dog saw a cat . " * 20


@pytest.fixture(scope="module")
def both(models):
    return models.pair("feature-extraction", "BertModel")


@pytest.mark.parametrize("inputs", [TEXTS[0], TEXTS, TEXTS[:1], ""], ids=["text", "list", "one", "empty"])
def test_forms(both, inputs):
    theirs, ours = both
    same(theirs(inputs), ours(inputs))


def test_tensors(both):
    theirs, ours = both
    expected, got = theirs(TEXTS, return_tensors=True), ours(TEXTS, return_tensors=True)
    for e, g in zip(expected, got, strict=True):
        torch.testing.assert_close(g, e, atol=1e-5, rtol=0)
    assert not got[0].is_inference()
    one = ours(TEXTS[0], return_tensors=True)
    one += 1  # the caller's own copy
    torch.testing.assert_close(ours(TEXTS[0], return_tensors=True), expected[0], atol=1e-5, rtol=0)


def test_tokenizer_options(both):
    theirs, ours = both
    kwargs = {"truncation": True, "max_length": 10}
    same(theirs(LONG, tokenize_kwargs=dict(kwargs)), ours(LONG, tokenize_kwargs=kwargs))
    assert kwargs == {"truncation": True, "max_length": 10}
    same(
        theirs(LONG, truncation=True, tokenize_kwargs={"max_length": 10}),
        ours(LONG, truncation=True, tokenize_kwargs={"max_length": 10}),
    )
    same(
        theirs(TEXTS[0], tokenize_kwargs={"add_special_tokens": False}),
        ours(TEXTS[0], tokenize_kwargs={"add_special_tokens": False}),
    )
    with pytest.raises(ValueError, match="given twice"):
        ours(LONG, truncation=True, tokenize_kwargs={"truncation": True})
    with pytest.raises(ValueError, match="input 0 has no tokens"):
        ours("", tokenize_kwargs={"add_special_tokens": False})


def test_long_texts_have_a_vector_for_every_token(both):
    _, ours = both
    (vectors,) = ours(LONG)
    assert len(vectors) == 142
    encoded = encode(ours.tokenizer, [LONG], max_length=40)
    windows = ours.runner.hidden(encoded.input_ids)
    window, place = best_windows(encoded.windows[0], 142)
    same([windows[w][p].tolist() for w, p in zip(window, place, strict=True)], vectors)
    assert len(set(window.tolist())) == len(windows) == 7


def test_a_task_model_gives_the_vectors_of_its_body(models):
    ours = pipeline("feature-extraction", models.directory("BertForMaskedLM"))
    assert len(ours("the cat")[0][0]) == 24


def test_the_same_alone_and_in_a_batch(both):
    _, ours = both
    same([ours(text) for text in TEXTS], ours(TEXTS))
