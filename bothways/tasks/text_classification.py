"""Text classification: logits to probabilities, probabilities to results.

Shapes: n texts, W windows, C labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from bothways.errors import InputError
from bothways.tasks.encoded import EncodedTexts, encode

__all__ = ["FUNCTIONS", "decode", "default_function", "encode", "named_scores", "sigmoid", "softmax", "top_labels"]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis; no overflow for any finite input."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Of each number; no overflow for any finite input."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small))


def _unchanged(logits: np.ndarray) -> np.ndarray:
    return logits


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "none": _unchanged,
}


def default_function(config: Any) -> str:
    """The function that makes scores of a model's logits, as the ecosystem chooses it.

    Source: the reference library's text classification pipeline. A head with one output and no stated problem type gets
    a sigmoid, even if it was trained for regression.
    """
    if config.problem_type == "regression":
        return "none"
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return "sigmoid"
    return "softmax"


def decode(logits: np.ndarray, encoded: EncodedTexts, function: str) -> np.ndarray:
    """The scores of each text; of a text in several windows their mean, weighted by the tokens of the windows.

    Args:
        logits: (W, C).
        encoded: the texts that gave them.
        function: name in ``FUNCTIONS``.

    Returns:
        (n, C), dtype of the logits.

    Raises:
        InputError: unknown function.
    """
    if function not in FUNCTIONS:
        raise InputError(
            f"function_to_apply is {function!r}; expected one of {', '.join(map(repr, FUNCTIONS))} or 'default'."
        )
    scores = FUNCTIONS[function](logits)
    if len(scores) == len(encoded):
        return scores
    return np.add.reduceat(scores * encoded.weights[:, None].astype(scores.dtype), encoded.first_windows, axis=0)


def top_labels(scores: np.ndarray, id2label: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    """For each row of (n, C) the best label and its score."""
    labels = scores.argmax(axis=1).tolist()
    best = scores.max(axis=1).tolist()
    for label, score in zip(labels, best, strict=True):
        yield {"label": id2label[label], "score": score}


def named_scores(
    scores: np.ndarray, id2label: Mapping[int, str], *, top_k: int | None, sort: bool
) -> Iterator[list[dict[str, Any]]]:
    """For each row of (n, C) all labels with their scores.

    Args:
        top_k: how many of them; None for all. Only with ``sort``.
        sort: best first; else in the order of the model's labels. Equal scores keep that order.
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k] if sort else None
    for i, row in enumerate(scores.tolist()):
        chosen = range(len(row)) if order is None else order[i].tolist()
        yield [{"label": id2label[j], "score": row[j]} for j in chosen]
