"""Numbers from labels; no model, and only plain Python values in the results."""

from bothways.metrics.calibration import brier, expected_calibration_error
from bothways.metrics.classification import classification_scores, multilabel_scores
from bothways.metrics.entities import entity_scores, entity_spans, entity_surfaces
from bothways.metrics.regression import regression_scores

__all__ = [
    "brier",
    "classification_scores",
    "entity_scores",
    "entity_spans",
    "entity_surfaces",
    "expected_calibration_error",
    "multilabel_scores",
    "regression_scores",
]
