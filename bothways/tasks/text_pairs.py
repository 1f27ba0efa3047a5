"""Sources and targets as what an encoder-decoder model learns from.

Shapes: n pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.errors import InputError

IGNORED = -100
"""The label of a token that does not count, such as padding."""

LANGUAGES = {
    "ar": "Arabic", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi",
    "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "lt": "Lithuanian",
    "lv": "Latvian", "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "sk": "Slovak", "sl": "Slovenian", "sv": "Swedish", "tr": "Turkish", "uk": "Ukrainian",
    "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EncodedPairs:
    """Pairs as ids.

    Attributes:
        input_ids: n arrays, int32: what the encoder reads, with the prefix.
        labels: n arrays, int64: what the decoder is to write, the end token last. They have no start token: the model
            shifts them.
        n_source_tokens, n_target_tokens: int64 (n,), lengths before any cut, special tokens included.
        source_cut, target_cut: bool (n,).
    """

    input_ids: list[NDArray[np.int32]]
    labels: list[NDArray[np.int64]]
    n_source_tokens: NDArray[np.int64]
    n_target_tokens: NDArray[np.int64]
    source_cut: NDArray[np.bool_]
    target_cut: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.input_ids)


def encode_pairs(
    tokenizer: Any,
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    prefix: str = "",
    max_source: int | None = None,
    max_target: int | None = None,
) -> EncodedPairs:
    """Encode pairs for training, without padding.

    Args:
        tokenizer: targets are encoded as ``text_target``, for tokenisers with a vocabulary or signs for each language.
        prefix: is put before each source, such as ``"translate English to German: "``.
        max_source, max_target: most tokens, special ones included; what is longer is cut and counted. None cuts none.

    Raises:
        InputError: unequal numbers of texts, or a limit without room for text.
    """
    if len(sources) != len(targets):
        raise InputError(f"{len(sources)} sources for {len(targets)} targets; expected as many.")
    read = source_ids(tokenizer, sources, prefix=prefix)
    written = target_ids(tokenizer, targets)
    return EncodedPairs(
        input_ids=[np.array(row, dtype=np.int32) for row in _cut(read, max_source, "max_source")],
        labels=[np.array(row, dtype=np.int64) for row in _cut(written, max_target, "max_target")],
        n_source_tokens=np.array([len(row) for row in read], dtype=np.int64),
        n_target_tokens=np.array([len(row) for row in written], dtype=np.int64),
        source_cut=np.array([max_source is not None and len(row) > max_source for row in read], dtype=bool),
        target_cut=np.array([max_target is not None and len(row) > max_target for row in written], dtype=bool),
    )


def source_ids(tokenizer: Any, sources: Sequence[str], *, prefix: str = "") -> list[list[int]]:
    """The ids of each source with the prefix and special tokens, whole."""
    if not len(sources):
        return []
    ids: list[list[int]] = tokenizer([prefix + text for text in sources], truncation=False)["input_ids"]
    return ids


def target_ids(tokenizer: Any, targets: Sequence[str]) -> list[list[int]]:
    """The ids of each target, whole, with the end token last and without a start token that the model itself puts.

    Raises:
        InputError: the tokeniser has no end token.
    """
    if not len(targets):
        return []
    end = tokenizer.eos_token_id
    if end is None:
        raise InputError("the tokeniser has no end token; without one a model cannot learn to stop. Set eos_token.")
    rows = tokenizer(text_target=list(targets), truncation=False)["input_ids"]
    return [row if end in row[-2:] else [*row, end] for row in rows]  # mBART's last one is the language


def task_prefix(config: Any, task: str) -> str:
    """What a model of this configuration wants before a source: T5's ``task_specific_params[task]["prefix"]``.

    Args:
        task: such as ``"summarization"`` or ``"translation_en_to_de"``.
    """
    params = getattr(config, "task_specific_params", None) or {}
    own = params.get(task) if isinstance(params, dict) else None
    prefix = own.get("prefix") if isinstance(own, dict) else None
    return prefix if isinstance(prefix, str) else ""


def translation_prefix(source_language: str, target_language: str) -> str:
    """T5's words before a text to translate; "" for languages whose English name is not known here.

    Example: ``("en", "de")`` -> ``"translate English to German: "``.
    """
    names = [LANGUAGES.get(_base(code)) for code in (source_language, target_language)]
    return f"translate {names[0]} to {names[1]}: " if all(names) else ""


def _base(code: str) -> str:
    return code.lower().replace("-", "_").partition("_")[0]


def _cut(rows: list[list[int]], most: int | None, name: str) -> list[list[int]]:
    """Rows of at most ``most`` ids, of which the last, the end token, stays."""
    if most is None:
        return rows
    if most < 2:
        raise InputError(f"{name} is {most}; expected 2 tokens or more: one of text and the end token.")
    return [row if len(row) <= most else [*row[: most - 1], row[-1]] for row in rows]
