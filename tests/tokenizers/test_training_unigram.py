"""A Unigram vocabulary: seeds and expectations by hand, and no worse than the engine's own."""

import itertools
import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from bothways.errors import TokenizerError
from bothways.tokenizers.train_lattice import Lattice
from bothways.tokenizers.train_seeds import Letters, find_seeds, occurrences
from bothways.tokenizers.train_unigram import learn_unigram

COUNTED = st.dictionaries(st.text("abc", min_size=1, max_size=7), st.integers(1, 5), min_size=1, max_size=8)


def segmentations(text, pieces):
    """All ways to write a text, each a list of pieces."""
    if not text:
        return [[]]
    return [
        [piece, *rest]
        for piece in pieces
        if text.startswith(piece)
        for rest in segmentations(text[len(piece) :], pieces)
    ]


@settings(max_examples=60, deadline=None)
@given(words=COUNTED)
def test_seeds_are_the_substrings_that_say_most(words):
    words = dict(sorted(words.items()))
    counts = {}
    for word, times in words.items():
        for i, j in itertools.combinations(range(len(word) + 1), 2):
            counts[word[i:j]] = counts.get(word[i:j], 0) + times
    letters = {piece: counts[piece] for piece in counts if len(piece) == 1}
    longer = {
        piece: times * len(piece)
        for piece, times in counts.items()
        if 1 < len(piece) <= 4
        and times > 1
        and (len(piece) == 4 or not any(counts.get(piece + char) == times for char in "abc"))
    }
    seeds = find_seeds(words, longest=4, most=1000)
    assert dict(zip(seeds.pieces, seeds.weights.tolist(), strict=True)) == {**letters, **longer}
    assert seeds.pieces == sorted(seeds.pieces)
    few = find_seeds(words, longest=4, most=2)
    best = sorted(longer.values(), reverse=True)[:2]
    chosen = [w for p, w in zip(few.pieces, few.weights.tolist(), strict=True) if len(p) > 1]
    assert sorted(chosen, reverse=True) == best


def test_occurrences():
    texts = Letters.of(["abab", "b", "cab"])
    found = [(length, at.tolist(), piece.tolist()) for length, at, piece in occurrences(texts, ["ab", "b", "bab"])]
    assert found == [(1, [1, 3, 4, 7], [1, 1, 1, 1]), (2, [0, 2, 6], [0, 0, 0]), (3, [1], [2])]


@settings(max_examples=60, deadline=None)
@given(words=COUNTED, seed=st.integers(0, 99))
def test_expected_counts_and_best_ways_by_enumeration(words, seed):
    generator = random.Random(seed)
    extra = {"".join(generator.choices("abc", k=generator.randint(2, 3))) for _ in range(5)}
    pieces = sorted({*"abc", *extra})
    scores = np.log(np.array([generator.uniform(0.1, 1) for _ in pieces]))
    score_of = dict(zip(pieces, scores, strict=True))
    expected = dict.fromkeys(pieces, 0.0)
    for word, times in words.items():
        ways = segmentations(word, pieces)
        weights = [math.exp(sum(score_of[p] for p in way)) for way in ways]
        for way, weight in zip(ways, weights, strict=True):
            for piece in way:
                expected[piece] += times * weight / sum(weights)
    lattice = Lattice(list(words), pieces)
    counts = np.array(list(words.values()), dtype=float)
    np.testing.assert_allclose(lattice.expected(scores, counts), list(expected.values()), atol=1e-9)
    freq = np.arange(1.0, len(pieces) + 1)
    size, logs = Lattice(pieces, pieces, without_whole=True).best(scores, freq)
    for number, piece in enumerate(pieces):
        ways = [way for way in segmentations(piece, pieces) if way != [piece]]
        best = max(ways, key=lambda way: sum(score_of[p] for p in way), default=[])
        assert size[number] == len(best)
        assert logs[number] == pytest.approx(sum(math.log(freq[pieces.index(p)] + freq[number]) for p in best))
    keep = np.array([len(piece) == 1 or "a" in piece for piece in pieces])
    lattice.keep(keep)
    kept = [piece for piece, stays in zip(pieces, keep, strict=True) if stays]
    np.testing.assert_allclose(
        lattice.expected(scores[keep], counts), Lattice(list(words), kept).expected(scores[keep], counts), atol=1e-12
    )


def corpus():
    generator = random.Random(3)
    syllables = "ka lo mi ter an str ou e ing ion bo x de re un".split()  # noqa: SIM905
    words = ["".join(generator.choices(syllables, k=generator.randint(1, 4))) for _ in range(1500)]
    weights = [1 / (n + 1) for n in range(len(words))]
    return [" ".join(generator.choices(words, weights, k=20)) for _ in range(500)]


def test_the_vocabulary_is_no_worse_than_the_engines():
    texts = corpus()
    theirs = Tokenizer(models.Unigram())
    theirs.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    theirs.train_from_iterator(texts, trainer=trainer)
    words = {}
    for word in " ".join(texts).split():
        words[f"▁{word}"] = words.get(f"▁{word}", 0) + 1
    learned = learn_unigram(dict(sorted(words.items())), vocab_size=300, special_tokens=["<unk>"], unk_token="<unk>")
    assert len(learned.entries) == 300 and learned.unk_id == 0 and learned.entries[0] == ("<unk>", 0.0)
    scores = [score for _, score in learned.entries[1:]]
    assert scores == sorted(scores, reverse=True)
    ours = Tokenizer(models.Unigram(learned.entries, unk_id=0))
    ours.pre_tokenizer = pre_tokenizers.Metaspace()
    assert _likelihood(ours, texts) > _likelihood(theirs, texts)
    assert _n_tokens(ours, texts) < _n_tokens(theirs, texts)


def _n_tokens(engine, texts):
    return sum(len(row.ids) for row in engine.encode_batch(texts))


def _likelihood(engine, texts):
    scores = dict(json.loads(engine.to_str())["model"]["vocab"])
    return sum(scores[token] for row in engine.encode_batch(texts) for token in row.tokens)


def test_letters_limits_and_places():
    words = {"abcabc": 9, "abx": 3, "yz": 1, "b" * 700: 1}
    learned = learn_unigram(
        words, vocab_size=14, special_tokens=["<s>"], unk_token="<unk>", last_tokens=["<e1>", "<e0>"], limit_alphabet=4
    )
    tokens = [token for token, _ in learned.entries]
    assert tokens[:2] == ["<unk>", "<s>"] and tokens[-2:] == ["<e1>", "<e0>"] and learned.unk_id == 0
    assert {"a", "b", "c", "x"} < set(tokens) and not {"y", "z"} & set("".join(tokens[2:-2]))
    assert len(tokens) == len(set(tokens)) <= 14
    every = learn_unigram(words, vocab_size=200, special_tokens=["<unk>"], unk_token="<unk>", initial_alphabet="q")
    assert {"q", "y", "z"} < {token for token, _ in every.entries} and len(every.entries) < 200
    assert max(len(token) for token, _ in every.entries[1:]) <= 16
    with pytest.raises(TokenizerError, match="vocab_size is 6, but 1 special tokens and the letters .* take 7"):
        learn_unigram(words, vocab_size=6, special_tokens=["<unk>"], unk_token="<unk>")
