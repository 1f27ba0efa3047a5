"""The ways of pretraining by name."""

from __future__ import annotations

from typing import Any

from bothways.errors import UsageError, nearest
from bothways.pretraining.goals import Goal, MissingSpans, NextWords
from bothways.pretraining.masked_goals import MaskedWords, MaskedWordsAndOrder, MaskedWordsAndPairs, ReplacedWords

GOALS: dict[str, type[Goal]] = {
    "mlm": MaskedWords,
    "mlm,nsp": MaskedWordsAndPairs,
    "mlm,sop": MaskedWordsAndOrder,
    "rtd": ReplacedWords,
    "clm": NextWords,
    "span": MissingSpans,
}
FAMILY_OF = {"mlm": "bert", "mlm,nsp": "bert", "mlm,sop": "albert", "rtd": "electra", "clm": "gpt2", "span": "t5"}
"""The family of a model that is described by its size alone."""
WORDS = {
    "mlm": "masked words",
    "mlm,nsp": "masked words and next sentences",
    "mlm,sop": "masked words and the order of sentences",
    "rtd": "replaced words",
    "clm": "next words",
    "span": "missing spans",
}


def objective_named(asked: Any) -> str:
    """The proper name of an objective; parts may come in any order, with spaces.

    Raises:
        UsageError: no such objective; the message lists them.
    """
    parts = sorted(part.strip().lower() for part in str(asked).split(","))
    for name in GOALS:
        if sorted(name.split(",")) == parts:
            return name
    like = nearest(",".join(parts), list(GOALS), most=1)
    known = ", ".join(repr(name) for name in GOALS)
    raise UsageError(
        f"--objective is {asked!r:.60}; known are {known}." + (f" Did you mean {like[0]!r}?" if like else "")
    )
