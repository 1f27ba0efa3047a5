"""The model every other model has to beat: TF-IDF with a linear model, trained in seconds, and the majority answer."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.errors import InputError
from bothways.evaluation.features import TextFeatures, fit_features
from bothways.evaluation.logistic import logistic_regression
from bothways.evaluation.scores import Kind

RIDGE = 1.0
MAX_TERMS = 200_000
MAX_WEIGHTS = 4_000_000  # terms x labels
MAX_ITERATIONS = 100  # of the ridge regression
BASELINE_NAMES = {
    "single": "TF-IDF + logistic regression",
    "multi": "TF-IDF + logistic regression",
    "regression": "TF-IDF + ridge regression",
}


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Answers to a list of texts.

    ``labels`` holds one label for each text (``single``), a tuple of labels (``multi``) or a number (``regression``).
    ``probabilities`` is (n, labels) in the order of ``label_names``; None for a regression or if they are unknown.
    """

    labels: tuple[Any, ...]
    probabilities: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A trained baseline. ``seconds`` is what the training took."""

    kind: Kind
    label_names: tuple[Hashable, ...]
    majority_prediction: Any
    seconds: float
    _features: TextFeatures
    _weights: NDArray[np.float32]  # (terms, outputs)
    _bias: NDArray[np.float64]  # (outputs,)

    @property
    def name(self) -> str:
        """The name for tables and sentences."""
        return BASELINE_NAMES[self.kind]

    @property
    def megabytes(self) -> float:
        """Size of weights and vocabulary, 10^6 bytes."""
        return (self._weights.nbytes + self._bias.nbytes) / 1e6 + self._features.megabytes

    def predict(self, texts: Sequence[str], pairs: Sequence[str | None] | None = None) -> Predictions:
        """Answer each text, or each pair of texts if the baseline was trained on pairs."""
        _check_lengths(texts, pairs)
        if (pairs is not None) != self._features.paired and len(texts):
            was, now = ("pairs", "single texts") if self._features.paired else ("single texts", "pairs")
            raise InputError(f"the baseline was trained on {was} and was asked about {now}.")
        if not len(texts):
            return Predictions(labels=())
        scores = np.asarray(self._features.transform(texts, pairs) @ self._weights, dtype=np.float64) + self._bias
        if self.kind == "regression":
            return Predictions(labels=tuple(float(value) for value in scores[:, 0]))
        if self.kind == "multi":
            return _labels_above_half(1 / (1 + np.exp(-scores.clip(-50, 50))), self.label_names)
        scores = -np.logaddexp(0, -scores)  # logarithms of what each label's own regression says
        probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        best = probabilities.argmax(axis=1)
        return Predictions(labels=tuple(self.label_names[i] for i in best), probabilities=probabilities)

    def predict_majority(self, n: int) -> Predictions:
        """The same answer, ``majority_prediction``, for ``n`` texts."""
        return Predictions(labels=(self.majority_prediction,) * n)


def train_baseline(
    texts: Sequence[str],
    pairs: Sequence[str | None] | None,
    labels: Sequence[Any],
    *,
    kind: Kind,
    label_names: Sequence[Hashable] = (),
    seed: int = 0,
) -> Baseline:
    """Train on plain lists, on one core, in seconds.

    Args:
        texts: the training texts; blank ones are allowed.
        pairs: the second texts, or None for single texts.
        labels: one of ``label_names`` for each text, a collection of them, or a number.
        kind: ``"single"``, ``"multi"`` or ``"regression"``.
        label_names: all labels, in the order of the probabilities. Not used for a regression.
        seed: for the order in which solvers visit examples.

    Raises:
        InputError: nothing to learn from, lengths that differ, labels that are not in ``label_names``.
    """
    _check_lengths(texts, pairs)
    if len(texts) != len(labels) or not len(texts):
        raise InputError(
            f"{len(texts):,} texts and {len(labels):,} labels: expected as many labels as texts, at least 1."
        )
    import sklearn.feature_extraction.text
    import sklearn.linear_model  # noqa: F401 - loading the package is not part of the training time

    start = time.perf_counter()
    names = tuple(label_names)
    targets, majority = _targets(kind, labels, names)
    features = fit_features(texts, pairs, max_terms=_term_budget(len(names), paired=pairs is not None))
    weights, bias = _SOLVERS[kind](features.transform(texts, pairs), targets, seed)
    return Baseline(
        kind=kind,
        label_names=names,
        majority_prediction=majority,
        seconds=time.perf_counter() - start,
        _features=features,
        _weights=np.ascontiguousarray(weights, dtype=np.float32),
        _bias=np.asarray(bias, dtype=np.float64),
    )


def _targets(kind: Kind, labels: Sequence[Any], names: tuple[Hashable, ...]) -> tuple[NDArray, Any]:
    """What a solver learns, (n,) or (n, L), always (n, outputs) in meaning; and the best constant answer."""
    if kind == "regression":
        values = np.asarray(labels, dtype=np.float64)
        if not np.isfinite(values).all():
            raise InputError(f"{int((~np.isfinite(values)).sum()):,} of {len(values):,} labels are not finite numbers.")
        return values, float(values.mean())
    if kind not in _SOLVERS:
        raise InputError(f"kind is {kind!r}; expected one of {', '.join(_SOLVERS)}.")
    index = {name: i for i, name in enumerate(names)}
    used = Counter(label for item in labels for label in (item if kind == "multi" else (item,)))
    unknown = [label for label in used if label not in index]
    if unknown:
        raise InputError(
            f"{len(unknown)} labels are not among the {len(names)} label_names, for example {unknown[0]!r} "
            f"({used[unknown[0]]:,} times)."
        )
    marks = np.zeros((len(labels), len(names)), dtype=bool)
    if kind == "single":
        marks[np.arange(len(labels)), [index[label] for label in labels]] = True
        return marks, names[int(marks.sum(axis=0).argmax())]
    for row, item in enumerate(labels):
        marks[row, [index[label] for label in item]] = True
    distinct, counts = np.unique(marks, axis=0, return_counts=True)
    return marks, tuple(name for name, used in zip(names, distinct[counts.argmax()], strict=True) if used)


def _fit_single(features: Any, marks: NDArray[np.bool_], seed: int) -> tuple[NDArray, NDArray]:
    """One logistic regression a label, against all others. Labels without an example get the probability 0."""
    seen = np.flatnonzero(marks.any(axis=0))
    weights = np.zeros((features.shape[1], marks.shape[1]), dtype=np.float32)
    bias = np.full(marks.shape[1], -np.inf)
    bias[seen] = 0.0
    if len(seen) > 1:
        model = logistic_regression(features, marks.argmax(axis=1), seed=seed, n_labels=len(seen))
        coefficients, intercepts = model.coef_, model.intercept_
        if len(seen) == 2:  # one regression speaks for both
            coefficients, intercepts = np.vstack([-coefficients, coefficients]), np.append(-intercepts, intercepts)
        weights[:, seen], bias[seen] = coefficients.T, intercepts
    return weights, bias


def _fit_multi(features: Any, marks: NDArray[np.bool_], seed: int) -> tuple[NDArray, NDArray]:
    """One logistic regression a label; a label that all or no texts have gets a constant answer."""
    weights = np.zeros((features.shape[1], marks.shape[1]), dtype=np.float32)
    bias = np.where(marks.all(axis=0), np.inf, -np.inf)
    for column in np.flatnonzero(marks.any(axis=0) & ~marks.all(axis=0)):
        model = logistic_regression(features, marks[:, column], seed=seed, n_labels=marks.shape[1])
        weights[:, column], bias[column] = model.coef_[0], model.intercept_[0]
    return weights, bias


def _fit_regression(features: Any, values: NDArray[np.float64], seed: int) -> tuple[NDArray, NDArray]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=RIDGE, solver="sparse_cg", max_iter=MAX_ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # later iterations move no prediction that matters
        model.fit(features, values)
    return model.coef_[:, None], np.array([model.intercept_])


def _term_budget(n_labels: int, *, paired: bool) -> int:
    budget = MAX_WEIGHTS // max(1, n_labels) // (3 if paired else 1)
    return int(np.clip(budget, 2_000, MAX_TERMS))


def _labels_above_half(probabilities: NDArray[np.float64], names: tuple[Hashable, ...]) -> Predictions:
    labels = tuple(tuple(names[i] for i in np.flatnonzero(row > 0.5)) for row in probabilities)
    return Predictions(labels=labels, probabilities=probabilities)


def _check_lengths(texts: Sequence[str], pairs: Sequence[str | None] | None) -> None:
    if pairs is not None and len(pairs) != len(texts):
        raise InputError(
            f"{len(texts):,} texts and {len(pairs):,} second texts: expected as many of one as of the other."
        )


_SOLVERS: dict[str, Callable[[Any, NDArray, int], tuple[NDArray, NDArray]]] = {
    "single": _fit_single,
    "multi": _fit_multi,
    "regression": _fit_regression,
}
