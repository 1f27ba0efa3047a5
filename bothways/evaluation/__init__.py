"""Is a model any good? A baseline to beat, intervals for every score, one honest sentence, and a report to send on.

Everything here works on plain lists of texts, right answers and predictions; no model is imported. scikit-learn, SciPy,
Jinja and Rich are imported when they are first needed.
"""

from bothways.evaluation.analysis import Histogram, LabelScore, Lengths, Mistake
from bothways.evaluation.baseline import Baseline, Predictions, train_baseline
from bothways.evaluation.confusions import ConfusedPair, Confusion
from bothways.evaluation.gazetteer import Gazetteer, train_gazetteer
from bothways.evaluation.intervals import (
    Difference,
    Interval,
    bootstrap_interval,
    mcnemar,
    paired_bootstrap,
    wilson_interval,
)
from bothways.evaluation.report import CurvePoint, ReportData, build_report, report_as_json, write_report
from bothways.evaluation.table import comparison_table
from bothways.evaluation.verdict import Comparison, Contender, Row, Score, compare

__all__ = [
    "Baseline",
    "Comparison",
    "ConfusedPair",
    "Confusion",
    "Contender",
    "CurvePoint",
    "Difference",
    "Gazetteer",
    "Histogram",
    "Interval",
    "LabelScore",
    "Lengths",
    "Mistake",
    "Predictions",
    "ReportData",
    "Row",
    "Score",
    "bootstrap_interval",
    "build_report",
    "compare",
    "comparison_table",
    "mcnemar",
    "paired_bootstrap",
    "report_as_json",
    "train_baseline",
    "train_gazetteer",
    "wilson_interval",
    "write_report",
]
