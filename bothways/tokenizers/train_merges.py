"""Learning the merges of BPE (Sennrich et al., 2016) and of WordPiece from counted words, the same ones every time.

The engine's own trainers number the letters inside of words (``##x``) or at their ends (``x</w>``), and decide between
equally frequent pairs by such numbers, in the order of a hash table that differs from run to run; and they must be
given each word as often as it occurs. Here letters are numbered in alphabetical order, so that equal counts are decided
by the letters themselves, and a word costs the same however often it occurs. Where letters have no marks, the merges
are the engine's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from bothways.errors import TokenizerError
from bothways.tokenizers.train_pairs import Pairs


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
    parts = _parts(words, set(alphabet))
    letters = [_marked(part, prefix, suffix) for part in parts]
    marked = sorted({letter for row in letters for letter in row}.difference(alphabet))
    vocab = {token: index for index, token in enumerate(dict.fromkeys([*special_tokens, *marked, *alphabet]))}
    if vocab_size < len(vocab):
        raise too_small(vocab_size, len(vocab), len(special_tokens), limit_alphabet)
    symbols = np.fromiter((vocab[letter] for row in letters for letter in row), dtype=np.int32)
    pairs = Pairs(parts, symbols, min_frequency)
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


def choose_alphabet(words: Mapping[str, int], limit: int | None, initial: Iterable[str] = ()) -> list[str]:
    """The most frequent characters of the words beside the initial ones, at most ``limit``, in alphabetical order."""
    counts: Counter[str] = Counter()
    for word, times in words.items():
        for char in word:
            counts[char] += times
    kept = set(initial)
    for char, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if limit is not None and len(kept) >= limit:
            break
        kept.add(char)
    return sorted(kept)


def too_small(vocab_size: int, needed: int, n_special: int, limit_alphabet: int | None) -> TokenizerError:
    """The error that says how many entries are needed."""
    limit = "none now" if limit_alphabet is None else f"{limit_alphabet:,} now"
    return TokenizerError(
        f"vocab_size is {vocab_size}, but {n_special} special tokens and the letters of the texts already take "
        f"{needed}. Raise vocab_size to {needed} or more, or lower limit_alphabet ({limit})."
    )


def _parts(words: Mapping[str, int], alphabet: set[str]) -> dict[str, int]:
    """Words without the letters that are not kept, as the engine's trainer leaves them out."""
    parts: dict[str, int] = {}
    for word, times in words.items():
        part = word if alphabet.issuperset(word) else "".join(char for char in word if char in alphabet)
        if part:
            parts[part] = parts.get(part, 0) + times
    return dict(sorted(parts.items()))


def _marked(word: str, prefix: str, suffix: str) -> list[str]:
    """Letters as they look at their places: ``["l", "##o", "##w"]``."""
    letters = [word[0], *(prefix + char for char in word[1:])] if prefix else list(word)
    letters[-1] += suffix
    return letters
