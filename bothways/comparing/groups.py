"""Parts of a data set in which two models are compared: by label, by the kind of text, by columns of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bothways.comparing.changes import Decision, count_decisions
from bothways.data import read_rows
from bothways.errors import BothwaysError
from bothways.evaluation.analysis import shown_label
from bothways.evaluation.facets import text_facets
from bothways.evaluation.intervals import mcnemar

MOST_VALUES = 30
"""A column with more values is a name or a number, and no group."""
FEWEST = 5
"""Decisions of a group that is shown."""


@dataclass(frozen=True, kw_only=True)
class GroupChange:
    """How one part fares.

    Attributes:
        group, value: what divides, and the part: ``label``, ``pos``.
        n: decisions in it. before, after: shares that each model has right.
        newly_wrong, newly_right: decisions that flipped.
        p_value: of McNemar's exact test. adjusted: by Holm's method over all parts, since many are looked at.
    """

    group: str
    value: str
    n: int
    before: float
    after: float
    newly_wrong: int
    newly_right: int
    p_value: float
    adjusted: float


def changes_by_group(
    decisions: Sequence[Decision], texts: Sequence[str], columns: Mapping[str, Sequence[str | None]]
) -> tuple[GroupChange, ...]:
    """Every part with enough decisions, those that lost most first.

    Args:
        texts: of the examples, for the facets that the report has too.
        columns: of the data, a value for each example; None where it has none.
    """
    members: dict[tuple[str, str], list[Decision]] = {}
    facets = text_facets(texts)
    for decision in decisions:
        values = [("label", shown_label(label)) for label in decision.labels]
        values += [(f.name, own) for f in facets if (own := f.values[decision.example]) is not None]
        values += [(name, own) for name in columns if (own := columns[name][decision.example]) is not None]
        for value in values:
            members.setdefault(value, []).append(decision)
    found = [_change(*key, own) for key, own in members.items() if FEWEST <= len(own) < len(decisions)]
    adjusted = holm([change.p_value for change in found])
    rows = [replace(change, adjusted=own) for change, own in zip(found, adjusted, strict=True)]
    return tuple(sorted(rows, key=lambda r: (r.newly_right - r.newly_wrong, r.p_value, r.group, r.value)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for looking at many, so that all of them together err as seldom as one.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - rank)))
        adjusted[i] = highest
    return adjusted


def columns_of(
    file: Path, rows: Sequence[int], texts: Sequence[str], used: Sequence[str], **reading: Any
) -> dict[str, list[str | None]]:
    """The columns of a file that divide its examples, with the value of each example.

    Args:
        rows: number of each example's row in the file, from 1.
        texts: of the examples, to be sure that rows are rows.
        used: columns that are text or label.
        reading: ``format`` and ``encoding``.

    Returns:
        Nothing for files without columns, such as words and tags a line.
    """
    try:
        values = [row.values for row in read_rows(file, **reading)]
    except BothwaysError:
        return {}
    if not rows or max(rows) > len(values):
        return {}
    own = [values[number - 1] for number in rows]
    if not all(_holds(row, text) for row, text in zip(own, texts, strict=True)):
        return {}
    found = {}
    for name in dict.fromkeys(name for row in own for name in row):
        shown = [_shown(row.get(name)) for row in own]
        different = {value for value in shown if value is not None}
        if name not in used and 2 <= len(different) <= min(MOST_VALUES, len(own) // 2):
            found[name] = shown
    return found


def _holds(row: Mapping[str, Any], text: str) -> bool:
    return any(
        value == text or (isinstance(value, list) and " ".join(map(str, value)) == text) for value in row.values()
    )


def _shown(value: Any) -> str | None:
    """A value as a name; None for nothing, NaN and whatever has parts."""
    if value is None or value == "" or value != value or not isinstance(value, (str, int, float)):
        return None
    return shown_label(value)


def _change(group: str, value: str, members: Sequence[Decision]) -> GroupChange:
    counts = count_decisions(members)
    p_value = mcnemar(counts.newly_wrong, counts.newly_right, mid_p=False)
    return GroupChange(
        group=group,
        value=value,
        n=counts.total,
        before=(counts.both_right + counts.newly_wrong) / counts.total,
        after=(counts.both_right + counts.newly_right) / counts.total,
        newly_wrong=counts.newly_wrong,
        newly_right=counts.newly_right,
        p_value=p_value,
        adjusted=p_value,
    )


__all__ = ["GroupChange", "changes_by_group", "columns_of", "holm"]
