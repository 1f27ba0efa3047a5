"""Comparing vectors: cosine similarity, and the best matches in a list that fits into memory.

Shapes: q queries, n vectors, N their size, K results.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bothways.errors import InputError

BLOCK_ELEMENTS = 2**24  # 64 MB of scores at once


def cos_sim(a: Any, b: Any) -> np.ndarray:
    """Cosine of the angle between each vector of ``a`` (q, N) and each of ``b`` (n, N): float32 (q, n).

    A single vector (N,) counts as one row. A vector of zeros has similarity 0 with all.

    Raises:
        InputError: sizes that differ, or something that is no table of numbers.
    """
    first, second = _comparable(a, b, ("a", "b"))
    return first @ second.T


def semantic_search(queries: Any, corpus: Any, top_k: int = 10) -> list[list[dict[str, Any]]]:
    """The vectors of the corpus that are most similar to each query, best first.

    Args:
        queries: (q, N) or (N,).
        corpus: (n, N).
        top_k: how many; never more than there are.

    Returns:
        For each query a list of ``{"corpus_id", "score"}``; equal scores in the order of the corpus.

    Raises:
        InputError: as ``cos_sim``; ``top_k`` below 1.
    """
    if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
        raise InputError(f"top_k is {top_k!r}; expected a whole number from 1 on.")
    asked, known = _comparable(queries, corpus, ("queries", "corpus"))
    found: list[list[dict[str, Any]]] = []
    rows = max(1, BLOCK_ELEMENTS // max(1, len(known)))
    for start in range(0, len(asked), rows):
        scores = asked[start : start + rows] @ known.T
        found.extend(_best(row, min(top_k, len(known))) for row in scores)
    return found


def _best(scores: np.ndarray, count: int) -> list[dict[str, Any]]:
    if not count:
        return []
    least = np.partition(scores, -count)[-count]
    chosen = np.flatnonzero(scores >= least)  # with ties more than asked: the first of them count
    order = chosen[np.argsort(-scores[chosen], kind="stable")][:count]
    return [{"corpus_id": int(i), "score": float(scores[i])} for i in order]


def _comparable(a: Any, b: Any, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Both as rows of length 1, of one size."""
    first, second = _unit_rows(a, names[0]), _unit_rows(b, names[1])
    if first.shape[1] != second.shape[1]:
        raise InputError(
            f"{names[0]} has vectors of {first.shape[1]} numbers, {names[1]} of {second.shape[1]}: they are not from "
            "the same model."
        )
    return first, second


def _unit_rows(vectors: Any, name: str) -> np.ndarray:
    try:
        table = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError):
        raise InputError(f"{name} is no table of numbers; expected vectors (n, N), or one vector (N,).") from None
    table = table[None] if table.ndim == 1 and table.size else table
    if table.ndim != 2:
        raise InputError(f"{name} has the shape {table.shape}; expected vectors (n, N), or one vector (N,).")
    if not np.isfinite(table).all():
        raise InputError(f"{name} has values that are not finite in {int((~np.isfinite(table)).any(1).sum()):,} rows.")
    return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
