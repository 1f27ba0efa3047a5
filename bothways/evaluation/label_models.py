"""The bag-of-words models that judge labels: features of all texts, and a classifier for a part of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.evaluation.features import fit_features

MOST_TERMS = 50_000
MOST_WEIGHTS = 2_000_000  # terms x labels
MOST_WORK = 2e7  # (stored numbers + 20 x terms) x labels: above, words of labels are counted instead of weighed
_ITERATIONS = 25


def features_of(texts: Sequence[str], pairs: Sequence[str | None] | None, n_labels: int) -> Any:
    """Sparse features (n, terms); fewer terms for many labels. No label is looked at."""
    most = int(np.clip(MOST_WEIGHTS // max(1, n_labels), 2_000, MOST_TERMS))
    return fit_features(texts, pairs, max_terms=most).transform(texts, pairs)


def classifier(features: Any, labels: NDArray[np.int64], n_labels: int, seed: int) -> Any:
    """Logistic regression with ``predict_proba``, or naive Bayes where that would take long.

    Args:
        labels: at least two different ones. n_labels: how many there are to learn in all.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB

    if (features.nnz + 20 * features.shape[1]) * n_labels > MOST_WORK:
        return MultinomialNB(alpha=0.05).fit(features, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Weaker than the baseline's C = 10: probabilities are to say how sure, and to believe no single wrong label.
        return LogisticRegression(C=3.0, max_iter=_ITERATIONS, random_state=seed).fit(features, labels)
