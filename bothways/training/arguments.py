"""What ``train`` is given, by type, before any work: a wrong one is a sentence and not a failure far inside."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bothways.errors import UsageError


def check_arguments(given: Mapping[str, Any]) -> None:
    """Refuse arguments of a wrong type. What their values may be is checked where they are used.

    Raises:
        UsageError: naming the argument, what came and what was expected.
    """
    for name, (fits, expected) in _EXPECTED.items():
        value = given[name]
        if value is None and name in _MAY_BE_NONE:
            continue
        if not fits(value):
            raise UsageError(f"{name} is {value!r:.60} ({type(value).__name__}); expected {expected}.")


def _is_path(value: Any) -> bool:
    if not isinstance(value, (str, os.PathLike)):
        return False
    try:
        return b"\0" not in os.fspath(value).encode("utf-8")  # bothways.json names files, and is UTF-8
    except (AttributeError, UnicodeEncodeError):
        return False


def _is_paths(value: Any) -> bool:
    several = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return _is_path(value) or (several and all(map(_is_path, value)))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, Sequence) and all(map(_is_text, value)))


def _is_weights(value: Any) -> bool:
    named = isinstance(value, Mapping) and all(_is_text(k) and _is_number(v) for k, v in value.items())
    return _is_text(value) or named


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_PATH, _TEXT, _WHOLE, _NUMBER = "the path of a file or directory in UTF-8", "a text", "a whole number", "a number"
_EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "data": (_is_paths, "the path of a file in UTF-8, or a list of them"),
    "output": (_is_path, _PATH),
    "evaluation": (_is_path, _PATH),
    "target": (_is_paths, "the path of a file in UTF-8, or a list of them"),
    "model": (_is_path, "a name or the path of a directory"),
    **dict.fromkeys(("text_column", "label_column", "kind", "encoding", "format"), (_is_text, _TEXT)),
    **dict.fromkeys(("task", "precision", "prefix"), (_is_text, _TEXT)),
    **dict.fromkeys(
        ("epochs", "batch_size", "max_length", "seed", "checkpoint_steps", "lora", "tune"), (_is_whole, _WHOLE)
    ),
    **dict.fromkeys(
        (
            *("learning_rate", "minutes", "warmup", "weight_decay", "layer_decay"),
            *("label_smoothing", "teacher_weight", "temperature", "teacher_vectors", "dropout"),
        ),
        (_is_number, _NUMBER),
    ),
    "class_weights": (_is_weights, "'balanced', a text such as 'pos=2,neg=1', or a dictionary of numbers"),
    "lora_targets": (_is_texts, "a text such as 'query,value', or a list of names"),
    "teacher": (_is_path, "a name or the path of a directory"),
    "max_memory": (_is_text, "a size such as '4GB'"),
    **dict.fromkeys(("fresh", "freeze"), (lambda value: isinstance(value, bool), "True or False")),
    "say": (callable, "a function of one line"),
}
_MAY_BE_NONE = set(_EXPECTED) - {"data", "output", "model", "task", "seed", "precision", "fresh", "freeze", "say"}
