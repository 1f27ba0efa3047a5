"""Predictions that another tool made, matched with the rows of a labelled file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bothways.data.row import Row
from bothways.data.rows import read_rows
from bothways.errors import DataError
from bothways.evaluation.baseline import Predictions

ANSWERS = ("label", "labels", "scores", "score", "answer", "tags", "entities", "prediction")
"""Fields of a line that hold an answer."""

EXPECTED = '{"row": 1, "label": "spam", "score": 0.97}'
MULTI_THRESHOLD = 0.5
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Predictions in the order of the examples that have one.

    Attributes:
        kept: numbers of those examples. predictions: for them.
        complete: whether the probabilities of all labels are known for all of them.
        missing, surplus, repeated: examples without a prediction, predictions without an example, and further ones of
            the same example.
    """

    kept: tuple[int, ...]
    predictions: Predictions
    complete: bool
    missing: int
    surplus: int
    repeated: int

    def sentences(self, file: str, items: str) -> tuple[str, ...]:
        """What a reader must know, with counts."""
        total = len(self.kept) + self.missing
        said = []
        if self.missing:
            said.append(
                f"{self.missing:,} of {total:,} {items} have no prediction in {file}: they are left out, and the "
                f"scores are those of the other {len(self.kept):,}."
            )
        if self.surplus:
            said.append(f"Predictions in {file} for rows that the data does not have were left out: {self.surplus:,}.")
        if self.repeated:
            said.append(f"Predictions in {file} for rows that have one already were left out: {self.repeated:,}.")
        return tuple(said)


def read_predictions(
    file: Path, kind: str, examples: Sequence[Any], names: Sequence[str], ids: Mapping[str, int] | None = None
) -> Matched:
    """Match the lines of a JSONL file with examples.

    A line names its row by ``row`` (from 1, as ``bothways predict`` does) or ``id``, and has its answer as ``label``
    (with ``score``), ``labels`` or ``scores`` (label to probability, or a list of both), ``answer``, ``tags`` or
    ``entities`` (with ``start`` and ``end``), or for a number ``score``.

    Args:
        kind: how answers are scored. examples: with their ``row``. names: the known labels.
        ids: ``id`` of the data to number of the example.

    Raises:
        DataError: a line without row or answer, or no line that fits any example.
    """
    place = {example.row: i for i, example in enumerate(examples)}
    found: dict[int, tuple[Any, dict[str, float]]] = {}
    surplus = repeated = total = 0
    for row, key in _lines(file):
        total += 1
        where = f"{file}, line {row.line}"
        i = place.get(key) if isinstance(key, int) else (ids or {}).get(key)
        if i is None:
            surplus += 1
        elif i in found:
            repeated += 1
        else:
            found[i] = _answer(kind, row.values, examples[i], where)
    if not found:
        has = ", ".join(str(example.row) for example in examples[:_SHOWN])
        raise DataError(
            f"{file}: none of its {total:,} predictions is for one of the {len(examples):,} rows of the data, which "
            f"have the numbers {has}, …{' and ids' if ids else ''}. Expected lines such as {EXPECTED}."
        )
    kept = tuple(sorted(found))
    table, complete = _probabilities(kind, [found[i] for i in kept], names)
    return Matched(
        kept=kept,
        predictions=Predictions(labels=tuple(found[i][0] for i in kept), probabilities=table),
        complete=complete,
        missing=len(examples) - len(kept),
        surplus=surplus,
        repeated=repeated,
    )


def predicted_names(matched_file: Path) -> tuple[str, ...]:
    """All labels that a file of predictions names, in the order of their first line."""
    names: dict[str, None] = {}
    for row, _ in _lines(matched_file):
        label, scores = row.values.get("label"), _scores(row.values)
        names.update(dict.fromkeys([*([str(label)] if label is not None else []), *scores]))
    return tuple(names)


def _lines(file: Path) -> Iterator[tuple[Row, int | str]]:
    """Rows with what names them: a number, or an id as text. Where no line names any, lines are counted."""
    named: bool | None = None
    for number, row in enumerate(read_rows(file, format="jsonl"), 1):
        key = row.values.get("row", row.values.get("id"))
        if named is None:
            named = key is not None
        if named != (key is not None):
            raise DataError(
                f"{file}, line {row.line}: some lines have a 'row' or 'id' and some have none; expected it in all or "
                "in none (then line 1 is row 1)."
            )
        if row.values.get("row") is not None:
            if not isinstance(row.values["row"], int) or isinstance(row.values["row"], bool):
                raise DataError(f"{file}, line {row.line}: row is {row.values['row']!r:.40}; expected a number from 1.")
            yield row, row.values["row"]
        else:
            yield row, number if key is None else str(key)


def _answer(kind: str, values: Mapping[str, Any], example: Any, where: str) -> tuple[Any, dict[str, float]]:
    """The answer in the form in which it is scored, and the probabilities of labels that are told."""
    scores = _scores(values)
    given = values.get("label", values.get("prediction"))
    try:
        if kind == "regression":
            return float(next(v for v in (values.get("score"), given) if v is not None)), {}
        if kind == "entities":
            return _tags(values, example), {}
        if kind == "multi":
            listed = values.get("labels", given)
            plain = isinstance(listed, list) and all(isinstance(label, str) for label in listed)
            chosen = listed if plain else [label for label, p in scores.items() if p >= MULTI_THRESHOLD]
            return tuple(sorted(map(str, chosen or ()))), scores
        if kind == "single":
            label = str(given) if given is not None else max(scores, key=scores.__getitem__)
            if not scores and isinstance(values.get("score"), int | float):
                scores = {label: float(values["score"])}
            return label, scores
        text = next(
            v for v in (values.get(name) for name in ("answer", "text", "prediction", "label")) if v is not None
        )
        sure = values.get("score")
        return str(text), {"": float(sure)} if isinstance(sure, int | float) else {}
    except (StopIteration, ValueError, TypeError, KeyError, AttributeError):
        fields = ", ".join(values) or "none"
        raise DataError(
            f"{where} has no answer that can be read (its fields: {fields:.120}). Expected lines such as {EXPECTED}, "
            f"with one of {', '.join(ANSWERS)}."
        ) from None


def _scores(values: Mapping[str, Any]) -> dict[str, float]:
    """Probabilities by label, from ``scores`` or from ``labels`` with their scores."""
    for name in ("scores", "labels"):
        told = values.get(name)
        if isinstance(told, Mapping):
            return {str(label): float(p) for label, p in told.items()}
        if isinstance(told, list) and told and all(isinstance(item, Mapping) for item in told):
            return {str(item["label"]): float(item["score"]) for item in told if "label" in item and "score" in item}
    return {}


def _tags(values: Mapping[str, Any], example: Any) -> tuple[str, ...]:
    """Tags of the example's words, as they are or from entities with places."""
    if isinstance(values.get("tags"), list):
        tags = tuple(map(str, values["tags"]))
        if len(tags) != len(example.words):
            raise ValueError
        return tags
    tags_of = ["O"] * len(example.words)
    for entity in values["entities"]:
        kind = str(entity.get("entity_group", entity.get("label", entity.get("type"))))
        inside = [i for i, (start, end) in enumerate(example.words) if start < entity["end"] and end > entity["start"]]
        for i in inside:
            tags_of[i] = f"{'B' if i == inside[0] else 'I'}-{kind}"
    return tuple(tags_of)


def _probabilities(
    kind: str, answers: Sequence[tuple[Any, dict[str, float]]], names: Sequence[str]
) -> tuple[np.ndarray | None, bool]:
    """(n, C) in the order of ``names`` with zeros for what is not told, and whether everything is; (n, 1) for texts."""
    if not all(scores for _, scores in answers):
        return None, False
    if kind not in ("single", "multi"):
        return np.array([[scores[""]] for _, scores in answers]), False
    index = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(answers), len(names)))
    for row, (_, scores) in zip(table, answers, strict=True):
        for label, p in scores.items():
            row[index[label]] = p
    told = Counter(len(scores) for _, scores in answers)
    sums = table.sum(axis=1)
    return table, min(told) == len(names) and (kind == "multi" or bool((np.abs(sums - 1) < 0.01).all()))
