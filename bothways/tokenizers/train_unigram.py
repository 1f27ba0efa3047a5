"""Learning a Unigram vocabulary (Kudo, 2018, section 3.2) from counted words, with the same result every time.

The engine's own trainer sums probabilities in the order of a hash table and of its threads, so that scores and the
choice between equal pieces differ from run to run. Here everything is computed in one order, for all words at once.

1. Seeds: the substrings of words with the highest count times length.
2. Expectation and maximisation, twice: how often each piece is expected in all segmentations of the words; from that
   new scores (with a digamma, which favours few frequent pieces, as SentencePiece does).
3. The quarter of the pieces whose loss would cost the likelihood least goes, single letters never; again from 2 until
   1.1 times the wanted number is left. Then the best by score stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bothways.tokenizers.train_lattice import Lattice
from bothways.tokenizers.train_parts import choose_alphabet, parts_of, too_small
from bothways.tokenizers.train_seeds import Floats, Seeds, find_seeds

MAX_LETTERS = 4_000_000  # of distinct words, about 1 GB; beyond, the rarest words are left out
_PENALTY = 1e-4  # by which each letter that no text uses is worse than the one before, as in the engine's trainer
_LEAST = 0.5  # pieces that are expected less often go at once


class UnigramVocabulary(NamedTuple):
    """Tokens with their log probabilities by id, special ones (score 0) first."""

    entries: list[tuple[str, float]]
    unk_id: int


def learn_unigram(
    words: Mapping[str, int],
    *,
    vocab_size: int,
    special_tokens: list[str],
    unk_token: str,
    last_tokens: Iterable[str] = (),
    limit_alphabet: int | None = None,
    initial_alphabet: Iterable[str] = (),
    max_piece_length: int = 16,
    shrinking_factor: float = 0.75,
    n_sub_iterations: int = 2,
) -> UnigramVocabulary:
    """A vocabulary of at most ``vocab_size`` entries.

    Args:
        words: counted words.
        special_tokens: get the first ids, in this order; ``unk_token`` comes before them if it is not among them.
        last_tokens: get the last ids.
        limit_alphabet: number of different characters to keep, the most frequent ones; None keeps all.
        initial_alphabet: characters to keep whether they occur or not.
        max_piece_length: in characters.
        shrinking_factor: share of the pieces that a round leaves.
        n_sub_iterations: rounds of expectation and maximisation between two prunings.

    Raises:
        TokenizerError: ``vocab_size`` is smaller than special tokens and letters together.
    """
    first = special_tokens if unk_token in special_tokens else [unk_token, *special_tokens]
    last = list(last_tokens)
    alphabet = choose_alphabet(words, limit_alphabet, initial_alphabet)
    room = vocab_size - len(first) - len(last)
    if room < len(alphabet):
        needed = len(first) + len(last) + len(alphabet)
        raise too_small(vocab_size, needed, len(first) + len(last), limit_alphabet)
    parts = parts_of(words, alphabet, divide=True, max_letters=MAX_LETTERS)
    seeds = find_seeds(parts, max_piece_length, most=max(10 * vocab_size, 100_000))
    pieces, scores = _shrunk(parts, seeds, int(room * 1.1), shrinking_factor, n_sub_iterations)
    reserved = {*first, *last}
    chosen = _final(pieces, scores, alphabet, room, reserved)
    entries = [*((token, 0.0) for token in first), *chosen, *((token, 0.0) for token in last)]
    return UnigramVocabulary(entries, first.index(unk_token))


def _shrunk(
    parts: Mapping[str, int], seeds: Seeds, wanted: int, factor: float, rounds: int
) -> tuple[list[str], Floats]:
    """The pieces that are left, and their scores."""
    pieces, scores = np.array(seeds.pieces, dtype=object), np.log(seeds.weights / seeds.weights.sum())
    lattice = Lattice(list(parts), seeds.pieces)
    counts = np.array(list(parts.values()), dtype=np.float64)
    while True:
        for _ in range(rounds):
            expected = lattice.expected(scores, counts)
            keep = (expected >= _LEAST) | _is_letter(pieces)
            pieces, expected = pieces[keep], np.maximum(expected[keep], _LEAST)
            lattice.keep(keep)
            scores = _maximised(expected)
        if len(pieces) <= wanted:
            return pieces.tolist(), scores
        keep = _worth_most(pieces, expected, scores, max(wanted, int(len(pieces) * factor)))
        pieces, scores = pieces[keep], scores[keep]
        lattice.keep(keep)


def _is_letter(pieces: NDArray[np.object_]) -> NDArray[np.bool_]:
    return np.fromiter((len(piece) == 1 for piece in pieces), dtype=bool, count=len(pieces))


def _maximised(expected: Floats) -> Floats:
    """Scores from expected counts: Bayesian, as SentencePiece's ``RunMStep``."""
    from scipy.special import digamma

    return digamma(expected) - digamma(expected.sum())


def _worth_most(pieces: NDArray[np.object_], counts: Floats, scores: Floats, size: int) -> NDArray[np.bool_]:
    """Which pieces stay: letters, and of the others those whose loss would cost the likelihood most.

    A piece that goes gives its count to the pieces of its best other segmentation.
    """
    letters, total = _is_letter(pieces), counts.sum()
    n_others, log_others = Lattice(pieces.tolist(), pieces.tolist(), without_whole=True).best(scores, counts)
    after = log_others - n_others * np.log(total + counts * (n_others - 1))
    loss = np.where(letters, np.inf, counts * (np.log(counts) - np.log(total) - after))
    keep = np.zeros(len(pieces), dtype=bool)
    keep[np.argsort(-loss, kind="stable")[: max(size, int(letters.sum()))]] = True
    return keep


def _final(
    pieces: list[str], scores: Floats, alphabet: list[str], room: int, reserved: set[str]
) -> list[tuple[str, float]]:
    """All letters and the best other pieces, by falling score. Six decimals: equal on all processors."""
    found = {piece: round(float(score), 6) for piece, score in zip(pieces, scores, strict=True)}
    least = min(found.values(), default=0.0)
    letters: dict[str, float] = {}
    for number, letter in enumerate(a for a in alphabet if a not in found):
        letters[letter] = round(least + number * -_PENALTY, 6)
    letters.update({letter: found[letter] for letter in alphabet if letter in found})
    others = sorted((-score, piece) for piece, score in found.items() if piece not in letters)
    others = [(score, piece) for score, piece in others if piece not in reserved][: room - len(letters)]
    chosen = [*((-score, letter) for letter, score in letters.items() if letter not in reserved), *others]
    return [(piece, -score) for score, piece in sorted(chosen)]
