"""Extractive question answering: questions with answers to what the loop trains on.

Shapes: W windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bothways.data.squad import QuestionExample
from bothways.progress import progress_bar
from bothways.tasks.question_windows import MAX_LENGTH, OVERLAP, ContextTokens, QuestionEncoder
from bothways.tokenizers.base import PreTrainedTokenizerBase

CHUNK = 1_024
NO_ANSWER = 0
"""Place of the token for "no answer here", the first of the row. Source: Devlin et al. 2019, section 4.3."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SpanFeatures:
    """Windows with the places of the answer.

    Attributes:
        input_ids: W arrays int32.
        token_type_ids: W arrays int8; None when all of them are 0.
        positions: int64 (W, 2), the answer's first and last token in the row; 0 and 0 where the window has no answer.
        owner: int64 (W,), the number of the window's example, rising.
        n_unaligned: examples left out, because none of their answers is in the context's tokens.
    """

    input_ids: list[np.ndarray]
    token_type_ids: list[np.ndarray] | None
    positions: np.ndarray
    owner: np.ndarray
    n_unaligned: int


def training_features(
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[QuestionExample],
    max_length: int = MAX_LENGTH,
    overlap: int = OVERLAP,
    *,
    show: bool | None = None,
) -> SpanFeatures:
    """Windows of question and context, each with its part of the answer.

    The first answer that is in the context counts. A window that does not hold it whole is one without an answer.

    Args:
        tokenizer: of the model.
        examples: questions with their answers.
        max_length: longest row in tokens.
        overlap: tokens of the context that consecutive windows share.
        show: whether to show a bar; None where somebody watches.
    """
    ids: list[np.ndarray] = []
    types: list[np.ndarray] | None = []
    positions, owner = [], []
    unaligned = 0
    encoder = QuestionEncoder(tokenizer, max_length=max_length, overlap=overlap)
    with progress_bar("Tokenising", len(examples), "questions", show=show) as advance:
        for first in range(0, len(examples), CHUNK):
            chunk = examples[first : first + CHUNK]
            encoded = encoder.encode([e.question for e in chunk], [e.context for e in chunk], first=first)
            answers = [answer_tokens(c, e) for c, e in zip(encoded.contexts, chunk, strict=True)]
            unaligned += answers.count(None)
            for window, number in enumerate(encoded.owner.tolist()):
                answer = answers[number]
                if answer is None:
                    continue
                ids.append(encoded.input_ids[window])
                if encoded.token_type_ids is not None and types is not None:
                    types.append(encoded.token_type_ids[window])
                else:
                    types = None
                start, stop = encoded.spans[window].tolist()
                positions.append(_places(answer, start, stop, int(encoded.context_at[window])))
                owner.append(first + number)
            advance(len(chunk))
    return SpanFeatures(
        input_ids=ids,
        token_type_ids=types,
        positions=np.array(positions, dtype=np.int64).reshape(-1, 2),
        owner=np.array(owner, dtype=np.int64),
        n_unaligned=unaligned,
    )


def answer_tokens(context: ContextTokens, example: QuestionExample) -> tuple[int, int] | None:
    """First and last token of the first answer that has any; (-1, -1) for no answer; None if no answer has tokens."""
    if example.is_impossible:
        return -1, -1
    for start, text in example.answers:
        if start >= 0:
            found = context.tokens_of(start + len(text) - len(text.lstrip()), start + len(text.rstrip()))
            if found is not None:
                return found
    return None


def _places(answer: tuple[int, int], start: int, stop: int, context_at: int) -> tuple[int, int]:
    first, last = answer
    if first < start or last >= stop:
        return NO_ANSWER, NO_ANSWER
    return context_at + first - start, context_at + last - start
