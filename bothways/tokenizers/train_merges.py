"""Learning the merges of BPE (Sennrich et al., 2016) and of WordPiece from counted words, the same ones every time.

The engine's own trainers number the letters inside of words (``##x``) or at their ends (``x</w>``), and decide between
equally frequent pairs by such numbers, in the order of a hash table that differs from run to run; and they must be
given each word as often as it occurs. Here letters are numbered in alphabetical order, so that equal counts are decided
by the letters themselves, and a word costs the same however often it occurs. Where letters have no marks, the merges
are the engine's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from bothways.tokenizers.train_pairs import Pairs
from bothways.tokenizers.train_parts import choose_alphabet, parts_of, too_small
from bothways.tokenizers.train_seeds import Ints, Letters

MAX_LETTERS = 10_000_000  # of distinct words, about 1 GB; beyond, the rarest words are left out


class Merges(NamedTuple):
    """Tokens with their ids, special ones first, and the merges, best first."""

    vocab: dict[str, int]
    merges: list[tuple[str, str]]


def learn_merges(
    words: Mapping[str, int],
    *,
    vocab_size: int,
    special_tokens: list[str],
    min_frequency: int = 0,
    limit_alphabet: int | None = None,
    initial_alphabet: Iterable[str] = (),
    prefix: str | None = None,
    suffix: str | None = None,
    max_token_length: int | None = None,
) -> Merges:
    """A vocabulary of at most ``vocab_size`` entries.

    Args:
        words: counted words.
        special_tokens: get the first ids, in this order.
        min_frequency: how often a pair of pieces must occur to become one piece.
        limit_alphabet: number of different characters to keep, the most frequent ones; None keeps all.
        initial_alphabet: characters to keep whether they occur or not.
        prefix: what marks pieces that continue a word, such as ``##``. suffix: what marks those that end one.
        max_token_length: of a piece, in characters.

    Raises:
        TokenizerError: ``vocab_size`` is smaller than special tokens and letters together.
    """
    alphabet = choose_alphabet(words, limit_alphabet, initial_alphabet)
    prefix, suffix = prefix or "", suffix or ""
    parts = parts_of(words, alphabet, divide=False, max_letters=MAX_LETTERS)
    forms, form_of = _letter_forms(parts, prefix, suffix)
    marked = sorted(set(forms).difference(alphabet))
    vocab = {token: index for index, token in enumerate(dict.fromkeys([*special_tokens, *marked, *alphabet]))}
    if vocab_size < len(vocab):
        raise too_small(vocab_size, len(vocab), len(special_tokens), limit_alphabet)
    pairs = Pairs(parts, np.array([vocab[form] for form in forms], dtype=np.int32)[form_of], min_frequency)
    tokens = list(vocab)
    merges: dict[tuple[str, str], None] = {}
    while len(tokens) < vocab_size and (pair := pairs.most_frequent()) is not None:
        left, right = tokens[pair[0]], tokens[pair[1]]
        token = left + right.removeprefix(prefix)
        if max_token_length is not None and len(token) > max_token_length:
            continue
        if token not in vocab:
            vocab[token] = len(tokens)
            tokens.append(token)
        merges[left, right] = None
        pairs.merge(*pair, vocab[token])
    return Merges(vocab, list(merges))


def _letter_forms(parts: Mapping[str, int], prefix: str, suffix: str) -> tuple[list[str], Ints]:
    """Letters as they look at their places, such as ``##l``, and for each letter of all parts which of them it is."""
    letters = Letters.of(list(parts))
    is_inside, is_last = np.ones((2, len(letters.codes)), dtype=np.int64)
    is_inside[letters.begins] = 0
    is_last[letters.room > 1] = 0
    marks = is_inside * bool(prefix) * 2 + is_last * bool(suffix)
    keys, form_of = np.unique(letters.codes * 4 + marks, return_inverse=True)
    forms = [
        (prefix if key & 2 else "") + chr(key >> 2) + (suffix if key & 1 else "") for key in keys.tolist()
    ]  # fmt: skip
    return forms, form_of
