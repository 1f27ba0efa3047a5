"""Start and end logits to answers: one distribution over all spans of a context and "no answer".

A span's logit is the sum of the start logit of its first token and the end logit of its last one. All spans up to the
longest allowed, in all windows, and one "no answer" share one softmax, so that scores of different windows, questions
and ``top_k`` compare and never exceed 1. Where windows overlap, a span is read once, in the window whose middle is
nearest to its own: there it has most surroundings, and nothing is counted twice. Spans that are the same words (with
``align_to_words``) or the same characters are one answer, whose score is the sum.

Source: Devlin et al. 2019, sections 4.2 and 4.3; one normalisation over parts of a document: Clark & Gardner 2018,
section 3.2.

Shapes: n tokens of a window's context, u units (words or tokens) of it, m longest answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.data.squad import QuestionExample
from bothways.errors import CheckpointError, InputError
from bothways.metrics.question_answering import answer_f1, best_null_threshold
from bothways.tasks.question_windows import ContextTokens, QuestionWindows

MAX_ANSWER_LENGTH = 15
NULL_THRESHOLD = "null_threshold"
"""Name in a model's configuration of what ``learn_null_threshold`` found."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters ``[start, end)`` of a context, and the probability that they are the answer."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a model says about one question.

    Attributes:
        spans: the best ones first; none if the context has no tokens.
        no_answer: probability that the context does not answer the question.
        null_odds: log of the odds of "no answer" against the best span, before any threshold; infinite without spans.
    """

    spans: tuple[Span, ...]
    no_answer: float
    null_odds: float

    @property
    def best(self) -> Span | None:
        """The best span, or None where "no answer" is more probable."""
        return self.spans[0] if self.spans and self.spans[0].score >= self.no_answer else None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Units:
    """What answers are made of: words, or tokens where tokens that share a character are one.

    Attributes:
        of_token: int64 (n,), the unit of each token, rising by 0 or 1.
        first, last: int64 (n,), the first and last token of the unit of each token.
        starts, ends: int (u,), characters.
    """

    of_token: np.ndarray
    first: np.ndarray
    last: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def find_answers(
    windows: QuestionWindows,
    logits: Sequence[np.ndarray],
    *,
    top_k: int = 1,
    max_answer_length: int = MAX_ANSWER_LENGTH,
    align_to_words: bool = True,
    null_threshold: float = 0.0,
) -> list[Answers]:
    """The best answers to each question.

    Args:
        windows: the questions.
        logits: for each window float (its tokens, 2): start and end.
        top_k: how many spans; fewer only if the context has fewer.
        max_answer_length: longest span in tokens, before it is widened to whole words.
        align_to_words: widen spans to whole words.
        null_threshold: is taken from the logit of "no answer": above 0 answers come more readily. See
            ``learn_null_threshold``.

    Raises:
        InputError: ``top_k`` or ``max_answer_length`` below 1.
        CheckpointError: logits that are no numbers.
    """
    if top_k < 1 or max_answer_length < 1:
        raise InputError(f"top_k is {top_k} and max_answer_length {max_answer_length}; both begin at 1.")
    bounds = windows.first_windows.tolist()
    units: dict[int, _Units] = {}
    found = []
    for number, context in enumerate(windows.contexts):
        own = range(bounds[number], bounds[number + 1])
        _check_numbers([logits[w] for w in own], number)
        if id(context) not in units:
            units[id(context)] = _units(context, align_to_words)
        parts = [_context_logits(windows, logits, w) for w in own]
        null = min(float(logits[w][0].astype(np.float64).sum()) for w in own)
        spans = windows.spans[own.start : own.stop]
        found.append(_answers(units[id(context)], spans, parts, null, top_k, max_answer_length, null_threshold))
    return found


def learn_null_threshold(answers: Sequence[Answers], examples: Sequence[QuestionExample]) -> float | None:
    """The ``null_threshold`` with the best F1 on development data, for the model's configuration.

    Args:
        answers: of ``find_answers`` without a threshold.
        examples: the questions they answer.

    Returns:
        None if every question has an answer: then there is nothing to learn.
    """
    if not any(example.is_impossible for example in examples):
        return None
    scores = [
        answer_f1(example.context[a.spans[0].start : a.spans[0].end] if a.spans else "", example.answer_texts)
        for a, example in zip(answers, examples, strict=True)
    ]
    return best_null_threshold([a.null_odds for a in answers], scores, [e.is_impossible for e in examples])[0]


def null_threshold_of(config: Any) -> float:
    """The threshold in a model's configuration (``config.null_threshold``); 0 without one."""
    value = getattr(config, NULL_THRESHOLD, None)
    return float(value) if isinstance(value, (int, float)) and np.isfinite(value) else 0.0


def _check_numbers(logits: Sequence[np.ndarray], number: int) -> None:
    wrong = sum(not np.isfinite(own).all() for own in logits)
    if wrong:
        raise CheckpointError(
            f"the model gives no numbers (NaN or infinite) for {wrong} of {len(logits)} windows of question {number}: "
            "its weights are damaged, or too large for its dtype."
        )


def _context_logits(windows: QuestionWindows, logits: Sequence[np.ndarray], window: int) -> np.ndarray:
    """Start and end logits of a window's part of the context: float64 (n, 2)."""
    start, stop = windows.spans[window].tolist()
    at = int(windows.context_at[window])
    return logits[window][at : at + stop - start].astype(np.float64)


def _answers(
    units: _Units,
    spans: np.ndarray,
    parts: Sequence[np.ndarray],
    null: float,
    top_k: int,
    max_answer_length: int,
    null_threshold: float,
) -> Answers:
    limits = _middles(spans)
    totals = [null - null_threshold]
    candidates: list[tuple[float, int, int]] = []
    for (start, stop), logits, (low, high) in zip(spans.tolist(), parts, limits, strict=True):
        if start < stop:
            total, best = _window_spans(units, start, stop, logits, low, high, top_k, max_answer_length)
            totals.append(total)
            candidates += best
    everything = float(np.logaddexp.reduce(totals))
    candidates.sort(key=lambda c: (-c[0], c[1], c[2]))
    return Answers(
        spans=tuple(
            Span(int(units.starts[first]), int(units.ends[last]), min(1.0, float(np.exp(logit - everything))))
            for logit, first, last in candidates[:top_k]
        ),
        no_answer=min(1.0, float(np.exp(totals[0] - everything))),
        null_odds=null - candidates[0][0] if candidates else float("inf"),
    )


def _window_spans(
    units: _Units, start: int, stop: int, logits: np.ndarray, low: float, high: float, top_k: int, longest: int
) -> tuple[float, list[tuple[float, int, int]]]:
    """The log of the sum of all spans that one window reads, and the best: (logit, first unit, last unit)."""
    n = stop - start
    m = min(longest, n)
    own = units.of_token[start:stop]
    usable = units.starts[own] < units.ends[own]
    begin = np.where(usable, logits[:, 0], -np.inf)
    sums = begin[:, None] + _band(np.where(usable, logits[:, 1], -np.inf), m, -np.inf)  # (n, m): from token i, i+d
    if low > -np.inf or high < np.inf:
        middle = units.first[start:stop, None] + _band(units.last[start:stop], m, 0)  # doubled
        sums = np.where((low <= middle) & (middle < high), sums, -np.inf)
    highest = float(sums.max())
    if highest == -np.inf:
        return -np.inf, []
    key = (own - own[0])[:, None] * m + _band(own, m, own[-1]) - own[:, None]  # unit of the first token, units between
    table = np.bincount(key.ravel(), np.exp(sums - highest).ravel())
    count = min(top_k, int(np.count_nonzero(table)))
    chosen = np.argpartition(table, len(table) - count)[len(table) - count :]
    first = own[0] + chosen // m
    best = zip(highest + np.log(table[chosen]), first, first + chosen % m, strict=True)
    return highest + float(np.log(table.sum())), [(float(s), int(a), int(b)) for s, a, b in best]


def _band(values: np.ndarray, m: int, beyond: Any) -> np.ndarray:
    """(n,) -> (n, m): the value at i + d."""
    padded = np.concatenate([values, np.full(m - 1, beyond, dtype=values.dtype)])
    return np.lib.stride_tricks.sliding_window_view(padded, m)


def _middles(spans: np.ndarray) -> list[tuple[float, float]]:
    """For each window the (doubled) middles of the spans it reads: from the lower to below the upper limit.

    All windows of a context have the same length, so a span that lies in any window lies in the one whose middle is
    nearest.
    """
    middle = spans[:, 0] + spans[:, 1] - 1
    cuts = (middle[:-1] + middle[1:]) / 2
    return list(zip([-np.inf, *cuts.tolist()], [*cuts.tolist(), np.inf], strict=True))


def _units(context: ContextTokens, align_to_words: bool) -> _Units:
    n = len(context)
    if not n:
        empty = np.zeros(0, dtype=np.int64)
        return _Units(of_token=empty, first=empty, last=empty, starts=empty, ends=empty)
    begins = np.ones(n, dtype=bool)
    if align_to_words:
        begins[1:] = (context.words[1:] != context.words[:-1]) | (context.words[1:] < 0)
    begins[1:] &= context.starts[1:] >= np.maximum.accumulate(context.ends)[:-1]
    first = np.flatnonzero(begins)
    of_token = np.cumsum(begins) - 1
    last = np.append(first[1:], n) - 1
    return _Units(
        of_token=of_token,
        first=first[of_token],
        last=last[of_token],
        starts=np.minimum.reduceat(context.starts, first),
        ends=np.maximum.reduceat(context.ends, first),
    )
