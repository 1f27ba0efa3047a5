"""Similarity and search in memory against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.tasks import similarity
from bothways.tasks.similarity import cos_sim, semantic_search


def test_cosine():
    got = cos_sim([[1, 0], [1, 1], [0, 0]], [0, 2])
    np.testing.assert_allclose(got, [[0], [0.5**0.5], [0]], atol=1e-6)
    with pytest.raises(InputError, match="a has vectors of 2 numbers, b of 3"):
        cos_sim([1, 0], [1, 0, 0])
    with pytest.raises(InputError, match=r"b has the shape \(1, 1, 1\)"):
        cos_sim([1.0], [[[1.0]]])
    with pytest.raises(InputError, match="a is no table of numbers; expected vectors"):
        cos_sim("word", [1.0])
    with pytest.raises(InputError, match="b has the shape|b is no table"):
        cos_sim([1.0], [[1.0], [1.0, 2.0]])
    with pytest.raises(InputError, match="not finite in 1 rows"):
        cos_sim([1.0], [[1.0], [float("nan")]])


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 15))
def test_search_is_sorting_all_scores(seed, count, top_k):
    generator = np.random.default_rng(seed)
    corpus = generator.integers(-2, 3, (count, 3))  # small whole numbers: many ties
    queries = generator.integers(-2, 3, (4, 3))
    found = semantic_search(queries, corpus, top_k)
    for row, scores in zip(found, cos_sim(queries, corpus), strict=True):
        expected = np.argsort(-scores, kind="stable")[:top_k]
        assert [match["corpus_id"] for match in row] == expected.tolist()
        assert [match["score"] for match in row] == scores[expected].tolist()


def test_blocks_do_not_change_the_result(monkeypatch):
    generator = np.random.default_rng(0)
    queries, corpus = generator.normal(size=(9, 5)), generator.normal(size=(20, 5))
    whole = semantic_search(queries, corpus, 3)
    monkeypatch.setattr(similarity, "BLOCK_ELEMENTS", 40)
    again = semantic_search(queries, corpus, 3)
    assert [[m["corpus_id"] for m in row] for row in again] == [[m["corpus_id"] for m in row] for row in whole]
    with pytest.raises(InputError, match="top_k is 0"):
        semantic_search(queries, corpus, 0)
    with pytest.raises(InputError, match="queries has vectors of 3 numbers, corpus of 5: they are not from the same"):
        semantic_search(queries[:, :3], corpus)
    assert semantic_search(queries, np.zeros((0, 5)), 3) == [[]] * 9
