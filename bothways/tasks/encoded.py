"""Texts to what a model reads, with an account of what happened to the long ones.

Shapes: n texts, W windows (one per text unless a text is long).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bothways.errors import InputError, TokenizerError
from bothways.tasks.windows import WINDOW_OVERLAP, split
from bothways.tokenizers.base import PreTrainedTokenizerBase

LONG_INPUT = ("window", "truncate", "error")
"""What can be done with a text that is longer than the model reads."""


@dataclass(frozen=True, kw_only=True)
class EncodedTexts:
    """Texts as ids.

    Attributes:
        input_ids: W lists or arrays of ids, the windows of a text side by side.
        token_type_ids: the same shape; None when all of them are 0.
        owner: int64 (W,), the text of each window, rising.
        n_tokens: for each text its length before anything was cut, special tokens included.
        n_windows: for each text the number of its windows.
        truncated: for each text whether tokens of it are in no window.
        windows: for each text with several windows the places of their tokens in the whole.
        encodings: for each text the tokeniser's, whole or as it was cut, with offsets; None unless asked for, since
            they take a hundred times the memory of the ids.
    """

    input_ids: list[list[int]]
    token_type_ids: list[list[int]] | None
    owner: np.ndarray
    n_tokens: list[int]
    n_windows: list[int]
    truncated: list[bool]
    windows: dict[int, list[np.ndarray]] = field(default_factory=dict)
    encodings: list[Any] | None = None

    def __len__(self) -> int:
        return len(self.n_tokens)

    @property
    def first_windows(self) -> np.ndarray:
        """int64 (n,): number of the first window of each text."""
        return np.concatenate(([0], np.cumsum(self.n_windows[:-1], dtype=np.int64)))[: len(self)]

    @property
    def weights(self) -> np.ndarray:
        """float32 (W,): the share of each window in its text, by tokens. They add up to 1 for each text."""
        tokens = np.array([len(ids) for ids in self.input_ids], dtype=np.float32)
        return tokens / np.bincount(self.owner, tokens, len(self)).astype(np.float32)[self.owner]

    def account(self, text: int) -> dict[str, Any]:
        """What happened to a text, as results say it."""
        return account(self.n_tokens[text], self.n_windows[text], self.truncated[text])

    def whole_ids(self, text: int, first_window: int) -> list[int]:
        """The ids of a text as if it had not been divided."""
        if text not in self.windows:
            return list(self.input_ids[first_window])
        ids = np.zeros(self.n_tokens[text], dtype=np.int64)
        for number, places in enumerate(self.windows[text]):
            ids[places] = self.input_ids[first_window + number]
        return ids.tolist()


def account(n_tokens: int, n_windows: int, truncated: bool) -> dict[str, Any]:
    """What happened to a text, as the results of all tasks say it when they are asked for details."""
    return {"n_tokens": n_tokens, "n_windows": n_windows, "truncated": truncated}


def position_limit(config: Any) -> int | None:
    """Longest sequence, in tokens, that a model of this configuration reads; None if it does not say.

    The tokeniser's ``model_max_length`` is no guide: in many published directories it is 10 ** 30.
    """
    return getattr(config, "longest_sequence", None)


def encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str] | Sequence[Sequence[str]],
    pairs: Sequence[str | None] | None = None,
    *,
    max_length: int | None,
    long_input: str = "window",
    window_overlap: int = WINDOW_OVERLAP,
    truncation: str = "longest_first",
    add_special_tokens: bool = True,
    is_split_into_words: bool = False,
    keep_encodings: bool = False,
    first: int = 0,
) -> EncodedTexts:
    """Encode texts or pairs of texts, without padding.

    Args:
        texts: n texts.
        pairs: n second texts, None where there is none; or None when there are none at all.
        max_length: longest row in tokens, normally ``position_limit(config)``; None for no limit.
        long_input: for texts above ``max_length``: ``"window"`` (see ``windows.split``), ``"truncate"`` or ``"error"``.
        window_overlap: tokens that consecutive windows share.
        truncation: which text of a pair is shortened: ``"longest_first"``, ``"only_first"``, ``"only_second"``.
        add_special_tokens: whether to add ``[CLS]`` and ``[SEP]``.
        is_split_into_words: every text is a list of words.
        keep_encodings: keep the tokeniser's encodings, with offsets.
        first: number of the first text, for messages about a chunk of a longer list.

    Raises:
        InputError: a text without tokens, one that is too long under ``"error"``, an unknown ``long_input``.
        TokenizerError: a text that is none.
    """
    if long_input not in LONG_INPUT:
        raise InputError(f"long_input is {long_input!r}; expected one of {', '.join(map(repr, LONG_INPUT))}.")
    rows: list[Any] = list(texts)
    if pairs is not None:
        rows = [text if pair is None else (text, pair) for text, pair in zip(texts, pairs, strict=True)]
    how: dict[str, Any] = {
        "add_special_tokens": add_special_tokens,
        "is_split_into_words": is_split_into_words,
        "offsets": keep_encodings,
    }
    encodings = _run(tokenizer, rows, first, how)
    n_tokens = [len(e) for e in encodings]
    if 0 in n_tokens:
        raise InputError(f"input {first + n_tokens.index(0)} has no tokens. Leave add_special_tokens on.")
    too_long = [i for i, n in enumerate(n_tokens) if n > max_length] if max_length is not None else []
    typed = _has_types(tokenizer, encodings, pairs)
    windows: dict[int, list[np.ndarray]] = {}
    if too_long and long_input == "error":
        raise _too_long([n_tokens[i] for i in too_long], first + too_long[0], max_length)
    if too_long and long_input == "window":
        assert max_length is not None
        windows = {i: split(encodings[i].sequence_ids, max_length, window_overlap) for i in too_long}
    elif too_long:
        again = [rows[i] for i in too_long]
        shortened = tokenizer.encode_texts(again, max_length=max_length, truncation=truncation, **how)
        for i, encoding in zip(too_long, shortened, strict=True):
            encodings[i] = encoding
    n_windows = [len(windows[i]) if i in windows else 1 for i in range(len(rows))]
    return EncodedTexts(
        input_ids=_divided([e.ids for e in encodings], windows),
        token_type_ids=_divided([e.type_ids for e in encodings], windows) if typed else None,
        owner=np.repeat(np.arange(len(rows)), n_windows),
        n_tokens=n_tokens,
        n_windows=n_windows,
        truncated=[len(e) < n for e, n in zip(encodings, n_tokens, strict=True)],
        windows=windows,
        encodings=encodings if keep_encodings else None,
    )


def joined(parts: Iterable[EncodedTexts]) -> EncodedTexts:
    """Texts that were encoded in chunks, as one. Ids become int32 arrays, a tenth of the lists' memory.

    Encodings are not kept.
    """
    ids: list[Any] = []
    types: list[Any] | None = []
    owner: list[np.ndarray] = [np.zeros(0, dtype=np.int64)]
    n_tokens: list[int] = []
    n_windows: list[int] = []
    truncated: list[bool] = []
    windows: dict[int, list[np.ndarray]] = {}
    for part in parts:
        first = len(n_tokens)
        ids.extend(np.asarray(row, dtype=np.int32) for row in part.input_ids)
        if part.token_type_ids is None or types is None:
            types = None
        else:
            types.extend(np.asarray(row, dtype=np.int8) for row in part.token_type_ids)
        owner.append(part.owner + first)
        windows |= {first + text: places for text, places in part.windows.items()}
        n_tokens += part.n_tokens
        n_windows += part.n_windows
        truncated += part.truncated
    return EncodedTexts(
        input_ids=ids,
        token_type_ids=types,
        owner=np.concatenate(owner),
        n_tokens=n_tokens,
        n_windows=n_windows,
        truncated=truncated,
        windows=windows,
    )


def _run(tokenizer: PreTrainedTokenizerBase, rows: list[Any], first: int, how: dict[str, Any]) -> list[Any]:
    try:
        return tokenizer.encode_texts(rows, max_length=None, **how)
    except TokenizerError as problem:
        if first == 0:
            raise
        raise TokenizerError(
            f"inputs {first} to {first + len(rows) - 1}, counted from 0 at the first of these: {problem}"
        ) from None


def _too_long(lengths: Sequence[int], number: int, limit: int | None) -> InputError:
    """About all texts above the limit, of which the first has that number."""
    more = f" (so have {len(lengths) - 1} more inputs)" if len(lengths) > 1 else ""
    return InputError(
        f"input {number} has {lengths[0]} tokens, but the limit is {limit}{more}. Shorten it, or pass "
        "long_input='window' or 'truncate'."
    )


def _has_types(tokenizer: PreTrainedTokenizerBase, encodings: list[Any], pairs: Any) -> bool:
    """Whether segments differ from 0. One single text stands for all: the tokeniser's template sets its segments."""
    if "token_type_ids" not in tokenizer.model_input_names or not encodings:
        return False
    return pairs is not None or any(encodings[0].type_ids)


def _divided(rows: list[list[int]], windows: dict[int, list[np.ndarray]]) -> list[list[int]]:
    if not windows:
        return rows
    divided: list[list[int]] = []
    for i, row in enumerate(rows):
        if i in windows:
            whole = np.asarray(row)
            divided.extend(whole[places].tolist() for places in windows[i])
        else:
            divided.append(row)
    return divided
