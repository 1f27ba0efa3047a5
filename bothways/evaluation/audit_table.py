"""An audit in the terminal: a table of what there is, and a paragraph for each finding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bothways.evaluation.audit_findings import Audit, PartFacts, Place, shortened
from bothways.evaluation.audit_languages import NAMES, UNSURE
from bothways.evaluation.formats import share_text

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

_EXAMPLES = 3  # of a finding
_NAMED = 4  # labels and languages of a part
_STYLES = {"leak": "bold red", "problem": "bold yellow", "note": "bold"}


def audit_view(audit: Audit, examples: int = _EXAMPLES) -> Group:
    """What ``bothways audit`` prints.

    Args:
        examples: how many examples of each finding are shown.
    """
    from rich.console import Group

    return Group(*_pieces(audit, examples))


def verdict(audit: Audit) -> str:
    """One sentence: whether scores on this evaluation can be trusted."""
    held = next((part for part in audit.parts if part.name == "evaluation"), None)
    problems = sum(finding.level == "problem" for finding in audit.findings)
    rest = {0: "No other problem was found.", 1: "There is 1 other problem."}.get(
        problems, f"There are {problems} other problems."
    )
    if held is None:
        return f"Leakage was not looked for: no evaluation file was given (--eval). {rest.replace(' other', '')}"
    if not audit.has_leakage:
        return f"No leakage: none of {held.rows:,} evaluation texts is in training. {rest.replace(' other', '')}"
    clean = held.rows - len({leak.index for leak in audit.leaks})
    return (
        f"Leakage: {held.rows - clean:,} of {held.rows:,} evaluation texts are in training, {clean:,} are clean. {rest}"
    )


def _pieces(audit: Audit, examples: int) -> Iterator[RenderableType]:
    from rich.text import Text

    yield _facts_table(audit)
    for finding in audit.findings:
        yield Text.assemble((f"{finding.level}: ", _STYLES[finding.level]), finding.sentence)
        for places in finding.examples[:examples]:
            for number, place in enumerate(places):
                yield Text(f"  {'  = ' if number else ''}{_line(place)}", "dim", no_wrap=True, overflow="ellipsis")
        if 0 < examples < len(finding.examples):
            yield Text(f"  and {finding.count - examples:,} more", "dim")
        yield Text()
    for note in audit.notes:
        yield Text(f"{note}\n", "dim")
    yield Text(verdict(audit))


def _facts_table(audit: Audit) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title="What the files hold", title_justify="left")
    table.add_column("")
    for part in audit.parts:
        table.add_column(part.name, overflow="fold")
    for name, of in _ROWS:
        values = [of(part) for part in audit.parts]
        if any(values):
            table.add_row(name, *map(Text, values))
    return table


def _line(place: Place) -> str:
    where = f"{place.file}, row {place.row}" if place.file else f"row {place.row}"
    label = f" [{place.label}]" if place.label else ""
    detail = f" ({place.detail})" if place.detail else ""
    return f"{where}{label}{detail}: {place.text}"


def _labels(part: PartFacts) -> str:
    total = sum(part.labels.values())
    shown = [
        f"{shortened(name):.40} {count:,} ({share_text(count / total)})"
        for name, count in list(part.labels.items())[:_NAMED]
    ]
    more = len(part.labels) - _NAMED
    return "\n".join([*shown, f"and {more:,} more"] if more > 0 else shown)


def _languages(part: PartFacts) -> str:
    shown = [
        f"{UNSURE if code == UNSURE else NAMES[code]} {share_text(count / part.rows)}"
        for code, count in list(part.languages.items())[:_NAMED]
    ]
    return "\n".join(shown)


def _tokens(part: PartFacts) -> str:
    return "median {:,}, 95 % up to {:,}, longest {:,}".format(*part.tokens) if part.tokens else ""


_ROWS = (
    ("rows", lambda part: f"{part.rows:,}"),
    ("without a label", lambda part: f"{part.missing_labels:,}" if part.missing_labels else ""),
    ("labels", _labels),
    ("languages (guessed)", _languages),
    ("tokens", _tokens),
)
