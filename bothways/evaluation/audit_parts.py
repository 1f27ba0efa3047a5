"""The files of an audit as entries of one form, whatever the task; each knows its file and row."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bothways.data import (
    LabelKind,
    QuestionExample,
    TaggedText,
    TextExample,
    load_labelled,
    load_questions,
    load_tagged,
)
from bothways.data.examples import Label, classes_of
from bothways.errors import UsageError, nearest
from bothways.evaluation.audit_findings import Place, shortened

ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification", "qa": "question-answering"}
NO_ANSWER, ANSWERED = "no answer", "an answer"

Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One example as an audit sees it.

    Attributes:
        text: a text, the words of a sentence, or a question.
        pair: the second text of a pair, or the context of a question.
        answer: what must be equal where texts are: the label, the entities, the answers.
        classes: what the balance of classes counts.
        file, row: where it is; rows from 1 within their file.
    """

    text: str
    pair: str | None
    answer: Label
    classes: tuple[str, ...]
    file: str = ""
    row: int = 0

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to read."""
        return not self.text.strip() and not (self.pair or "").strip()

    def place(self, detail: str = "") -> Place:
        """Where it is, for people."""
        text = shortened(self.text, self.pair)
        return Place(file=self.file, row=self.row, text=text, label=_shown(self.answer), detail=detail)


@dataclass(frozen=True, kw_only=True)
class Part:
    """The entries of some files, in their order.

    Attributes:
        missing_labels: rows without a label, which are not among the entries.
        blank_texts: rows without a word that the reader left out.
    """

    name: str
    files: tuple[str, ...]
    kind: str
    entries: list[Entry]
    missing_labels: int = 0
    blank_texts: int = 0


def read_part(name: str, files: Files, task: str, **reading: Any) -> Part:
    """Read labelled files for an audit.

    Args:
        name: ``"training"`` or ``"evaluation"``.
        task: text-classification, token-classification or question-answering.
        reading: of texts ``text_column``, ``label_column`` and ``kind``; of all ``format`` and ``encoding``; None says
            nothing.

    Raises:
        UsageError: files or columns that are not there; files with different kinds of labels; an option that the task
            does not have.
        DataError: content that cannot be used.
    """
    paths = [Path(files)] if isinstance(files, (str, os.PathLike)) else [Path(path) for path in files]
    if not paths:
        raise UsageError("no data file was given; at least one is needed.")
    parts = []
    for path in paths:
        parts.append(_READERS[task](path, **{key: value for key, value in reading.items() if value is not None}))
        if parts[-1].kind != parts[0].kind:
            raise UsageError(
                f"{paths[0]} has labels of kind {parts[0].kind} and {path} of kind {parts[-1].kind}. Say which with "
                "--kind, or audit them apart."
            )
    return Part(
        name=name,
        files=tuple(map(str, paths)),
        kind=parts[0].kind,
        entries=[entry for part in parts for entry in part.entries],
        missing_labels=sum(part.missing_labels for part in parts),
        blank_texts=sum(part.blank_texts for part in parts),
    )


def task_name(task: str) -> str:
    """The full name of a task that can be audited.

    Raises:
        UsageError: another one; the message lists those that can.
    """
    full = ALIASES.get(task, task)
    if full not in _READERS:
        like = nearest(task, [*_READERS, *ALIASES], most=1)
        hint = f" Did you mean {like[0]!r}?" if like else ""
        raise UsageError(f"an audit cannot read data for {task!r}. Tasks it knows: {', '.join(_READERS)}.{hint}")
    return full


def entry_of(example: TextExample | TaggedText | QuestionExample, file: str = "") -> Entry:
    """A typed example as an entry."""
    if isinstance(example, TextExample):
        return Entry(example.text, example.text_pair, example.label, classes_of(example), file, example.row)
    if isinstance(example, TaggedText):
        entities = example.entities
        answer = tuple(f"{e.label} {example.text[e.start : e.end]!r}" for e in entities)
        return Entry(example.text, None, answer, tuple(e.label for e in entities), file, example.row)
    answers = tuple(dict.fromkeys(example.answer_texts))
    classes = (NO_ANSWER,) if example.is_impossible else (ANSWERED,)
    return Entry(example.question, example.context, answers, classes, file, example.row)


def _read_texts(path: Path, *, kind: LabelKind | None = None, **reading: Any) -> Part:
    read = load_labelled(path, task_kind=kind, purpose="evaluate", **reading)
    entries = [entry_of(example, str(path)) for example in read.examples]
    missing = read.problems.missing_labels
    return Part(name="", files=(), kind=read.kind, entries=entries, missing_labels=missing)


def _read_tagged(path: Path, **reading: Any) -> Part:
    _refuse_columns("token-classification", reading)
    read = load_tagged(path, purpose="evaluate", **reading)
    entries = [entry_of(example, str(path)) for example in read.examples]
    problems = read.problems
    missing, blank = problems.not_annotated, problems.blank_texts
    return Part(name="", files=(), kind="entities", entries=entries, missing_labels=missing, blank_texts=blank)


def _read_questions(path: Path, **reading: Any) -> Part:
    _refuse_columns("question-answering", reading)
    read = load_questions(path, **reading)
    entries = [entry_of(example, str(path)) for example in read.examples]
    missing = read.problems.unanswered
    return Part(name="", files=(), kind="answers", entries=entries, missing_labels=missing)


def _refuse_columns(task: str, reading: dict[str, Any]) -> None:
    for option in ("text_column", "label_column", "kind"):
        if option in reading:
            raise UsageError(
                f"{option} is {reading[option]!r}; for {task} the format of the file says it. Leave it out."
            )


_READERS: dict[str, Callable[..., Part]] = {
    "text-classification": _read_texts,
    "token-classification": _read_tagged,
    "question-answering": _read_questions,
}


def _shown(answer: Label) -> str:
    if answer is None:
        return ""
    if isinstance(answer, tuple):
        return shortened(", ".join(answer)) or "none"
    return shortened(answer) if isinstance(answer, str) else f"{answer:g}"
