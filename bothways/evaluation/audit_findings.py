"""What an audit of data finds, as values: places, findings with examples, leaks, and the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Level = Literal["leak", "problem", "note"]
"""A leak makes scores wrong, a problem is worth mending before training, a note is worth knowing."""

MOST_EXAMPLES = 20
"""Examples kept of one finding; leaks are kept all."""

_SHOWN_CHARS = 160


@dataclass(frozen=True, kw_only=True)
class Place:
    """One row of one file.

    Attributes:
        row: from 1 within its file, the header not counted.
        text: its beginning, on one line; the second text of a pair after `` | ``.
        label: as the file has it; empty where it says nothing here.
        detail: what is to be seen in this row, such as its length or the language guessed.
    """

    file: str
    row: int
    text: str
    label: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of thing that was found.

    Attributes:
        kind: a name for programs, such as ``"conflicting-labels"``.
        count: rows, classes or texts, as ``sentence`` says.
        sentence: what was found, with numbers, and what to do.
        examples: at most 20; each is one row, or two that belong together.
    """

    kind: str
    level: Level
    count: int
    sentence: str
    examples: tuple[tuple[Place, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Leak:
    """An evaluation row that training has too: the same text, or nearly the same with a label that does not contradict.

    Attributes:
        index: number of the example from 0, in the order in which the readers give the evaluation files.
        place: the evaluation row.
        source: the training row.
        similarity: 1 for equal texts (up to case, white space and punctuation), else the share of words in common, or
            of letters where one word is misspelt; of pairs of texts the smaller share.
        exact: equal up to case and white space.
    """

    index: int
    place: Place
    source: Place
    similarity: float
    exact: bool


@dataclass(frozen=True, kw_only=True)
class PartFacts:
    """What is in the training files, or in the evaluation files.

    Attributes:
        name: ``"training"`` or ``"evaluation"``.
        rows: examples that have a label.
        missing_labels: rows without one, left out of all else.
        labels: how many examples (for entities: entities) each label has, the most frequent first; empty for scores.
        languages: how many texts are in each language, ``"unsure"`` among them, the most frequent first.
        tokens: median, 95th percentile and maximum of the lengths in tokens; None where they were not counted.
    """

    name: str
    files: tuple[str, ...]
    rows: int
    missing_labels: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, int] = field(default_factory=dict)
    tokens: tuple[int, int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What is known about data before anything is trained on it.

    Attributes:
        task: as for ``train``.
        kind: of the labels: single, multi, regression, entities or answers.
        parts: training, and evaluation where files were given.
        findings: leaks first, then problems, then notes.
        leaks: every evaluation row that training has too, rising by index.
        notes: what was not looked at, and why.
    """

    task: str
    kind: str
    parts: tuple[PartFacts, ...]
    findings: tuple[Finding, ...]
    leaks: tuple[Leak, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def has_leakage(self) -> bool:
        """Whether some evaluation row is in training too."""
        return bool(self.leaks)

    def found(self, kind: str) -> Finding | None:
        """The finding of this kind, if there is one."""
        return next((finding for finding in self.findings if finding.kind == kind), None)


def audit_as_json(audit: Audit) -> dict[str, Any]:
    """The audit as plain values: what ``--json`` writes."""
    return {**asdict(audit), "has_leakage": audit.has_leakage}


def shortened(text: str, pair: str | None = None) -> str:
    """A text, or pair of texts, on one line of at most 160 characters, without what a terminal would obey."""
    most = _SHOWN_CHARS if pair is None else _SHOWN_CHARS // 2
    return " | ".join(_line(part, most) for part in (text, pair) if part is not None)


def _line(text: str, most: int) -> str:
    line = " ".join(text[: 4 * most].split())
    line = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in line)
    return line if len(line) <= most and len(text) <= 4 * most else line[: most - 1] + "…"
