"""Learning the merges of BPE (Sennrich et al., 2016) and of WordPiece from counted words, the same ones every time.

The engine's own trainers number the letters inside of words (``##x``) or at their ends (``x</w>``), and break ties, in
the order of a hash table that differs from run to run. Here those letters are given to the trainer in sorted order, so
that equal counts are decided by the letters themselves. The result depends only on the words and their counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from bothways.errors import TokenizerError
from bothways.tokenizers.engine import guarded

MAX_FED = 200_000_000  # words given to the engine's trainer, which takes each as often as it occurs
_CHUNK = 1000  # repetitions of a word that are handed to the trainer at once


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
    marked = _marked_letters(words, alphabet, prefix or "", suffix or "")
    needed = len(dict.fromkeys([*special_tokens, *marked, *alphabet]))
    if vocab_size < needed:
        raise too_small(vocab_size, needed, len(special_tokens), limit_alphabet)
    marks = {"continuing_subword_prefix": prefix, "end_of_word_suffix": suffix}
    marks = {key: mark for key, mark in marks.items() if mark}
    learner = Tokenizer(models.BPE(**marks))
    separator = _separator(words)
    learner.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(separator)
    limits: dict[str, Any] = {} if max_token_length is None else {"max_token_length": max_token_length}
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*special_tokens, *marked],
        limit_alphabet=len(alphabet),
        initial_alphabet=alphabet,
        show_progress=False,
        **marks,
        **limits,
    )
    with guarded("the vocabulary cannot be learned"):
        learner.train_from_iterator(_repeated(words, separator), trainer=trainer)
        model = json.loads(learner.to_str())["model"]
    vocab = dict(sorted(model["vocab"].items(), key=lambda item: item[1]))
    return Merges(vocab, [(left, right) for left, right in model["merges"]])


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


def _marked_letters(words: Mapping[str, int], alphabet: list[str], prefix: str, suffix: str) -> list[str]:
    """Single letters as they look inside of words and at their ends, sorted."""
    kept, found = set(alphabet), set()
    if not prefix and not suffix:
        return []
    for word in words:
        for place, char in enumerate(word):
            if char in kept:
                start, end = prefix if place else "", suffix if place == len(word) - 1 else ""
                found.add(f"{start}{char}{end}")
    return sorted(found - kept)


def _separator(words: Mapping[str, int]) -> str:
    """A character that occurs in no word; the trainer cuts at it."""
    candidates = ["\n", "\0", *map(chr, range(0xE000, 0xF8FF))]
    return next(char for char in candidates if not any(char in word for word in words))


def _repeated(words: Mapping[str, int], separator: str) -> Iterator[str]:
    share = -(-sum(words.values()) // MAX_FED)  # 1 for all but the largest corpora
    for word in sorted(words):
        times = (words[word] + share // 2) // share
        for start in range(0, times, _CHUNK):
            yield separator.join([word] * min(_CHUNK, times - start))
