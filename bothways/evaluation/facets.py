"""Ways of dividing texts: by length, case, negation, pieces of words, label, and the columns of the data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bothways.data.label_kinds import is_missing
from bothways.evaluation.analysis import shown_label
from bothways.evaluation.row_scores import Measure, Sums
from bothways.evaluation.slices import CountedFacet, Facet
from bothways.metrics.entities import entity_spans

MOST_VALUES = 20
"""Distinct values of a column that divides; more are no groups but names, dates and numbers."""

LENGTH_PARTS = 4
_READ = 20_000  # characters of a text that are looked at
_SPECIAL_TOKENS = 2

_NEGATING = re.compile(
    r"\b(?:not?|never|none|nobody|nothing|nowhere|neither|nor|without|cannot|"
    r"nicht|kein\w*|nie|niemals|ohne|pas|jamais|rien|sans|nunca|nada|sin|não|nem|sem|non|mai|senza|niet|geen|nooit)\b"
    r"|n['’]t\b",
    re.IGNORECASE,
)
_QUESTION_WORDS = ("who", "whom", "whose", "what", "when", "where", "which", "why", "how")


def text_facets(
    texts: Sequence[str], pairs: Sequence[str | None] | None = None, n_tokens: Sequence[int] | None = None
) -> list[Facet]:
    """Length, case, negation, pieces of words; for pairs also how many words both share.

    Args:
        texts, pairs: the judged texts.
        n_tokens: of each text as the model reads it, special tokens included.
    """
    both = list(texts) if pairs is None else [f"{a} {b or ''}" for a, b in zip(texts, pairs, strict=True)]
    words = [max(1, len(text.split())) for text in both]
    if n_tokens is None:
        facets = [Facet(name="length", values=_quarters(words, "words"))]
    else:
        facets = [Facet(name="length", values=_quarters(n_tokens, "tokens"))]
        special = _SPECIAL_TOKENS + (pairs is not None)
        ratio = [max(0, n - special) / w for n, w in zip(n_tokens, words, strict=True)]
        if np.median(ratio) < 3:  # else words are not what stands between spaces
            facets.append(Facet(name="pieces of a word", values=[_pieces(r) for r in ratio]))
    facets.append(Facet(name="case", values=[_case(text) for text in both]))
    facets.append(Facet(name="negation", values=[_negation(text) for text in both]))
    if pairs is not None:
        facets.append(Facet(name="words in both", values=[_shared(a, b) for a, b in zip(texts, pairs, strict=True)]))
    return facets


def label_facets(kind: str, gold: Sequence[Any]) -> list[Facet]:
    """The right label; for several labels also how many there are."""
    if kind == "single":
        return [Facet(name="label", values=[shown_label(label) for label in gold])]
    if kind == "multi":
        counts = ["none", "one", "two"]
        return [Facet(name="number of labels", values=[counts[n] if n < 3 else "more" for n in map(_size, gold)])]
    return []


def column_facets(columns: Mapping[str, Sequence[Any]]) -> list[Facet]:
    """Columns of the data with 2 to 20 distinct values. Missing values belong to no part."""
    facets = []
    for name, values in columns.items():
        shown = [None if is_missing(value) or _size(value) else shown_label(value) for value in values]
        if 2 <= len(set(shown) - {None}) <= MOST_VALUES:
            facets.append(Facet(name=f"column {shown_label(name)}", values=shown))
    return facets


def question_facets(
    questions: Sequence[str], gold: Sequence[Sequence[str]], known_answers: frozenset[str] | None = None
) -> list[Facet]:
    """The question word, whether there is an answer, how long it is, and whether training had the same one."""
    facets = [
        Facet(name="question word", values=[_question_word(question) for question in questions]),
        Facet(name="answer", values=["none in the text" if not any(a) else "in the text" for a in gold]),
        Facet(name="length of the answer", values=[_answer_length(a) for a in gold]),
    ]
    if known_answers is not None:
        facets.append(Facet(name="answer in training", values=[_known(a, known_answers) for a in gold]))
    return facets


def entity_facets(
    gold: Sequence[Any], predicted: Sequence[Any], words: Sequence[Sequence[str]], known: frozenset[str] | None
) -> list[CountedFacet]:
    """Recall of entities by type, by their number of words, and by whether training named them.

    Args:
        gold, predicted: tags of each sentence. words: its words.
        known: surfaces of the entities of the training part; None where there is none.
    """
    ways: dict[str, Callable[[str, str], str]] = {
        "entity type": lambda kind, surface: shown_label(kind),
        "words of the entity": lambda kind, surface: _word_count(surface),
    }
    if known is not None:
        ways["name"] = lambda kind, surface: "seen in training" if surface in known else "new"
    counts: dict[str, dict[str, np.ndarray]] = {name: {} for name in ways}
    for right, found, own in zip(gold, predicted, words, strict=True):
        hits = set(entity_spans(found))
        here: Counter[tuple[str, str, bool]] = Counter()
        for span in entity_spans(right):
            surface = " ".join(own[span[1] : span[2]])
            here.update((name, way(span[0], surface), span in hits) for name, way in ways.items())
        for name, value in {key[:2] for key in here}:
            hit = here[name, value, True]
            whole = hit + here[name, value, False]
            counts[name].setdefault(value, np.zeros(5))[:] += (hit, whole, hit**2, hit * whole, whole**2)
    recall = Measure(name="recall")
    return [
        CountedFacet(name=name, parts={v: Sums(measure=recall, n=round(m[1]), moments=m) for v, m in tables.items()})
        for name, tables in counts.items()
    ]


def _quarters(numbers: Sequence[int], unit: str) -> list[str]:
    """Names of four parts of about equal size, or fewer where numbers repeat."""
    values = np.asarray(numbers)
    cuts = sorted(
        {int(c) for c in np.quantile(values, np.arange(1, LENGTH_PARTS) / LENGTH_PARTS)} - {int(values.max())}
    )
    one = unit.removesuffix("s")
    names = [
        f"up to {cut:,} {one if cut == 1 else unit}" if i == 0 else f"{cuts[i - 1] + 1:,} to {cut:,} {unit}"
        for i, cut in enumerate(cuts)
    ]
    last = cuts[-1] if cuts else int(values.max())
    names.append(f"{'more than ' if cuts else ''}{last:,} {one if last == 1 else unit}")
    return [names[i] for i in np.searchsorted(cuts, values)]


def _pieces(ratio: float) -> str:
    if ratio < 1.2:
        return "whole words (under 1.2 pieces)"
    return "some unknown words (1.2 to 1.6 pieces)" if ratio < 1.6 else "many unknown words (1.6 pieces or more)"


def _case(text: str) -> str:
    text = text[:_READ]
    if text.isupper():
        return "all capitals"
    if text.islower():
        return "no capitals"
    return "both" if text.lower() != text.upper() else "no letters with case"


def _negation(text: str) -> str:
    return "with a negating word" if _NEGATING.search(text[:_READ]) else "without a negating word"


def _shared(first: str, second: str | None) -> str:
    one, other = (set(re.findall(r"\w+", (text or "")[:_READ].casefold())) for text in (first, second))
    share = len(one & other) / max(1, min(len(one), len(other)))
    return "under a third" if share < 1 / 3 else "a third to two thirds" if share < 2 / 3 else "over two thirds"


def _question_word(question: str) -> str:
    words = re.findall(r"[a-z]+", question[:_READ].casefold())
    return next((word for word in words if word in _QUESTION_WORDS), "other")


def _answer_length(answers: Sequence[str]) -> str | None:
    lengths = Counter(len(answer.split()) for answer in answers if answer)
    if not lengths:
        return None
    words = lengths.most_common(1)[0][0]
    return "one word" if words <= 1 else "two or three words" if words <= 3 else "four words or more"


def _known(answers: Sequence[str], known: frozenset[str]) -> str | None:
    if not any(answers):
        return None
    return "seen in training" if known.intersection(answers) else "new"


def _word_count(surface: str) -> str:
    n = surface.count(" ") + 1
    return "one" if n == 1 else "two" if n == 2 else "three or more"


def _size(value: Any) -> int:
    return len(value) if isinstance(value, list | tuple | dict | set | frozenset) else 0
