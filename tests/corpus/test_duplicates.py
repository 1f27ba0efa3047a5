"""Likeness of documents from signatures, against the definition; and what is dropped, against all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.corpus import duplicates
from bothways.corpus.duplicates import exact_duplicates, near_duplicates
from bothways.corpus.minhash import BANDS, BINS, EMPTY, ROWS, band_keys, signature, similarity


def shingles(tokens):
    return {tuple(tokens[i : i + 5]) for i in range(max(len(tokens) - 4, 1))}


def jaccard(one, other):
    a, b = shingles(one.tolist()), shingles(other.tolist())
    return len(a & b) / len(a | b)


def changed(rng, tokens, share):
    other = tokens.copy()
    places = rng.choice(len(tokens), int(len(tokens) * share), replace=False)
    other[places] = rng.integers(0, 30_000, len(places))
    return other


@pytest.mark.parametrize("length", [40, 400, 8_000])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.3])
def test_signatures_estimate_the_jaccard_similarity(length, share):
    """Standard deviation sqrt(J (1 - J) / 256) <= 0.031; the mean of 40 is within four of its own deviations."""
    rng = np.random.default_rng(length)
    errors = []
    for _ in range(40):
        one = rng.integers(0, 30_000, length)
        other = changed(rng, one, share)
        estimate = similarity(signature(one), signature(other)[None])[0]
        errors.append(estimate - jaccard(one, other))
    assert abs(np.mean(errors)) < 4 * 0.032 / 40**0.5
    assert np.abs(errors).max() < 0.13


def test_signatures_are_the_same_everywhere():
    """They lie on the disk between two runs of a command, perhaps of two versions of NumPy."""
    found = signature(np.arange(300, dtype=np.uint16))
    assert found.dtype == np.uint16 and found.shape == (BINS,)
    assert found[:6].tolist() == [22804, EMPTY, 1117, 14430, EMPTY, 30490]
    assert band_keys(found[None])[0, :3].tolist() == [1598164647, 1450284812, 3452620553]
    assert (found == signature(np.arange(300, dtype=np.int64))).all()
    assert (found == signature(np.tile(np.arange(300), 2))[None]).mean() > 0.9  # sets: repetition adds little


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_short_documents_are_alike_only_if_they_are_equal(one, other):
    a, b = signature(np.array(one)), signature(np.array(other))
    assert (a != EMPTY).sum() == 1
    assert similarity(a, b[None])[0] == (one == other)
    keys = band_keys(np.stack([a, b]))
    assert bool((keys[0] == keys[1]).any()) == (one == other)


def test_likeness_shows_in_a_key():
    """Probability 1 - (1 - s**8)**32: 0.997 at 0.8, 0.12 at 0.5, 0.0001 at 0.2."""
    rng = np.random.default_rng(1)
    shared = {}
    for likeness in (0.8, 0.5, 0.2):
        one = rng.integers(0, EMPTY, (400, BINS)).astype(np.uint16)
        other = np.where(rng.random((400, BINS)) < likeness, one, one ^ 1).astype(np.uint16)
        shared[likeness] = (band_keys(one) == band_keys(other)).any(axis=1).mean()
    assert BANDS * ROWS == BINS
    assert shared[0.8] > 0.98 and 0.06 < shared[0.5] < 0.19 and shared[0.2] < 0.01


def test_empty_bins_do_not_make_documents_alike():
    rng = np.random.default_rng(2)
    rows = np.stack([signature(rng.integers(0, 30_000, 20)) for _ in range(300)])
    assert (rows == EMPTY).mean() > 0.9
    keys = band_keys(rows)
    # two documents agree by chance where the next full bin and its number (16 bits) are the same, then in several bands
    shared = sum(len(keys) - len(np.unique(keys[:, band])) for band in range(BANDS))
    assert shared < 20


@given(st.lists(st.sampled_from([b"a" * 16, b"b" * 16, b"a" * 15 + b"b", b"b" + b"a" * 15]), max_size=12))
def test_exact_duplicates_are_all_but_the_first(rows):
    digests = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 16)
    assert exact_duplicates(digests).tolist() == [row in rows[:i] for i, row in enumerate(rows)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40))
def test_near_duplicates_are_those_of_all_pairs(seed, count):
    """A document goes if it is like an earlier one that stays; pairs without a common key are not compared."""
    rng = np.random.default_rng(seed)
    roots = [rng.integers(0, 30_000, 200) for _ in range(4)]
    rows = np.stack([signature(changed(rng, roots[rng.integers(4)], rng.random() * 0.06)) for _ in range(count)])
    keys = band_keys(rows)
    distinct = rng.random(count) < 0.9
    expected = np.zeros(count, bool)
    for j in range(count):
        for i in range(j):
            alike = similarity(rows[i], rows[j][None])[0] >= 0.8 and (keys[i] == keys[j]).any()
            if alike and distinct[i] and distinct[j] and not expected[i]:
                expected[j] = True
    asked = []

    def signatures_of(which):
        asked.append(which.tolist())
        return rows[which]

    assert near_duplicates(keys, distinct, signatures_of).tolist() == expected.tolist()
    assert len(asked) <= 1 and all(numbers == sorted(set(numbers)) for numbers in asked)


def test_work_stays_bounded_where_everything_is_half_alike(monkeypatch):
    rng = np.random.default_rng(0)
    root = rng.integers(0, EMPTY, BINS).astype(np.uint16)
    rows = np.where(np.arange(BINS) < BINS // 2, root, rng.integers(0, EMPTY, (300, BINS))).astype(np.uint16)
    compared = []
    real = duplicates.similarity
    monkeypatch.setattr(duplicates, "similarity", lambda one, others: compared.append(len(others)) or real(one, others))
    assert not near_duplicates(band_keys(rows), np.ones(300, bool), lambda which: rows[which]).any()
    assert max(compared) == duplicates.MOST_COMPARED and len(compared) == 299
