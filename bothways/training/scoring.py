"""Probabilities to answers, and the one number by which the best epoch is chosen.

Shapes: n texts, C labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bothways.evaluation.baseline import Predictions
from bothways.evaluation.written_scores import BITS_OF_A_BYTE, LANGUAGE, WRITTEN, language_score, written_scores
from bothways.metrics import classification_scores, multilabel_scores, regression_scores
from bothways.metrics.entities import entity_scores
from bothways.metrics.question_answering import question_answering_scores

THRESHOLD = 0.5


def predictions_from(scores: np.ndarray, kind: str, id2label: Mapping[int, str]) -> Predictions:
    """Answers from the scores of a model, (n, C): the best label, all labels from one half, or the number itself."""
    if kind == "regression":
        return Predictions(labels=tuple(scores[:, 0].astype(float).tolist()))
    if kind == "multi":
        chosen = [tuple(id2label[j] for j in np.flatnonzero(row >= THRESHOLD).tolist()) for row in scores]
        return Predictions(labels=tuple(chosen), probabilities=scores.astype(np.float64))
    best = scores.argmax(axis=1).tolist()
    return Predictions(labels=tuple(id2label[j] for j in best), probabilities=scores.astype(np.float64))


def all_scores(kind: str, gold: Sequence[Any], predicted: Sequence[Any], label_names: Sequence[str]) -> dict[str, Any]:
    """Every metric of that kind of label, as plain numbers."""
    if kind == "regression":
        return regression_scores(gold, predicted)
    if kind == "multi":
        return multilabel_scores(gold, predicted, label_names)
    if kind == "entities":
        return entity_scores(gold, predicted)
    if kind == "answers":
        return question_answering_scores(predicted, gold)
    if kind in WRITTEN:
        found = written_scores(kind, gold, predicted)
        signatures = {f"{name}_signature": score.signature for name, score in found.items()}
        return {name: score.score / 100 for name, score in found.items()} | signatures
    if kind == LANGUAGE:
        bits = language_score(gold, predicted).score
        return {"compression": 1 - bits / BITS_OF_A_BYTE, "bits_per_byte": bits}
    return classification_scores(gold, predicted, label_names)


SELECTION = {
    "single": "accuracy",
    "multi": "micro_f1",
    "regression": "spearman",
    "entities": "f1",
    "answers": "f1",
    "translations": "chrf",
    "summaries": "rougeL",
    "language": "compression",
}


def selection_score(kind: str, gold: Sequence[Any], predicted: Sequence[Any], label_names: Sequence[str]) -> float:
    """Accuracy, F1, Spearman's correlation, chrF, ROUGE-L or compression: higher is better."""
    return float(all_scores(kind, gold, predicted, label_names)[SELECTION[kind]])
