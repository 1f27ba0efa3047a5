"""Labels of tokens to entities with their exact characters.

Shapes: L tokens of a text, C labels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

import numpy as np

from bothways.errors import InputError
from bothways.metrics.tag_schemes import BEGINS, ENDS, OUTSIDE, split_tag
from bothways.tasks.token_classification import LocatedText, Strategy, word_scores
from bothways.tokenizers.base import PreTrainedTokenizerBase


class AggregationStrategy(str, Enum):
    """How tokens become entities, under the ecosystem's names.

    ``none``: every token for itself. ``simple``: neighbouring tokens of one type are joined. ``first``, ``average``,
    ``max``: first each word gets one label (see ``word_scores``), then neighbouring words of one type are joined.
    """

    NONE = "none"
    SIMPLE = "simple"
    FIRST = "first"
    AVERAGE = "average"
    MAX = "max"

    @classmethod
    def of(cls, value: Any) -> AggregationStrategy:
        """The strategy of that name, in any case.

        Raises:
            InputError: listing the known ones.
        """
        name = getattr(value, "value", value)
        if isinstance(name, str) and name.lower() in {member.value for member in cls}:
            return cls(name.lower())
        known = ", ".join(repr(member.value) for member in cls)
        raise InputError(f"aggregation_strategy is {value!r}; expected one of {known}.")


@dataclass(frozen=True)
class Labels:
    """A model's labels, taken apart.

    Attributes:
        names: as the model has them.
        types: without the prefixes of a scheme; ``O`` stays.
        begins: whether the label begins an entity whatever came before.
        ends: whether the entity ends with it.
    """

    names: list[str]
    types: list[str]
    begins: list[bool]
    ends: list[bool]

    @classmethod
    def of(cls, id2label: Mapping[int, str]) -> Labels:
        """Take labels apart. E-, S-, L- and U- are prefixes only where every label but O has one; else B- and I- are.

        A hyphen in the name of a type (``creative-work``) is part of the name.
        """
        names = [id2label[i] for i in range(len(id2label))]
        parts = [split_tag(name) for name in names]
        if not all(prefix or name == OUTSIDE for (prefix, _), name in zip(parts, names, strict=True)):
            parts = [p if p[0] in ("B", "I") else ("", name) for p, name in zip(parts, names, strict=True)]
        return cls(
            names,
            [kind or name for (_, kind), name in zip(parts, names, strict=True)],
            [prefix in BEGINS for prefix, _ in parts],
            [prefix in ENDS for prefix, _ in parts],
        )


def labelled_tokens(
    located: LocatedText,
    scores: np.ndarray,
    labels: Labels,
    ignore_labels: Collection[str],
    tokenizer: PreTrainedTokenizerBase,
) -> list[dict[str, Any]]:
    """Every token with its best label: ``entity, score, index, word, start, end``; ``index`` counts special tokens too.

    Args:
        located: the text.
        scores: (L, C).
        ignore_labels: names of labels that are left out.
    """
    best, top = scores.argmax(axis=1).tolist(), scores.max(axis=1).tolist()
    left_out = [name in ignore_labels for name in labels.names]
    shown = [i for i, label in enumerate(best) if not (located.special[i] or left_out[label])]
    return [
        {
            "entity": labels.names[best[i]],
            "score": top[i],
            "index": i,
            "word": word,
            "start": int(located.offsets[i, 0]),
            "end": int(located.offsets[i, 1]),
        }
        for i, word in zip(shown, _pieces(located, shown, tokenizer), strict=True)
    ]


def entity_groups(
    located: LocatedText,
    scores: np.ndarray,
    labels: Labels,
    strategy: AggregationStrategy,
    ignore_labels: Collection[str],
    tokenizer: PreTrainedTokenizerBase,
) -> list[dict[str, Any]]:
    """Entities: ``entity_group, score, word, start, end``, in order, without overlap.

    ``text[start:end]`` is the entity, never with white space around it; ``word`` is what the tokeniser makes of its
    tokens. The score is the mean over the tokens (``simple``) or the words.

    Args:
        located: the text.
        scores: (L, C).
        strategy: any but ``none``.
        ignore_labels: types that are left out.
    """
    units = _units(located, scores, strategy)
    label, top = units.scores.argmax(axis=1).tolist(), units.scores.max(axis=1)
    left_out = [kind in ignore_labels for kind in labels.types]
    found = []
    first = 0
    for i in range(1, len(label) + 1):
        if i < len(label) and _continues(labels, label[i - 1], label[i]):
            continue
        if not left_out[label[first]]:
            start, end = units.tokens[first][0], units.tokens[i - 1][1]
            pieces = _pieces(located, range(start, end), tokenizer)
            found.append({
                "entity_group": labels.types[label[first]],
                "score": float(top[first:i].mean()),
                "word": tokenizer.convert_tokens_to_string(pieces),
                "start": units.spans[first][0],
                "end": units.spans[i - 1][1],
            })  # fmt: skip
        first = i
    return found


@dataclass(frozen=True)
class _Units:
    """What gets one label: tokens or words.

    Attributes:
        scores: (units, C).
        tokens: first token, and the one after the last.
        spans: characters.
    """

    scores: np.ndarray
    tokens: list[tuple[int, int]]
    spans: list[tuple[int, int]]


def _units(located: LocatedText, scores: np.ndarray, strategy: AggregationStrategy) -> _Units:
    offsets = located.offsets
    if strategy is AggregationStrategy.SIMPLE:
        shown = np.flatnonzero(~located.special & (offsets[:, 0] < offsets[:, 1]))
        # several tokens may show one character: the bytes of an emoji, or the mark before the first word
        reached = np.maximum.accumulate(offsets[shown, 1])
        own = np.flatnonzero(offsets[shown, 0] >= np.append(0, reached[:-1])[: len(shown)])
        firsts = shown[own].tolist()
        lasts = np.append(own[1:], len(shown))[: len(own)] - 1
        ends = (shown[lasts] + 1).tolist()
        spans = list(zip(offsets[firsts, 0].tolist(), reached[lasts].tolist(), strict=True))
        return _Units(scores[firsts], list(zip(firsts, ends, strict=True)), spans)
    words, rows = word_scores(scores, located, cast(Strategy, strategy.value))
    _, first_tokens, end_tokens = located.word_tokens
    edges = np.array(located.spans, dtype=np.int64).reshape(-1, 2)[words]
    # a token may reach beyond its word, where the tokeniser divides less
    high = np.maximum(edges[:, 1], offsets[end_tokens - 1, 1])
    low = np.maximum(edges[:, 0], np.append(0, np.maximum.accumulate(high)[:-1])[: len(high)])
    tokens = list(zip(first_tokens.tolist(), end_tokens.tolist(), strict=True))
    return _Units(rows, tokens, list(zip(low.tolist(), high.tolist(), strict=True)))


def _continues(labels: Labels, before: int, now: int) -> bool:
    return labels.types[now] == labels.types[before] and not (labels.begins[now] or labels.ends[before])


def _pieces(located: LocatedText, tokens: Sequence[int] | range, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The tokens as strings; an unknown one as it is written."""
    ids = [located.ids[i] for i in tokens]
    pieces: list[str] = tokenizer.convert_ids_to_tokens(ids)
    for n, (i, token) in enumerate(zip(tokens, ids, strict=True)):
        if token == tokenizer.unk_token_id:
            pieces[n] = located.text[located.offsets[i, 0] : located.offsets[i, 1]]
    return pieces
