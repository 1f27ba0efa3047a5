"""What is odd in labels: their balance, names that look the same, equal texts with other labels."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from bothways.data.examples import Label
from bothways.data.label_kinds import natural_order
from bothways.evaluation.audit_alike import Near
from bothways.evaluation.audit_findings import MOST_EXAMPLES, Finding, Level, Place
from bothways.evaluation.audit_parts import Entry, Part
from bothways.evaluation.formats import share_text
from bothways.metrics.question_answering import normalise_answer

FEW, VERY_FEW = 10, 2
"""Examples of a class below which little, and next to nothing, can be learned or measured."""
MAJORITY = 0.8
"""Share of one class from which on accuracy says little."""

_NAMED = 8  # classes named in a sentence
_SCORE_DIFFERENCE = 0.1  # of the range of scores: people who score the same pair twice differ by less


def class_counts(part: Part) -> dict[str, int]:
    """How often each class occurs, the most frequent first, then in natural order."""
    counts = Counter(name for entry in part.entries for name in entry.classes)
    order = {name: place for place, name in enumerate(natural_order(counts))}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], order[item[0]])))


def balance(parts: Sequence[Part]) -> list[Finding]:
    """Findings about how many examples the classes have, in training and across the parts."""
    kind = parts[0].kind
    counted = [class_counts(part) for part in parts]
    if kind == "regression" or (kind == "answers" and all(len(counts) < 2 for counts in counted)):
        return []
    findings = []
    for part, counts in zip(parts, counted, strict=True):
        findings += _share(part, counts)
        if part.name == "training":
            findings += _rare(part, counts)
    if len(parts) == 2:
        findings += _one_sided(parts, counted)
    return findings


def look_alikes(parts: Sequence[Part]) -> list[Finding]:
    """A finding about classes whose names differ in case, spaces and punctuation only."""
    counts: Counter[str] = Counter(name for part in parts for entry in part.entries for name in entry.classes)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in natural_order(counts):
        groups[_folded(name)].append(name)
    same = [names for names in groups.values() if len(names) > 1]
    if not same:
        return []
    listed = "; ".join(" = ".join(f"{n!r:.60} ({counts[n]:,})" for n in names) for names in same[:_NAMED])
    which = (
        "1 label is written in several ways" if len(same) == 1 else f"{len(same):,} labels are written in several ways"
    )
    sentence = f"{which}: {listed}{_more(len(same))}. A model learns them as different classes: write each in one way."
    examples = tuple(_first_of(parts, names) for names in same[:MOST_EXAMPLES])
    return [Finding(kind="look-alike-labels", level="problem", count=len(same), sentence=sentence, examples=examples)]


def contradiction(entries: Sequence[Entry], kind: str) -> Callable[[int, int], bool]:
    """Whether two entries, by their numbers, could not both be right if their texts were equal."""
    tolerance = _tolerance(entries) if kind == "regression" else 0.0
    return lambda one, other: _contradict(entries[one].answer, entries[other].answer, kind, tolerance)


def conflicts(
    entries: Sequence[Entry], kind: str, groups: Iterable[Sequence[int]], near: Iterable[Near]
) -> list[Finding]:
    """Findings about texts that have different labels although they are equal, or nearly equal.

    Args:
        entries: of all parts.
        groups: numbers of the entries with equal texts.
        near: nearly equal texts, by numbers of entries.
    """
    contradict = contradiction(entries, kind)
    texts, rows = [], 0
    for group in groups:
        others = [number for number in group[1:] if contradict(group[0], number)]
        if others:
            texts.append((group[0], others[0]))
            rows += len(group)
    findings = []
    if texts:
        what = "1 text occurs" if len(texts) == 1 else f"{len(texts):,} texts occur"
        sentence = f"{what} with different labels ({rows:,} rows). No model can be right about both: decide for one."
        findings.append(_pairs_finding("conflicting-labels", "problem", entries, texts, sentence))
    nearly = [(pair.earlier, pair.later) for pair in near if contradict(pair.earlier, pair.later)]
    if nearly and kind != "entities":  # other words have other names among them
        what = "1 pair of texts is" if len(nearly) == 1 else f"{len(nearly):,} pairs of texts are"
        sentence = (
            f"{what} nearly equal and labelled differently. Look at them: the difference may be real, or a mistake."
        )
        findings.append(_pairs_finding("near-conflicting-labels", "note", entries, nearly, sentence))
    return findings


def _share(part: Part, counts: Mapping[str, int]) -> list[Finding]:
    """One class only, or one that has most of all examples."""
    if part.kind in ("entities", "multi") or not counts:
        return []
    name, most = next(iter(counts.items()))
    if len(counts) == 1:
        sentence = f"All {most:,} rows of {part.name} have the label {name!r:.60}: nothing can be "
        sentence += (
            "learned from them." if part.name == "training" else "said of other labels; any model may seem perfect."
        )
        return [Finding(kind=f"one-class-{part.name}", level="problem", count=most, sentence=sentence)]
    share = most / sum(counts.values())
    if share < MAJORITY:
        return []
    sentence = (
        f"{name!r:.60} is the label of {share_text(share)} of {part.name}: always saying it is right as often. Look at "
        "F1 and at every label's own score, not at accuracy."
    )
    return [Finding(kind=f"majority-{part.name}", level="note", count=most, sentence=sentence)]


def _rare(part: Part, counts: Mapping[str, int]) -> list[Finding]:
    unit = "entities" if part.kind == "entities" else "examples"
    findings = []
    single = [name for name, count in counts.items() if count < VERY_FEW]
    few = [name for name, count in counts.items() if VERY_FEW <= count < FEW]
    if single:
        sentence = (
            f"{_classes(single)} 1 example in training: {_listed(single, counts)}. It can be learned or "
            "measured, not both. Add examples or join classes."
        )
        examples = tuple(_first_of([part], [name]) for name in single[:MOST_EXAMPLES])
        findings.append(
            Finding(kind="single-example", level="problem", count=len(single), sentence=sentence, examples=examples)
        )
    if few:
        sentence = (
            f"{_classes(few)} fewer than {FEW} {unit} in training: {_listed(few, counts)}. Expect little of them."
        )
        findings.append(Finding(kind="few-examples", level="note", count=len(few), sentence=sentence))
    return findings


def _one_sided(parts: Sequence[Part], counted: Sequence[Mapping[str, int]]) -> list[Finding]:
    """Classes that only one of the parts has."""
    findings = []
    train, held = counted
    unlearned, unmeasured = [n for n in held if n not in train], [n for n in train if n not in held]
    if unlearned:
        sentence = f"{_classes(unlearned)} examples in evaluation and none in training: {_listed(unlearned, held)}."
        sentence += " No model can say them; training refuses such a file."
        examples = tuple(_first_of([parts[1]], [name]) for name in unlearned[:MOST_EXAMPLES])
        findings.append(
            Finding(
                kind="unlearned-labels", level="problem", count=len(unlearned), sentence=sentence, examples=examples
            )
        )
    if unmeasured:
        sentence = f"{_classes(unmeasured)} examples in training and none in evaluation: {_listed(unmeasured, train)}."
        sentence += " Scores say nothing about them."
        findings.append(Finding(kind="unmeasured-labels", level="note", count=len(unmeasured), sentence=sentence))
    return findings


def _contradict(one: Label, other: Label, kind: str, tolerance: float) -> bool:
    if kind == "regression":
        return abs(float(one or 0.0) - float(other or 0.0)) > tolerance  # type: ignore[arg-type]
    if kind == "answers":  # several answers may be right: only those without one in common contradict
        first, second = ({normalise_answer(text) for text in answers} for answers in (one, other))  # type: ignore[union-attr]
        return first != second and not first & second
    return one != other


def _tolerance(entries: Sequence[Entry]) -> float:
    scores = [float(entry.answer) for entry in entries if isinstance(entry.answer, (int, float))]
    return _SCORE_DIFFERENCE * (max(scores) - min(scores)) if scores else 0.0


def _pairs_finding(
    kind: str, level: Level, entries: Sequence[Entry], pairs: Sequence[tuple[int, int]], sentence: str
) -> Finding:
    examples = tuple((entries[one].place(), entries[other].place()) for one, other in pairs[:MOST_EXAMPLES])
    return Finding(kind=kind, level=level, count=len(pairs), sentence=sentence, examples=examples)


def _first_of(parts: Sequence[Part], names: Sequence[str]) -> tuple[Place, ...]:
    """The first row of each class."""
    found: dict[str, Place] = {}
    for part in parts:
        for entry in part.entries:
            for name in entry.classes:
                if name in names and name not in found:
                    found[name] = entry.place()
        if len(found) == len(names):
            break
    return tuple(found[name] for name in names if name in found)


def _folded(name: str) -> str:
    """Without case, and without what divides words; a sign or a point at a number is no such thing."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    folded = re.sub(r"(?<=[^\W\d_])[\s_-]+(?=[^\W\d_])", "", folded)
    return re.sub(r"[\s_]+", " ", folded).strip()


def _classes(names: Sequence[str]) -> str:
    return "1 label has" if len(names) == 1 else f"{len(names):,} labels have"


def _listed(names: Sequence[str], counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name!r:.60} ({counts[name]:,})" for name in names[:_NAMED]) + _more(len(names))


def _more(count: int) -> str:
    return f" and {count - _NAMED:,} more" if count > _NAMED else ""
