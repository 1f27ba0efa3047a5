"""Questions and contexts to what a model reads: the question whole, and the context in overlapping windows.

Each text is encoded once, whatever the number of questions about it, and rows are put together from the parts:
``[CLS] question [SEP] part of the context [SEP]``. That is what the tokeniser gives for the pair.

Shapes: Q questions, W windows, n tokens of a context.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bothways.errors import InputError
from bothways.tasks.encoded import LONG_INPUT, account
from bothways.tasks.offsets import without_space
from bothways.tasks.pair_frame import PairFrame, pair_frame
from bothways.tasks.windows import split
from bothways.tokenizers.base import PreTrainedTokenizerBase

MAX_LENGTH = 384
OVERLAP = 128
"""Tokens of a row, and tokens of the context that consecutive windows share. Source: ``google-research/bert``."""

CACHED_TOKENS = 2**20
CONTEXT_COST = 64
"""Tokens that may be remembered in all, and what a context itself counts: its text and arrays, about 1 kB."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ContextTokens:
    """A context as tokens.

    Attributes:
        ids: int32 (n,).
        starts, ends: int32 (n,), the first character of each token and the one after its last, without white space.
        words: int32 (n,), the number of each token's word; -1 where the tokeniser knows no words.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    words: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def tokens_of(self, start: int, end: int) -> tuple[int, int] | None:
        """The first and last token that have a character of ``[start, end)``; None if no token has."""
        first = int(np.searchsorted(self._reach, start, side="right"))
        last = int(np.searchsorted(self.starts, end, side="left")) - 1
        return (first, last) if first <= last else None

    @cached_property
    def _reach(self) -> np.ndarray:
        return np.maximum.accumulate(self.ends) if len(self.ends) else self.ends


@dataclass(frozen=True, kw_only=True, eq=False)
class QuestionWindows:
    """Questions as rows of ids.

    Attributes:
        input_ids: W arrays int32, the windows of a question side by side.
        token_type_ids: W arrays int8; None when all of them are 0.
        owner: int64 (W,), the question of each window, rising.
        spans: int64 (W, 2), the context's first token in each window and the one after its last.
        context_at: int64 (W,), the place in the row where the context begins. Place 0 stands for "no answer".
        contexts: the context of each question.
        n_tokens: for each question the length of the whole row before anything was cut or divided.
        n_windows: for each question the number of its windows.
        truncated: for each question whether tokens of it or of its context are in no window.
    """

    input_ids: list[np.ndarray]
    token_type_ids: list[np.ndarray] | None
    owner: np.ndarray
    spans: np.ndarray
    context_at: np.ndarray
    contexts: list[ContextTokens]
    n_tokens: list[int]
    n_windows: list[int]
    truncated: list[bool]

    def __len__(self) -> int:
        return len(self.n_tokens)

    def account(self, question: int) -> dict[str, Any]:
        """What happened to a question and its context, as results say it."""
        return account(self.n_tokens[question], self.n_windows[question], self.truncated[question])

    @property
    def first_windows(self) -> np.ndarray:
        """int64 (Q + 1,): the number of the first window of each question, and W."""
        return np.concatenate(([0], np.cumsum(self.n_windows, dtype=np.int64)))


class QuestionEncoder:
    """Encodes questions about contexts; a context that comes again is not encoded again.

    Args:
        tokenizer: of the model.
        max_length: longest row in tokens; None for no limit.
        overlap: tokens of the context that consecutive windows share.
        max_question: longest question in tokens; None keeps questions whole, as long as half of a row is left for the
            context.
        long_input: for longer rows: ``"window"``, ``"truncate"`` (keep the context's beginning) or ``"error"``.

    Raises:
        InputError: an impossible length, or an unknown ``long_input``.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int | None = MAX_LENGTH,
        overlap: int = OVERLAP,
        max_question: int | None = None,
        long_input: str = "window",
    ) -> None:
        if long_input not in LONG_INPUT:
            raise InputError(f"long_input is {long_input!r}; expected one of {', '.join(map(repr, LONG_INPUT))}.")
        self.tokenizer = tokenizer
        self.overlap = overlap
        self.max_question = max_question
        self.long_input = long_input
        self._frame = pair_frame(tokenizer)
        self._room = None if max_length is None else max_length - self._frame.n_special
        if self._room is not None and self._room < 2:
            raise InputError(
                f"max_length={max_length} leaves no room: {self._frame.n_special} special tokens and one token of the "
                f"question and of the context need {self._frame.n_special + 2}. Raise max_length."
            )
        self._contexts: OrderedDict[str, ContextTokens] = OrderedDict()
        self._divisions: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def encode(self, questions: Sequence[str], contexts: Sequence[str], *, first: int = 0) -> QuestionWindows:
        """Encode as many questions as contexts; ``first`` is the number of the first one, for messages.

        Raises:
            InputError: a row that is too long under ``"error"``.
            TokenizerError: a text that is none.
        """
        asked = [
            np.asarray(e.ids, dtype=np.int32)
            for e in self.tokenizer.encode_texts(list(questions), add_special_tokens=False)
        ]
        read = self._read(contexts)
        self._divisions.clear()  # of this call only: in an endless stream there is no end to the pairs of lengths
        frame, typed = self._frame, self._frame.is_typed
        rows: list[np.ndarray] = []
        types: list[np.ndarray] = []
        owner, spans, context_at = [], [], []
        truncated = []
        for number, (question, context) in enumerate(zip(asked, read, strict=True)):
            kept, own = self._divide(question, len(context), first + number)
            for start, stop in own:
                rows.append(_row(frame, kept, context.ids[start:stop]))
                if typed:
                    types.append(np.array(frame.type_ids(len(kept), stop - start), dtype=np.int8))
                spans.append((start, stop))
            owner += [number] * len(own)
            context_at += [len(frame.before) + len(kept) + len(frame.between)] * len(own)
            truncated.append(len(kept) < len(question) or own[-1][1] < len(context))
        return QuestionWindows(
            input_ids=rows,
            token_type_ids=types if typed else None,
            owner=np.array(owner, dtype=np.int64),
            spans=np.array(spans, dtype=np.int64).reshape(-1, 2),
            context_at=np.array(context_at, dtype=np.int64),
            contexts=read,
            n_tokens=[frame.n_special + len(q) + len(c) for q, c in zip(asked, read, strict=True)],
            n_windows=np.bincount(np.array(owner, dtype=np.int64), minlength=len(asked)).tolist(),
            truncated=truncated,
        )

    def _read(self, contexts: Sequence[str]) -> list[ContextTokens]:
        """The contexts as tokens. As many as cost ``CACHED_TOKENS`` are remembered, the latest ones."""
        known = self._contexts
        new = [text for text in dict.fromkeys(contexts) if text not in known]
        for text, tokens in zip(new, encode_contexts(self.tokenizer, new), strict=True):
            known[text] = tokens
        read = []
        for text in contexts:
            known.move_to_end(text)
            read.append(known[text])
        total = sum(map(len, known.values())) + CONTEXT_COST * len(known)
        while total > CACHED_TOKENS and len(known) > 1:
            total -= len(known.popitem(last=False)[1]) + CONTEXT_COST
        return read

    def _divide(self, question: np.ndarray, n: int, number: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
        """The question as it is shown, and the parts of the context: first token and the one after the last."""
        if self.max_question is not None:
            question = question[: self.max_question]
        if self._room is None or len(question) + n <= self._room:
            return question, [(0, n)]
        if self.long_input == "error":
            raise InputError(
                f"input {number} has {self._frame.n_special + len(question) + n} tokens, but the limit is "
                f"{self._frame.n_special + self._room}. Shorten the context, or pass long_input='window' or 'truncate'."
            )
        question = question[: max(1, self._room // 2, self._room - n)]
        room = self._room - len(question)
        if self.long_input == "truncate" or n <= room:
            return question, [(0, min(n, room))]
        if (n, room) not in self._divisions:
            self._divisions[n, room] = [(int(w[0]), int(w[-1]) + 1) for w in split([0] * n, room, self.overlap)]
        return question, self._divisions[n, room]


def encode_contexts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[ContextTokens]:
    """Texts as tokens with the places of their characters.

    Raises:
        TokenizerError: a text that is none.
    """
    encodings = tokenizer.encode_texts(list(texts), add_special_tokens=False, offsets=True) if texts else []
    found = []
    for text, encoding in zip(texts, encodings, strict=True):
        starts, ends = without_space(np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2), text).T
        words = np.array([-1 if word is None else word for word in encoding.word_ids], dtype=np.int32)
        found.append(ContextTokens(ids=np.array(encoding.ids, dtype=np.int32), starts=starts, ends=ends, words=words))
    return found


def _row(frame: PairFrame, question: np.ndarray, context: np.ndarray) -> np.ndarray:
    parts: list[Any] = [frame.before, question, frame.between, context, frame.after]
    return np.concatenate(parts, dtype=np.int32, casting="unsafe")  # an empty list would count as float
