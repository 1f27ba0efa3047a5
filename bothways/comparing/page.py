"""A table of models as one self-contained page."""

from __future__ import annotations

from typing import Any

from bothways.comparing.chart import draw, letter, number
from bothways.comparing.compare import ComparedModel, ModelTable
from bothways.comparing.told import value_of
from bothways.evaluation.analysis import printable
from bothways.evaluation.formats import UNKNOWN, megabytes_text, seconds_text

COLUMNS = (
    "weights",
    "on disk",
    "memory",
    "texts/s",
    "tokens/s",
    "one text",
    "95 % within",
)
"""What is measured beside the scores; the last two are the median and the 95th percentile for one text."""


def render_table(table: ModelTable) -> str:
    """The whole page as text. Everything that comes from data or names is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("bothways.comparing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    letters = {row.name: letter(i) for i, row in enumerate(table.rows)}
    rows: list[dict[str, Any]] = [
        {
            "letter": letter(i),
            "row": row,
            "scores": shown_scores(row),
            "cells": measured_cells(row),
            "beaten_by": "" if row.dominated_by is None else letters[row.dominated_by],
        }
        for i, row in enumerate(table.rows)
    ]
    return environment.get_template("compare.html.jinja").render(
        table=table, rows=rows, columns=COLUMNS, drawing=draw(table.rows)
    )


def measured_cells(row: ComparedModel) -> list[str]:
    """The measured numbers of a line in the order of ``COLUMNS``."""
    speed = row.speed
    return [
        UNKNOWN if row.parameters is None else millions(row.parameters),
        megabytes_text(row.megabytes),
        megabytes_text(row.memory_megabytes),
        number(row.texts_per_second),
        UNKNOWN if speed is None else number(speed.tokens_per_second),
        UNKNOWN if speed is None else _latency(speed.p50),
        UNKNOWN if speed is None else _latency(speed.p95),
    ]


def shown_scores(row: ComparedModel) -> list[dict[str, str]]:
    """Title, value and interval of each score, as text."""
    found = []
    for score in row.scores:
        factor, digits = (100, 1) if score.percent else (1, 3)
        low, high = (f"{value * factor:.{digits}f}" for value in (score.interval.low, score.interval.high))
        found.append({"title": score.title, "value": value_of(score), "range": f"{low} to {high}"})
    return found


def millions(count: int) -> str:
    """``22.7 M``, or the number itself below a million."""
    return f"{count / 1e6:,.1f} M" if count >= 1_000_000 else f"{count:,}"


def _latency(seconds: float) -> str:
    return f"{seconds * 1_000:.1f} ms" if seconds < 0.01 else seconds_text(seconds)


__all__ = ["COLUMNS", "measured_cells", "millions", "render_table", "shown_scores"]
