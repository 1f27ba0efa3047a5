"""``explore.pooling``: first-token, mean and max pooling compared on labelled pairs of texts.

Source: Reimers and Gurevych 2019, "Sentence-BERT", sections 3 and 6, table 6.

Shapes: n pairs, N hidden_size, E size of a word embedding.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.data import LabelledTexts, load_labelled
from bothways.errors import DataError, InputError
from bothways.explore.agreement import CONFIDENCE, Agreement, Estimate, measure_agreement
from bothways.explore.reading import Reader, load_reader, word_table
from bothways.progress import progress_bar

WAYS = {"cls": "first token", "mean": "mean", "max": "max", "static": "static words, mean"}
"""Ways of pooling, and the baseline: the mean of the static vectors, which know no context."""

POSITIVE = frozenset({"1", "true", "yes", "same", "similar", "duplicate", "paraphrase", "equivalent", "entailment"})
CHUNK = 256
FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class PoolingScore:
    """One way with its score; ``way`` is a key of ``WAYS``."""

    way: str
    name: str
    score: Estimate


@dataclass(frozen=True, kw_only=True)
class PoolingReport:
    """The answer of ``pooling``.

    Attributes:
        metric: ``"Spearman"`` or ``"AUC"``.
        positive: the label that stands for "alike"; None for scores.
        scores: in the order of ``WAYS``.
        winner: the way that is above both others beyond chance; None if that cannot be told.
        ahead: the difference of the best way to each other one of the three.
    """

    model: str
    n_pairs: int
    metric: str
    positive: str | None
    scores: tuple[PoolingScore, ...]
    winner: str | None
    ahead: dict[str, Estimate]
    sentences: tuple[str, ...]


def pooling(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    model: Any = "minilm-l6",
    tokenizer: Any = None,
    text_column: str | None = None,
    label_column: str | None = None,
    positive: str | None = None,
    limit: int | None = None,
) -> PoolingReport:
    """How well the cosine of two texts' vectors agrees with the labels, for each way of pooling token vectors.

    Scores (such as STS-B's 0 to 5) are judged by Spearman's rank correlation, two classes by the area under the ROC
    curve. Long texts are divided into windows.

    Args:
        files: pairs of texts with labels.
        model: a name, a directory or a model; its head does not matter.
        tokenizer: of a model that was not loaded by name.
        text_column: both columns of the texts with a comma, where their names do not tell.
        label_column: where its name does not tell.
        positive: the class that stands for "alike"; by default 1, yes, true, duplicate and the like.
        limit: only so many pairs, the first.

    Raises:
        UsageError, DataError: no pairs, labels that are neither scores nor two classes, or fewer than 3 pairs.
        InputError: an impossible argument.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < FEWEST):
        raise InputError(f"limit is {limit!r}; expected a number of pairs from {FEWEST} on.")
    data = load_labelled(files, text_column=text_column, label_column=label_column, purpose="evaluate")
    if data.columns.text_pair is None:
        raise DataError(
            f"the file has single texts (column {data.columns.text!r}); expected pairs, in columns such as sentence1 "
            "and sentence2. Name both: text_column='NAME,NAME' (--text-column)."
        )
    gold, positive = _gold(data, positive)
    examples = data.examples[:limit]
    gold = gold[:limit]
    _check_gold(gold, positive)
    reader = load_reader(model, tokenizer)
    first, second = [e.text for e in examples], [e.text_pair or "" for e in examples]
    distinct = list(dict.fromkeys(text for text in (*first, *second)))
    at = {text: i for i, text in enumerate(distinct)}
    left, right = [at[text] for text in first], [at[text] for text in second]
    similarities = []
    for vectors in _vectors(reader, distinct):
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        similarities.append((unit[left] * unit[right]).sum(axis=1))
    agreement = measure_agreement(gold, similarities, binary=positive is not None)
    return _report(reader.name, agreement, len(examples), positive)


def _gold(data: LabelledTexts, positive: str | None) -> tuple[list[float], str | None]:
    """The label of each pair as a number, and the class that is 1."""
    if data.kind == "regression":
        if positive is not None:
            raise InputError(f"positive is {positive!r}, but the labels are scores; leave it out.")
        return [float(e.label) for e in data.examples], None  # type: ignore[arg-type]
    names = data.label_names
    if data.kind == "single" and len(names) == 2:
        chosen = positive or next((name for name in reversed(names) if name.casefold() in POSITIVE), None)
        if chosen not in names:
            asked = f"positive is {positive!r}" if positive else "which class means 'alike' cannot be told"
            raise InputError(
                f"{asked}; the classes are {names[0]!r} and {names[1]!r}. Name one: positive= (--positive)."
            )
        return [float(e.label == chosen) for e in data.examples], chosen
    numbers = [_number(name) for name in names]
    if data.kind == "single" and len(names) > 2 and None not in numbers:
        return [float(e.label) for e in data.examples], None  # type: ignore[arg-type]
    shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    raise DataError(f"the labels are {shown}; expected scores, or two classes such as 0 and 1.")


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None


def _check_gold(gold: Sequence[float], positive: str | None) -> None:
    if len(gold) < FEWEST:
        raise DataError(f"there are {len(gold)} labelled pairs; comparing needs at least {FEWEST}.")
    if len(set(gold)) < 2:
        what = f"all are {positive!r}" if positive is not None and gold[0] else "all labels are the same"
        raise DataError(f"{what} in {len(gold)} pairs: no way of pooling can agree with them better than another.")


def _vectors(reader: Reader, texts: Sequence[str]) -> list[np.ndarray]:
    """float32 (n, N) for each way of ``WAYS``; (n, E) for the last."""
    from bothways.models.embedding import Embedder, EmbeddingSettings

    embedder = Embedder(reader.model, reader.tokenizer)
    table = word_table(reader)
    ways: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
    with progress_bar("Embedding", len(texts)) as advance:
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            for way in ("cls", "mean", "max"):
                ways[way].append(embedder.embed(chunk, settings=EmbeddingSettings(pooling=way))[0])
            ways["static"].append(_static(reader.tokenizer, table, chunk))
            advance(len(chunk))
    return [np.concatenate(parts) for parts in ways.values()]


def _static(tokenizer: Any, table: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    rows = tokenizer.encode_texts(texts, add_special_tokens=False)
    means = [table[row.ids].mean(axis=0) if row.ids else np.zeros(table.shape[1]) for row in rows]
    return np.stack(means).astype(np.float32)


def _report(model: str, agreement: Agreement, n_pairs: int, positive: str | None) -> PoolingReport:
    scores = tuple(
        PoolingScore(way=way, name=name, score=agreement.score(i)) for i, (way, name) in enumerate(WAYS.items())
    )
    ways = list(WAYS)[:-1]
    best = max(range(len(ways)), key=lambda i: agreement.estimates[i])
    # the best was chosen by looking: each of its differences is held to a stricter interval (Bonferroni)
    confidence = 1 - (1 - CONFIDENCE) / (len(ways) - 1)
    ahead = {ways[i]: agreement.difference(best, i, confidence=confidence) for i in range(len(ways)) if i != best}
    winner = ways[best] if all(margin.low > 0 for margin in ahead.values()) else None
    metric = "Spearman" if positive is None else "AUC"
    return PoolingReport(
        model=model,
        n_pairs=n_pairs,
        metric=metric,
        positive=positive,
        scores=scores,
        winner=winner,
        ahead=ahead,
        sentences=_sentences(metric, n_pairs, scores, ways[best], winner, ahead),
    )


def _sentences(
    metric: str,
    n_pairs: int,
    scores: Sequence[PoolingScore],
    best: str,
    winner: str | None,
    ahead: dict[str, Estimate],
) -> tuple[str, ...]:
    of = {score.way: score.score for score in scores}
    near, margin = min(ahead.items(), key=lambda item: item[1].low)
    if winner is not None:
        told = (
            f"{_pooling(winner)} wins on {n_pairs:,} pairs: {metric} {of[winner].estimate:.3f}, {margin.estimate:.3f} "
            f"ahead of {_pooling(near).lower()} (difference {margin.low:.3f} to {margin.high:.3f})."
        )
    else:
        told = (
            f"No winner can be told from {n_pairs:,} pairs: {_pooling(best).lower()} is best ({metric} "
            f"{of[best].estimate:.3f}), but its difference to {_pooling(near).lower()} may be anything from "
            f"{margin.low:.3f} to {margin.high:.3f}."
        )
    static = of["static"].estimate
    context = f"The mean of static word vectors, which know no context, has {static:.3f}: " + (
        "reading the context makes the difference." if of[best].low > static else "the context adds little here."
    )
    return (told, context)


def _pooling(way: str) -> str:
    return f"{WAYS[way][:1].upper()}{WAYS[way][1:]} pooling".replace("First token", "First-token")
