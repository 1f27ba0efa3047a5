"""How long texts are in a model's tokens, and how many are longer than it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.errors import ModelNotFoundError, UsageError
from bothways.evaluation.audit_findings import MOST_EXAMPLES, Finding
from bothways.evaluation.audit_parts import Entry, Part
from bothways.progress import progress_bar

_MOST_CHARS = 10_000_000  # of a part that are tokenised; more change a share of long texts by little, and take long
_CHUNK = 500  # texts tokenised at once

Tokens = tuple[int, int, int]


def text_lengths(
    parts: Sequence[Part], model: str | None, max_length: int | None
) -> tuple[list[Finding], dict[str, Tokens], list[str]]:
    """Findings about long texts; median, 95th percentile and maximum of each part; what was not looked at.

    Args:
        model: a name or a directory; None takes the default model if it is on this machine, and counts nothing if not.
        max_length: tokens that training is to read; None means as many as the model can.

    Raises:
        UsageError: ``max_length`` is below 4 or beyond what the model reads.
        ModelNotFoundError: ``model`` leads nowhere.
    """
    from bothways.models.auto import AutoConfig
    from bothways.resolver import DEFAULT_MODEL, resolve_model
    from bothways.tasks.encoded import position_limit
    from bothways.tokenizers import AutoTokenizer

    if max_length is not None and max_length < 4:
        raise UsageError(f"max_length is {max_length}; expected at least 4 tokens.")
    try:
        directory = resolve_model(model or DEFAULT_MODEL, local_files_only=model is None)
    except ModelNotFoundError:
        if model is not None:
            raise
        return [], {}, [f"Lengths in tokens were not counted: {DEFAULT_MODEL} is not on this machine. Name a --model."]
    most = position_limit(AutoConfig.from_pretrained(directory))
    if max_length is not None and most is not None and max_length > most:
        raise UsageError(f"max_length is {max_length}; this model reads from 4 to {most} tokens.")
    tokenizer = AutoTokenizer.from_pretrained(directory)
    findings: list[Finding] = []
    tokens: dict[str, Tokens] = {}
    for part in parts:
        chosen = _sample(part.entries)
        lengths = _count(tokenizer, [part.entries[i] for i in chosen.tolist()])
        if len(lengths):
            tokens[part.name] = (int(np.median(lengths)), int(np.percentile(lengths, 95)), int(lengths.max()))
        limit = max_length or most
        if limit is not None:
            findings += _too_long(part, chosen, lengths, limit)
    return findings, tokens, []


def _sample(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """All entries, or evenly spread ones where the texts are too many to tokenise in a moment."""
    chars = sum(len(entry.text) + len(entry.pair or "") for entry in entries)
    step = max(1, -(-chars // _MOST_CHARS))
    return np.arange(0, len(entries), step)


def _count(tokenizer: Any, entries: Sequence[Entry]) -> NDArray[np.int64]:
    """Tokens of each entry, special ones included."""
    lengths: list[int] = []
    with progress_bar("Counting tokens", len(entries)) as advance:
        for start in range(0, len(entries), _CHUNK):
            some = entries[start : start + _CHUNK]
            pairs = [entry.pair or "" for entry in some] if some[0].pair is not None else None
            encoded = tokenizer([entry.text for entry in some], pairs, truncation=False, padding=False, verbose=False)
            lengths += map(len, encoded["input_ids"])
            advance(len(some))
    return np.array(lengths, np.int64)


def _too_long(part: Part, chosen: NDArray[np.int64], lengths: NDArray[np.int64], limit: int) -> list[Finding]:
    places = np.flatnonzero(lengths > limit)
    if not len(places):
        return []
    whole = len(lengths) == len(part.entries)
    count = len(places) if whole else round(len(places) / len(lengths) * len(part.entries))
    longest = places[np.argsort(-lengths[places], kind="stable")][:MOST_EXAMPLES].tolist()
    examples = tuple((part.entries[chosen[i]].place(detail=f"{lengths[i]:,} tokens"),) for i in longest)
    sentence = (
        f"{'' if whole else 'About '}{count:,} of {len(part.entries):,} texts of {part.name} are longer than {limit:,} "
        f"tokens{'' if whole else f' (estimated from {len(lengths):,} of them)'}; the longest has {lengths.max():,}. "
        + ("Questions are asked of windows of them." if part.kind == "answers" else _READING[part.name])
    )
    return [Finding(kind=f"too-long-{part.name}", level="note", count=count, sentence=sentence, examples=examples)]


_READING = {
    "training": "Training reads their beginning.",
    "evaluation": "Evaluation reads them in windows, training would read their beginning.",
}
