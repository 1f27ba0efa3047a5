"""Texts whose words are tagged: what named entity recognition is trained and measured with."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bothways.data.conll import sentences
from bothways.data.examples import example_text
from bothways.data.opening import check_readable, opened, text_lines
from bothways.data.row import Row
from bothways.data.rows import read_rows
from bothways.data.spans import ENTITY_KEYS, EntitySpan, read_spans, tag_words, units_of
from bothways.data.words import Span
from bothways.errors import DataError, UsageError
from bothways.metrics.entities import entity_spans
from bothways.metrics.tag_schemes import recognise_scheme, tag_names, to_iob2

ROW_FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet"}
WORD_KEYS, TAG_KEYS = ("tokens", "words"), ("ner_tags", "tags", "ner", "labels")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class TaggedText:
    """A text divided into words, each with a tag.

    Attributes:
        text: of word lists, the words with single spaces between.
        words: characters of each word in ``text``, rising.
        tags: one a word, in IOB2.
        row: number of the sentence or record, from 1, counted through all files that were read together.
    """

    text: str
    words: tuple[Span, ...]
    tags: tuple[str, ...]
    row: int = 0

    @property
    def surfaces(self) -> list[str]:
        """The words as written."""
        return [self.text[start:end] for start, end in self.words]

    @property
    def entities(self) -> list[EntitySpan]:
        """The entities as characters of ``text``."""
        return [EntitySpan(self.words[s][0], self.words[e - 1][1], kind) for kind, s, e in entity_spans(self.tags)]

    def in_units(self) -> TaggedText:
        """The same with words divided into the smallest that prediction may see (see ``words.word_spans``)."""
        words, tags = units_of(self.text, self.words, self.tags)
        return TaggedText(self.text, tuple(words), tuple(tags), self.row)


@dataclass(frozen=True, slots=True)
class Misaligned:
    """An entity that begins or ends inside a word, so that no word could be tagged with it."""

    row: int
    surface: str
    label: str
    context: str


@dataclass(frozen=True, kw_only=True)
class TagProblems:
    """What a reader should know about the rows.

    Attributes:
        misaligned: entities that are left without a label; see ``Misaligned``.
        blank_texts: numbers of records without a word, skipped.
        not_annotated: number of records without annotations, skipped.
        annotated_twice: number of records with several annotations, of which the first was taken.
        loose_tags: number of ``I-`` tags that begin an entity although the rest is IOB2; read as ``B-``.
    """

    misaligned: tuple[Misaligned, ...] = ()
    blank_texts: int = 0
    not_annotated: int = 0
    annotated_twice: int = 0
    loose_tags: int = 0

    def sentence(self) -> str:
        """The misaligned entities in words; empty without any."""
        if not self.misaligned:
            return ""
        listed = "; ".join(f"row {m.row}: {m.label} {m.surface!r} in {m.context!r}" for m in self.misaligned[:_SHOWN])
        more = f"; and {len(self.misaligned) - _SHOWN:,} more" if len(self.misaligned) > _SHOWN else ""
        count = len(self.misaligned)
        return f"{count:,} entities begin or end inside a word and are left without a label: {listed}{more}."


@dataclass(frozen=True, kw_only=True)
class TaggedTexts:
    """Tagged texts with entities of known types.

    Attributes:
        examples: in the order of the files.
        types: of entities, by name.
        schemes: of the tags of the files (IOB1, IOB2, BIOES, BILOU, IO); in ``examples`` all are IOB2.
        problems: counts of unusual rows, and the misaligned entities.
    """

    examples: list[TaggedText]
    types: tuple[str, ...]
    schemes: tuple[str, ...]
    problems: TagProblems

    @property
    def label_names(self) -> tuple[str, ...]:
        """``O``, then ``B-`` and ``I-`` of each type: the labels of a model."""
        return tag_names(self.types)


@dataclass(slots=True)
class _Counts:
    """Problems while they are being counted."""

    misaligned: list[Misaligned]
    blank: int = 0
    bare: int = 0
    twice: int = 0
    loose: int = 0


def load_tagged(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    purpose: Literal["train", "evaluate"] = "train",
    format: str | None = None,
    encoding: str | None = None,
) -> TaggedTexts:
    """Read texts with tagged words or with entities from one or more files.

    Formats: column files (word first, tag last, a blank line after each sentence; any extension that is not below);
    and records in JSON lines (.jsonl), a JSON list (.json) or Parquet, all but Parquet also gzipped. A record has

    - ``text`` and ``entities`` (or ``spans``, ``labels``, ``label``): ``{"start", "end", "label"}`` or
      ``[start, end, label]`` each; words are then found by ``words.word_spans``; or
    - ``tokens`` (or ``words``) and ``ner_tags`` (or ``tags``, ``ner``, ``labels``): lists of strings; or
    - ``data`` and ``annotations``, as Label Studio exports them.

    Tags may be in any of the schemes of ``metrics.tag_schemes``; they are converted to IOB2.

    Args:
        paths: files, read as if they were one.
        purpose: training needs at least one entity; evaluation takes what comes.
        format: ``"conll"``, ``"jsonl"``, ``"json"`` or ``"parquet"``; None takes it from the extension.
        encoding: see ``read_rows``.

    Raises:
        UsageError: files that are not there, an unknown format.
        DataError: content that cannot be used; with file, line and numbers.
    """
    files = [Path(paths)] if isinstance(paths, (str, os.PathLike)) else [Path(path) for path in paths]
    if not files:
        raise UsageError("no files were given. Name at least one.")
    examples: list[TaggedText] = []
    schemes: list[str] = []
    counts = _Counts([])
    row = itertools.count(1)
    for path in files:
        kind = _format(path) if format is None else format
        check_readable(path)
        if kind == "conll":
            own = list(_column_file(path, encoding, row))
        elif kind in ROW_FORMATS.values():
            own = list(_records(read_rows(path, format=kind, encoding=encoding), str(path), row, counts))
        else:
            raise UsageError(
                f"unknown format {kind!r}. Known formats: conll, {', '.join(sorted(set(ROW_FORMATS.values())))}."
            )
        found = recognise_scheme((example.tags for example in own), str(path))
        counts.loose += found.loose
        schemes.append(found.name)
        examples += [TaggedText(e.text, e.words, tuple(to_iob2(e.tags)), e.row) for e in own]
    types = tuple(sorted({tag[2:] for example in examples for tag in example.tags if tag != "O"}))
    if not examples or (purpose == "train" and not types):
        raise DataError(f"{', '.join(map(str, files))}: none of the {len(examples):,} texts has an entity.")
    return TaggedTexts(
        examples=examples, types=types, schemes=tuple(dict.fromkeys(schemes)), problems=_problems(counts)
    )


def check_types(evaluation: TaggedTexts, known: Collection[str]) -> None:
    """Refuse entity types that a model does not know.

    Raises:
        DataError: naming them, with how often they occur, and the known ones.
    """
    unknown = [kind for kind in evaluation.types if kind not in known]
    if unknown:
        counts = {kind: sum(tag == f"B-{kind}" for e in evaluation.examples for tag in e.tags) for kind in unknown}
        listed = ", ".join(f"{kind!r} ({count:,})" for kind, count in counts.items())
        raise DataError(
            f"{sum(counts.values()):,} entities are of types that the model does not know: {listed}. Known types "
            f"({len(known)}): {', '.join(map(repr, sorted(known)))}."
        )


def from_words(words: Sequence[str], tags: Sequence[str], row: int = 0, *, delimiter: str = " ") -> TaggedText:
    """A tagged text from words alone; ``text`` joins them."""
    return TaggedText(delimiter.join(words), tuple(spans_of(words, len(delimiter))), tuple(tags), row)


def spans_of(words: Iterable[str], gap: int = 1) -> Iterator[Span]:
    """Characters of each word in a text that joins them with ``gap`` characters between."""
    start = 0
    for word in words:
        yield start, start + len(word)
        start += len(word) + gap


def _format(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes if s.lower() != ".gz"]
    last = suffixes[-1] if suffixes else ""
    if last == ".csv":
        raise UsageError(
            f"{path} is CSV; tagged words are read from column files (word and tag a line), .jsonl, .json or .parquet."
        )
    return ROW_FORMATS.get(last, "conll")


def _column_file(path: Path, encoding: str | None, row: Iterator[int]) -> Iterator[TaggedText]:
    with opened(path) as stream:
        for words, tags, _ in sentences(text_lines(stream, str(path), encoding), str(path)):
            yield from_words(words, tags, next(row))


def _records(rows: Iterable[Row], file: str, number: Iterator[int], counts: _Counts) -> Iterator[TaggedText]:
    for row, n in zip(rows, number, strict=False):
        where = f"{file}, line {row.line}"
        values = row.values
        if isinstance(values.get("data"), Mapping) and "annotations" in values:
            found = _label_studio(values, where, counts)
            if found is None:
                continue
            text, entities = found
        elif "text" in values and any(key in values for key in ENTITY_KEYS):
            text = example_text(row, "text", file)
            entities = values[next(key for key in ENTITY_KEYS if key in values)]
        else:
            example = _word_list(values, n, where)
            if example.words:
                yield example
            counts.blank += not example.words
            continue
        if entities is None:
            counts.bare += 1
            continue
        spans = read_spans(entities, text, where)
        words, tags, left_out = tag_words(text, spans)
        counts.misaligned += [_misaligned(span, text, n) for span in left_out]
        if words:
            yield TaggedText(text, tuple(words), tuple(tags), n)
        else:
            counts.blank += 1


def _word_list(values: Mapping[str, Any], number: int, where: str) -> TaggedText:
    word_key, tag_key = (next((key for key in keys if key in values), None) for keys in (WORD_KEYS, TAG_KEYS))
    if word_key is None or tag_key is None:
        raise DataError(
            f"{where}: the keys are {', '.join(map(str, values)) or 'none'}; expected 'text' with 'entities', or "
            "'tokens' with 'ner_tags', or an export of Label Studio ('data' with 'annotations')."
        )
    words, tags = (_strings(values[key], key, where) for key in (word_key, tag_key))
    if len(words) != len(tags):
        raise DataError(f"{where}: {len(words)} {word_key} and {len(tags)} {tag_key}; expected one tag for each word.")
    return from_words(words, tags, number)


def _strings(values: Any, key: str, where: str) -> list[str]:
    if not isinstance(values, (list, tuple)):
        raise DataError(f"{where}: {key!r} is {values!r:.60}; expected a list of strings.")
    for value in values:
        if not isinstance(value, str):
            advice = " Write the names of the tags in place of their numbers." if isinstance(value, int) else ""
            raise DataError(f"{where}: {key!r} holds {value!r:.40}; expected strings.{advice}")
    # half a surrogate pair, which JSON can write and no tokeniser can read, becomes U+FFFD
    return [v if v.isascii() else v.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for v in values]


def _label_studio(values: Mapping[str, Any], where: str, counts: _Counts) -> tuple[str, list[Any]] | None:
    """Text and entities of a task; None if nobody annotated it."""
    texts = {key: value for key, value in values["data"].items() if isinstance(value, str)}
    if "text" not in texts and len(texts) != 1:
        raise DataError(f"{where}: which of {', '.join(texts) or 'no keys'} in 'data' is the text? Name it 'text'.")
    text = texts.get("text", next(iter(texts.values())))
    done = [a for a in _objects(values["annotations"], "annotations", where) if not a.get("was_cancelled")]
    if not done:
        counts.bare += 1
        return None
    counts.twice += len(done) > 1
    results = [item.get("value") for item in _objects(done[0].get("result"), "result", where)]
    return text, [value for value in results if isinstance(value, Mapping) and "labels" in value and "start" in value]


def _objects(values: Any, key: str, where: str) -> list[Mapping[str, Any]]:
    """A list of objects, or nothing."""
    if values is None:
        return []
    if not isinstance(values, (list, tuple)) or not all(isinstance(value, Mapping) for value in values):
        raise DataError(f"{where}: {key!r} is {values!r:.60}; expected a list of objects, as Label Studio exports it.")
    return list(values)


def _misaligned(span: EntitySpan, text: str, row: int) -> Misaligned:
    context = text[max(span.start - 20, 0) : span.end + 20]
    return Misaligned(row, text[span.start : span.end], span.label, context)


def _problems(counts: _Counts) -> TagProblems:
    return TagProblems(
        misaligned=tuple(counts.misaligned),
        blank_texts=counts.blank,
        not_annotated=counts.bare,
        annotated_twice=counts.twice,
        loose_tags=counts.loose,
    )
