"""Scores of entities, from the tags of words alone.

An entity counts as found only with its exact words and its type. Zero divisions are 0.0, as in ``classification``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

from bothways.errors import InputError
from bothways.metrics.tag_schemes import split_tag, to_iob2

Tags = Sequence[str]
Entity = tuple[str, int, int]
"""Type, first word, and the word after the last."""


def entity_spans(tags: Tags, *, mode: Literal["strict"] | None = None) -> list[Entity]:
    """The entities that the tags of one sentence stand for, in order.

    Args:
        tags: in IOB2, IOB1, BIOES, BILOU or IO.
        mode: None reads an ``I-`` without a beginning as the beginning of an entity, as the shared task's script does
            (conlleval; seqeval by default). ``"strict"`` ignores it (seqeval with ``mode="strict", scheme=IOB2``).

    Example: ``B-PER I-PER O I-LOC`` -> (PER, 0, 2), (LOC, 3, 4); the second not in strict mode.
    """
    found: list[Entity] = []
    start, kind = 0, ""
    for i, tag in enumerate([*(tags if mode == "strict" else to_iob2(tags)), "O"]):
        prefix, now = split_tag(tag)
        if prefix == "I" and now == kind:
            continue
        if kind:
            found.append((kind, start, i))
        start, kind = i, now if prefix == "B" else ""
    return found


def entity_scores(
    gold: Sequence[Tags],
    predicted: Sequence[Tags],
    *,
    mode: Literal["strict"] | None = None,
    words: Sequence[Sequence[str]] | None = None,
    seen: Collection[str] | None = None,
) -> dict[str, Any]:
    """Precision, recall and F1 of entities; micro averages over all types, as of the CoNLL shared tasks.

    Args:
        gold, predicted: the tags of each sentence, of equal lengths.
        mode: see ``entity_spans``.
        words: the words of each sentence; with ``seen``.
        seen: entities of the training data as written there (``entity_surfaces``): scores are then also given for
            entities with such a surface and for all others, which a list of names could not find.

    Returns:
        ``precision``, ``recall``, ``f1``, ``support`` (gold entities), ``predicted`` (entities), ``sentences``,
        ``words``, ``accuracy`` (of the tags of words), ``per_type`` (type → precision, recall, f1, support, predicted),
        and with ``seen`` also ``seen`` and ``unseen`` with the same five numbers each.

    Raises:
        InputError: no sentences, lists of different lengths, ``words`` without ``seen`` or the reverse.
    """
    _check(gold, predicted, words, seen)
    if mode not in (None, "strict"):
        raise InputError(f"mode is {mode!r}; expected None or 'strict'.")
    hits: Counter[tuple[str, str]] = Counter()
    support, guessed = hits.copy(), hits.copy()
    for i, (truth, guess) in enumerate(zip(gold, predicted, strict=True)):
        truths, guesses = entity_spans(truth, mode=mode), entity_spans(guess, mode=mode)
        for counts, entities in ((support, truths), (guessed, guesses), (hits, set(truths) & set(guesses))):
            for kind, start, end in entities:
                known = "" if words is None or seen is None else _known(words[i][start:end], seen)
                counts[kind, known] += 1
    types = sorted({kind for kind, _ in [*support, *guessed]})
    scores = _scores(hits, support, guessed, lambda key: True)
    total = sum(map(len, gold))
    right = sum(t == g for truth, guess in zip(gold, predicted, strict=True) for t, g in zip(truth, guess, strict=True))
    scores |= {"sentences": len(gold), "words": total, "accuracy": right / total if total else 0.0}
    scores["per_type"] = {t: _scores(hits, support, guessed, lambda key, t=t: key[0] == t) for t in types}
    if seen is not None:
        for name in ("seen", "unseen"):
            scores[name] = _scores(hits, support, guessed, lambda key, name=name: key[1] == name)
    return scores


def entity_surfaces(tags: Iterable[Tags], words: Iterable[Sequence[str]]) -> set[str]:
    """All entities of some sentences as they are written, words with single spaces between."""
    return {
        " ".join(own[start:end])
        for labels, own in zip(tags, words, strict=True)
        for _, start, end in entity_spans(labels)
    }


def _known(words: Sequence[str], seen: Collection[str]) -> str:
    return "seen" if " ".join(words) in seen else "unseen"


def _scores(hits: Counter[Any], support: Counter[Any], guessed: Counter[Any], belongs: Any) -> dict[str, Any]:
    hit, true, found = (sum(n for key, n in c.items() if belongs(key)) for c in (hits, support, guessed))
    precision = hit / found if found else 0.0
    recall = hit / true if true else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hit else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "support": true, "predicted": found}


def _check(gold: Sequence[Tags], predicted: Sequence[Tags], words: Any, seen: Any) -> None:
    if not gold or len(gold) != len(predicted):
        raise InputError(
            f"{len(gold)} sentences with gold tags and {len(predicted)} predicted; expected as many, 1 on."
        )
    if (words is None) != (seen is None):
        raise InputError("words and seen belong together: pass both, or neither.")
    for name, other in (("predicted tags", predicted), ("words", words)):
        if other is None:
            continue
        if len(other) != len(gold):
            raise InputError(f"{len(gold)} sentences with gold tags and {len(other)} with {name}; expected as many.")
        for i, (truth, own) in enumerate(zip(gold, other, strict=True)):
            if len(truth) != len(own):
                raise InputError(f"sentence {i} has {len(truth)} gold tags and {len(own)} {name}; expected as many.")
