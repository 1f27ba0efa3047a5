"""Pairs of passages from an invented corpus: every sentence used, other documents truly others, lengths as asked."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.objectives import SentencePairs, next_sentence_pairs, sentence_order_pairs
from tests.objectives.statistics import evenly, share_is

Corpus = list[list[int]]
"""The lengths of the sentences of each document."""


def invented(n_documents: int, seed: int = 0, longest: int = 40) -> Corpus:
    rng = np.random.default_rng(seed)
    return [rng.integers(1, longest, rng.integers(1, 60)).tolist() for _ in range(n_documents)]


def starts(corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """document_starts and sentence_starts."""
    documents = np.cumsum([0] + [sum(lengths) for lengths in corpus])
    ends = np.cumsum([length for lengths in corpus for length in lengths])
    return documents, np.concatenate(([0], ends[:-1]))[: len(ends)].astype(np.int64)


def pairs_of(corpus: Corpus, seed: int = 1, kind=next_sentence_pairs, **asked) -> SentencePairs:
    return kind(*starts(corpus), rng=np.random.default_rng(seed), **{"max_tokens": 125, **asked})


def coverage(pairs: SentencePairs, n_tokens: int, *, with_random: bool = False) -> np.ndarray:
    """How often each token is in an A, or in a B that follows."""
    counts = np.zeros(n_tokens + 1, dtype=np.int64)
    own = np.ones(len(pairs), dtype=bool) if with_random else pairs.labels == 0
    for begin, stop in ((pairs.a_start, pairs.a_stop), (pairs.b_start[own], pairs.b_stop[own])):
        np.add.at(counts, begin, 1)
        np.add.at(counts, stop, -1)
    return counts.cumsum()[:-1]


corpora = st.lists(st.lists(st.integers(1, 30), min_size=0, max_size=12), min_size=2, max_size=8)


@settings(max_examples=60, deadline=None)
@given(corpora, st.integers(2, 60), st.integers(0, 999), st.floats(0, 1), st.floats(0, 1))
def test_properties_of_next_sentence_pairs(corpus, most, seed, short, share):
    documents, sentences = starts(corpus)
    if sum(bool(lengths) for lengths in corpus) < 2:
        with pytest.raises(InputError, match="at least 2"):
            pairs_of(corpus, seed, max_tokens=most)
        return
    asked = {"max_tokens": most, "short_share": short, "random_share": share}
    pairs = pairs_of(corpus, seed, **asked)
    a, b = pairs.a_stop - pairs.a_start, pairs.b_stop - pairs.b_start
    assert (a >= 1).all() and (b >= 1).all() and (a + b <= most).all()
    a_in, b_in = (np.searchsorted(documents, begin, "right") for begin in (pairs.a_start, pairs.b_start))
    assert np.array_equal(a_in, np.searchsorted(documents, pairs.a_stop - 1, "right")), "no passage leaves its document"
    assert np.array_equal(b_in, np.searchsorted(documents, pairs.b_stop - 1, "right"))
    follows = pairs.labels == 0
    assert np.array_equal(a_in == b_in, follows), "what does not follow is from another document"
    assert (pairs.a_stop[follows] <= pairs.b_start[follows]).all()
    assert (np.diff(pairs.a_start) > 0).all() and coverage(pairs, documents[-1]).max(initial=0) <= 1
    assert all(array.dtype == np.int64 for array in vars(pairs).values())
    again = pairs_of(corpus, seed, **asked)
    assert all(np.array_equal(vars(pairs)[name], vars(again)[name]) for name in vars(pairs))


@settings(max_examples=60, deadline=None)
@given(corpora, st.integers(2, 60), st.integers(0, 999), st.floats(0, 1))
def test_properties_of_sentence_order_pairs(corpus, most, seed, short):
    documents, _ = starts(corpus)
    pairs = pairs_of(corpus, seed, sentence_order_pairs, max_tokens=most, short_share=short)
    a, b = pairs.a_stop - pairs.a_start, pairs.b_stop - pairs.b_start
    assert (a >= 1).all() and (b >= 1).all() and (a + b <= most).all()
    swapped = pairs.labels == 1
    assert np.array_equal(pairs.a_start > pairs.b_start, swapped)
    first_stop = np.where(swapped, pairs.b_stop, pairs.a_stop)
    assert (first_stop <= np.where(swapped, pairs.a_start, pairs.b_start)).all(), "passages do not overlap"
    places = (np.searchsorted(documents, p, "right") for p in (pairs.a_start, pairs.a_stop - 1, pairs.b_stop - 1))
    first, *others = places
    assert all(np.array_equal(first, other) for other in others), "both passages are of one document"
    assert coverage(pairs, documents[-1], with_random=True).max(initial=0) <= 1
    again = pairs_of(corpus, seed, sentence_order_pairs, max_tokens=most, short_share=short)
    assert np.array_equal(again.a_start, pairs.a_start) and np.array_equal(again.labels, pairs.labels)


def test_every_sentence_is_used_exactly_once():
    """Where nothing is shortened, A and the B that follow cover every token once."""
    corpus = [[1] * n for n in random.Random(3).choices(range(1, 300), k=200)]
    documents, _ = starts(corpus)
    for seed in range(3):
        assert (coverage(pairs_of(corpus, seed, short_share=0.5), documents[-1]) == 1).all()
    pairs = pairs_of(corpus, 1, sentence_order_pairs)
    covered = coverage(pairs, documents[-1], with_random=True)
    lost = np.flatnonzero(covered == 0)
    assert (covered <= 1).all()
    assert np.isin(lost + 1, documents).all(), "only a last token that stands alone is left out"


def test_most_tokens_are_used_where_sentences_are_long():
    corpus = invented(400)
    documents, _ = starts(corpus)
    for kind, with_random in ((next_sentence_pairs, False), (sentence_order_pairs, True)):
        used = (coverage(pairs_of(corpus, 2, kind), documents[-1], with_random=with_random) > 0).mean()
        assert used > 0.85


def test_half_of_the_pairs_are_random_and_from_any_other_document():
    corpus = [[5] * 100 for _ in range(1000)]
    documents, _ = starts(corpus)
    pairs = pairs_of(corpus, short_share=0)
    n = len(pairs)
    # at the end of a document a single sentence may be left, whose B is always random
    alone = (pairs.a_stop == documents[np.searchsorted(documents, pairs.a_start, "right")]) & (pairs.labels == 1)
    assert share_is(int((pairs.labels[~alone] == 1).sum()), n - int(alone.sum()), 0.5) and alone.sum() < 0.06 * n
    wild = pairs.labels == 1
    where = np.searchsorted(documents, pairs.b_start[wild], "right") - 1
    assert evenly(np.bincount(where // 50, minlength=20).tolist())
    places = (pairs.b_start[wild] - documents[where]) // 5
    assert evenly(np.bincount(places // 10, minlength=10).tolist()), "from any sentence of it"


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_any_share_of_random_pairs(share):
    corpus = [[5] * 99 for _ in range(150)]
    documents, _ = starts(corpus)
    pairs = pairs_of(corpus, random_share=share, short_share=0)
    alone = np.isin(pairs.a_stop, documents) & (pairs.labels == 1)
    assert share_is(int(pairs.labels[~alone].sum()), int((~alone).sum()), share)


def test_targets_are_reached_and_some_documents_have_shorter_ones():
    corpus = [[5] * 100 for _ in range(2000)]
    pairs = pairs_of(corpus, max_tokens=100, short_share=0.1)
    documents, _ = starts(corpus)
    length = pairs.a_stop - pairs.a_start + pairs.b_stop - pairs.b_start
    document = np.searchsorted(documents, pairs.a_start, "right")
    first = np.concatenate(([True], np.diff(document) > 0)) & (pairs.labels == 0)  # no document's last, shorter one
    short = length[first] < 100
    # targets of 96 to 100 tokens are reached with 100 as well
    assert share_is(int(short.sum()), int(first.sum()), 0.1 * 94 / 99)
    sizes = np.bincount((length[first][short] - 1) // 5 // 2, minlength=10)[1:9]
    assert evenly(sizes.tolist()), "shorter targets are all equally likely"
    assert not (length[first & (length > 100)]).any()


def test_where_a_passage_ends_is_equally_likely_for_all_sentences():
    corpus = [[10] * 10 for _ in range(6000)]
    pairs = pairs_of(corpus, max_tokens=100, short_share=0, random_share=0)
    counts = np.bincount((pairs.a_stop - pairs.a_start) // 10, minlength=10)
    assert counts[0] == 0 and len(pairs) == 6000 and evenly(counts[1:10].tolist())


def test_long_pairs_lose_tokens_of_the_longer_passage_from_both_ends():
    """60 + 44 tokens, at most 90: the longer one loses 14."""
    corpus = [[60, 44] for _ in range(4000)]
    pairs = pairs_of(corpus, max_tokens=90, short_share=0, random_share=0)
    documents, _ = starts(corpus)
    assert len(pairs) == 4000 and not pairs.labels.any()
    assert set((pairs.a_stop - pairs.a_start).tolist()) == {46}
    assert set((pairs.b_stop - pairs.b_start).tolist()) == {44}
    front = pairs.a_start - documents[:-1]
    assert share_is(int(front.sum()), 14 * len(front), 0.5)
    assert share_is(int((front == 7).sum()), len(front), 3432 / 2**14)


def one_by_one(a: int, b: int, most: int) -> tuple[int, int]:
    """The loop of the published program."""
    while a + b > most:
        if a > b:
            a -= 1
        else:
            b -= 1
    return a, b


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 80), st.integers(1, 80), st.integers(2, 100), st.integers(0, 99))
def test_lengths_after_shortening_are_those_of_the_published_loop(a, b, most, seed):
    from bothways.objectives.sentence_pairs import _shortened

    row = (np.array([v]) for v in (0, a, 1000, 1000 + b))
    a_start, a_stop, b_start, b_stop = _shortened(*row, most, np.random.default_rng(seed))
    assert (int(a_stop[0] - a_start[0]), int(b_stop[0] - b_start[0])) == one_by_one(a, b, most)
    assert 0 <= a_start[0] < a_stop[0] <= a and 1000 <= b_start[0] < b_stop[0] <= 1000 + b


def test_half_of_the_passages_are_swapped():
    corpus = [[5] * 100 for _ in range(300)]
    pairs = pairs_of(corpus, kind=sentence_order_pairs)
    assert share_is(int(pairs.labels.sum()), len(pairs), 0.5)
    assert not ((pairs.a_stop != pairs.b_start) & (pairs.b_stop != pairs.a_start)).any(), "nothing lies between them"


def test_an_order_has_two_sentences_where_there_are_two():
    """10 tokens are reached with the first sentence of each two, and the second is taken all the same."""
    pairs = pairs_of([[10, 4, 10, 4]] * 50, kind=sentence_order_pairs, max_tokens=14, short_share=0)
    assert len(pairs) == 100
    pairs = pairs_of([[10, 4, 10, 4]] * 50, kind=sentence_order_pairs, max_tokens=10, short_share=0)
    assert len(pairs) == 100 and (pairs.a_stop - pairs.a_start + pairs.b_stop - pairs.b_start == 10).all()


def test_a_sentence_alone_is_divided_for_its_order():
    pairs = pairs_of([[10], [1], [7]], kind=sentence_order_pairs)
    assert len(pairs) == 2, "the document of one token is left out"
    cover = coverage(pairs, 18, with_random=True)
    assert cover.tolist() == [1] * 10 + [0] + [1] * 7


def test_sentences_longer_than_the_limit_are_divided():
    """An endless line is read in pieces, instead of losing all but what fits."""
    corpus = [[1000], [3, 1000, 3], [7]]
    documents, _ = starts(corpus)
    used = coverage(pairs_of(corpus, max_tokens=100, random_share=0), documents[-1])
    assert used.mean() > 0.9
    used = coverage(pairs_of(corpus, kind=sentence_order_pairs, max_tokens=100), documents[-1], with_random=True)
    assert used.mean() > 0.9


def test_tables_that_do_not_fit_each_other():
    rng = np.random.default_rng(0)
    for documents, sentences, says in (
        ([0, 10, 20], [0, 5, 12], "1 of 2 documents do not start with a sentence"),
        ([0, 10, 20], [0, 10, 10], "sentence_starts must grow"),
        ([0, 10, 20], [0, 10, 25], "below the number of tokens"),
        ([0, 10, 5], [0, 5], "growing"),
        ([5, 10, 20], [0, 5, 10], "text lies before"),
    ):
        with pytest.raises(InputError, match=says):
            next_sentence_pairs(np.array(documents), np.array(sentences), max_tokens=10, rng=rng)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"max_tokens": 1}, "max_tokens is 1"),
        ({"short_share": 1.5}, "short_share is 1.5"),
        ({"random_share": -0.5}, "random_share is -0.5"),
    ],
)
def test_impossible_settings(wrong, says):
    with pytest.raises(InputError, match=says):
        pairs_of([[5, 5], [5]], **wrong)


def test_one_document_has_no_other():
    with pytest.raises(InputError, match="there are 1 documents with text, .* at least 2"):
        pairs_of([[], [5, 5], []])
    assert len(pairs_of([[], [5, 5], []], kind=sentence_order_pairs)) == 1


def test_no_text_makes_no_pairs():
    none = np.zeros(0, dtype=np.int64)
    pairs = sentence_order_pairs(np.zeros(3, dtype=np.int64), none, max_tokens=10, rng=np.random.default_rng(0))
    assert len(pairs) == 0
