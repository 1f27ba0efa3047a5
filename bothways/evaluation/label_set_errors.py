"""Labels that may be missing or too many, where a text can have several: confident learning for each label alone.

Source: Northcutt et al. 2021, as in ``label_errors``, for the two classes "has the label" and "has it not".

Shapes: n texts, C labels.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.evaluation.analysis import shown_answer, shown_label
from bothways.evaluation.label_errors import FEWEST_OF_LABEL, Ranking, folds_of
from bothways.evaluation.label_models import classifier, features_of


def rank_label_sets(marks: NDArray[np.bool_], probabilities: NDArray[np.floating]) -> Ranking:
    """Rank texts by the label of theirs that most speaks against.

    Args:
        marks: (n, C), whether a text has a label. probabilities: (n, C), out of sample.

    Returns:
        ``better`` is the number of the label that may be missing or too many; ``own`` and ``other`` are the
        probabilities of how it is and of the opposite.
    """
    n = len(marks)
    worst = np.full(n, np.inf)
    own, other = np.zeros(n), np.zeros(n)
    better, suspected = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    for label in range(marks.shape[1]):
        has = marks[:, label]
        p = np.asarray(probabilities[:, label], dtype=np.float64)
        if min(has.sum(), (~has).sum()) < FEWEST_OF_LABEL:
            continue
        given = np.where(has, p, 1 - p)
        # How sure the model usually is of the opposite, where that is what the data says.
        thresholds = np.where(has, (1 - p[~has]).mean(), p[has].mean())
        doubted = (1 - given >= thresholds) & (given < 0.5)
        # a suspected label counts before any that is not, then the margin
        margin = 2 * given - 1 - 2 * doubted
        lower = margin < worst
        worst = np.where(lower, margin, worst)
        own, other = np.where(lower, given, own), np.where(lower, 1 - given, other)
        better, suspected = np.where(lower, label, better), np.where(lower, doubted, suspected)
    judged = np.flatnonzero(np.isfinite(worst))
    return Ranking(
        order=judged[np.argsort(worst[judged], kind="stable")], suspected=suspected, own=own, other=other, better=better
    )


def cross_fitted_sets(
    texts: Sequence[str], pairs: Sequence[str | None] | None, marks: NDArray[np.bool_], *, seed: int = 0
) -> NDArray[np.float32]:
    """(n, C) probabilities of each label for each text, from texts among which it and its equals were not."""
    n_labels = marks.shape[1]
    features = features_of(texts, pairs, n_labels)
    fold = folds_of(texts, pairs, np.arange(len(texts)), seed)
    found = np.zeros(marks.shape, dtype=np.float32)
    for place in np.unique(fold):
        inside, outside = np.flatnonzero(fold != place), np.flatnonzero(fold == place)
        for label in range(n_labels):
            has = marks[inside, label]
            if not has.any() or has.all():
                found[outside, label] = float(has.all())
                continue
            model = classifier(features[inside], has.astype(np.int64), n_labels, seed)
            found[outside, label] = model.predict_proba(features[outside])[:, 1]
    return found


def marked_labels(labels: Sequence[Sequence[Hashable]], names: Sequence[Hashable]) -> NDArray[np.bool_]:
    """(n, C) whether a text has a label."""
    index = {name: i for i, name in enumerate(names)}
    marks = np.zeros((len(labels), len(names)), dtype=bool)
    for row, own in zip(marks, labels, strict=True):
        row[[index[label] for label in own if label in index]] = True
    return marks


def several_labels(given: Any, label: Hashable) -> tuple[str, str]:
    """A set of labels in words, and what it has too many or too few; see ``label_errors.listed``."""
    change = "without" if label in given else "also"
    return shown_answer("multi", given), f"{change} {shown_label(label)}"
