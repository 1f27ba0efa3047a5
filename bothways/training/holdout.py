"""Holding a part of the data out, for tasks whose examples are no plain labelled texts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from bothways.errors import DataError

HOLDOUT = 0.2
MOST_HELD_OUT = 5_000

Example = TypeVar("Example")


def hold_out(
    examples: Sequence[Example],
    seed: int,
    *,
    key: Callable[[Example], Hashable],
    items: str,
    types: Callable[[Example], Sequence[str]] = lambda example: (),
    share: float = HOLDOUT,
    least: int = 0,
    most: int = MOST_HELD_OUT,
) -> tuple[list[Example], list[Example]]:
    """A training part and a part held out, both in order. Same arguments, same split.

    Args:
        examples: of a task.
        seed: of the choice.
        key: examples of equal key are on one side.
        items: what examples are called, for the message.
        types: what an example shows, of which something has to stay in the training part.
        share: of the examples that are held out.
        least, most: examples that are held out; something stays in the training part.

    Raises:
        DataError: too few examples.
    """
    groups: dict[Hashable, list[int]] = {}
    for i, example in enumerate(examples):
        groups.setdefault(key(example), []).append(i)
    order = list(groups.values())
    random.Random(seed).shuffle(order)
    room = min(max(int(len(examples) * share), least), most, len(examples) - 1)
    left = Counter(kind for example in examples for kind in types(example))
    held: set[int] = set()
    for members in order:
        own = Counter(kind for i in members for kind in types(examples[i]))
        if len(held) + len(members) <= room and all(left[kind] > count for kind, count in own.items()):
            held.update(members)
            left.subtract(own)
    if not held:
        raise DataError(
            f"{len(examples):,} {items}, in {len(groups):,} groups that stay together, are too few to hold a part out. "
            f"Give a file with --eval, or more {items}."
        )
    return [e for i, e in enumerate(examples) if i not in held], [e for i, e in enumerate(examples) if i in held]
