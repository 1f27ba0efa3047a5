"""Question answering exactly as version 4 of the reference library computes it, for those who need its numbers.

It differs from the default in that every window has a softmax of its own over starts and over ends, so that scores of
different windows do not compare; that answers whose texts are equal up to case are added up wherever they are, and may
exceed 1; that the longest answer and the number of candidates change the scores; and that "no answer" is the smallest
product over the windows.

Source: ``pipelines/question_answering.py`` of transformers 4.57.

Shapes: L tokens of a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.tokenizers.base import PreTrainedTokenizerBase

_MASKED = -10000.0
_NO_NULL = 1000000.0


@dataclass(frozen=True, kw_only=True, eq=False)
class CompatWindows:
    """The windows of one question.

    Attributes:
        encodings: of the engine, with their offsets.
        allowed: for each window bool (L,): the tokens that may begin or end an answer, and every CLS token.
        context_side: which text of the pair is the context.
    """

    encodings: list[Any]
    allowed: list[np.ndarray]
    context_side: int


def compat_windows(
    tokenizer: PreTrainedTokenizerBase, question: str, context: str, max_length: int, stride: int
) -> CompatWindows:
    """Encode one question; a tokeniser that pads on the left reads the context first.

    Raises:
        TokenizerError: the question leaves no room for the context.
    """
    question_first = tokenizer.padding_side == "right"
    side = 1 if question_first else 0
    row = (question, context) if question_first else (context, question)
    whole = tokenizer.encode_texts(
        [row],
        max_length=max_length,
        truncation="only_second" if question_first else "only_first",
        stride=stride,
        offsets=True,
    )[0]
    encodings = [whole, *whole.overflowing]
    allowed = []
    for encoding in encodings:
        # the reference forgets to exclude anything where the context comes first
        own = np.array([not question_first or sequence == side for sequence in encoding.sequence_ids], dtype=bool)
        if tokenizer.cls_token_id is not None:
            own |= np.array(encoding.ids) == tokenizer.cls_token_id
        allowed.append(own)
    return CompatWindows(encodings=encodings, allowed=allowed, context_side=side)


def compat_answers(
    windows: CompatWindows,
    logits: Sequence[np.ndarray],
    context: str,
    *,
    top_k: int,
    max_answer_length: int,
    align_to_words: bool,
    handle_impossible_answer: bool,
) -> list[dict[str, Any]]:
    """The answers to one question, best first.

    Args:
        windows: of the question.
        logits: for each window float32 (L, 2).
        context: the text that the windows are of.
        top_k, max_answer_length, align_to_words, handle_impossible_answer: as the pipeline's.
    """
    answers: list[dict[str, Any]] = []
    null = _NO_NULL
    candidates = top_k * 2 + 10 if align_to_words else top_k
    for encoding, allowed, own in zip(windows.encodings, windows.allowed, logits, strict=True):
        start, end = (_softmax(np.where(allowed, own[:, side], _MASKED)) for side in (0, 1))
        null = min(null, float(start[0] * end[0]))
        start[0] = end[0] = 0.0
        for first, last, score in zip(*_decode(start, end, candidates, max_answer_length, allowed), strict=True):
            begin, stop = _characters(encoding, int(first), int(last), windows.context_side, align_to_words)
            text = context[begin:stop]
            same = next((a for a in answers if a["answer"].lower() == text.lower()), None)
            if same is not None:
                same["score"] += float(score)
            else:
                answers.append({"score": float(score), "start": begin, "end": stop, "answer": text})
    if handle_impossible_answer:
        answers.append({"score": null, "start": 0, "end": 0, "answer": ""})
    return sorted(answers, key=lambda answer: answer["score"], reverse=True)[:top_k]


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def _decode(
    start: np.ndarray, end: np.ndarray, candidates: int, max_answer_length: int, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and last tokens of the best spans, and their scores. Candidates are chosen before they are checked."""
    scores = np.tril(np.triu(np.outer(start, end)), max_answer_length - 1)
    flat = scores.ravel()
    if candidates == 1:
        chosen = np.array([np.argmax(flat)])
    elif len(flat) < candidates:
        chosen = np.argsort(-flat)
    else:
        best = np.argpartition(-flat, candidates)[:candidates]
        chosen = best[np.argsort(-flat[best])]
    first, last = np.unravel_index(chosen, scores.shape)
    places = np.append(np.flatnonzero(allowed), 0)  # the reference's look-up also finds the number of the only row: 0
    kept = np.isin(first, places) & np.isin(last, places)
    return first[kept], last[kept], scores[first[kept], last[kept]]


def _characters(encoding: Any, first: int, last: int, side: int, align_to_words: bool) -> tuple[int, int]:
    if align_to_words:
        words = encoding.token_to_word(first), encoding.token_to_word(last)
        if None not in words:
            ends = encoding.word_to_chars(words[0], side), encoding.word_to_chars(words[1], side)
            if ends[0] is not None and ends[1] is not None:
                return ends[0][0], ends[1][1]
    return encoding.offsets[first][0], encoding.offsets[last][1]
