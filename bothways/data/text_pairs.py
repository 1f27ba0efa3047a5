"""Texts with the text that is to be written from them: documents and summaries, sentences and translations.

Rows with two columns, rows ``{"translation": {"en": "...", "de": "..."}}``, or two files of lines side by side.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bothways.data.examples import example_text
from bothways.data.opening import FORMATS, check_readable, opened, text_lines, unpacked_suffix
from bothways.data.row import Row
from bothways.data.rows import read_rows, sample_rows
from bothways.errors import DataError, UsageError, nearest

PairKind = Literal["summarization", "translation"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Earlier groups win over later ones; two names of one group are ambiguous.
SOURCE_NAMES: dict[str, tuple[frozenset[str], ...]] = {
    "summarization": (
        _words("document article dialogue documents"),
        _words("text body content story report description transcript"),
        _words("review_body news_body extract_text source source_text src input inputs"),
    ),
    "translation": (_words("source source_text source_sentence src"), _words("input inputs")),
}
TARGET_NAMES: dict[str, tuple[frozenset[str], ...]] = {
    "summarization": (
        _words("summary highlights summaries"),
        _words("abstract summary_text tldr"),
        _words("headline title review_title news_title"),
        _words("target target_text tgt output outputs"),
    ),
    "translation": (_words("target target_text target_sentence tgt"), _words("output outputs")),
}
NESTED = "translation"
"""The column whose value maps languages to texts."""

# ISO 639-1, apart from codes that are words of tables (id, no): those count where the data has one language besides.
_LANGUAGES = _words(
    "af am ar as az be bg bn bs ca cs cy da de el en eo es et eu fa fi fr ga gl gu ha he hi hr hu hy ig is it ja jv ka "
    "kk km kn ko ku ky la lb lo lt lv mg mi mk ml mn mr ms mt my nb ne nl nn oc or pa pl ps pt qu ro ru rw sd si sk sl "
    "sm sn so sq sr st su sv sw ta te tg th ti tk tl tr tt ug uk ur uz vi wo xh yi yo zh zu"
)
_CODE = re.compile(r"[a-z]{2,3}[_-]([A-Z]{2}|[A-Z][a-z]{3})")  # en_XX of mBART, eng_Latn of NLLB
_ALSO_WORDS = _words("id no")


@dataclass(frozen=True, slots=True)
class TextPair:
    """A text and what is to be written from it.

    Attributes:
        source: never blank.
        target: never blank.
        row: number of the row, from 1, counted through all files that were read together, skipped rows included.
    """

    source: str
    target: str
    row: int = 0


@dataclass(frozen=True, kw_only=True)
class PairProblems:
    """Rows that were left out: nothing to read, or nothing to write."""

    blank_sources: int = 0
    blank_targets: int = 0


@dataclass(frozen=True, kw_only=True)
class LoadedPairs:
    """Pairs in the order of the files.

    Attributes:
        examples: at least one.
        source, target: the columns that were read, of the first file; of parallel files their endings, such as
            ``"en"`` and ``"de"``; "" where there is none.
        problems: counts of rows that were left out.
    """

    examples: list[TextPair]
    source: str
    target: str
    problems: PairProblems


def load_pairs(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    kind: PairKind,
    *,
    targets: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    source_column: str | None = None,
    target_column: str | None = None,
    format: str | None = None,
    encoding: str | None = None,
) -> LoadedPairs:
    """Read pairs of texts from one or more files, as if they were one; rows with a blank text are left out.

    Args:
        files: of any format that ``read_rows`` takes; with ``targets`` files with a source a line, whatever their name.
        kind: decides which names of columns are understood.
        targets: as many files, line by line the texts to write: ``train.en.gz`` with ``train.de.gz``.
        source_column, target_column: names of columns, or of languages in rows ``{"translation": {...}}``; found by
            their names if not given. Of two languages the first is the source.
        format, encoding: see ``read_rows``.

    Raises:
        UsageError: files or columns that are not there, or could be meant several ways.
        DataError: unequal numbers of lines, a value that is no text, only blank texts; with file, line and numbers.
    """
    paths, beside = _paths(files), None if targets is None else _paths(targets)
    if not paths:
        raise UsageError("no data file was given; at least one is needed.")
    if beside is None:
        named, rows = _row_pairs(paths, kind, source_column, target_column, format, encoding)
    else:
        _check_parallel(paths, beside, source_column, target_column, format)
        named = (language_of(paths[0]), language_of(beside[0]))
        rows = itertools.chain.from_iterable(
            _parallel_pairs(a, b, encoding) for a, b in zip(paths, beside, strict=True)
        )
    examples: list[TextPair] = []
    count = blank_sources = blank_targets = 0
    for count, (source, target) in enumerate(rows, 1):
        blank_sources += not source.strip()
        blank_targets += bool(source.strip()) and not target.strip()
        if source.strip() and target.strip():
            examples.append(TextPair(source, target, count))
    if not examples:
        raise DataError(
            f"{', '.join(map(str, paths))}: none of the {count:,} rows has two texts: {blank_sources:,} have a blank "
            f"source and {blank_targets:,} a blank target."
        )
    problems = PairProblems(blank_sources=blank_sources, blank_targets=blank_targets)
    return LoadedPairs(examples=examples, source=named[0], target=named[1], problems=problems)


def target_beside(source: Path, example: Path, target: Path) -> Path:
    """The file that belongs to ``source`` as ``target`` belongs to ``example``.

    Example: ``val.en.gz`` with ``train.en.gz`` and ``train.de.gz`` -> ``val.de.gz``.

    Raises:
        UsageError: the names do not tell, or the file is not there.
    """
    if example.name == source.name:
        found = target.parent / target.name if example.parent == source.parent else source.parent / target.name
    else:
        stem, ending, new = _differing(example.name, target.name)
        if not stem or not source.name.endswith(ending):
            raise UsageError(
                f"which file has the targets of {source} cannot be told from {example.name} and {target.name}. Name "
                "the files alike, such as train.en, train.de, val.en and val.de."
            )
        found = source.parent / (source.name.removesuffix(ending) + new)
    if not found.is_file():
        raise UsageError(f"{found} does not exist; it would have the targets of {source}, as {target} of {example}.")
    return found


def language_of(path: Path) -> str:
    """The ending of a file of lines, without that of its compression: ``"en"`` of ``train.en.gz``; "" if none."""
    ending = unpacked_suffix(path).removeprefix(".")
    return ending if ending != "txt" else ""


def pair_columns(
    names: Sequence[str],
    kind: PairKind,
    *,
    source_column: str | None = None,
    target_column: str | None = None,
    file: str = "the data",
) -> tuple[str, str]:
    """Which column is the source and which the target, by request or by known names.

    Raises:
        UsageError: a column asked for is not there; none or several could be meant. All columns are listed.
    """
    asked = [None if name is None else _asked(name, names, file) for name in (source_column, target_column)]
    free = [name for name in names if name not in asked]
    found = [
        [own] if own is not None else _by_name(free, groups[kind])
        for own, groups in zip(asked, (SOURCE_NAMES, TARGET_NAMES), strict=True)
    ]
    languages = _languages(names) if kind == "translation" else []
    if not all(found) and len(languages) >= 2:
        found = _direction(languages, *asked)
    _check_one_meant(found, names, kind, file)
    source, target = found[0][0], found[1][0]
    if source == target:
        raise UsageError(f"{file}: column {source!r} cannot be both source and target. Columns: {', '.join(names)}.")
    return source, target


def _row_pairs(
    paths: list[Path],
    kind: PairKind,
    source_column: str | None,
    target_column: str | None,
    format: str | None,
    encoding: str | None,
) -> tuple[tuple[str, str], Iterator[tuple[str, str]]]:
    """The columns of the first file, and the pairs of all."""
    opened_files = []
    for path in paths:
        _refuse_lines(path, format)
        sample, rows = sample_rows(read_rows(path, format=format, encoding=encoding))
        nested = all(isinstance(row.values.get(NESTED), Mapping) for row in sample)
        if nested:
            rows, sample = map(_unnested, rows), list(map(_unnested, sample))
        names = list(dict.fromkeys(itertools.chain.from_iterable(row.values for row in sample)))
        columns = pair_columns(names, kind, source_column=source_column, target_column=target_column, file=str(path))
        opened_files.append((columns, rows, str(path)))
    pairs = itertools.chain.from_iterable(_texts(rows, columns, name) for columns, rows, name in opened_files)
    return opened_files[0][0], pairs


def _texts(rows: Iterable[Row], columns: tuple[str, str], name: str) -> Iterator[tuple[str, str]]:
    for row in rows:
        yield example_text(row, columns[0], name), example_text(row, columns[1], name)


def _unnested(row: Row) -> Row:
    """A row of the texts by their languages. One without them keeps its columns, and is refused with its line."""
    inner = row.values.get(NESTED)
    return Row(dict(inner), row.line) if isinstance(inner, Mapping) else row


def _parallel_pairs(source: Path, target: Path, encoding: str | None) -> Iterator[tuple[str, str]]:
    """Only LF and CR LF end a line: other line breaks inside a sentence must not shift the files against each other."""
    with opened(source) as one, opened(target) as other:
        lines = text_lines(one, str(source), encoding), text_lines(other, str(target), encoding)
        number = 0
        for number, (left, right) in enumerate(itertools.zip_longest(*lines), 1):
            if left is None or right is None:
                more = number + sum(1 for _ in (*lines[0], *lines[1]))
                counts = (number - 1, more) if left is None else (more, number - 1)
                raise DataError(
                    f"{source} has {counts[0]:,} lines and {target} has {counts[1]:,}; line n of one belongs to line n "
                    "of the other, so that both have the same number. Keep a blank line where a text is missing."
                )
            yield left.rstrip("\r\n"), right.rstrip("\r\n")
        if not number:
            raise DataError(f"{source} and {target} are empty. Expected a text a line.")


def _check_parallel(
    paths: list[Path], targets: list[Path], source_column: str | None, target_column: str | None, format: str | None
) -> None:
    if len(paths) != len(targets):
        raise UsageError(
            f"{len(paths)} source files and {len(targets)} target files; expected as many: "
            f"{', '.join(map(str, paths))} and {', '.join(map(str, targets))}."
        )
    if source_column is not None or target_column is not None:
        raise UsageError("files of lines have no columns; drop the names of columns, or drop the target files.")
    for path in (*paths, *targets):
        check_readable(path)
        kind = format or FORMATS.get(unpacked_suffix(path), "txt")
        if kind != "txt":
            raise UsageError(
                f"{path} is {kind}, which has both texts in its rows; a target file goes with a file of lines, such as "
                "train.en with train.de. Drop the target file, or name the format: txt."
            )
    for one, other in zip(paths, targets, strict=True):
        if one.resolve() == other.resolve():
            raise UsageError(f"{one} is given as source and as target.")


def _refuse_lines(path: Path, format: str | None) -> None:
    """A file of lines alone has only one side; so has one whose ending is a language."""
    check_readable(path)
    ending = unpacked_suffix(path)
    if format == "txt" or (format is None and (ending == ".txt" or _is_language(ending.removeprefix(".")))):
        raise UsageError(
            f"{path} has one text a line and no target. Give the file with the targets too (--target), or rows with "
            "two columns (csv, jsonl, ...)."
        )


def _paths(files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    return [Path(files)] if isinstance(files, (str, os.PathLike)) else [Path(p) for p in files]


def _differing(one: str, other: str) -> tuple[str, str, str]:
    """What both names begin with, up to a dot, hyphen or underscore, and how each goes on."""
    length = len(os.path.commonprefix([one, other]))
    while length and one[length - 1] not in "._-":
        length -= 1
    return one[:length], one[length:], other[length:]


def _asked(asked: str, names: Sequence[str], file: str) -> str:
    if asked in names:
        return asked
    near = nearest(asked, list(names), most=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"column {asked!r} not found in {file}. Columns: {', '.join(names)}.{hint}")


def _by_name(free: Sequence[str], groups: Sequence[frozenset[str]]) -> list[str]:
    """The names of the first group that has any."""
    for group in groups:
        found = [name for name in free if name.strip().lower() in group]
        if found:
            return found
    return []


def _languages(names: Sequence[str]) -> list[str]:
    found = [name for name in names if _is_language(name)]
    if len(found) == 1:
        found = [name for name in names if _is_language(name) or name.lower() in _ALSO_WORDS]
    return found


def _is_language(name: str) -> bool:
    return name.lower() in _LANGUAGES or _CODE.fullmatch(name) is not None


def _direction(languages: list[str], source: str | None, target: str | None) -> list[list[str]]:
    """What may be source and target: of two languages the first is the source, unless one side is asked for."""
    if source is None and target is None:
        return [languages[:1], languages[1:]] if len(languages) == 2 else [languages, languages]
    others = [language for language in languages if language not in (source, target)]
    return [others if own is None else [own] for own in (source, target)]


def _check_one_meant(found: list[list[str]], names: Sequence[str], kind: PairKind, file: str) -> None:
    for what, candidates, option in zip(("source", "target"), found, ("--text-column", "--label-column"), strict=True):
        if len(candidates) > 1:
            raise UsageError(
                f"{file}: the {what} could be any of {', '.join(candidates)}. Say which one: {option} NAME."
            )
    missing = [what for what, candidates in zip(("source", "target"), found, strict=True) if not candidates]
    if missing:
        shown = ", ".join(n if len(n) <= 40 else n[:37] + "..." for n in names)
        expected = "source and target, or two languages such as en and de"
        if kind == "summarization":
            expected = "document and summary, article and highlights, or text and summary"
        raise UsageError(
            f"{file}: no column found for the {' and the '.join(missing)} of a {kind}. Columns: {shown}. Expected "
            f"{expected}; or name them: --text-column SOURCE --label-column TARGET."
        )
