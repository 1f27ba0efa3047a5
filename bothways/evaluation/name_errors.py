"""Tags that may be wrong: names that are tagged otherwise nearly everywhere else.

The probabilities are counts of the same words in all other sentences, so that no tag judges itself: confident learning
(Northcutt et al. 2021) with the simplest cross-fitted model of names there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from bothways.evaluation.analysis import shortened, shown_label
from bothways.evaluation.label_errors import LabelErrors, Suspect
from bothways.metrics.entities import entity_spans

FEWEST_ELSEWHERE = 5
"""Times that the words stand in other sentences."""

SURE = 0.85
OUTSIDE = ""
LONGEST = 6
"""Words of a name."""

MOST_SUSPECTS = 1_000

Name = tuple[str, ...]
Place = tuple[int, int, int]
"""Number of a sentence, first word, and the one after the last."""


def name_errors(
    parts: Sequence[tuple[str, Sequence[Sequence[str]], Sequence[Sequence[str]], Sequence[int]]],
) -> LabelErrors | None:
    """Names whose tags differ from those that the same words have elsewhere; None where no name is frequent enough.

    Args:
        parts: of each part of the data its name, the words and the tags of its sentences, and their rows.
    """
    sentences = [(part, i, *own) for part, *columns in parts for i, own in enumerate(zip(*columns, strict=True))]
    kinds: dict[Name, Counter[str]] = {}
    for _, _, words, tags, _ in sentences:
        for kind, start, end in entity_spans(tags):
            if end - start <= LONGEST:
                kinds.setdefault(tuple(words[start:end]), Counter())[kind] += 1
    longest: dict[str, int] = {}
    for name in kinds:
        longest[name[0]] = max(longest.get(name[0], 0), len(name))
    found: list[tuple[Place, Name, str]] = []
    for number, (_, _, words, tags, _) in enumerate(sentences):
        for start, end, kind in _mentions(words, tags, kinds, longest):
            name = tuple(words[start:end])
            if kind == OUTSIDE:
                kinds[name][OUTSIDE] += 1
            found.append(((number, start, end), name, kind))
    suspects, judged = [], 0
    for place, name, kind in found:
        elsewhere = kinds[name] - Counter({kind: 1})
        total = elsewhere.total()
        if total < FEWEST_ELSEWHERE:
            continue
        judged += 1
        better, count = max(elsewhere.items(), key=lambda item: (item[1], item[0]))
        if better != kind and count >= SURE * total:
            suspects.append(_suspect(sentences[place[0]], place, kind, better, elsewhere[kind] / total, count / total))
    if not judged:
        return None
    suspects.sort(key=lambda s: (s.given_probability - s.better_probability, s.part, s.number))
    return LabelErrors(
        suspects=tuple(suspects[:MOST_SUSPECTS]),
        count=len(suspects),
        judged=judged,
        left_out=len(found) - judged,
        methods=(f"Each name was compared with the same words in at least {FEWEST_ELSEWHERE} other places.",),
    )


def _mentions(
    words: Sequence[str], tags: Sequence[str], kinds: dict[Name, Counter[str]], longest: dict[str, int]
) -> Iterator[tuple[int, int, str]]:
    """Entities, and words outside of entities that are a name elsewhere (the longest from the left)."""
    spans = {start: (end, kind) for kind, start, end in entity_spans(tags)}
    i = 0
    while i < len(words):
        if i in spans:
            end, kind = spans[i]
            if end - i <= LONGEST:
                yield i, end, kind
            i = end
            continue
        reach = min(longest.get(words[i], 0), len(words) - i)
        free = next((n for n in range(reach) if i + n in spans), reach)
        length = next((n for n in range(free, 0, -1) if tuple(words[i : i + n]) in kinds), 0)
        if length:
            yield i, i + length, OUTSIDE
        i += max(1, length)


def _suspect(sentence: Any, place: Place, kind: str, better: str, own: float, other: float) -> Suspect:
    part, number, words, _, row = sentence
    name = shortened(" ".join(words[place[1] : place[2]]), 80)
    before, after = words[max(0, place[1] - 20) : place[1]], words[place[2] : place[2] + 20]
    return Suspect(
        part=part,
        number=number + 1,
        row=row or None,
        text=shortened(" ".join([*before, f"[{name}]", *after])),
        pair=None,
        given=shown_label(kind) if kind else "(no entity)",
        better=shown_label(better) if better else "(no entity)",
        given_probability=own,
        better_probability=other,
    )
