"""Filling gaps: where the masks are, and the best words for them.

Shapes: m masks of one text, V vocab_size, K candidates.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bothways.errors import InputError
from bothways.tasks.encoded import EncodedTexts
from bothways.tasks.text_classification import softmax
from bothways.tasks.windows import best_windows
from bothways.tokenizers.base import PreTrainedTokenizerBase

logger = logging.getLogger("bothways")

Found = tuple[list[float], list[tuple[int, ...]]]
"""The candidates for one mask, best first: their scores, and the ids of each."""


@dataclass(frozen=True)
class Masks:
    """The masks of some texts, and the windows that are asked for them.

    Attributes:
        places: for each text, the places of its masks in the whole.
        asked: for each window, the places in it that are to be predicted, rising.
        slots: for each text and mask, (window, position in ``asked`` of that window).
    """

    places: list[list[int]]
    asked: list[list[int]]
    slots: list[list[tuple[int, int]]]


@dataclass(frozen=True)
class GapRows:
    """What the model is asked for targets.

    Attributes:
        input_ids, token_type_ids: R rows.
        asked: for each row the places that are to be predicted, rising.
        at: for each text and mask, the number of pieces → (row, position in ``asked`` of the first piece).
    """

    input_ids: list[list[int]]
    token_type_ids: list[list[int]] | None
    asked: list[list[int]]
    at: list[list[dict[int, tuple[int, int]]]]


@dataclass(frozen=True)
class Targets:
    """The only words to choose from.

    The score of a word of n pieces is the product of their probabilities at n masks that stand in the place of one,
    all predicted at once: no piece is told its neighbours. For one piece that is its probability in the whole
    vocabulary. A word of many pieces is a product of many numbers, and rarely comes before one of few.

    Attributes:
        pieces: the ids of each word, different from all others.
    """

    pieces: tuple[tuple[int, ...], ...]

    @cached_property
    def lengths(self) -> list[int]:
        """The numbers of pieces that occur, rising."""
        return sorted({len(own) for own in self.pieces})

    @cached_property
    def needed(self) -> np.ndarray:
        """int64: all ids that occur, rising."""
        return np.unique(np.concatenate([np.array(own, dtype=np.int64) for own in self.pieces]))

    def log_probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Those of the needed ids among all: (m, V) to (m, needed). So little is kept of each row."""
        highest = logits.max(axis=1, keepdims=True)
        return logits[:, self.needed] - highest - np.log(np.exp(logits - highest).sum(axis=1, keepdims=True))

    def best(self, at: dict[int, tuple[int, int]], rows: Sequence[np.ndarray], top_k: int) -> Found:
        """The best words for one mask, best first.

        Args:
            at: of this mask, as in ``GapRows``.
            rows: what ``log_probabilities`` made of each row.
            top_k: how many; never more than there are.
        """
        scores = np.empty(len(self.pieces))
        for n, (row, first) in at.items():
            chosen = [i for i, own in enumerate(self.pieces) if len(own) == n]
            columns = np.searchsorted(self.needed, [self.pieces[i] for i in chosen])  # (chosen, n)
            scores[chosen] = rows[row][first + np.arange(n), columns].sum(axis=1)
        order = np.argsort(-scores, kind="stable")[:top_k].tolist()
        return np.exp(scores[order]).tolist(), [self.pieces[i] for i in order]


def find_masks(encoded: EncodedTexts, mask_token_id: int) -> Masks:
    """Find the masks; each is predicted once, in the window that shows most of its surroundings."""
    asked: list[list[int]] = [[] for _ in encoded.input_ids]
    all_places, slots = [], []
    for text, first in enumerate(encoded.first_windows.tolist()):
        ids = encoded.whole_ids(text, first)
        places = np.flatnonzero(np.asarray(ids) == mask_token_id).tolist()
        window, place = _windows_of(encoded, text)
        own = []
        for token in places:
            number = first + (int(window[token]) if window is not None else 0)
            own.append((number, len(asked[number])))
            asked[number].append(int(place[token]) if place is not None else token)
        all_places.append(places)
        slots.append(own)
    return Masks(all_places, asked, slots)


def candidates(logits: np.ndarray, top_k: int) -> list[Found]:
    """The best tokens for each mask, best first.

    Args:
        logits: (m, V).
        top_k: how many; never more than there are.
    """
    probabilities = softmax(logits)
    count = min(top_k, probabilities.shape[1])
    if count < probabilities.shape[1]:
        chosen = np.argpartition(-probabilities, count - 1, axis=1)[:, :count]
        chosen.sort(axis=1)  # equal probabilities stay in the order of their ids
    else:
        chosen = np.broadcast_to(np.arange(count), (len(probabilities), count))
    values = np.take_along_axis(probabilities, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    scores = np.take_along_axis(values, order, axis=1).tolist()
    tokens = np.take_along_axis(chosen, order, axis=1).tolist()
    return [(own, [(token,) for token in best]) for own, best in zip(scores, tokens, strict=True)]


def gap_rows(encoded: EncodedTexts, masks: Masks, lengths: Sequence[int], mask_token_id: int) -> GapRows:
    """The rows that are asked for targets: every mask gives way to as many masks as a target has pieces.

    Args:
        encoded: with room for the longest target: no row longer than the model reads less ``max(lengths) - 1``.
        masks: as ``find_masks`` returns them.
        lengths: numbers of pieces, each once.
    """
    ids: list[list[int]] = []
    types: list[list[int]] | None = None if encoded.token_type_ids is None else []
    asked: list[list[int]] = []
    at: list[list[dict[int, tuple[int, int]]]] = [[{} for _ in own] for own in masks.slots]
    row_of: dict[int, int] = {}
    for text, slots in enumerate(masks.slots):
        for mask, (window, slot) in enumerate(slots):
            place = masks.asked[window][slot]
            for n in lengths:
                if n == 1 and window in row_of:
                    at[text][mask][1] = (row_of[window], slot)  # all masks of a window in one row
                    continue
                if n == 1:
                    row_of[window] = len(ids)
                at[text][mask][n] = (len(ids), slot if n == 1 else 0)
                row = list(encoded.input_ids[window])
                ids.append([*row[:place], *[mask_token_id] * n, *row[place + 1 :]])
                asked.append(masks.asked[window] if n == 1 else list(range(place, place + n)))
                if types is not None and encoded.token_type_ids is not None:
                    own = list(encoded.token_type_ids[window])
                    types.append([*own[:place], *own[place : place + 1] * n, *own[place + 1 :]])
    return GapRows(ids, types, asked, at)


def results(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], places: Sequence[int], found: Sequence[Found]
) -> list[Any]:
    """Name the candidates of one text, as the ecosystem does.

    Args:
        ids: of the whole text.
        places: of its masks.
        found: for each mask its candidates.

    Returns:
        A list of ``score, token, token_str, sequence`` for one mask; for several masks a list of such lists, whose
        sequences keep the special tokens so that the other masks stay visible. ``token`` is the id of a candidate, or
        the list of its ids if it has several.
    """
    single = len(places) == 1
    pad = tokenizer.pad_token_id
    rows = []
    for place, (scores, words) in zip(places, found, strict=True):
        before, after = ([token for token in part if token != pad] for part in (ids[:place], ids[place + 1 :]))
        row = []
        for score, pieces in zip(scores, words, strict=True):
            shown = [*before, *pieces, *after] if pieces != (pad,) else [*before, *after]
            row.append({
                "score": score,
                "token": pieces[0] if len(pieces) == 1 else list(pieces),
                "token_str": tokenizer.decode(pieces),
                "sequence": tokenizer.decode(shown, skip_special_tokens=single),
            })  # fmt: skip
        rows.append(row)
    return rows[0] if single else rows


def find_targets(tokenizer: PreTrainedTokenizerBase, targets: str | Sequence[str]) -> Targets:
    """The words to choose from, as ids: a token of the vocabulary, or all pieces of a word that is none.

    Raises:
        InputError: no target; or some without a token in the vocabulary, all of which are listed.
    """
    words = _words(targets)
    pieces = [_pieces(tokenizer, word) for word in words]
    unknown = [word for word, own in zip(words, pieces, strict=True) if not own or _is_unknown(tokenizer, word, own)]
    if unknown:
        raise InputError(
            f"{len(unknown)} of {len(words)} targets have no token in the vocabulary: {', '.join(map(repr, unknown))}. "
            "Leave them out."
        )
    return Targets(tuple(dict.fromkeys(pieces)))


def find_first_pieces(tokenizer: PreTrainedTokenizerBase, targets: str | Sequence[str]) -> Targets:
    """The targets as the reference reads them: a word outside the vocabulary stands for its first piece.

    Each such word is reported by a warning.

    Raises:
        InputError: no target, or none that has a token.
    """
    found = []
    words = _words(targets)
    for word in words:
        pieces = _pieces(tokenizer, word)
        if not pieces:
            logger.warning("the target %r has no token in the vocabulary and is left out.", word)
            continue
        if tokenizer.backend_tokenizer.token_to_id(word) is None:
            piece = tokenizer.convert_ids_to_tokens(pieces[0])
            logger.warning("the target %r is not one token of the vocabulary; its first piece %r is used.", word, piece)
        found.append(pieces[0])
    if not found:
        raise InputError(f"at least one target with a token of the vocabulary is needed, got {words!r}.")
    return Targets(tuple((token,) for token in set(found)))  # the reference's order is that of a set


def _words(targets: str | Sequence[str]) -> list[str]:
    if not isinstance(targets, Iterable) or isinstance(targets, bytes):
        raise InputError(f"targets is {targets!r:.60} ({type(targets).__name__}); expected a word or a list of words.")
    words = [targets] if isinstance(targets, str) else list(targets)
    for word in words:
        if not isinstance(word, str):
            raise InputError(f"targets must be words, got {word!r} ({type(word).__name__}).")
        if any("\ud800" <= character <= "\udfff" for character in word):
            raise InputError(f"the target {word!r} has a lone surrogate, which is no Unicode text. Leave it out.")
    if not words:
        raise InputError("at least one target is needed, got none. Leave targets out to choose from the vocabulary.")
    return words


def _pieces(tokenizer: PreTrainedTokenizerBase, word: str) -> tuple[int, ...]:
    token = tokenizer.backend_tokenizer.token_to_id(word)
    if token is not None:
        return (token,)
    return tuple(tokenizer.encode_texts([word], add_special_tokens=False)[0].ids)


def _is_unknown(tokenizer: PreTrainedTokenizerBase, word: str, pieces: tuple[int, ...]) -> bool:
    return tokenizer.unk_token_id in pieces and word != tokenizer.unk_token


def _windows_of(encoded: EncodedTexts, text: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    if text not in encoded.windows:
        return None, None
    return best_windows(encoded.windows[text], encoded.n_tokens[text])
