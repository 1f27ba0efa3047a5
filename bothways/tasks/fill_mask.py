"""Filling gaps: where the masks are, and the best words for them.

Shapes: m masks of one text, V vocab_size, K candidates.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.errors import InputError
from bothways.tasks.encoded import EncodedTexts
from bothways.tasks.text_classification import softmax
from bothways.tasks.windows import best_windows
from bothways.tokenizers.base import PreTrainedTokenizerBase

logger = logging.getLogger("bothways")


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


def candidates(logits: np.ndarray, top_k: int, targets: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The best tokens for each mask, best first.

    Args:
        logits: (m, V).
        top_k: how many; never more than there are.
        targets: int64, the only tokens allowed; their probabilities are still those in the whole vocabulary.

    Returns:
        Probabilities and token ids, (m, K) each.
    """
    probabilities = softmax(logits)
    if targets is not None:
        probabilities = probabilities[:, targets]
    count = min(top_k, probabilities.shape[1])
    if count < probabilities.shape[1]:
        chosen = np.argpartition(-probabilities, count - 1, axis=1)[:, :count]
        chosen.sort(axis=1)  # equal probabilities stay in the order of their ids
    else:
        chosen = np.broadcast_to(np.arange(count), (len(probabilities), count))
    values = np.take_along_axis(probabilities, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    tokens = np.take_along_axis(chosen, order, axis=1)
    return np.take_along_axis(values, order, axis=1), tokens if targets is None else targets[tokens]


def results(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], places: Sequence[int], found: Sequence[Any]
) -> list[Any]:
    """Name the candidates of one text, as the ecosystem does.

    Args:
        ids: of the whole text.
        places: of its masks.
        found: for each mask, (probabilities (K,), token ids (K,)).

    Returns:
        A list of ``score, token, token_str, sequence`` for one mask; for several masks a list of such lists, whose
        sequences keep the special tokens so that the other masks stay visible.
    """
    single = len(places) == 1
    whole = np.asarray(ids)
    rows = []
    for place, (scores, tokens) in zip(places, found, strict=True):
        row = []
        for score, token in zip(scores.tolist(), tokens.tolist(), strict=True):
            filled = whole.copy()
            filled[place] = token
            shown = filled[filled != tokenizer.pad_token_id].tolist()
            row.append({
                "score": score,
                "token": token,
                "token_str": tokenizer.decode([token]),
                "sequence": tokenizer.decode(shown, skip_special_tokens=single),
            })  # fmt: skip
        rows.append(row)
    return rows[0] if single else rows


def target_ids(tokenizer: PreTrainedTokenizerBase, targets: str | Sequence[str]) -> np.ndarray:
    """The ids of the tokens to choose from; a word outside the vocabulary stands for its first piece, and is reported.

    Raises:
        InputError: no target, or none that has a token.
    """
    words = [targets] if isinstance(targets, str) else list(targets)
    vocabulary = tokenizer.get_vocab()
    found: list[int] = []
    for word in words:
        if not isinstance(word, str):
            raise InputError(f"targets must be words, got {word!r} ({type(word).__name__}).")
        token = vocabulary.get(word)
        if token is None:
            pieces = tokenizer.encode_texts([word], add_special_tokens=False)[0].ids
            if not pieces:
                logger.warning("the target %r has no token in the vocabulary and is left out.", word)
                continue
            token = pieces[0]
            piece = tokenizer.convert_ids_to_tokens(token)
            logger.warning("the target %r is not one token of the vocabulary; its first piece %r is used.", word, piece)
        found.append(token)
    if not found:
        raise InputError(f"at least one target with a token of the vocabulary is needed, got {words!r}.")
    return np.array(sorted(set(found)), dtype=np.int64)


def _windows_of(encoded: EncodedTexts, text: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    if text not in encoded.windows:
        return None, None
    return best_windows(encoded.windows[text], encoded.n_tokens[text])
