"""The report as one self-contained page: geometry here, words and marks in ``templates/report.html.jinja``.

Every chart is drawn in a box 400 units wide, so that its text stays legible on a phone without any script.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bothways.evaluation.analysis import Histogram, Lengths, printable
from bothways.evaluation.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    learning_chart,
    reliability_chart,
    risk_chart,
    scale,
    slice_rows,
    ticks,
)
from bothways.evaluation.confusions import Confusion
from bothways.evaluation.formats import (
    count_text,
    measured_range_text,
    measured_text,
    megabytes_text,
    range_text,
    score_text,
    seconds_text,
    share_text,
)
from bothways.evaluation.verdict import Comparison

if TYPE_CHECKING:
    from bothways.evaluation.report import ReportData

TABLE_LABELS = 30  # a confusion table up to here, a heat map of cells beyond
HEAT_LABELS = 200
HEAT_CELLS = 6_000
ROWS_SHOWN = 30  # label rows before the rest is folded away
LABELS_LISTED = 500
ROWS_OF_DETAILS = 200
SHADES = 9
SUSPECTS_SHOWN = 25


def render_page(report: ReportData) -> str:
    """The whole page as text. Everything that comes from data is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("bothways.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters.update(
        breakable=_breakable,
        count=count_text,
        measured=measured_text,
        measured_range=measured_range_text,
        megabytes=megabytes_text,
        range=range_text,
        score=score_text,
        seconds=seconds_text,
        share=share_text,
    )
    return environment.get_template("report.html.jinja").render(
        report=report,
        comparison=report.comparison,
        forest=_forest(report.comparison),
        matrix=_matrix(report.confusion) if report.confusion else None,
        lengths=_length_chart(report.lengths) if report.lengths else None,
        residuals=_histogram(report.residuals) if report.residuals else None,
        scatter=_scatter(report.scatter) if report.scatter else None,
        curves=_curves(report),
        learning_drawn=learning_chart(report.learning) if report.learning else None,
        slice_rows=slice_rows(report.slices) if report.slices else (),
        sureness=_sureness(report),
        **_marked(report),
        suspects_shown=SUSPECTS_SHOWN,
        rows_shown=ROWS_SHOWN,
        labels_listed=LABELS_LISTED,
        details={"Settings": _bounded(report.settings), "Versions": _bounded(report.versions)},
        bars_of_labels=_label_bars(report),
    )


def _breakable(label: str) -> Any:
    """A label whose parts may go to a new line after ``_ - . /``: class names are long and have no spaces."""
    from markupsafe import Markup, escape

    return Markup("<wbr>").join(escape(part) for part in re.findall(r"[^_./-]*[_./-]+|[^_./-]+", printable(label)))


def _forest(comparison: Comparison) -> dict[str, Any]:
    """Dots with intervals on one scale. Positions are percentages of the track's width."""
    scores = [row.scores[0] for row in comparison.rows]
    percent = scores[0].percent
    low, high = min(s.interval.low for s in scores), max(s.interval.high for s in scores)
    pad = max((high - low) * 0.08, 0.01)
    marks = ticks(max(low - pad, 0.0 if percent else -1.0), min(high + pad, 1.0), 8)
    low, high = low - pad, high + pad

    def at(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    names = ("majority", "baseline", "model") if len(scores) > 2 else ("majority", "model")
    return {
        "title": scores[0].title,
        "ticks": [(at(tick), f"{tick * 100:g} %" if percent else f"{tick:g}") for tick in marks if low <= tick <= high],
        "rows": [
            {
                "name": row.name,
                "kind": names[i] if i < len(names) else "model",
                "score": score,
                "left": at(score.interval.low),
                "width": round(at(score.interval.high) - at(score.interval.low), 2),
                "dot": at(score.interval.estimate),
            }
            for i, (row, score) in enumerate(zip(comparison.rows, scores, strict=True))
        ],
    }


def _matrix(confusion: Confusion) -> dict[str, Any]:
    """Rows of a table for few labels; squares of a heat map for many. Shades go by the share of the gold label."""
    support: Counter[int] = Counter()
    for gold, _, count in confusion.cells:
        support[gold] += count
    if len(confusion.labels) <= TABLE_LABELS:
        return {"table": True, "labels": confusion.labels, "rows": _matrix_rows(confusion, support)}
    return {"table": False, "n": len(confusion.labels), **_heat_map(confusion, support)}


def _matrix_rows(confusion: Confusion, support: Counter[int]) -> list[dict[str, Any]]:
    counts = {(gold, predicted): count for gold, predicted, count in confusion.cells}
    rows = []
    for gold, label in enumerate(confusion.labels):
        cells = []
        for predicted in range(len(confusion.labels)):
            count = counts.get((gold, predicted), 0)
            share = count / support[gold] if support[gold] else 0.0
            cells.append({"count": count, "share": share, "shade": _shade(share), "right": gold == predicted})
        rows.append({"label": label, "cells": cells})
    return rows


def _heat_map(confusion: Confusion, support: Counter[int]) -> dict[str, Any]:
    """Squares (x, y, shade) of the most frequent labels, in a box of 380 units; the largest counts if they are many."""
    frequent = sorted(range(len(confusion.labels)), key=lambda label: -support[label])[:HEAT_LABELS]
    place = {label: i for i, label in enumerate(sorted(frequent))}
    cells = sorted((c for c in confusion.cells if c[0] in place and c[1] in place), key=lambda cell: -cell[2])
    side = 380 / len(place)
    squares = [(place[p] * side, place[g] * side, _shade(count / support[g])) for g, p, count in cells[:HEAT_CELLS]]
    return {"shown": len(place), "side": side, "squares": squares}


def _shade(share: float) -> int:
    """0 for nothing, then 1 to 9."""
    return 0 if share == 0 else min(SHADES, 1 + int(share * SHADES))


def _histogram(histogram: Histogram) -> dict[str, Any]:
    low, high = histogram.edges[0], histogram.edges[-1]
    ticks_y = ticks(0, max(histogram.counts), 4)
    x, y = scale(low, high, LEFT, WIDTH - RIGHT), scale(0, ticks_y[-1], HEIGHT - BOTTOM, TOP)
    bars = []
    for start, stop, count in zip(histogram.edges, histogram.edges[1:], histogram.counts, strict=False):
        bars.append(
            {"x": x(start) + 0.5, "y": y(count), "width": max(x(stop) - x(start) - 1, 0.5), "height": y(0) - y(count)}
        )
    return {
        "bars": bars,
        "ticks_x": [(x(tick), f"{tick:,g}") for tick in ticks(low, high, 6) if low <= tick <= high],
        "ticks_y": [(y(tick), f"{tick:,g}") for tick in ticks_y],
    }


def _length_chart(lengths: Lengths) -> dict[str, Any]:
    chart = _histogram(lengths.histogram)
    low, high = lengths.histogram.edges[0], lengths.histogram.edges[-1]
    inside = lengths.limit is not None and low < lengths.limit < high
    chart["limit_x"] = scale(low, high, LEFT, WIDTH - RIGHT)(lengths.limit or 0) if inside else None
    return chart


def _scatter(points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    values = [value for point in points for value in point]
    marks = ticks(min(values), max(values), 6)
    low, high = min(marks[0], min(values)), max(marks[-1], max(values))
    size = 400
    x, y = scale(low, high, LEFT, size - RIGHT), scale(low, high, size - BOTTOM, TOP)
    return {
        "points": [(x(gold), y(predicted)) for gold, predicted in points],
        "ticks_x": [(x(tick), f"{tick:,g}") for tick in marks],
        "ticks_y": [(y(tick), f"{tick:,g}") for tick in marks],
        "line": (x(low), y(low), x(high), y(high)),
    }


def _curves(report: ReportData) -> list[dict[str, Any]]:
    """One small chart each for the loss and the score: two scales in one chart mislead."""
    loss = [(p.epoch, p.train_loss) for p in report.curve if p.train_loss is not None]
    score = [(p.epoch, p.eval_score) for p in report.curve if p.eval_score is not None]
    charts = [
        ("Training loss", "loss", loss),
        (f"{report.curve_metric[:1].upper()}{report.curve_metric[1:]}", "score", score),
    ]
    return [{"title": title, "kind": kind, **_line(_thinned(points))} for title, kind, points in charts if points]


def _line(points: list[tuple[float, float]]) -> dict[str, Any]:
    points = [point for point in points if all(map(math.isfinite, point))] or [(0.0, 0.0)]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    ticks_y = ticks(min(ys), max(ys), 4)
    low_x, high_x = min(xs), max(xs)
    if low_x == high_x:
        low_x, high_x = low_x - 0.5, high_x + 0.5
    x = scale(low_x, high_x, LEFT + 6, WIDTH - RIGHT - 6)
    y = scale(min(ticks_y[0], min(ys)), max(ticks_y[-1], max(ys)), HEIGHT - BOTTOM, TOP)
    best = max(range(len(ys)), key=ys.__getitem__)
    return {
        "points": [(x(a), y(b)) for a, b in points],
        "dots": len(points) <= 20,
        "ticks_x": [(x(tick), f"{tick:,g}") for tick in ticks(low_x, high_x, 6) if low_x <= tick <= high_x],
        "ticks_y": [(y(tick), f"{tick:,g}") for tick in ticks_y],
        "first": ys[0],
        "last": ys[-1],
        "best": ys[best],
        "best_epoch": xs[best],
    }


def _marked(report: ReportData) -> dict[str, Any]:
    """Mistakes about places as views, and the style that these need."""
    if not report.marked:
        return {"marked": (), "marked_css": ""}
    from markupsafe import Markup

    from bothways.evaluation.views import entity_view, looks_css

    types = sorted({kind for text in report.marked for _, _, kind in (*text.found, *text.right)})
    views = [
        (text.number, text.heading, entity_view(text.text, text.found, gold=text.right, types=types))
        for text in report.marked
    ]
    return {"marked": views, "marked_css": Markup(looks_css())}


def _sureness(report: ReportData) -> dict[str, Any] | None:
    """Charts of the calibration that is reached, and of mistakes against answers."""
    found = report.calibration
    if found is None:
        return None
    states = [("As it is", found.before), ("Calibrated", found.after)]
    return {
        "reliability": [
            {"name": name, "of": of, "chart": reliability_chart(of)} for name, of in states if of is not None
        ],
        "risk": risk_chart(found.risk_coverage) if found.risk_coverage is not None else None,
    }


def _label_bars(report: ReportData) -> list[dict[str, Any]]:
    """Shares of each label in training and evaluation, as widths in percent of the largest share."""
    labels = report.labels[:LABELS_LISTED]
    judged = report.comparison.n
    trained = sum(row.trained or 0 for row in report.labels)
    shares = [
        (row.label, row.trained, (row.trained or 0) / trained if trained else 0.0, row.support, row.support / judged)
        for row in labels
    ]
    top = max([max(share[2], share[4]) for share in shares], default=0.0) or 1.0
    return [
        {
            "label": label,
            "trained": n_trained,
            "support": support,
            "train_width": round(100 * a / top, 1),
            "eval_width": round(100 * b / top, 1),
        }
        for label, n_trained, a, support, b in shares
    ]


def _bounded(values: Any) -> list[tuple[str, str]]:
    """At most 200 lines of at most 300 characters."""
    lines = [(str(key)[:100], count_text(value)) for key, value in list(values.items())[:ROWS_OF_DETAILS]]
    return [(key, text if len(text) <= 300 else text[:299] + "…") for key, text in lines]


def _thinned(points: list[tuple[float, float]], most: int = 400) -> list[tuple[float, float]]:
    """At most ``most`` points, the last one included."""
    step = -(-len(points) // most) or 1
    return points[(len(points) - 1) % step :: step]
