"""Numbers from labels; no model, and only plain Python values in the results."""

from bothways.metrics.calibration import (
    ReliabilityBin,
    brier,
    confidence_brier,
    confidence_error,
    expected_calibration_error,
    reliability_bins,
)
from bothways.metrics.classification import classification_scores, multilabel_scores
from bothways.metrics.entities import entity_scores, entity_spans, entity_surfaces
from bothways.metrics.generation import TextScore, bits_per_byte, bleu, chrf, perplexity, rouge
from bothways.metrics.question_answering import (
    answer_exact,
    answer_f1,
    best_null_threshold,
    normalise_answer,
    question_answering_scores,
)
from bothways.metrics.regression import regression_scores

__all__ = [
    "ReliabilityBin",
    "TextScore",
    "answer_exact",
    "answer_f1",
    "best_null_threshold",
    "bits_per_byte",
    "bleu",
    "brier",
    "chrf",
    "classification_scores",
    "confidence_brier",
    "confidence_error",
    "entity_scores",
    "entity_spans",
    "entity_surfaces",
    "expected_calibration_error",
    "multilabel_scores",
    "normalise_answer",
    "perplexity",
    "question_answering_scores",
    "regression_scores",
    "reliability_bins",
    "rouge",
]
