"""Texts that occur more than once: in training and evaluation (leaks), and within either."""

from __future__ import annotations

from collections.abc import Sequence

from bothways.data import TextExample
from bothways.data.examples import text_key
from bothways.evaluation.audit_alike import Near, near_pairs
from bothways.evaluation.audit_findings import MOST_EXAMPLES, Finding, Leak
from bothways.evaluation.audit_parts import Entry, Part


def near_of(entries: Sequence[Entry], groups: Sequence[Sequence[int]], n_train: int) -> list[Near]:
    """Nearly equal texts, by the numbers of their first entries.

    Args:
        entries: those of training first.
        groups: numbers of the entries with equal texts, see ``equal_groups``.
        n_train: how many entries are of training.
    """
    firsts = sorted(group[0] for group in groups)
    n_before = sum(first < n_train for first in firsts)
    found = near_pairs([entries[first] for first in firsts], n_before)
    return [Near(firsts[pair.earlier], firsts[pair.later], pair.similarity) for pair in found]


def leaks_of(
    entries: Sequence[Entry], groups: Sequence[Sequence[int]], near: Sequence[Near], n_train: int
) -> list[Leak]:
    """Entries of evaluation whose text is in training, with the entry there that is most like them; rising.

    Args:
        near: nearly equal texts whose labels do not contradict each other: where they do, what a model remembers of
            the one is wrong for the other.
    """
    nearest: dict[int, Near] = {}
    for pair in near:
        if pair.earlier < n_train <= pair.later:
            best = nearest.setdefault(pair.later, pair)
            nearest[pair.later] = pair if pair.similarity > best.similarity else best
    leaks = []
    for group in groups:
        exact = group[0] < n_train
        if exact:
            source, similarity = group[0], 1.0
        elif group[0] in nearest:
            source, similarity = nearest[group[0]].earlier, nearest[group[0]].similarity
        else:
            continue
        leaks += [
            Leak(
                index=number - n_train,
                place=entries[number].place(),
                source=entries[source].place(),
                similarity=similarity,
                exact=exact,
            )
            for number in group
            if number >= n_train
        ]
    return sorted(leaks, key=lambda leak: leak.index)


def leakage(leaks: Sequence[Leak], parts: Sequence[Part]) -> list[Finding]:
    """Findings about evaluation texts that training has too, equal ones and nearly equal ones apart."""
    findings = []
    for exact, how in ((True, "word for word"), (False, "in nearly the same words and with the same label")):
        some = [leak for leak in leaks if leak.exact == exact]
        if not some:
            continue
        total = len(parts[1].entries)
        are = "is" if len(some) == 1 else "are"
        sentence = (
            f"{len(some):,} of {total:,} evaluation texts ({_percent(len(some), total)}) {are} in training too, {how}. "
            "Scores on them tell what was remembered: remove them from one side."
        )
        examples = tuple((leak.place, leak.source) for leak in some[:MOST_EXAMPLES])
        kind = "leak-equal" if exact else "leak-near"
        findings.append(Finding(kind=kind, level="leak", count=len(some), sentence=sentence, examples=examples))
    return findings


def shared_contexts(parts: Sequence[Part], leaks: Sequence[Leak]) -> list[Finding]:
    """A finding about other questions on contexts that training has too. For pairs of texts nothing is wrong there."""
    if len(parts) < 2 or parts[0].kind != "answers":
        return []
    known: dict[bytes, Entry] = {}
    for entry in parts[0].entries:
        known.setdefault(_context_key(entry), entry)
    leaked = {leak.index for leak in leaks}
    pairs = [
        (entry, known[key])
        for number, entry in enumerate(parts[1].entries)
        if number not in leaked and (key := _context_key(entry)) in known
    ]
    if not pairs:
        return []
    total = len(parts[1].entries)
    sentence = (
        f"{len(pairs):,} of {total:,} evaluation questions ({_percent(len(pairs), total)}) are about contexts that "
        "training asks other questions about. Scores on them tell nothing about new texts."
    )
    examples = tuple((entry.place(), source.place()) for entry, source in pairs[:MOST_EXAMPLES])
    return [Finding(kind="shared-contexts", level="problem", count=len(pairs), sentence=sentence, examples=examples)]


def repeated(
    entries: Sequence[Entry], groups: Sequence[Sequence[int]], near: Sequence[Near], parts: Sequence[Part]
) -> list[Finding]:
    """Findings about texts that are more than once in one part."""
    findings = []
    n_train = len(parts[0].entries)
    for part, first, stop in zip(parts, (0, n_train), (n_train, len(entries)), strict=False):
        equal = [
            (own[0], number)
            for group in groups
            if len(own := [number for number in group if first <= number < stop]) > 1
            for number in own[1:]
        ]
        alike = {pair.later: (pair.earlier, pair.later) for pair in near if first <= pair.earlier and pair.later < stop}
        advice = (
            " A part held out at random may have nearly the same."
            if part.name == "training" and len(parts) == 1
            else ""
        )
        for kind, pairs, how, more in (
            ("duplicates", equal, "the text of an earlier one", ""),
            ("near-duplicates", list(alike.values()), "nearly the text of an earlier one", advice),
        ):
            if not pairs:
                continue
            share = _percent(len(pairs), len(part.entries))
            rows = f"{len(pairs):,} of {len(part.entries):,} rows of {part.name} ({share})"
            sentence = f"{rows} {'has' if len(pairs) == 1 else 'have'} {how}.{more}"
            examples = tuple((entries[one].place(), entries[other].place()) for one, other in pairs[:MOST_EXAMPLES])
            findings.append(
                Finding(
                    kind=f"{kind}-{part.name}", level="note", count=len(pairs), sentence=sentence, examples=examples
                )
            )
    return findings


def _context_key(entry: Entry) -> bytes:
    return text_key(TextExample(entry.pair or ""))


def _percent(count: int, total: int) -> str:
    return f"{100 * count / total:.2g} %" if count < total else "100 %"
