"""The baseline for named entities: a list of the names in the training data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bothways.data.tagged import TaggedText
from bothways.metrics.entities import entity_spans

Name = tuple[str, ...]


@dataclass(frozen=True)
class Gazetteer:
    """Names and their types.

    Attributes:
        types: words of a name as written, and its type.
        longest: for the first word of names, the most words that one of them has.
    """

    types: Mapping[Name, str]
    longest: Mapping[str, int]

    @property
    def megabytes(self) -> float:
        """Size of the list as text, in 10**6 bytes."""
        return (
            sum(len(" ".join(name).encode("utf-8", "replace")) + len(kind) + 2 for name, kind in self.types.items())
            / 1e6
        )

    def predict(self, words: Sequence[str]) -> list[str]:
        """A tag in IOB2 for each word: from left to right the longest name that begins here."""
        tags = ["O"] * len(words)
        i = 0
        while i < len(words):
            length = next((n for n in range(self._most(words, i), 0, -1) if tuple(words[i : i + n]) in self.types), 0)
            if length:
                kind = self.types[tuple(words[i : i + length])]
                tags[i : i + length] = [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
            i += max(length, 1)
        return tags

    def _most(self, words: Sequence[str], first: int) -> int:
        return min(self.longest.get(words[first], 0), len(words) - first)


def train_gazetteer(examples: Iterable[TaggedText]) -> Gazetteer:
    """Collect the names of tagged texts.

    A name has the type that it has most often (of equally frequent ones the first by name). A name that stands more
    often outside of entities than as one is left out: it would be wrong more often than right.

    Source: the baseline of the CoNLL shared tasks (Tjong Kim Sang and De Meulder 2003, section 3.2), which takes only
    names of a single type; the most frequent type is a stronger one.
    """
    sentences = [(example.surfaces, example.tags) for example in examples]
    kinds: dict[Name, Counter[str]] = {}
    for words, tags in sentences:
        for kind, start, end in entity_spans(tags):
            kinds.setdefault(tuple(words[start:end]), Counter())[kind] += 1
    longest = _longest(kinds)
    outside: Counter[Name] = Counter()
    for words, tags in sentences:
        for i, word in enumerate(words):
            for n in range(1, min(longest.get(word, 0), len(words) - i) + 1):
                if tags[i + n - 1] != "O":
                    break
                outside[tuple(words[i : i + n])] += 1
    types = {
        name: min(counts, key=lambda kind: (-counts[kind], kind))
        for name, counts in kinds.items()
        if counts.total() >= outside[name]
    }
    return Gazetteer(types, _longest(types))


def _longest(names: Iterable[Name]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name[0]] = max(found.get(name[0], 0), len(name))
    return found
