"""Next sentence: pairs of texts, and whether the second follows the first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bothways.data import check_labels, load_labelled
from bothways.errors import DataError
from bothways.tasks.next_sentence import LABELS
from bothways.training.task import Split
from bothways.training.text_task import TextTask, split_of

NUMBERS = ("0", "1")
"""The labels of data that has numbers."""


class NextSentenceTask(TextTask):
    """BERT's head for next sentences. Labels in the data are IsNext and NotNext, or 0 (it follows) and 1."""

    name = "next-sentence-prediction"
    model_task = "next-sentence-prediction"
    items = "pairs"

    def __init__(self, split: Split, kind: Any, label_names: tuple[str, ...]) -> None:
        super().__init__(split, kind, label_names)
        if self.split.columns["text_pair"] is None:
            raise DataError(
                f"next sentences need two texts a row, but the only text column is {self.split.columns['text']!r}. "
                "Name both: --text-column first,second."
            )
        if self.kind != "single" or _ids(self.label_names) is None:
            shown = ", ".join(map(repr, self.label_names[:10]))
            raise DataError(f"the labels are {shown}; expected {LABELS[0]} and {LABELS[1]}, or 0 (it follows) and 1.")
        self.label_names = tuple(sorted(self.label_names, key=_id))

    @classmethod
    def load_evaluation(cls, file: Path, config: Any, **reading: Any) -> TextTask:
        """The outputs mean the same in every model, whatever its configuration calls them."""
        names = LABELS
        read = load_labelled(file, task_kind="single", purpose="evaluate", **reading)
        if set(read.label_names) <= set(NUMBERS):
            names = NUMBERS
        check_labels(read, names)
        return cls(split_of(read, [], read.examples, held_out=False), "single", names)

    def configuration(self) -> dict[str, Any]:
        return {"id2label": dict(enumerate(self.label_names))}


def _ids(names: Sequence[str]) -> list[int] | None:
    """The output of each label; None unless they are two of one kind."""
    try:
        ids = [_id(name) for name in names]
    except ValueError:
        return None
    return ids if sorted(ids) == [0, 1] else None


def _id(name: str) -> int:
    return LABELS.index(name) if name in LABELS else NUMBERS.index(name)
