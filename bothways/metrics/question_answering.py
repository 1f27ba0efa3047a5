"""Exact match and F1 of answers, as the official scripts of SQuAD 1.1 and 2.0 compute them.

Source: Rajpurkar et al. 2016, section 6.1; Rajpurkar et al. 2018; ``evaluate-v2.0.py`` of the project. Scores of one
answer are from 0 to 1, scores of a data set are percentages, as published.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

from bothways.errors import InputError

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and needless white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def answer_exact(prediction: str, answers: Sequence[str]) -> float:
    """1.0 if the prediction equals one of the right answers after normalisation. No answers: "" is right."""
    return max(float(normalise_answer(prediction) == normalise_answer(answer)) for answer in _right(answers))


def answer_f1(prediction: str, answers: Sequence[str]) -> float:
    """F1 of words against the right answer that fits best. No answers: "" is right."""
    said = normalise_answer(prediction).split()
    return max(_word_f1(said, normalise_answer(answer).split()) for answer in _right(answers))


def question_answering_scores(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, float | int]:
    """Scores under the names of the official script.

    Args:
        predictions: one text a question; "" for no answer.
        answers: the right answers of each question; none where the context does not answer it.

    Returns:
        ``exact``, ``f1`` (percentages) and ``total``; the same with ``HasAns_`` and ``NoAns_`` for the questions with
        and without an answer, where there are any.

    Raises:
        InputError: unequal numbers, or none.
    """
    if len(predictions) != len(answers) or not predictions:
        raise InputError(
            f"{len(predictions)} predictions for {len(answers)} questions; expected as many, at least one."
        )
    exact = np.array([answer_exact(p, a) for p, a in zip(predictions, answers, strict=True)])
    f1 = np.array([answer_f1(p, a) for p, a in zip(predictions, answers, strict=True)])
    answerable = np.array([_right(own) != [""] for own in answers])
    results: dict[str, float | int] = {}
    for prefix, chosen in (("", answerable | True), ("HasAns_", answerable), ("NoAns_", ~answerable)):
        if chosen.any():
            results |= {
                f"{prefix}exact": 100.0 * float(exact[chosen].mean()),
                f"{prefix}f1": 100.0 * float(f1[chosen].mean()),
                f"{prefix}total": int(chosen.sum()),
            }
    return results


def best_null_threshold(
    null_odds: Sequence[float], scores: Sequence[float], is_impossible: Sequence[bool]
) -> tuple[float, float]:
    """The threshold above which "no answer" is the best answer, and the mean score that it gives.

    Args:
        null_odds: for each question how much better "no answer" is than the best span; any scale, may be infinite.
        scores: exact match or F1 of the best span, from 0 to 1.
        is_impossible: whether "no answer" is right.

    Returns:
        The threshold, finite, midway between two questions' odds; the mean score in percent.

    Raises:
        InputError: unequal numbers, or none.
    """
    if not len(null_odds) == len(scores) == len(is_impossible) > 0:
        raise InputError(
            f"{len(null_odds)} odds, {len(scores)} scores and {len(is_impossible)} questions; expected as many, at "
            "least one."
        )
    odds = np.asarray(null_odds, dtype=np.float64)
    impossible = np.asarray(is_impossible, dtype=bool)
    order = np.argsort(odds, kind="stable")
    odds = odds[order]
    gain = np.where(impossible, -1.0, np.asarray(scores, dtype=np.float64))[
        order
    ]  # of answering instead of "no answer"
    reached = np.concatenate([[0.0], np.cumsum(gain)]) + impossible.sum()  # with the first k questions answered
    possible = np.concatenate([[True], odds[1:] > odds[:-1], [True]])  # equal odds are decided together
    best = int(np.argmax(np.where(possible, reached, -np.inf)))
    return _between(odds, best), 100.0 * float(reached[best]) / len(odds)


def _right(answers: Sequence[str]) -> list[str]:
    """The right answers that are more than articles and punctuation; [""] if there are none."""
    return [answer for answer in answers if normalise_answer(answer)] or [""]


def _word_f1(said: list[str], right: list[str]) -> float:
    if not said or not right:
        return float(said == right)
    common = sum((Counter(said) & Counter(right)).values())
    return 2.0 * common / (len(said) + len(right))


def _between(odds: np.ndarray, answered: int) -> float:
    """A finite number between the odds of the last question that is answered and the first that is not."""
    finite = odds[np.isfinite(odds)]
    if not len(finite):
        return 0.0
    below = odds[answered - 1] if answered else -np.inf
    above = odds[answered] if answered < len(odds) else np.inf
    if np.isfinite(below) and np.isfinite(above):
        return float((below + above) / 2)
    return float(below + 1.0) if np.isfinite(below) else float(above - 1.0) if np.isfinite(above) else 0.0
