"""The report of a training or an evaluation: one page to send to a colleague, and the same as JSON."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bothways.errors import InputError
from bothways.evaluation.analysis import (
    Histogram,
    LabelScore,
    Lengths,
    Mistake,
    confident_mistakes,
    label_scores,
    length_facts,
    printable,
    residuals_of,
    same_answer,
    scatter_of,
)
from bothways.evaluation.baseline import Predictions
from bothways.evaluation.confusions import ConfusedPair, Confusion, confusion_of, most_confused
from bothways.evaluation.label_errors import LabelErrors
from bothways.evaluation.learning_curve import LearningCurve
from bothways.evaluation.marked import MarkedText
from bothways.evaluation.slices import Slices
from bothways.evaluation.verdict import Comparison
from bothways.files import write_json, write_text

if TYPE_CHECKING:
    from bothways.evaluation.calibrated import Calibrated

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """State of a training after ``epoch`` epochs (fractions allowed); None for what was not measured there."""

    epoch: float
    train_loss: float | None = None
    eval_score: float | None = None


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """All that a report says, plain values only. Empty fields leave their section out.

    ``facts`` are counts about the data (rows, duplicates, blanks, leaks), ``warnings`` sentences that a reader must not
    miss. ``scatter`` and ``residuals`` are for regressions, ``confusion`` and ``confused`` for one label a text.
    ``marked`` are mistakes about places in texts, ``learning`` answers whether more labels would help, ``calibration``
    how sure the model may be of itself.
    """

    title: str
    comparison: Comparison
    labels: tuple[LabelScore, ...] = ()
    confusion: Confusion | None = None
    confused: tuple[ConfusedPair, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    n_mistakes: int | None = None
    scatter: tuple[tuple[float, float], ...] = ()
    residuals: Histogram | None = None
    lengths: Lengths | None = None
    facts: Mapping[str, str | int | float] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    marked: tuple[MarkedText, ...] = ()
    slices: Slices | None = None
    label_errors: LabelErrors | None = None
    learning: LearningCurve | None = None
    calibration: Calibrated | None = None
    curve: tuple[CurvePoint, ...] = ()
    curve_metric: str = "evaluation score"
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    data_hash: str | None = None
    command: str | None = None
    created: str | None = None


def build_report(
    *,
    title: str,
    comparison: Comparison,
    texts: Sequence[str],
    gold: Sequence[Any],
    predictions: Predictions,
    pairs: Sequence[str | None] | None = None,
    label_names: Sequence[str] = (),
    train_labels: Sequence[Any] | None = None,
    token_lengths: Sequence[int] | None = None,
    max_tokens: int | None = None,
    show: Callable[[int, Any], str] | None = None,
    **about: Any,
) -> ReportData:
    """Work out what the report says about the model's predictions.

    Args:
        title: the heading of the page.
        comparison: the verdict on the same predictions.
        texts, pairs: the judged texts.
        gold: the right answers.
        predictions: the model's answers; probabilities in the order of ``label_names``.
        label_names: the known labels.
        train_labels: the labels trained on, for the distribution.
        token_lengths: tokens of each text.
        max_tokens: how many tokens the model reads at once.
        show: writes an answer to text number i, where the answer alone does not say it (tags of words).
        about: further fields of `ReportData`: marked, slices, label_errors, learning, calibration, facts, warnings,
            curve, settings, versions, data_hash, command, created.

    Raises:
        InputError: the numbers of texts, answers and predictions differ.
    """
    counts = {"texts": len(texts), "right answers": len(gold), "predictions": len(predictions)}
    if len(set(counts.values())) != 1 or not texts:
        raise InputError(
            f"{', '.join(f'{n:,} {what}' for what, n in counts.items())}: expected as many of each, at least 1."
        )
    kind, answers = comparison.kind, predictions.labels
    single, numbers = kind == "single", kind == "regression"
    if "n_mistakes" not in about and not numbers:
        about["n_mistakes"] = sum(not same_answer(kind, g, a) for g, a in zip(gold, answers, strict=True))
    return ReportData(
        title=title,
        comparison=comparison,
        labels=label_scores(kind, gold, answers, label_names, train_labels),
        confusion=confusion_of(gold, answers, label_names) if single else None,
        confused=most_confused(gold, answers, texts) if single else (),
        mistakes=confident_mistakes(kind, texts, pairs, gold, predictions, label_names, show=show),
        scatter=scatter_of(gold, answers) if numbers else (),
        residuals=residuals_of(gold, answers) if numbers else None,
        lengths=length_facts(token_lengths, max_tokens) if token_lengths is not None and len(token_lengths) else None,
        **about,
    )


def write_report(directory: str | os.PathLike[str], report: ReportData) -> Path:
    """Write ``report.html`` (one file, nothing loaded from elsewhere) and ``report.json``; return the page's path.

    Each file is whole or not there. The page holds shortened texts of the data: share it as you would share the data.
    """
    from bothways.evaluation.page import render_page

    directory = Path(directory)
    page = directory / "report.html"
    write_text(page, render_page(report))
    write_json(directory / "report.json", report_as_json(report))
    return page


def report_as_json(report: ReportData) -> dict[str, Any]:
    """The report as plain JSON values; numbers that are not finite become null."""
    return {"format": "bothways-report", "format_version": FORMAT_VERSION, **_plain(dataclasses.asdict(report))}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {printable(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return printable(value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a NumPy number
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int)) else printable(str(value))
