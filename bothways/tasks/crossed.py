"""One text beside each of several others (the hypotheses of labels, the choices of a question), which stay whole.

Each text and each second text is tokenised once, and rows are put together from ids: the engine too encodes the two
texts of a pair by themselves. A long text is divided, or cut, and every second text is whole beside each part of it;
all second texts of a text meet the same windows, so that their scores can be compared.

Shapes: W windows of one text, K second texts beside it, C labels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.errors import InputError, TokenizerError
from bothways.tasks.encoded import LONG_INPUT, account
from bothways.tasks.pair_frame import PairFrame, pair_frame
from bothways.tasks.windows import WINDOW_OVERLAP, split
from bothways.tokenizers.base import PreTrainedTokenizerBase

QUEUE_TOKENS = 2**17
"""Tokens that wait for the model at most: some sixty batches on a CPU, so that sorting by length works; 1 MB of ids."""

Rows = list[list[int]]


@dataclass(frozen=True, kw_only=True)
class CrossedText:
    """One text and the second texts beside it, as ids.

    Attributes:
        frame: the special tokens of a pair.
        parts: W lists, the ids of the text in each window.
        seconds: K lists of ids.
        limit: longest row, where the text is to be cut beside each second text; None where it fits or is divided.
        cut_left: whether a cut removes the beginning.
        n_tokens: length of the longest row before anything was cut, special tokens included.
    """

    frame: PairFrame
    parts: Rows
    seconds: Rows
    limit: int | None
    cut_left: bool
    n_tokens: int

    @property
    def n_windows(self) -> int:
        return len(self.parts)

    @property
    def truncated(self) -> bool:
        return self.limit is not None

    @property
    def n_rows(self) -> int:
        return len(self.parts) * len(self.seconds)

    @property
    def weights(self) -> np.ndarray:
        """float32 (W,): the share of each window in the text, by tokens."""
        tokens = np.array([max(1, len(part)) for part in self.parts], dtype=np.float32)
        return tokens / tokens.sum()

    def rows(self) -> Iterator[tuple[list[int], list[int] | None]]:
        """Ids and token types of the W * K rows, all second texts beside the first window, then beside the next."""
        for part in self.parts:
            for second in self.seconds:
                first = part if self.limit is None else self._cut(part, len(second))
                yield self.frame.ids(first, second), self.frame.type_ids(len(first), len(second))

    def mean(self, scores: np.ndarray) -> np.ndarray:
        """The mean of (W, K) over the windows, weighted by tokens: (K,)."""
        return scores[0] if len(scores) == 1 else self.weights @ scores

    def account(self) -> dict[str, Any]:
        """What happened to the text, as results say it."""
        return account(self.n_tokens, self.n_windows, self.truncated)

    def _cut(self, part: list[int], second: int) -> list[int]:
        assert self.limit is not None
        room = self.limit - self.frame.n_special - second
        return part[max(0, len(part) - room) :] if self.cut_left else part[:room]


def encode_crossed(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    seconds: Sequence[Sequence[str]],
    *,
    max_length: int | None,
    long_input: str = "window",
    window_overlap: int = WINDOW_OVERLAP,
    add_special_tokens: bool = True,
    first: int = 0,
    what: str = "second text",
) -> list[CrossedText]:
    """Encode n texts, each with its own second texts.

    Args:
        texts: n texts.
        seconds: n lists, none empty.
        max_length: longest row in tokens; None for no limit.
        long_input: for texts above it ``"window"``, ``"truncate"`` (the end of the text, or its beginning where the
            tokeniser's ``truncation_side`` is left; second texts stay whole) or ``"error"``.
        window_overlap: tokens that consecutive windows share.
        add_special_tokens: whether to add ``[CLS]`` and ``[SEP]``.
        first: number of the first text, for messages about a chunk of a longer list.
        what: the name of second texts in messages.

    Raises:
        InputError: a text that is too long under ``"error"``, or a second text that leaves no room for the text.
        TokenizerError: a text that cannot be encoded.
    """
    if long_input not in LONG_INPUT:
        raise InputError(f"long_input is {long_input!r}; expected one of {', '.join(map(repr, LONG_INPUT))}.")
    if not texts:
        return []
    distinct = list(dict.fromkeys(second for own in seconds for second in own))
    firsts = _ids(tokenizer, texts, f"inputs {first} to {first + len(texts) - 1}")
    ids_of = dict(zip(distinct, _ids(tokenizer, distinct, f"the {len(distinct)} different {what}s"), strict=True))
    frame = pair_frame(tokenizer, texts, distinct, add_special_tokens)
    crossed = []
    for number, (ids, own) in enumerate(zip(firsts, seconds, strict=True), first):
        rows = [ids_of[second] for second in own]
        longest = max(range(len(rows)), key=lambda k: len(rows[k]))
        fixed = frame.n_special + len(rows[longest])
        length = fixed + len(ids)
        parts, limit = [ids], None
        if max_length is not None and length > max_length:
            if fixed + min(1, len(ids)) > max_length:
                raise InputError(
                    f"input {number}: {what} {longest} has {len(rows[longest])} tokens and there are "
                    f"{frame.n_special} special tokens, which leaves no room for the text within {max_length}. "
                    f"Shorten the {what}; it is never cut."
                )
            if long_input == "error":
                raise InputError(
                    f"input {number} has {length} tokens with its longest {what}, but the limit is {max_length}. "
                    "Shorten it, or pass long_input='window' or 'truncate'."
                )
            limit = max_length if long_input == "truncate" else None
            parts = [ids] if limit is not None else _windows(ids, fixed, max_length, window_overlap)
        crossed.append(
            CrossedText(
                frame=frame,
                parts=parts,
                seconds=rows,
                limit=limit,
                cut_left=tokenizer.truncation_side == "left",
                n_tokens=length,
            )
        )
    return crossed


def crossed_logits(
    texts: Iterable[CrossedText],
    compute: Callable[[Rows, Rows | None], np.ndarray],
    most_tokens: int = QUEUE_TOKENS,
) -> Iterator[tuple[CrossedText, np.ndarray]]:
    """Run all rows of all texts through one queue, which never holds more than about ``most_tokens`` tokens.

    Args:
        texts: read as far as the queue has room.
        compute: ids and token types of n rows to their logits, (n, C): ``PackedRunner.sequence_logits``.
        most_tokens: the queue is computed when it holds so many, even in the middle of a text.

    Yields:
        Each text, in order, with its logits (W, K, C).
    """
    waiting: deque[CrossedText] = deque()
    done: list[np.ndarray] = []
    ids: Rows = []
    types: Rows = []
    tokens = 0
    for text in texts:
        waiting.append(text)
        for row, row_types in text.rows():
            ids.append(row)
            tokens += len(row)
            if row_types is not None:
                types.append(row_types)
            if tokens >= most_tokens:
                done.append(compute(ids, types or None))
                ids, types, tokens = [], [], 0
        if sum(map(len, done)) >= waiting[0].n_rows:
            done, ready = _ready(waiting, np.concatenate(done))
            yield from ready
    if ids:
        done.append(compute(ids, types or None))
    if waiting:
        yield from _ready(waiting, np.concatenate(done))[1]


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], where: str) -> Rows:
    try:
        return [encoding.ids for encoding in tokenizer.encode_texts(texts, add_special_tokens=False)]
    except TokenizerError as problem:
        raise TokenizerError(f"{where}, counted from 0 at the first of these: {problem}") from None


def _windows(ids: list[int], fixed: int, limit: int, overlap: int) -> Rows:
    """The text in parts that fit beside ``fixed`` other tokens."""
    places = split([None] * fixed + [0] * len(ids), limit, overlap)
    whole = np.asarray(ids)
    return [whole[own[fixed:] - fixed].tolist() for own in places]


def _ready(
    waiting: deque[CrossedText], logits: np.ndarray
) -> tuple[list[np.ndarray], list[tuple[CrossedText, np.ndarray]]]:
    """Take the texts whose rows are all computed; the logits that remain, and these texts with theirs."""
    ready = []
    start = 0
    while waiting and start + waiting[0].n_rows <= len(logits):
        text = waiting.popleft()
        own = logits[start : start + text.n_rows]
        start += text.n_rows
        ready.append((text, own.reshape(text.n_windows, len(text.seconds), -1)))
    return [logits[start:]], ready
