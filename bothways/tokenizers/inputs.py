"""What callers pass (a text, a pair, a batch, words) becomes what the engine takes; what is wrong gets explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bothways.errors import TokenizerError

_EXPECTED = (
    "a text (str), a list of texts, a list of (text, text) pairs, or with is_split_into_words=True lists of words"
)


def as_batch(text: Any, pair: Any, is_split_into_words: bool) -> tuple[list[Any], bool]:
    """Order the arguments of a call.

    Returns:
        The engine's inputs, one per row (str, list of words, or a tuple of two of them), and whether the caller
        passed a batch.

    Raises:
        TokenizerError: the arguments are neither a text nor a batch of texts, or batches differ in length.
    """
    text = _plain(text, "text")
    pair = None if pair is None else _plain(pair, "text_pair")
    if is_split_into_words:
        batched = isinstance(text, list) and bool(text) and isinstance(text[0], (list, tuple))
    else:
        batched = isinstance(text, list)
    if not batched:
        return [text if pair is None else (text, pair)], False
    if pair is None:
        return text, True
    if isinstance(pair, str):
        raise TokenizerError(
            f"text is a batch of {len(text)}, but text_pair is one text. Pass a list of {len(text)} texts."
        )
    if len(text) != len(pair):
        raise TokenizerError(f"text has {len(text)} entries but text_pair has {len(pair)}. They are paired one to one.")
    return list(zip(text, pair, strict=True)), True


def is_pair(row: Any, is_split_into_words: bool) -> bool:
    """Whether an engine input consists of two sequences."""
    if isinstance(row, str) or not isinstance(row, (list, tuple)) or len(row) != 2:
        return False
    return not is_split_into_words or not isinstance(row[0], str)


def explain_refusal(rows: Sequence[Any], is_split_into_words: bool) -> TokenizerError:
    """The reason why the engine took one of ``rows`` for not being text."""
    for index, row in enumerate(rows):
        parts = row if is_pair(row, is_split_into_words) else (row,)
        for part in parts:
            if (reason := _reason(part, is_split_into_words)) is not None:
                return TokenizerError(f"input {index} {reason}")
    return TokenizerError(f"the input is not text. Expected {_EXPECTED}.")


def _reason(part: Any, is_split_into_words: bool) -> str | None:
    if is_split_into_words:
        if not isinstance(part, (list, tuple)):
            return f"is {_shown(part)}; with is_split_into_words=True a list of words is expected."
        words = part
    else:
        words = (part,)
    for position, word in enumerate(words):
        where = f"has at word {position}" if is_split_into_words else "is"
        if not isinstance(word, str):
            hint = " Pass is_split_into_words=True for lists of words." if isinstance(word, (list, tuple)) else ""
            return f"{where} {_shown(word)}; expected {_EXPECTED}.{hint}"
        for at, char in enumerate(word):
            if "\ud800" <= char <= "\udfff":
                where = f"(word {position}) " if is_split_into_words else ""
                return (
                    f"{where}has the lone surrogate U+{ord(char):04X} at character {at}, which is no Unicode text. "
                    "Read the source with its right encoding, or drop it with "
                    "text.encode('utf-8', 'ignore').decode('utf-8')."
                )
    return None


def _plain(value: Any, name: str) -> Any:
    """Lists stay lists, tuples and columns (NumPy, pandas, datasets) become lists, texts stay texts."""
    if isinstance(value, (str, list)):
        return value
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "tolist") and getattr(value, "ndim", 1) > 0:
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, Mapping)):
        return list(value)
    raise TokenizerError(f"{name} is {_shown(value)}; expected {_EXPECTED}.")


def _shown(value: Any) -> str:
    if value is None:
        return "None"
    text = repr(value)
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({type(value).__name__})"
