"""The bag-of-words models that judge labels: features of all texts, and a classifier for a part of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.evaluation.features import fit_features
from bothways.evaluation.logistic import logistic_regression

MOST_TERMS = 50_000
MOST_WEIGHTS = 2_000_000  # terms x labels
_PASSES = 8  # of 20 as many flipped labels are found, to a point


def features_of(texts: Sequence[str], pairs: Sequence[str | None] | None, n_labels: int) -> Any:
    """Sparse features (n, terms); fewer terms for many labels. No label is looked at."""
    most = int(np.clip(MOST_WEIGHTS // max(1, n_labels), 2_000, MOST_TERMS))
    return fit_features(texts, pairs, max_terms=most).transform(texts, pairs)


def classifier(features: Any, labels: NDArray[np.int64], n_labels: int, seed: int) -> Any:
    """Something with ``predict_proba``.

    Args:
        labels: at least two different ones. n_labels: how many there are to learn in all.
    """
    return logistic_regression(features, labels, seed=seed, n_labels=n_labels, passes=_PASSES)
