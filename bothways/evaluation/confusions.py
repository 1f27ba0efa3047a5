"""Which label is taken for which, with examples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bothways.evaluation.analysis import shortened, shown_label

CONFUSED_PAIRS = 12
EXAMPLES = 2
EXAMPLE_CHARS = 160


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Counts of gold and predicted labels as triples (gold, predicted, count); zeros are left out."""

    labels: tuple[str, ...]
    cells: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, kw_only=True)
class ConfusedPair:
    """Texts with the label ``gold`` that were taken for ``predicted``; ``share`` of all texts with that gold label.

    ``examples`` are some of the texts, shortened.
    """

    gold: str
    predicted: str
    count: int
    share: float
    examples: tuple[str, ...] = ()


def confusion_of(gold: Sequence[str], predicted: Sequence[str], names: Sequence[str]) -> Confusion:
    """Count pairs of gold and predicted labels, in the order of ``names``, labels that never occur left out."""
    counts = Counter(zip(gold, predicted, strict=True))
    used = {label for pair in counts for label in pair}
    labels = [label for label in dict.fromkeys([*names, *gold, *predicted]) if label in used]
    index = {label: i for i, label in enumerate(labels)}
    cells = sorted((index[g], index[p], count) for (g, p), count in counts.items())
    return Confusion(labels=tuple(shown_label(label) for label in labels), cells=tuple(cells))


def most_confused(
    gold: Sequence[str], predicted: Sequence[str], texts: Sequence[str] | None = None, most: int = CONFUSED_PAIRS
) -> tuple[ConfusedPair, ...]:
    """The pairs of labels with the most mistakes; of equally frequent ones the larger share first."""
    support = Counter(gold)
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, (right, answer) in enumerate(zip(gold, predicted, strict=True)):
        if right != answer:
            places[right, answer].append(i)
    worst = sorted(places.items(), key=lambda pair: (-len(pair[1]), -len(pair[1]) / support[pair[0][0]], pair[1][0]))
    return tuple(
        ConfusedPair(
            gold=shown_label(right),
            predicted=shown_label(answer),
            count=len(numbers),
            share=len(numbers) / support[right],
            examples=tuple(shortened(texts[i], EXAMPLE_CHARS) for i in numbers[:EXAMPLES]) if texts is not None else (),
        )
        for (right, answer), numbers in worst[:most]
    )
