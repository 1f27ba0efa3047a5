"""Column files of the shared tasks: a word a line, its tag in the last column, a blank line after each sentence."""

from __future__ import annotations

from collections.abc import Iterator

from bothways.errors import DataError


def sentences(lines: Iterator[str], name: str) -> Iterator[tuple[list[str], list[str], int]]:
    """Yield words, tags and the line of the first word of each sentence.

    Columns are divided by tabs where a line has one, else by white space. Lines that begin with ``-DOCSTART-`` are
    skipped.

    Raises:
        DataError: a line with one column or without a word, or no sentence at all; with the line.
    """
    words: list[str] = []
    tags: list[str] = []
    first = 0
    empty = True
    for number, line in enumerate(lines, 1):
        columns = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if not any(map(str.strip, columns)) or columns[0] == "-DOCSTART-":
            if words:
                yield words, tags, first
                empty, words, tags = False, [], []
            continue
        word, tag = columns[0].strip(), columns[-1].strip()
        if len(columns) < 2 or not word or not tag:
            raise DataError(
                f"{name}, line {number}: {line.strip()!r:.60} has no word and tag; expected columns, the word first "
                "and the tag last, like 'Paris B-LOC', and a blank line after each sentence. Records are known by the "
                "extension: .jsonl, .json, .parquet."
            )
        first = first if words else number
        words.append(word)
        tags.append(tag)
    if words:
        yield words, tags, first
    elif empty:
        raise DataError(f"{name} is empty: it has no sentence. Expected a word and its tag a line.")
