"""A held-out part that is fair: same proportions, and no text on both sides."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from bothways.data.examples import TextExample, classes_of, text_key
from bothways.errors import DataError, UsageError

_SCORE_BINS = 10


def holdout_split(
    examples: Sequence[TextExample], fraction: float, seed: int
) -> tuple[list[TextExample], list[TextExample]]:
    """Split into a training and a held-out part, both in the order of ``examples``. Same arguments, same split.

    Texts that are equal up to case and white space (for pairs: both texts) go to the same side. The held-out part
    takes ``fraction`` of every class, within one example where there are no duplicates; every class stays in the
    training part at least once. Multi-label examples are spread by their rarest class, scores by their deciles.

    Args:
        examples: labelled, all of one kind.
        fraction: share of the held-out part, above 0 and below 1.
        seed: of the random choice.

    Raises:
        UsageError: an impossible fraction.
        DataError: so few (distinct) examples that nothing can be held out.
    """
    if not 0.0 < fraction < 1.0:
        raise UsageError(f"the held-out fraction is {fraction}; expected a number above 0 and below 1, such as 0.1.")
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        groups[text_key(example)].append(index)
    strata = _strata(examples, list(groups.values()))
    generator = random.Random(seed)
    held: set[int] = set()
    for target, members in _targets(strata, fraction, generator):
        generator.shuffle(members)
        for group in members:
            if len(group) <= target:
                held.update(group)
                target -= len(group)
    _return_lost_classes(examples, groups.values(), held)
    if not held:
        raise DataError(
            f"nothing can be held out: {len(examples):,} examples with {len(groups):,} distinct texts, of which "
            f"{fraction:g} was asked and every class must stay in training. Give an evaluation file or more rows."
        )
    train = [example for index, example in enumerate(examples) if index not in held]
    return train, [example for index, example in enumerate(examples) if index in held]


def _strata(examples: Sequence[TextExample], groups: list[list[int]]) -> list[list[list[int]]]:
    """Groups of like label, in a fixed order."""
    if examples and isinstance(examples[0].label, float):
        ordered = sorted(groups, key=lambda group: examples[group[0]].label)  # type: ignore[arg-type,return-value]
        bins = max(1, min(_SCORE_BINS, len(groups) // 10))
        return [ordered[len(ordered) * i // bins : len(ordered) * (i + 1) // bins] for i in range(bins)]
    counts = Counter(name for example in examples for name in classes_of(example))
    strata: dict[str, list[list[int]]] = defaultdict(list)
    for group in groups:
        names = {name for index in group for name in classes_of(examples[index])}
        strata[min(names, key=lambda name: (counts[name], name), default="")].append(group)
    return [strata[name] for name in sorted(strata)]


def _targets(
    strata: list[list[list[int]]], fraction: float, generator: random.Random
) -> list[tuple[int, list[list[int]]]]:
    """Examples to hold out of each stratum: largest remainders, so that the total fits too; never all of one."""
    sizes = [sum(map(len, groups)) for groups in strata]
    targets = [int(size * fraction) for size in sizes]
    order = list(range(len(strata)))
    generator.shuffle(order)  # ties of remainders are broken by chance, not by the alphabet
    order.sort(key=lambda i: targets[i] - sizes[i] * fraction)
    for i in order[: max(0, round(sum(sizes) * fraction) - sum(targets))]:
        targets[i] += 1
    return [(min(target, size - 1), groups) for target, size, groups in zip(targets, sizes, strata, strict=True)]


def _return_lost_classes(examples: Sequence[TextExample], groups: Iterable[list[int]], held: set[int]) -> None:
    """Move groups back to training where they hold the only examples of a class."""
    kept = {name for index, example in enumerate(examples) if index not in held for name in classes_of(example)}
    for group in groups:
        names = {name for index in group for name in classes_of(examples[index])}
        if group[0] in held and not names <= kept:
            held.difference_update(group)
            kept |= names
