"""Which of the words of ``bothways predict`` is the model, and which are texts or a file of them.

A word is never both: what exists as a file is a file, ``-`` is standard input, and all else is a text. A word that
looks like the name of a file which is not there is refused, so that a slip is not answered as a text.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from bothways.errors import UsageError

_DATA_SUFFIXES = (
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".conll", ".bio", ".iob", ".iob2"),
    *(".gz", ".xz", ".bz2", ".zst"),
)


@dataclass(frozen=True, kw_only=True)
class Words:
    """What was given.

    Attributes:
        model: None asks for the one in the box.
        file: a file or ``-``; None where texts are given.
    """

    model: str | None
    file: str | None
    texts: tuple[str, ...]


def read_words(words: Sequence[str], task: str | None, model: str | None) -> Words:
    """Sort the words of the command.

    Args:
        words: in their order.
        task, model: the options; with neither the first word is the model.

    Raises:
        UsageError: no model and no task, nothing to answer, a file beside texts, or one that is not there.
    """
    words = list(words)
    if model is None and words and (task is None or _begins_with_model(words)):
        model, *words = words
    if not words:
        hint = "a FILE, - for standard input, or texts" if model else "a MODEL or --task, and a FILE or texts"
        raise UsageError(f"there is nothing to answer: give {hint}. See bothways predict --help.")
    if len(words) == 1 and _is_directory(words[0]):
        raise UsageError(f"{words[0]} is a directory. Give a file; to ask about the word itself, pipe it in as -.")
    files = [word for word in words if _is_file(word) or _looks_like_file(word)]
    if not files:
        return Words(model=model, file=None, texts=tuple(words))
    if len(words) > 1:
        raise UsageError(f"{files[0]} is a file, among {len(words)} words. Give one file, or texts without files.")
    return Words(model=model, file=files[0], texts=())


def _begins_with_model(words: Sequence[str]) -> bool:
    """Whether, with ``--task``, the first of several words is a model: a directory, a name of one here or like one
    elsewhere, or what stands before a file.
    """
    from bothways.resolver.box import nearest_in_box
    from bothways.resolver.names import is_hub_id, looks_like_path
    from bothways.resolver.resolve import names_at_hand

    first, *others = words
    if not others or _is_file(first):
        return False
    if os.path.isdir(first) or first.casefold() in (name.casefold() for name in names_at_hand()):
        return True
    before_file = len(others) == 1 and (_is_file(others[0]) or _looks_like_file(others[0]))
    if before_file or any(c.isspace() for c in first):
        return before_file
    return ("/" in first and (is_hub_id(first) or looks_like_path(first))) or (
        "-" in first and nearest_in_box(first) is not None
    )


def _is_file(word: str) -> bool:
    try:
        return word == "-" or (os.path.exists(word) and not os.path.isdir(word))
    except ValueError:  # a text with a NUL
        return False


def _is_directory(word: str) -> bool:
    try:
        return os.path.isdir(word)
    except ValueError:  # a text with a NUL
        return False


def _looks_like_file(word: str) -> bool:
    return not any(c.isspace() for c in word) and word.lower().endswith(_DATA_SUFFIXES)
