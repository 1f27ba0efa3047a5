"""Questions with choices, of which one is right: rows of the usual data sets → typed examples.

The rows of SWAG, HellaSwag, RACE, ARC, CommonsenseQA, MMLU, PIQA, COPA and WinoGrande are read as they are published,
and so is the plain form ``{"question": "...", "choices": ["...", "..."], "label": 0}``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bothways.data.label_kinds import is_missing
from bothways.data.opening import STDIN_NAME, check_readable
from bothways.data.rows import known_format, read_rows, stream_rows
from bothways.data.stream import stdin_bytes
from bothways.errors import DataError, UsageError

CONTEXT_NAMES = ("context", "article", "passage", "text", "premise", "sent1", "ctx")
QUESTION_NAMES = ("question", "prompt", "query", "goal", "stem", "sentence", "sent2")
LIST_NAMES = ("choices", "endings", "options", "candidates", "answers")
INDEX_NAMES = ("label", "labels")
ANSWER_NAMES = ("answer", "answerkey", "answer_key")
_NUMBERED = re.compile(r"(ending|choice|option|sol|answer)[_ ]?(\d)")
_BLANK = "_"
_EXPECTED = '{"question": "...", "choices": ["...", "..."], "label": 0}'


@dataclass(frozen=True, slots=True)
class ChoiceExample:
    """A text and its choices.

    Attributes:
        text: what is read before each choice: the context, or the question where there is no other text.
        stem: the beginning of every second text, such as a question about the context; may be blank.
        choices: two or more.
        label: number of the right choice, from 0; None where the data does not say.
        row: number of the row, from 1, counted through all files that were read together, skipped rows included.
    """

    text: str
    stem: str
    choices: tuple[str, ...]
    label: int | None = None
    row: int = 0

    @property
    def second_texts(self) -> list[str]:
        """What a model reads after ``text``, for each choice: the stem with the choice at its end, or in its blank.

        Source: the reference library's ``run_swag`` and ``run_multiple_choice``, for RACE's blanks.

        Example: stem ``"He was _ ."`` with ``"late"`` -> ``"He was late ."``.
        """
        if not self.stem:
            return list(self.choices)
        if _BLANK in self.stem:
            return [self.stem.replace(_BLANK, choice) for choice in self.choices]
        return [f"{self.stem} {choice}" for choice in self.choices]


@dataclass(frozen=True, kw_only=True)
class LabelledChoices:
    """Examples that all have a right choice.

    Attributes:
        examples: in the order of the files.
        missing_labels: number of rows without a label, which were skipped.
    """

    examples: list[ChoiceExample]
    missing_labels: int

    @property
    def n_choices(self) -> tuple[int, int]:
        """The smallest and the largest number of choices."""
        counts = [len(example.choices) for example in self.examples]
        return min(counts), max(counts)


def load_choices(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    purpose: Literal["train", "evaluate"] = "train",
    format: str | None = None,
    encoding: str | None = None,
) -> LabelledChoices:
    """Read labelled questions from one or more files, as if they were one; rows without a label are skipped.

    Args:
        paths: files of any format that ``read_rows`` takes.
        purpose: training refuses data whose right choice is always the same one, of which nothing can be learned.
        format, encoding: see ``read_rows``.

    Raises:
        UsageError: files that are not there.
        DataError: content that cannot be used; with file, line and numbers.
    """
    files = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not files:
        raise UsageError("no data file was given; at least one is needed.")
    examples: list[ChoiceExample] = []
    rows = 0
    for path in files:
        check_readable(Path(path))
        for example in iter_choices(path, first_row=rows + 1, format=format, encoding=encoding):
            rows = example.row
            if example.label is not None:
                examples.append(example)
    shown = ", ".join(map(str, files))
    if not examples:
        raise DataError(f"{shown}: none of the {rows:,} rows has a label. Expected rows such as {_EXPECTED}.")
    rights = {example.label for example in examples}
    if purpose == "train" and len(rights) == 1 and len(examples) > 1:
        raise DataError(
            f"{shown}: in all {len(examples):,} labelled rows the right choice is number {rights.pop()}, from which "
            "nothing can be learned. Shuffle the choices of each row."
        )
    return LabelledChoices(examples=examples, missing_labels=rows - len(examples))


def iter_choices(
    path_or_dash: str | os.PathLike[str],
    *,
    first_row: int = 1,
    format: str | None = None,
    encoding: str | None = None,
) -> Iterator[ChoiceExample]:
    """Yield every question of a file or of standard input (``"-"``: JSON), labelled or not, in constant memory.

    Raises:
        UsageError, DataError: as ``read_rows`` and ``choice_example``.
    """
    if str(path_or_dash) == "-":
        name = STDIN_NAME
        rows = stream_rows(stdin_bytes(), name, "json" if format is None else known_format(format), encoding)
    else:
        name = str(path_or_dash)
        rows = read_rows(path_or_dash, format=format, encoding=encoding)
    for number, row in enumerate(rows, first_row):
        yield choice_example(row.values, f"{name}, line {row.line}", row=number)


def choice_example(values: Mapping[str, Any], where: str, *, row: int = 0) -> ChoiceExample:
    """Read one record.

    - Choices: a list under ``choices``, ``endings``, ``options`` (also as JSON text, as lists under ``text`` and
      ``label``, or as objects with both), or columns ``ending0``, ``ending1``, … (``choice``, ``option``, ``sol``).
    - Text: a context (``context``, ``article``, ``passage``, ``text``, ``premise``, ``sent1``, ``ctx``) or a question
      (``question``, ``prompt``, ``goal``, ``sentence``). With both, the question (or ``sent2``) begins each choice.
    - ``label`` counts from 0; ``answer`` or ``answerKey`` is a letter, the name that the data gives the choice, its
      text, or a number from 0. Letters and texts are understood under ``label`` too.

    Args:
        values: column → value.
        where: file and line, for messages.
        row: number of the record.

    Raises:
        DataError: no text, fewer than two choices, a choice that is no text, a label that is none of the choices.
    """
    columns = {str(name).strip().lower(): value for name, value in values.items()}
    nested = columns.get("question")
    if isinstance(nested, Mapping):  # ARC as its authors publish it: question = {stem, choices}
        columns = {k: v for k, v in columns.items() if k != "question"} | {str(k).lower(): v for k, v in nested.items()}
    choices, names = _choices(columns, where)
    text, stem = _texts(columns, where)
    return ChoiceExample(text, stem, choices, _label(columns, choices, names, where), row)


def _choices(columns: Mapping[str, Any], where: str) -> tuple[tuple[str, ...], list[str]]:
    """The choices and the names by which an answer may call them."""
    listed = [name for name in LIST_NAMES if not is_missing(columns.get(name))]
    if len(listed) > 1:
        raise DataError(f"{where}: the choices could be any of {', '.join(listed)}. Keep one of these columns.")
    found: Any
    if listed:
        found, names = _listed(columns[listed[0]], f"{where}, {listed[0]}")
    else:
        groups: dict[str, list[tuple[int, str]]] = {}
        for name in columns:
            if (match := _NUMBERED.fullmatch(name)) and not is_missing(columns[name]):
                groups.setdefault(match[1], []).append((int(match[2]), name))
        if len(groups) != 1:
            raise DataError(
                f"{where}: {'no choices' if not groups else 'choices under ' + ' and '.join(groups)}. Columns: "
                f"{', '.join(columns)}. Expected {_EXPECTED}, or columns ending0, ending1, ..."
            )
        numbered = sorted(next(iter(groups.values())))
        found, names = [columns[name] for _, name in numbered], [str(number) for number, _ in numbered]
    for number, choice in enumerate(found):
        if not isinstance(choice, str) or not choice.strip():
            raise DataError(f"{where}: choice {number} is {choice!r:.60} ({type(choice).__name__}); expected a text.")
    if len(found) < 2:
        raise DataError(f"{where}: a question needs 2 choices or more, but has {len(found)}.")
    return tuple(found), names


def _listed(value: Any, where: str) -> tuple[list[Any], list[str]]:
    """Choices in a list, and their names: letters unless the data has its own."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise DataError(f"{where} is the text {value!r:.60}; expected a list of texts, in CSV as JSON.") from None
    names: Any = None
    if isinstance(value, Mapping):
        value, names = value.get("text"), value.get("label")
    elif isinstance(value, (list, tuple)) and value and all(isinstance(choice, Mapping) for choice in value):
        value, names = [choice.get("text") for choice in value], [choice.get("label") for choice in value]
        names = None if None in names else names
    if not isinstance(value, (list, tuple)):
        raise DataError(f"{where} is a {type(value).__name__}; expected a list of texts.")
    if names is None:
        names = [chr(ord("A") + number) for number in range(min(26, len(value)))]
    elif not isinstance(names, (list, tuple)) or len(names) != len(value):
        count = len(names) if isinstance(names, (list, tuple)) else 1
        raise DataError(f"{where} has {len(value)} texts but {count} labels. Each choice has one of both.")
    return list(value), [str(name) for name in names]


def _texts(columns: Mapping[str, Any], where: str) -> tuple[str, str]:
    """The first text, and the beginning of the second ones."""
    found: list[str] = []
    for group in (CONTEXT_NAMES, QUESTION_NAMES):
        here = [name for name in group if not is_missing(columns.get(name))]
        if len(here) > 1:
            raise DataError(f"{where}: the text could be any of {', '.join(here)}. Keep one of these columns.")
        if here and not isinstance(columns[here[0]], str):
            kind = type(columns[here[0]]).__name__
            raise DataError(f"{where}: {here[0]} is {columns[here[0]]!r:.60} ({kind}); expected a text.")
        found.extend(columns[name] for name in here)
    blank = [name for name in (*QUESTION_NAMES, *CONTEXT_NAMES) if name in columns]
    if not found and blank:
        raise DataError(f"{where}: {' and '.join(blank)} {'are' if len(blank) > 1 else 'is'} blank; expected a text.")
    if not found:
        raise DataError(
            f"{where}: no question. Columns: {', '.join(columns)}. Expected one of "
            f"{', '.join((*QUESTION_NAMES, *CONTEXT_NAMES))}."
        )
    return found[0], found[1] if len(found) > 1 else ""


def _label(columns: Mapping[str, Any], choices: Sequence[str], names: list[str], where: str) -> int | None:
    """Number of the right choice; None where there is no label, or -1 as hidden test sets have it."""
    given = [name for name in (*INDEX_NAMES, *ANSWER_NAMES) if not is_missing(columns.get(name))]
    if not given:
        return None
    column, value = given[0], columns[given[0]]
    said = str(value).strip()
    if said == "-1":
        return None
    index = int(number[1]) if (number := re.fullmatch(r"(\d{1,4})(\.0)?", said)) else None
    named = [i for i, name in enumerate(names) if name == said or name == said.upper()]
    equal = [i for i, choice in enumerate(choices) if choice.strip() == said]
    readings = [named, equal]
    if index is not None:  # under label a number counts from 0; under answer it is first of all a name
        readings.insert(0 if column in INDEX_NAMES else 1, [index] if index < len(choices) else [])
    meant = next((found for found in readings if found), [])
    if len(meant) != 1 or isinstance(value, bool):
        raise DataError(
            f"{where}: {column} is {value!r:.60}, which is {'several' if len(meant) > 1 else 'none'} of the "
            f"{len(choices)} choices. Expected a number from 0 to {len(choices) - 1}, one of {', '.join(names)}, or "
            "the text of a choice."
        )
    return meant[0]
