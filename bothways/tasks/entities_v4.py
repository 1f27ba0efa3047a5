"""Entities exactly as the reference's version 4 groups them, for ``compat="v4"``.

It knows words by their spelling: where the tokeniser marks continuing pieces, a piece longer than its characters
continues a word; elsewhere everything that has no blank before it does, punctuation too. Long texts are cut, or with
``stride`` read in windows whose entities are merged afterwards. Offsets may include a leading blank, and the name of a
type loses what stands before its first hyphen. The default way (``entity_groups``) has none of this.

Source: transformers 4.57, pipelines/token_classification.py.

Shapes: L tokens of a window, C labels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.tasks.entity_groups import AggregationStrategy
from bothways.tasks.text_classification import softmax
from bothways.tokenizers.base import PreTrainedTokenizerBase

Piece = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Window:
    """One window of a text.

    Attributes:
        ids: L tokens.
        offsets: characters of each token in the text, as the tokeniser gives them.
        special: whether the tokeniser added the token.
        logits: float32 (L, C).
    """

    ids: Sequence[int]
    offsets: Sequence[tuple[int, int]]
    special: Sequence[int]
    logits: np.ndarray


def entities_v4(
    text: str,
    windows: Sequence[Window],
    id2label: Mapping[int, str],
    strategy: AggregationStrategy,
    ignore_labels: Collection[str],
    tokenizer: PreTrainedTokenizerBase,
) -> list[dict[str, Any]]:
    """The reference's result for one text; scores are plain floats."""
    found = []
    for window in windows:
        pieces = _pieces(text, window, tokenizer)
        if strategy in (AggregationStrategy.NONE, AggregationStrategy.SIMPLE):
            entities = [_best(piece, id2label) for piece in pieces]
        else:
            entities = _words(pieces, id2label, strategy, tokenizer)
        if strategy is not AggregationStrategy.NONE:
            entities = _groups(entities, tokenizer)
        found += [e for e in entities if e.get("entity", e.get("entity_group")) not in ignore_labels]
    return found if len(windows) == 1 else _merged(found)


def _pieces(text: str, window: Window, tokenizer: PreTrainedTokenizerBase) -> list[Piece]:
    prefix = getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None)
    found = []
    for i, scores in enumerate(softmax(window.logits)):
        if window.special[i]:
            continue
        word = tokenizer.convert_ids_to_tokens(window.ids[i])
        start, end = window.offsets[i]
        written = text[start:end]
        continues = len(word) != len(written) if prefix else start > 0 and " " not in text[start - 1 : start + 1]
        if window.ids[i] == tokenizer.unk_token_id:
            word, continues = written, False
        found.append({"word": word, "scores": scores, "start": start, "end": end, "index": i, "continues": continues})
    return found


def _best(piece: Piece, id2label: Mapping[int, str]) -> dict[str, Any]:
    label = int(piece["scores"].argmax())
    return {
        "entity": id2label[label],
        "score": float(piece["scores"][label]),
        "index": piece["index"],
        "word": piece["word"],
        "start": piece["start"],
        "end": piece["end"],
    }


def _words(
    pieces: list[Piece],
    id2label: Mapping[int, str],
    strategy: AggregationStrategy,
    tokenizer: PreTrainedTokenizerBase,
) -> list[dict[str, Any]]:
    words: list[list[Piece]] = []
    for piece in pieces:
        if words and piece["continues"]:
            words[-1].append(piece)
        else:
            words.append([piece])
    found = []
    for word in words:
        if strategy is AggregationStrategy.AVERAGE:
            scores = np.nanmean(np.stack([piece["scores"] for piece in word]), axis=0)
        elif strategy is AggregationStrategy.MAX:
            scores = max(word, key=lambda piece: piece["scores"].max())["scores"]
        else:
            scores = word[0]["scores"]
        label = int(scores.argmax())
        found.append({
            "entity": id2label[label],
            "score": float(scores[label]),
            "word": tokenizer.convert_tokens_to_string([piece["word"] for piece in word]),
            "start": word[0]["start"],
            "end": word[-1]["end"],
        })  # fmt: skip
    return found


def _groups(entities: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    groups: list[list[dict[str, Any]]] = []
    for entity in entities:
        begins, kind = _tag(entity["entity"])
        if groups and not begins and kind == _tag(groups[-1][-1]["entity"])[1]:
            groups[-1].append(entity)
        else:
            groups.append([entity])
    return [
        {
            "entity_group": group[0]["entity"].split("-", 1)[-1],
            "score": float(np.nanmean([np.float32(entity["score"]) for entity in group])),
            "word": tokenizer.convert_tokens_to_string([entity["word"] for entity in group]),
            "start": group[0]["start"],
            "end": group[-1]["end"],
        }
        for group in groups
    ]


def _tag(label: str) -> tuple[bool, str]:
    """Whether the label begins an entity, and its type."""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label


def _merged(entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of entities that overlap the longer one, or the surer of equally long ones."""
    found: list[dict[str, Any]] = []
    for entity in sorted(entities, key=lambda e: e["start"]):
        last = found[-1] if found else None
        if last is None or not last["start"] <= entity["start"] < last["end"]:
            found.append(entity)
            continue
        length, before = entity["end"] - entity["start"], last["end"] - last["start"]
        if length > before or (length == before and entity["score"] > last["score"]):
            found[-1] = entity
    return found
