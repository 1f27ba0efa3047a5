"""Token classification: words to labelled tokens, and the logits of tokens back to words.

Both directions know words by their characters: a token belongs to the word in which it begins, whatever the tokeniser
marks its pieces with. The first token of a word stands for the word.

Shapes: n texts, W windows, L tokens of a whole encoded text, C labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from bothways.data.words import Span
from bothways.errors import CheckpointError, InputError
from bothways.metrics.tag_schemes import OUTSIDE
from bothways.tasks.encoded import EncodedTexts, encode
from bothways.tasks.offsets import without_space
from bothways.tasks.text_classification import softmax
from bothways.tasks.windows import best_windows
from bothways.tokenizers.base import PreTrainedTokenizerBase

IGNORED = -100
"""Label of tokens that are not trained and not scored."""

Strategy = Literal["first", "average", "max"]


@dataclass(frozen=True, kw_only=True)
class LocatedText:
    """Where the tokens of one text are.

    Attributes:
        text: the text, or what stands for it: words joined.
        ids: of its L tokens.
        offsets: int64 (L, 2), characters of each token without surrounding white space; empty for special tokens.
        special: bool (L,), tokens that the tokeniser added.
        words: int64 (L,), the word of each token; -1 for special tokens and those that show nothing.
        spans: characters of each word.
    """

    text: str
    ids: list[int]
    offsets: np.ndarray
    special: np.ndarray
    words: np.ndarray
    spans: Sequence[Span]

    @cached_property
    def word_tokens(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each word that has tokens: its number, its first token, and the token after its last; int64, rising."""
        at = np.flatnonzero(self.words >= 0)
        own = self.words[at]
        starts = np.flatnonzero(np.diff(own, prepend=-1))
        lasts = np.append(starts[1:], len(own))[: len(starts)] - 1
        return own[starts], at[starts], at[lasts] + 1


@dataclass(frozen=True, kw_only=True)
class EncodedTokens:
    """Texts as ids, and where their tokens are.

    Attributes:
        encoded: what a model reads; windows of long texts side by side.
        texts: n, in order.
    """

    encoded: EncodedTexts
    texts: list[LocatedText]

    def __len__(self) -> int:
        return len(self.texts)


def encode_words(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    spans: Sequence[Sequence[Span]],
    *,
    words: Sequence[Sequence[str]] | None = None,
    max_length: int | None,
    **how: Any,
) -> EncodedTokens:
    """Encode texts whose words are known.

    Args:
        texts: n texts.
        spans: the words of each, as in ``TaggedText.words``.
        words: for each text its words, if the tokeniser is to see them one by one; None where it sees the text.
        max_length, how: see ``encoded.encode``.

    Raises:
        InputError, TokenizerError: as ``encoded.encode``.
    """
    apart = words is not None
    encoded = encode(
        tokenizer,
        texts if words is None else words,
        max_length=max_length,
        is_split_into_words=apart,
        keep_encodings=True,
        **how,
    )
    rows = zip(encoded.encodings or (), texts, spans, strict=True)
    located = [_locate(encoding, text, own, apart) for encoding, text, own in rows]
    return EncodedTokens(encoded=replace(encoded, encodings=None), texts=located)


def align(words: Sequence[int | None] | np.ndarray, labels: Sequence[int]) -> list[int]:
    """Labels of words as labels of tokens: on the first token of each word, ``IGNORED`` elsewhere.

    Args:
        words: the word of each token; None or -1 for tokens of no word.
        labels: one a word.

    Example: words None 0 0 1 None, labels 7 8 -> -100 7 -100 8 -100.
    """
    found = []
    before = -1
    for word in words:
        now = -1 if word is None else int(word)
        found.append(labels[now] if now >= 0 and now != before else IGNORED)
        before = now if now >= 0 else before
    return found


def token_labels(tokens: EncodedTokens, labels: Sequence[Sequence[int]]) -> list[list[int]]:
    """Labels of words as labels of all tokens that a model reads.

    Args:
        tokens: n texts in W windows.
        labels: for each text one label a word.

    Returns:
        For each window a list as long as its ids. A word in several windows has its label in the one that shows most of
        its surroundings, from which prediction takes it too.

    Raises:
        InputError: not one label for each word.
    """
    found: list[list[int]] = []
    for i, (located, own) in enumerate(zip(tokens.texts, labels, strict=True)):
        if len(own) != len(located.spans):
            raise InputError(f"text {i} has {len(located.spans)} words and {len(own)} labels; expected as many.")
        whole = align(located.words, own)
        if i not in tokens.encoded.windows:
            found.append(whole)
            continue
        windows = tokens.encoded.windows[i]
        chosen, _ = best_windows(windows, len(whole))
        values = np.array(whole)
        found += [np.where(chosen[at] == n, values[at], IGNORED).tolist() for n, at in enumerate(windows)]
    return found


def token_scores(logits: Sequence[np.ndarray], tokens: EncodedTokens) -> list[np.ndarray]:
    """The probabilities of all tokens of whole texts.

    Args:
        logits: for each of W windows (length, C), as ``PackedRunner.token_logits`` gives them.
        tokens: the texts that gave them.

    Returns:
        For each text (L, C); each token from the window that shows most of its surroundings.

    Raises:
        CheckpointError: numbers that are none.
    """
    found = []
    for i, first in enumerate(tokens.encoded.first_windows.tolist()):
        whole = logits[first]
        if i in tokens.encoded.windows:
            windows = tokens.encoded.windows[i]
            chosen, place = best_windows(windows, tokens.encoded.n_tokens[i])
            starts = np.cumsum([0, *map(len, windows[:-1])])
            whole = np.concatenate(logits[first : first + len(windows)])[starts[chosen] + place]
        if not np.isfinite(whole).all():
            raise CheckpointError(
                f"the model gives no numbers (NaN or infinite) for text {i}: its weights are damaged, or too large for "
                "the dtype in which it computes."
            )
        found.append(softmax(whole))
    return found


def word_scores(
    scores: np.ndarray, located: LocatedText, strategy: Strategy = "first"
) -> tuple[np.ndarray, np.ndarray]:
    """One row of probabilities for each word that has a token.

    Args:
        scores: (L, C).
        located: the text.
        strategy: ``"first"`` takes the first token, ``"max"`` the token that is surest, ``"average"`` the mean of all.

    Returns:
        The words, int64 (words with tokens,), rising, and their probabilities (words with tokens, C).
    """
    words, first_tokens, _ = located.word_tokens
    if strategy == "first" or not len(words):
        return words, scores[first_tokens]
    at = np.flatnonzero(located.words >= 0)
    own = located.words[at]
    starts = np.searchsorted(own, words)
    if strategy == "average":
        counts = np.diff(np.append(starts, len(own))).astype(scores.dtype)
        return words, np.add.reduceat(scores[at], starts, axis=0) / counts[:, None]
    order = np.lexsort((-scores[at].max(axis=1), own))  # stable: the first of equally sure ones
    return words, scores[at[order[starts]]]


def decode_words(
    logits: Sequence[np.ndarray], tokens: EncodedTokens, id2label: Mapping[int, str], strategy: Strategy = "first"
) -> list[list[str]]:
    """A label for each word of each text; ``O`` for words that have no token or were cut off.

    Args:
        logits: for each window (length, C).
        tokens: what ``encode_words`` made of the texts.
        id2label: names of the C labels.
        strategy: see ``word_scores``.
    """
    return [tags for tags, _ in decode_sure_words(logits, tokens, id2label, strategy)]


def decode_sure_words(
    logits: Sequence[np.ndarray], tokens: EncodedTokens, id2label: Mapping[int, str], strategy: Strategy = "first"
) -> list[tuple[list[str], list[float]]]:
    """``decode_words``, with the probability of each word's label; 1.0 for words that have no token."""
    found = []
    for located, scores in zip(tokens.texts, token_scores(logits, tokens), strict=True):
        words, own = word_scores(scores, located, strategy)
        tags, sureness = [OUTSIDE] * len(located.spans), [1.0] * len(located.spans)
        best = zip(own.argmax(axis=1).tolist(), own.max(axis=1, initial=0.0).tolist(), strict=True)
        for word, (label, score) in zip(words.tolist(), best, strict=True):
            tags[word], sureness[word] = id2label[label], score
        found.append((tags, sureness))
    return found


def relocate(located: LocatedText, offsets: np.ndarray) -> LocatedText:
    """The same text with other offsets for its tokens, int64 (L, 2)."""
    offsets = without_space(offsets, located.text)
    words = _words_at(offsets, located.special, located.spans)
    return LocatedText(
        text=located.text,
        ids=located.ids,
        offsets=offsets,
        special=located.special,
        words=words,
        spans=located.spans,
    )


def _locate(encoding: Any, text: str, spans: Sequence[Span], by_word: bool) -> LocatedText:
    special = np.array(encoding.special_tokens_mask, dtype=bool)
    offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    offsets[special] = 0
    if by_word:
        words = np.array([-1 if word is None else word for word in encoding.word_ids], dtype=np.int64)
        words[special] = -1
        starts = np.array([start for start, _ in spans], dtype=np.int64)
        offsets += np.where(words < 0, 0, starts[words] if len(starts) else 0)[:, None]
        offsets = without_space(offsets, text)
    else:
        offsets = without_space(offsets, text)
        words = _words_at(offsets, special, spans)
    return LocatedText(text=text, ids=encoding.ids, offsets=offsets, special=special, words=words, spans=spans)


def _words_at(offsets: np.ndarray, special: np.ndarray, spans: Sequence[Span]) -> np.ndarray:
    """For each token the word in which it begins, or -1."""
    if not len(spans):
        return np.full(len(offsets), -1, dtype=np.int64)
    edges = np.array(spans, dtype=np.int64)
    word = np.searchsorted(edges[:, 0], offsets[:, 0], side="right") - 1
    inside = (word >= 0) & (offsets[:, 0] < edges[word, 1]) & (offsets[:, 0] < offsets[:, 1]) & ~special
    return np.where(inside, word, -1)
