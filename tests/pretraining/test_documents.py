"""Documents beside each other: any choice of them reads as the corpus does, and some are held out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.corpus import open_shards
from bothways.pretraining import documents
from bothways.pretraining.documents import documents_of, held_out
from tests.pretraining.small import language, shards, tokens_of, wordpiece


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=15),
    mask=st.lists(st.booleans(), min_size=15, max_size=15),
)
def test_any_choice_reads_the_same_tokens_and_sentences(lengths, mask):
    corpus = tokens_of(lengths)
    chosen = np.flatnonzero(mask[: len(lengths)])
    found = documents_of(corpus, chosen)
    assert len(found) == len(chosen) and found.n_tokens == sum(lengths[i] for i in chosen)
    sentences = []
    for number, i in enumerate(chosen):
        start, stop = found.starts[number], found.starts[number + 1]
        begin, end = corpus.document_starts[i : i + 2]
        np.testing.assert_array_equal(found.read(start, stop), corpus.ids[begin:end])
        if stop - start > 2:
            np.testing.assert_array_equal(found.read(start + 1, stop - 1), corpus.ids[begin + 1 : end - 1])
        inside = (corpus.sentence_starts >= begin) & (corpus.sentence_starts < end)
        sentences += (corpus.sentence_starts[inside] - begin + start).tolist()
    assert found.sentence_starts.tolist() == sentences


def test_a_corpus_of_files_is_read_alike(tmp_path):
    texts = language(30)
    tokenizer = wordpiece(tmp_path / "tokenizer")
    corpus = open_shards(shards(tmp_path, texts, tokenizer))
    train, held = held_out(corpus, 3)
    found = [
        part.read(start, stop).tolist()
        for part in (train, held)
        for start, stop in zip(part.starts, part.starts[1:], strict=False)
    ]
    assert sorted(found) == sorted(tokenizer(texts, add_special_tokens=False)["input_ids"])


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=80), seed=st.integers(0, 5))
def test_what_is_held_out_is_apart_and_the_same_each_time(lengths, seed):
    corpus = tokens_of(lengths)
    train, held = held_out(corpus, seed)
    if len(lengths) < 4:
        assert held is None and len(train) == len(lengths)
        return
    assert 2 <= len(held) <= len(lengths) // 2 and len(train) + len(held) == len(lengths)
    places = [set((part.starts[:-1] + part.shifts).tolist()) for part in (train, held)]
    assert not places[0] & places[1] and places[0] | places[1] == set(corpus.document_starts[:-1].tolist())
    again = held_out(corpus, seed)[1]
    assert again.starts.tolist() == held.starts.tolist() and again.shifts.tolist() == held.shifts.tolist()
    assert len(held) == 2 or held.n_tokens <= 0.02 * sum(lengths)


def test_one_per_cent_is_held_out_and_a_number_of_tokens_at_most(monkeypatch):
    assert documents.HELD_OUT_TOKENS == 100_000
    train, held = held_out(tokens_of([50] * 2000), 0)
    assert held.n_tokens == 1000 and len(train) == 1980
    monkeypatch.setattr(documents, "HELD_OUT_TOKENS", 500)
    large = tokens_of([50] * 2_000)
    assert held_out(large, 0)[1].n_tokens == 500
    assert held_out(large, 0)[1].shifts.tolist() != held_out(large, 1)[1].shifts.tolist()


@pytest.mark.parametrize("seed", range(6))
def test_a_document_that_is_most_of_the_corpus_is_trained_on(seed):
    train, held = held_out(tokens_of([10, 10_000, 12, 11]), seed)
    assert len(held) == 2 and held.n_tokens <= 23 and train.n_tokens >= 10_010
