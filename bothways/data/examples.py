"""Typed examples: labelled texts for training and evaluation."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bothways.data.columns import Columns, recognise_columns
from bothways.data.label_kinds import (
    KINDS,
    LabelKind,
    class_name,
    class_names,
    infer_task,
    is_missing,
    natural_order,
    score,
)
from bothways.data.row import Row
from bothways.data.rows import read_rows, sample_rows
from bothways.errors import DataError, UsageError

Label = str | tuple[str, ...] | float | None
_SHOWN = 20  # labels named in a message


@dataclass(frozen=True, slots=True)
class TextExample:
    """One text, or pair of texts, with what is known about it.

    Attributes:
        text: may be blank.
        text_pair: the second text of a pair; None where the data has no pairs.
        label: a class (single), sorted classes (multi), a number (regression), or None (not labelled).
        row: number of the row, from 1, counted through all files that were read together, skipped rows included.
    """

    text: str
    text_pair: str | None = None
    label: Label = None
    row: int = 0

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to read in the text nor, for a pair, in the second text."""
        return not self.text.strip() and not (self.text_pair or "").strip()


@dataclass(frozen=True, kw_only=True)
class Problems:
    """What a reader should know about the rows; numbers of rows.

    Attributes:
        blank_texts: nothing but white space; skipped for training, kept for evaluation.
        missing_labels: skipped.
        duplicates: the same text (up to case and white space) as an earlier row.
        conflicts: such duplicates whose label differs from the first one's.
    """

    blank_texts: int = 0
    missing_labels: int = 0
    duplicates: int = 0
    conflicts: int = 0


@dataclass(frozen=True, kw_only=True)
class LabelledTexts:
    """Examples that all have a label of one kind.

    Attributes:
        examples: in the order of the files.
        label_names: all classes, whole numbers by value and then text alphabetically; empty for regression.
        kind: single, multi or regression.
        columns: the columns that were read, of the first file.
        problems: counts of unusual rows.
    """

    examples: list[TextExample]
    label_names: tuple[str, ...]
    kind: LabelKind
    columns: Columns
    problems: Problems


@dataclass(frozen=True, slots=True)
class _Record:
    """A row before the kind of its label is known."""

    text: str
    text_pair: str | None
    label: Any
    row: int
    file: str
    line: int


def load_labelled(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    task_kind: LabelKind | None = None,
    purpose: Literal["train", "evaluate"] = "train",
    format: str | None = None,
    encoding: str | None = None,
) -> LabelledTexts:
    """Read labelled texts from one or more files.

    Rows without a label are skipped and counted; so are blank texts for training. For evaluation blank texts stay.

    Args:
        paths: files, read as if they were one.
        text_column, label_column: see ``recognise_columns``.
        task_kind: None finds it, see ``infer_task``; ``"multi"`` also splits text at ``|`` or ``;``.
        purpose: training needs at least two classes (or scores); evaluation takes what comes.
        format, encoding: see ``read_rows``.

    Raises:
        UsageError: files or columns that are not there.
        DataError: content that cannot be used; with file, line and numbers.
    """
    if task_kind is not None and task_kind not in KINDS:
        raise UsageError(f"unknown kind of task {task_kind!r}. Known kinds: {', '.join(KINDS)}.")
    files = [Path(paths)] if isinstance(paths, (str, os.PathLike)) else [Path(p) for p in paths]
    if not files:
        raise UsageError("no data file was given; at least one is needed.")
    records, columns = _read(files, text_column, label_column, format, encoding)
    kind = task_kind or infer_task((r.label for r in records), column=columns.label)
    examples, skipped = _convert(records, kind, skip_blank=purpose == "train")
    shown = ", ".join(map(str, files))
    if not examples:
        raise DataError(
            f"{shown}: none of the {len(records):,} rows can be used: {skipped.blank_texts:,} have a blank text "
            f"(column {columns.text!r}) and {skipped.missing_labels:,} have no label (column {columns.label!r})."
        )
    names = label_names(examples) if kind != "regression" else ()
    if purpose == "train":
        _check_trainable(examples, kind, asked=task_kind is not None, where=f"{shown}, column {columns.label!r}")
    return LabelledTexts(examples=examples, label_names=names, kind=kind, columns=columns, problems=skipped)


def label_names(examples: Iterable[TextExample]) -> tuple[str, ...]:
    """All classes of single- or multi-label examples: whole numbers by value, then text alphabetically."""
    names: set[str] = set()
    for example in examples:
        names.update(classes_of(example))
    return tuple(natural_order(names))


def classes_of(example: TextExample) -> tuple[str, ...]:
    """The classes of an example: one, several, or none (a score, or no label)."""
    if isinstance(example.label, str):
        return (example.label,)
    return example.label if isinstance(example.label, tuple) else ()


def check_labels(evaluation: LabelledTexts, known_labels: Collection[str]) -> None:
    """Raise ``DataError`` listing, with counts, the classes of ``evaluation`` that a model does not know."""
    known = set(known_labels)
    unseen = Counter(name for example in evaluation.examples for name in classes_of(example) if name not in known)
    if unseen:
        listed = ", ".join(f"{name!r} ({count:,})" for name, count in unseen.most_common(_SHOWN))
        more = f" and {len(unseen) - _SHOWN} more" if len(unseen) > _SHOWN else ""
        raise DataError(
            f"{sum(unseen.values()):,} labels of {len(evaluation.examples):,} examples are unknown to the model: "
            f"{listed}{more}. Known labels ({len(known)}): {_listed(natural_order(known))}."
        )


def text_key(example: TextExample) -> bytes:
    """Equal for texts that differ in case and white space only; for pairs both texts count. 16 bytes."""
    parts = [" ".join(t.casefold().split()) for t in (example.text, example.text_pair or "")]
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def data_hash(examples: Iterable[TextExample]) -> str:
    """SHA-256 (hex) over texts and labels in their order; row numbers and file names do not count."""
    digest = hashlib.sha256()
    for example in examples:
        line = json.dumps([example.text, example.text_pair, example.label], ensure_ascii=True, separators=(",", ":"))
        digest.update(line.encode("ascii") + b"\n")
    return digest.hexdigest()


def example_text(row: Row, column: str, file: str) -> str:
    """The text of a row; blank where it is null or NaN.

    Half a surrogate pair, which JSON can write and no encoder can read, becomes U+FFFD.

    Raises:
        DataError: the row lacks the column, or holds a list, object or boolean there.
    """
    try:
        value = row.values[column]
    except KeyError:
        keys = ", ".join(row.values) or "none"
        raise DataError(f"{file}, line {row.line} has no {column!r}. Its keys: {keys}. Give it one, or null.") from None
    if isinstance(value, str):
        if value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value):
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if value is None or value != value:
        return ""
    if isinstance(value, (list, dict, tuple, bool, bytes)):
        raise DataError(f"{file}, line {row.line}: {column!r} is {value!r:.60}; expected a text.")
    return str(value)


def _read(
    files: Sequence[Path], text_column: str | None, label_column: str | None, format: str | None, encoding: str | None
) -> tuple[list[_Record], Columns]:
    records: list[_Record] = []
    first: Columns | None = None
    for path in files:
        sample, rows = sample_rows(read_rows(path, format=format, encoding=encoding))
        names = list(dict.fromkeys(itertools.chain.from_iterable(row.values for row in sample)))
        values = [row.values for row in sample]
        columns = recognise_columns(names, values, text_column=text_column, label_column=label_column, file=str(path))
        first = first or columns
        if (columns.text_pair is None) != (first.text_pair is None):
            raise UsageError(
                f"{files[0]} has {'pairs' if first.text_pair else 'single texts'} and {path} has "
                f"{'pairs' if columns.text_pair else 'single texts'}. Name the text columns (--text-column)."
            )
        records.extend(_records(rows, columns, str(path), len(records)))
    assert first is not None
    return records, first


def _records(rows: Iterator[Row], columns: Columns, file: str, before: int) -> Iterator[_Record]:
    for number, row in enumerate(rows, before + 1):
        text = example_text(row, columns.text, file)
        pair = example_text(row, columns.text_pair, file) if columns.text_pair else None
        yield _Record(text, pair, row.values.get(columns.label or ""), number, file, row.line)


def _convert(records: Iterable[_Record], kind: LabelKind, *, skip_blank: bool) -> tuple[list[TextExample], Problems]:
    examples: list[TextExample] = []
    seen: dict[bytes, Label] = {}
    blank = missing = duplicates = conflicts = 0
    for record in records:
        try:
            label = _label(record.label, kind)
        except ValueError as problem:
            raise DataError(f"{record.file}, line {record.line}: {problem}") from None
        example = TextExample(record.text, record.text_pair, label, record.row)
        blank += example.is_blank
        missing += label is None
        if label is None or (skip_blank and example.is_blank):
            continue
        examples.append(example)
        if example.is_blank:
            continue
        key = text_key(example)
        duplicates += key in seen
        conflicts += seen.setdefault(key, label) != label
    return examples, Problems(blank_texts=blank, missing_labels=missing, duplicates=duplicates, conflicts=conflicts)


def _label(value: Any, kind: LabelKind) -> Label:
    if kind == "regression":
        is_empty = value is None or (isinstance(value, str) and not value.strip())
        return None if is_empty else score(value)
    if kind == "multi":
        return None if value is None or value != value else class_names(value)
    return None if is_missing(value) else class_name(value)


def _check_trainable(examples: Sequence[TextExample], kind: LabelKind, *, asked: bool, where: str) -> None:
    count = len(examples)
    if kind == "regression":
        scores = {example.label for example in examples}
        if len(scores) == 1:
            raise DataError(f"{where}: all {count:,} scores are {scores.pop()}. Training needs different scores.")
        return
    names = label_names(examples)
    if not names:
        raise DataError(f"{where}: none of the {count:,} examples has a class.")
    if kind == "multi":
        return
    if len(names) == 1:
        raise DataError(
            f"{where}: all {count:,} rows have the class {names[0]!r}. Training needs two classes or more; "
            "add rows of another class or name another --label-column."
        )
    if not asked and len(names) == count >= _SHOWN:
        raise DataError(
            f"{where}: {count:,} rows have {count:,} different labels, so these are no classes: {_listed(names)}. "
            "Name another --label-column, or ask for regression if they are scores."
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(n) if len(n) <= 40 else repr(n[:37] + "...") for n in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
