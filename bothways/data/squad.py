"""Questions about texts: SQuAD's JSON (1.1 and 2.0), and flat rows with a question, a context and answers."""

from __future__ import annotations

import io
import itertools
import os
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bothways.data.json_rows import list_rows
from bothways.data.opening import STDIN_NAME, check_readable, file_format, opened, text_chunks
from bothways.data.row import Row
from bothways.data.rows import known_format, read_rows, stream_rows
from bothways.data.stream import stdin_bytes
from bothways.errors import DataError, UsageError

NEAR = 64
"""Characters by which a stated start may be wrong where the answer's text occurs more than once."""

NOT_FOUND = -1
_PEEKED_BYTES = 64 * 2**10
_DATA_LIST = re.compile(r'"data"\s*:\s*(?=\S)')
_HAS_ARTICLES = re.compile(rb'"data"\s*:\s*\[|"paragraphs"\s*:')
_HAS_QUESTION = re.compile(rb'"(question|context)"\s*:')
_TAIL = 256  # characters kept of a chunk in which the list of articles has not begun
_EXPECTED = '{"question": "...", "context": "...", "answers": {"text": ["..."], "answer_start": [0]}}'


@dataclass(frozen=True, slots=True)
class QuestionExample:
    """One question about one text.

    Attributes:
        id: the data's own, or the number of the row.
        question, context: never blank.
        answers: (start, text) of each right answer, ``context[start : start + len(text)] == text``; the start is -1
            where the text does not occur in the context. Empty for a question without an answer.
        is_impossible: the context does not answer the question.
        row: number of the question, from 1, counted through all files that were read together.
    """

    id: str
    question: str
    context: str
    answers: tuple[tuple[int, str], ...] = ()
    is_impossible: bool = False
    row: int = 0

    @property
    def answer_texts(self) -> tuple[str, ...]:
        """The texts of the right answers."""
        return tuple(text for _, text in self.answers)


@dataclass(frozen=True, kw_only=True)
class QuestionProblems:
    """What a reader should know about the answers.

    Attributes:
        repaired: answers whose text was not at the stated place, and was found nearby.
        not_found: answers whose text is not in the context; they count when answers are scored, not in training.
        unanswered: questions left out: they are said to have an answer, and none is given.
    """

    repaired: int = 0
    not_found: int = 0
    unanswered: int = 0


@dataclass(frozen=True, kw_only=True)
class LoadedQuestions:
    """Questions with their answers, in the order of the files, and counts of unusual ones."""

    examples: list[QuestionExample]
    problems: QuestionProblems


@dataclass(slots=True)
class _Counts:
    repaired: int = 0
    not_found: int = 0
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class _Record:
    """A question before its answers are looked at. ``place`` is for messages."""

    values: Mapping[str, Any]
    context: str
    place: str


def load_questions(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    format: str | None = None,
    encoding: str | None = None,
) -> LoadedQuestions:
    """Read questions with answers from one or more files.

    SQuAD's JSON, version 1.1 or 2.0, or rows ``{"id", "question", "context", "answers": {"text": [], "answer_start":
    []}}`` in any format of ``read_rows``; all but Parquet also gzipped. A row without answers, or with
    ``is_impossible``, is a question that its context does not answer.

    An answer that is not at its stated start is looked for: the nearest occurrence within 64 characters, or the only
    one, is taken.

    Raises:
        UsageError: files that are not there or of an unknown kind.
        DataError: a blank question or context, or another structure; with article, paragraph and question, or line.
    """
    paths = [Path(files)] if isinstance(files, (str, os.PathLike)) else [Path(p) for p in files]
    if not paths:
        raise UsageError("no data file was given; at least one is needed.")
    counts = _Counts()
    examples: list[QuestionExample] = []
    contexts: dict[str, str] = {}
    for record in itertools.chain.from_iterable(_records(path, format, encoding) for path in paths):
        context = contexts.setdefault(record.context, record.context)  # one object for all its questions
        example = _example(record, context, len(examples) + counts.unanswered + 1, counts)
        if example is not None:
            examples.append(example)
    if not examples:
        raise DataError(f"{', '.join(map(str, paths))}: none of {counts.unanswered:,} questions has answers.")
    return LoadedQuestions(
        examples=examples,
        problems=QuestionProblems(repaired=counts.repaired, not_found=counts.not_found, unanswered=counts.unanswered),
    )


def iter_questions(
    path_or_dash: str | os.PathLike[str], *, format: str | None = None, encoding: str | None = None
) -> Iterator[QuestionExample]:
    """Yield every question of a file or of standard input (``"-"``) for prediction; answers are not read.

    Rows are held one at a time, SQuAD's JSON one article at a time. Standard input holds SQuAD's JSON, a JSON list or
    JSON lines, or what ``format`` says.

    Raises:
        UsageError, DataError: as ``load_questions``; errors of content come while reading.
    """
    if str(path_or_dash) == "-":
        return _unanswered(_stdin_records(format, encoding))
    return _unanswered(_records(Path(path_or_dash), format, encoding))


def holdout_questions(
    examples: Sequence[QuestionExample], fraction: float, seed: int
) -> tuple[list[QuestionExample], list[QuestionExample]]:
    """Split into a training and a held-out part, both in order, with no context on both sides.

    Raises:
        UsageError: an impossible fraction.
        DataError: too few contexts to hold one out.
    """
    if not 0.0 < fraction < 1.0:
        raise UsageError(f"the held-out fraction is {fraction}; expected a number above 0 and below 1, such as 0.1.")
    sizes: dict[str, int] = {}
    for example in examples:
        sizes[example.context] = sizes.get(example.context, 0) + 1
    contexts = list(sizes)
    random.Random(seed).shuffle(contexts)
    target = max(1.0, len(examples) * fraction)
    held: set[str] = set()
    for context in contexts:
        if sizes[context] <= target and len(held) + 1 < len(contexts):
            held.add(context)
            target -= sizes[context]
    if not held:
        raise DataError(
            f"nothing can be held out: {len(examples):,} questions about {len(contexts):,} contexts, of which "
            f"{fraction:g} was asked. Give an evaluation file or more contexts."
        )
    return [e for e in examples if e.context not in held], [e for e in examples if e.context in held]


def _records(path: Path, format: str | None, encoding: str | None) -> Iterator[_Record]:
    check_readable(path)
    kind = file_format(path) if format is None else known_format(format)
    if kind not in ("json", "jsonl"):
        return _flat_records(read_rows(path, format=kind, encoding=encoding), str(path))
    return _json_records(path, kind, encoding)


def _json_records(path: Path, kind: str, encoding: str | None) -> Iterator[_Record]:
    with opened(path) as stream:
        yield from _stream_records(stream, str(path), kind, encoding)


def _stdin_records(format: str | None, encoding: str | None) -> Iterator[_Record]:
    yield from _stream_records(stdin_bytes(), STDIN_NAME, "json" if format is None else known_format(format), encoding)


def _stream_records(stream: io.BufferedReader, name: str, kind: str, encoding: str | None) -> Iterator[_Record]:
    if kind == "json" and _holds_articles(stream):
        return _article_records(list_rows(_articles(text_chunks(stream, name, encoding), name), name), name)
    return _flat_records(stream_rows(stream, name, kind, encoding), name)


def _holds_articles(stream: io.BufferedReader) -> bool:
    """Whether this is SQuAD's JSON: one object with a list ``data``, before any question."""
    head = stream.peek(_PEEKED_BYTES)[:_PEEKED_BYTES].replace(b"\0", b"")
    articles, question = _HAS_ARTICLES.search(head), _HAS_QUESTION.search(head)
    if articles is None:
        return False
    return question is None or articles.start() < question.start()


def _articles(chunks: Iterator[str], name: str) -> Iterator[str]:
    """The text from the list of articles on; what is before it becomes blank lines, so that lines count right."""
    waiting = ""
    skipped = 0
    for chunk in chunks:
        waiting += chunk
        found = _DATA_LIST.search(waiting)
        if found is None and waiting.lstrip("\ufeff \t\r\n").startswith("["):
            found = re.match(r"\s*", waiting)  # a bare list of articles
        if found is not None:
            yield "\n" * (skipped + waiting.count("\n", 0, found.end())) + waiting[found.end() :]
            yield from chunks
            return
        skipped += waiting[:-_TAIL].count("\n")
        waiting = waiting[-_TAIL:]
    raise DataError(f"{name} is a JSON object without a list 'data'. Expected SQuAD's JSON, or rows {_EXPECTED}.")


def _flat_records(rows: Iterator[Row], name: str) -> Iterator[_Record]:
    for row in rows:
        place = f"{name}, line {row.line}"
        yield _Record(row.values, _text(row.values, "context", place), place)


def _article_records(articles: Iterator[Row], name: str) -> Iterator[_Record]:
    empty = True
    for a, article in enumerate(articles, 1):
        at_article = f"{name}, article {a}"
        for p, paragraph in enumerate(_objects(article.values, "paragraphs", at_article), 1):
            at_paragraph = f"{at_article}, paragraph {p}"
            context = _text(paragraph, "context", at_paragraph)
            for q, question in enumerate(_objects(paragraph, "qas", at_paragraph), 1):
                empty = False
                yield _Record(question, context, f"{at_paragraph}, question {q}")
    if empty:
        raise DataError(f"{name} has no questions.")


def _objects(parent: Mapping[str, Any], key: str, place: str) -> list[Mapping[str, Any]]:
    members = parent.get(key)
    if not isinstance(members, list):
        raise DataError(f"{place} has no list {key!r}. Its keys: {', '.join(parent) or 'none'}.")
    for number, member in enumerate(members, 1):
        if not isinstance(member, dict):
            raise DataError(f"{place}: member {number} of {key!r} is {member!r:.60}; expected an object.")
    return members


def _text(values: Mapping[str, Any], key: str, place: str) -> str:
    """A text that is not blank. Half a surrogate pair, which no encoder can read, becomes U+FFFD."""
    value = values.get(key)
    if value is None:
        raise DataError(f"{place} has no {key!r}. Its keys: {', '.join(values) or 'none'}. Expected {_EXPECTED}.")
    if not isinstance(value, str):
        raise DataError(f"{place}: {key!r} is {value!r:.60}; expected a text.")
    if not value.strip():
        raise DataError(f"{place}: {key!r} is blank. Fill it, or leave the row out.")
    return _sound(value)


def _sound(text: str) -> str:
    if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unanswered(records: Iterator[_Record]) -> Iterator[QuestionExample]:
    for number, record in enumerate(records, 1):
        question = _text(record.values, "question", record.place)
        yield QuestionExample(_id(record, number), question, record.context, row=number)


def _example(record: _Record, context: str, number: int, counts: _Counts) -> QuestionExample | None:
    values, place = record.values, record.place
    question = _text(values, "question", place)
    if "answers" not in values and "is_impossible" not in values:
        raise DataError(f"{place} has no 'answers'. Its keys: {', '.join(values)}. Expected {_EXPECTED}.")
    impossible = values.get("is_impossible")
    if impossible is not None and not isinstance(impossible, (bool, int)):
        raise DataError(f"{place}: 'is_impossible' is {impossible!r:.60}; expected true or false.")
    stated = [] if impossible else _stated_answers(values.get("answers"), place)
    if not stated and impossible is not None and not impossible:
        counts.unanswered += 1
        return None
    answers = tuple(_located(text, start, context, counts) for start, text in stated)
    return QuestionExample(_id(record, number), question, context, answers, not answers, number)


def _id(record: _Record, number: int) -> str:
    value = record.values.get("id")
    return str(number) if value is None else str(value)


def _stated_answers(answers: Any, place: str) -> list[tuple[int | None, str]]:
    """(start, text) of each, as the data says; blank texts are none."""
    if answers is None:
        return []
    if isinstance(answers, dict):
        texts, starts = answers.get("text", []), answers.get("answer_start")
        texts = [texts] if isinstance(texts, str) else texts
        starts = [starts] * len(texts) if starts is None or isinstance(starts, int) else starts
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            raise DataError(f"{place}: 'answers' is {answers!r:.80}; expected as many starts as texts: {_EXPECTED}.")
        pairs = list(zip(starts, texts, strict=True))
    elif isinstance(answers, list) and all(isinstance(a, dict) for a in answers):
        pairs = [(a.get("answer_start"), a.get("text")) for a in answers]
    else:
        raise DataError(f"{place}: 'answers' is {answers!r:.80}; expected {_EXPECTED}, or a list of such objects.")
    for start, text in pairs:
        whole = isinstance(start, int) or (isinstance(start, float) and start.is_integer())
        if not isinstance(text, str) or isinstance(start, bool) or not (whole or start is None):
            raise DataError(
                f"{place}: an answer has text {text!r:.60} and answer_start {start!r:.20}; expected a text and the "
                "number of its first character."
            )
    return [(None if start is None else int(start), _sound(text)) for start, text in pairs if text.strip()]


def _located(text: str, start: int | None, context: str, counts: _Counts) -> tuple[int, str]:
    if start is not None and start >= 0 and context.startswith(text, start):
        return start, text
    places = [found.start() for found in re.finditer(f"(?={re.escape(text)})", context)]
    if len(places) > 1:
        distance = {place: abs(place - start) for place in places} if start is not None else {}
        places = [place for place in places if distance.get(place, NEAR + 1) <= NEAR]
        places.sort(key=lambda place: distance[place])
    if not places:
        counts.not_found += 1
        return NOT_FOUND, text
    counts.repaired += 1
    return places[0], text
