"""A run trained again from its own record, and what came out beside what came out then."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bothways.errors import CheckpointError, UsageError
from bothways.files import read_json
from bothways.training.job import train
from bothways.training.past_run import PastRun, read_past_run
from bothways.training.publish import MANIFEST

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One fact of both runs.

    Attributes:
        holds: whether the new one confirms the old one.
        exact: whether they are equal.
    """

    what: str
    then: str
    now: str
    holds: bool
    exact: bool


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """Attributes:
    compared: the facts.
    elsewhere: in what machine and libraries differ from those of the first run.
    directory: of the new run; None if it was not kept.
    """

    compared: tuple[Compared, ...]
    elsewhere: tuple[str, ...]
    directory: Path | None

    @property
    def holds(self) -> bool:
        """Whether every fact is confirmed."""
        return all(fact.holds for fact in self.compared)

    @property
    def sentence(self) -> str:
        """What came of it."""
        failed = [fact.what for fact in self.compared if not fact.holds]
        if failed:
            why = f" Machine or libraries differ: {'; '.join(self.elsewhere)}." if self.elsewhere else ""
            return f"Not reproduced: {', '.join(failed)}.{why}"
        if all(fact.exact for fact in self.compared):
            return "Reproduced to the last bit: the same data, weights and scores."
        inexact = [fact.what for fact in self.compared if not fact.exact]
        why = f" ({'; '.join(self.elsewhere)})" if self.elsewhere else ""
        return f"Reproduced: scores lie within the intervals of then; {', '.join(inexact)} not to the last bit{why}."


def reproduce(run: Path, output: Path | None = None, *, say: Say = lambda line: None) -> Reproduction:
    """Train a finished run again, with the options, data and model of its record, and compare.

    Args:
        run: the output of ``train``.
        output: directory to keep the new run in; None keeps nothing of it.
        say: called with a line of news now and then.

    Raises:
        UsageError: no finished run is there, or its data or model are not.
        CheckpointError: its record is damaged.
    """
    manifest_file = run / MANIFEST
    if not manifest_file.is_file():
        raise UsageError(f"{run} is no finished run of bothways train: it has no {MANIFEST}.")
    then = read_json(manifest_file, error=CheckpointError)
    if not isinstance(then, dict) or not isinstance(then.get("comparison"), dict):
        raise CheckpointError(f"{manifest_file} is no record of a training of bothways.")
    past = read_past_run(run)
    lost = [file for file in past.files if not Path(file).exists()]
    if lost:
        raise UsageError(
            f"the data of {run} is not here: {', '.join(lost[:3])}. Run this where the command was given: "
            f"{then.get('command', 'see its record')}."
        )
    if output is not None:
        return _again(past, then, output, say, kept=True)
    with tempfile.TemporaryDirectory(prefix="bothways-reproduce-") as place:
        return _again(past, then, Path(place) / "model", say, kept=False)


def _again(past: PastRun, then: dict[str, Any], output: Path, say: Say, *, kept: bool) -> Reproduction:
    asked = {name: value for name, value in past.options.items() if value is not None}  # as the command line has them
    train(list(past.files), output, **asked, say=say)
    now = read_json(output / MANIFEST, error=CheckpointError)
    return Reproduction(
        compared=tuple(compare(then, now)), elsewhere=past.elsewhere, directory=output if kept else None
    )


def compare(then: dict[str, Any], now: dict[str, Any]) -> list[Compared]:
    """The facts of two records beside each other.

    A score is confirmed by one within its interval of then; data and the starting model must be the same.
    """
    facts = []
    for part, title in (("train", "training data"), ("evaluation", "evaluation data")):
        facts.append(_same(title, then["data"][part]["sha256"], now["data"][part]["sha256"]))
    facts.append(_same("starting model", then["model"].get("sha256"), now["model"].get("sha256")))
    old, new = then["comparison"]["rows"], now["comparison"]["rows"]
    for before, after in zip(old[1:], new[1:], strict=True):
        for score, again in zip(before["scores"], after["scores"], strict=True):
            facts.append(_score(f"{score['title']} of {before['name']}", score, again))
    weights = then["model"].get("trained_sha256"), now["model"].get("trained_sha256")
    facts.append(
        Compared(
            what="weights",
            then=_short(weights[0]),
            now=_short(weights[1]),
            holds=True,  # other processors round otherwise: the scores decide
            exact=weights[0] == weights[1],
        )
    )
    return facts


def _same(what: str, then: Any, now: Any) -> Compared:
    return Compared(what=what, then=_short(then), now=_short(now), holds=then == now, exact=then == now)


def _score(what: str, then: dict[str, Any], now: dict[str, Any]) -> Compared:
    interval, found = then["interval"], now["interval"]["estimate"]
    scale, digits = (100, 2) if then["percent"] else (1, 4)
    return Compared(
        what=what,
        then=f"{scale * interval['estimate']:.{digits}f} "
        f"({scale * interval['low']:.{digits}f} to {scale * interval['high']:.{digits}f})",
        now=f"{scale * found:.{digits}f}",
        holds=interval["low"] <= found <= interval["high"],
        exact=found == interval["estimate"],
    )


def _short(digest: Any) -> str:
    return "none" if digest is None else f"{str(digest)[:12]}…"
