"""Labels that may be wrong, found by confident learning on probabilities that never saw the label in question.

A model that was trained without a text says what the text's label should be. Texts of which it is as sure of another
label as it usually is where that label is given tell how many labels are wrong; those with the least margin are
suspected.

Source: Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels", sections 3.1
(the confident joint, calibrated) and 3.2 (pruned by class, ranked by normalised margin).

Shapes: n texts, C labels.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.errors import InputError
from bothways.evaluation.analysis import shortened, shown_answer
from bothways.evaluation.label_models import classifier, features_of

FOLDS = 4
FEWEST_TEXTS = 40
FEWEST_OF_LABEL = 5
"""Texts of a label; what fewer have in common cannot be learned."""

MOST_SUSPECTS = 1_000
_BLOCK = 4_000_000  # probabilities at once

Blocks = Callable[[], Iterable[tuple[NDArray[np.int64], NDArray[np.floating]]]]
"""Numbers of texts (b,), each text once, with their probabilities (b, C)."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Labels by how much speaks against them.

    Attributes:
        order: (n,) numbers of texts, the most suspicious first; texts that were not judged are left out.
        suspected: (n,) whether the label is one of those that are estimated to be wrong.
        own, other: (n,) probabilities of the given label and of the likeliest other one; ``better`` its number.
    """

    order: NDArray[np.int64]
    suspected: NDArray[np.bool_]
    own: NDArray[np.float64]
    other: NDArray[np.float64]
    better: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A label that may be wrong.

    Attributes:
        part: "training" or "judged". number: position of the text in its part, from 1. row: of the data, if known.
        given, better: the label, and what the texts around it suggest.
        given_probability, better_probability: of the model that did not see this text.
    """

    part: str
    number: int
    row: int | None
    text: str
    pair: str | None
    given: str
    better: str
    given_probability: float
    better_probability: float


@dataclass(frozen=True, kw_only=True)
class LabelErrors:
    """Suspected labels, the most suspicious first.

    Attributes:
        suspects: at most 1,000. count: how many are suspected.
        judged: texts whose labels were looked at. left_out: those of labels with too few texts.
        methods: for each part a sentence: whose probabilities they are.
    """

    suspects: tuple[Suspect, ...]
    count: int
    judged: int
    left_out: int
    methods: tuple[str, ...]


def rank_labels(labels: NDArray[np.int64], blocks: Blocks, n_labels: int) -> Ranking:
    """Confident learning for one label a text.

    Args:
        labels: (n,) numbers of labels; -1 for texts that are not to be judged.
        blocks: out-of-sample probabilities, read twice.
        n_labels: C.
    """
    own = np.zeros(len(labels))
    judged = np.zeros(len(labels), dtype=bool)
    for rows, probabilities in blocks():
        rows, probabilities = _only(labels[rows] >= 0, rows, probabilities)
        own[rows] = probabilities[np.arange(len(rows)), labels[rows]]
        judged[rows] = True
    chosen = labels[judged]
    counts = np.bincount(chosen, minlength=n_labels)
    # How sure the model usually is of a label where it is given; a label that is never given cannot be suggested.
    thresholds = np.where(counts > 0, np.bincount(chosen, own[judged], n_labels) / np.maximum(counts, 1), np.inf)
    other, better, confident = np.zeros(len(labels)), np.full(len(labels), -1), np.full(len(labels), -1)
    for rows, probabilities in blocks():
        rows, probabilities = _only(labels[rows] >= 0, rows, probabilities)
        above = np.where(probabilities >= thresholds, probabilities, -1.0)
        likeliest = above.argmax(axis=1)
        confident[rows] = np.where(above.max(axis=1) >= 0, likeliest, -1)
        without = np.array(probabilities, dtype=np.float64)
        without[np.arange(len(rows)), labels[rows]] = -1.0
        told = (confident[rows] >= 0) & (likeliest != labels[rows])
        better[rows] = np.where(told, likeliest, without.argmax(axis=1))
        other[rows] = probabilities[np.arange(len(rows)), better[rows]]
    numbers = np.flatnonzero(judged)
    order = numbers[np.argsort(own[numbers] - other[numbers], kind="stable")]
    suspected = _suspected(labels, confident, own - other, order, counts)
    return Ranking(order=order, suspected=suspected, own=own, other=other, better=better)


def _suspected(
    labels: NDArray[np.int64],
    confident: NDArray[np.int64],
    margins: NDArray[np.float64],
    order: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Of each label as many as the calibrated confident joint says are wrong, the most suspicious ones."""
    sure = (labels >= 0) & (confident >= 0)
    wrong = np.bincount(labels[sure & (confident != labels)], minlength=len(counts))
    both = np.bincount(labels[sure], minlength=len(counts))
    left = np.rint(counts * wrong / np.maximum(both, 1)).astype(int)
    suspected = np.zeros(len(labels), dtype=bool)
    for i in order:
        if margins[i] >= 0:
            break
        if left[labels[i]] > 0:
            left[labels[i]] -= 1
            suspected[i] = True
    return suspected


def cross_fitted(
    texts: Sequence[str], pairs: Sequence[str | None] | None, labels: NDArray[np.int64], n_labels: int, *, seed: int = 0
) -> Blocks:
    """Probabilities of a bag-of-words model for each text, from texts among which it (and its equals) was not.

    Args:
        labels: (n,) numbers of labels; texts with -1 are left out.
    """
    fold = folds_of(texts, pairs, np.flatnonzero(labels >= 0), seed)
    features = features_of(texts, pairs, n_labels)
    models = {}
    for place in range(FOLDS):
        inside = np.flatnonzero((fold >= 0) & (fold != place))
        if len(inside):
            models[place] = _fit(features[inside], labels[inside], n_labels, seed)

    def blocks() -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating]]]:
        step = max(1, _BLOCK // max(1, n_labels))
        for place, (model, classes) in models.items():
            outside = np.flatnonzero(fold == place)
            for i in range(0, len(outside), step):
                rows = outside[i : i + step]
                probabilities = np.zeros((len(rows), n_labels), dtype=np.float32)
                probabilities[:, classes] = model.predict_proba(features[rows])
                yield rows, probabilities

    return blocks


def mean_with(blocks: Blocks, others: NDArray[np.floating]) -> Blocks:
    """The mean of two judges' probabilities; that of the first alone where the other has none.

    Args:
        others: (n, C), NaN for texts that it does not judge.
    """

    def both() -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating]]]:
        for rows, probabilities in blocks():
            other = others[rows]
            yield rows, (probabilities + np.where(np.isnan(other), probabilities, other)) / 2

    return both


def folds_of(
    texts: Sequence[str], pairs: Sequence[str | None] | None, chosen: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """(n,) the fold of each chosen text, -1 for the others; texts that are equal up to case and space share one."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for i in chosen.tolist():
        groups[_key(texts[i], pairs[i] if pairs is not None else None)].append(i)
    fold = np.full(len(texts), -1)
    places = np.random.default_rng(seed).permutation(len(groups)) % FOLDS
    for place, members in zip(places, groups.values(), strict=True):
        fold[members] = place
    return fold


def encoded_labels(labels: Sequence[Any], names: Sequence[Hashable]) -> NDArray[np.int64]:
    """(n,) numbers of labels in the order of ``names``; -1 where a label is unknown or has fewer than 5 texts."""
    counts = Counter(labels)
    index = {name: i for i, name in enumerate(names)}
    return np.array([index.get(label, -1) if counts[label] >= FEWEST_OF_LABEL else -1 for label in labels])


def listed(
    ranking: Ranking,
    part: str,
    texts: Sequence[str],
    pairs: Sequence[str | None] | None,
    names: Sequence[Hashable],
    labels: Sequence[Any],
    rows: Sequence[int] | None = None,
    *,
    shown: Callable[[Any, Hashable], tuple[str, str]] | None = None,
) -> list[Suspect]:
    """The suspected labels of a part, at most 1,000, the most suspicious first.

    Args:
        shown: from what a text is labelled with, and the better label, to both in words; by default of one label each.
    """
    words = one_label if shown is None else shown
    found = [int(i) for i in ranking.order if ranking.suspected[i]][:MOST_SUSPECTS]
    said = [words(labels[i], names[ranking.better[i]]) for i in found]
    return [
        Suspect(
            part=part,
            number=i + 1,
            row=rows[i] if rows is not None and rows[i] else None,
            text=shortened(texts[i]),
            pair=shortened(pairs[i] or "") if pairs is not None else None,
            given=given,
            better=better,
            given_probability=float(ranking.own[i]),
            better_probability=float(ranking.other[i]),
        )
        for i, (given, better) in zip(found, said, strict=True)
    ]


def one_label(given: Any, better: Hashable) -> tuple[str, str]:
    """A label and a better one in words."""
    return shown_answer("single", given), shown_answer("single", better)


def together(parts: Iterable[tuple[Ranking, list[Suspect], str, int]]) -> LabelErrors | None:
    """The suspects of several parts as one list, by the margin between both labels; None without any part.

    Args:
        parts: of each part the ranking, its suspects, a sentence on the method, and the texts it has.
    """
    parts = list(parts)
    if not parts:
        return None
    suspects = sorted(
        (suspect for _, own, _, _ in parts for suspect in own),
        key=lambda s: (s.given_probability - s.better_probability, s.part, s.number),
    )
    judged = sum(len(ranking.order) for ranking, *_ in parts)
    return LabelErrors(
        suspects=tuple(suspects[:MOST_SUSPECTS]),
        count=sum(int(ranking.suspected.sum()) for ranking, *_ in parts),
        judged=judged,
        left_out=sum(n for *_, n in parts) - judged,
        methods=tuple(sentence for _, _, sentence, _ in parts),
    )


def from_array(probabilities: NDArray[np.floating]) -> Blocks:
    """Probabilities that are there already, (n, C), in blocks.

    Raises:
        InputError: they are no rectangle.
    """
    if probabilities.ndim != 2:
        raise InputError(f"probabilities have shape {probabilities.shape}; expected texts x labels.")
    step = max(1, _BLOCK // max(1, probabilities.shape[1]))

    def blocks() -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating]]]:
        for i in range(0, len(probabilities), step):
            part = probabilities[i : i + step]
            yield np.arange(i, i + len(part)), part

    return blocks


def _fit(features: Any, labels: NDArray[np.int64], n_labels: int, seed: int) -> tuple[Any, NDArray[np.int64]]:
    """A classifier and the numbers of the labels it knows."""
    classes = np.unique(labels)
    return (_Constant() if len(classes) == 1 else classifier(features, labels, n_labels, seed)), classes


class _Constant:
    """Knows one label."""

    def predict_proba(self, features: Any) -> NDArray[np.float64]:
        return np.ones((features.shape[0], 1))


def _only(keep: NDArray[np.bool_], rows: NDArray[np.int64], probabilities: Any) -> tuple[NDArray[np.int64], Any]:
    return (rows, probabilities) if keep.all() else (rows[keep], probabilities[keep])


def _key(text: str, pair: str | None) -> Hashable:
    return " ".join(text.casefold().split()), " ".join((pair or "").casefold().split())
