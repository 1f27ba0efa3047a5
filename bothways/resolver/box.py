"""The models in the box: small adapters for the default encoder that lie inside the package, ``bothways/box/<name>/``.

An adapter is in the box by its directory being there. Each has a card, ``card.json``, with the facts of its training.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bothways.errors import ModelNotFoundError
from bothways.resolver.known import DEFAULT_MODEL, find_known

BOX_DIRECTORY = Path(__file__).parent.parent / "box"
CARD = "card.json"


@dataclass(frozen=True, kw_only=True)
class BoxModel:
    """A place in the box."""

    name: str
    """Also the name of its directory."""
    aliases: tuple[str, ...]
    """Short names, which a model of the same name in the store goes before."""
    tasks: tuple[str, ...]
    """Of ``pipeline`` and ``bothways predict``, which take it where no model is named; the proper name first."""
    description: str
    looks_like: str
    """A regular expression for names of models elsewhere that do the same."""

    @property
    def path(self) -> Path | None:
        """Where it is; None if this installation does not have it."""
        directory = box_directory() / self.name
        return directory if (directory / "adapter_config.json").is_file() else None

    def main_score(self) -> str:
        """The first score of its card, such as ``accuracy 0.912 on SST-2 dev``; empty if the card does not say."""
        try:
            first = read_card(self)["scores"][0]
            return f"{first['metric']} {first['value']:.3f} on {first['data']}"
        except (KeyError, IndexError, TypeError, ValueError):
            return ""


BOX_MODELS: tuple[BoxModel, ...] = (
    BoxModel(
        name="minilm-l6-sentiment",
        aliases=("sentiment",),
        tasks=("text-classification", "sentiment-analysis", "sentiment"),
        description="is a text negative or positive; NEGATIVE, POSITIVE",
        looks_like=r"sst-?2|sentiment|finbert|imdb|rotten|polarity|reviews",
    ),
    BoxModel(
        name="minilm-l6-ner",
        aliases=("ner",),
        tasks=("token-classification", "ner"),
        description="names in a text; PER, ORG, LOC, MISC",
        looks_like=r"\bner\b|conll-?(20)?03|ontonotes|wnut",
    ),
    BoxModel(
        name="minilm-l6-qa",
        aliases=("question-answering",),
        tasks=("question-answering",),
        description="the words of a text that answer a question, or that there are none",
        looks_like=r"squad|\bqa\b|question-?answering",
    ),
    BoxModel(
        name="minilm-l6-nli",
        aliases=("nli", "zero-shot"),
        tasks=("zero-shot-classification", "zero-shot"),
        description="whether one text follows from another, and so which of any labels fits",
        looks_like=r"nli\b|zero-?shot",
    ),
    BoxModel(
        name="minilm-l6-fill-mask",
        aliases=("fill-mask",),
        tasks=("fill-mask",),
        description="which words fit into a gap",
        looks_like=r"fill-?mask",
    ),
)
TASK_OF_HEAD = {
    "token-classification": "token-classification",
    "question-answering": "question-answering",
    "masked-lm": "fill-mask",
}
"""Heads that fix what a model is wanted for; a classifier may be of anything, and its name tells more."""
_EMBEDDINGS = r"^sentence-transformers/|minilm|mpnet|\be5\b|\bbge\b|\bgte\b|simcse|sbert|paraphrase|embed"
_ENCODERS = r"bert|electra"


def box_directory() -> Path:
    """Where the adapters lie; a function so that tests can put another there."""
    return BOX_DIRECTORY


def box_models() -> tuple[BoxModel, ...]:
    """All places of the box, also those that are empty in this installation."""
    return BOX_MODELS


def find_boxed(name: str) -> BoxModel | None:
    """The place with this name or alias, in any case."""
    folded = name.casefold()
    return next((m for m in box_models() if folded == m.name or folded in m.aliases), None)


def boxed_for(task: str) -> BoxModel | None:
    """The place for a task; None if there is none for it."""
    return next((m for m in box_models() if task in m.tasks), None)


def read_card(model: BoxModel) -> dict[str, Any]:
    """The facts of a model's training; empty if there is no readable card."""
    from bothways.errors import BothwaysError
    from bothways.files import read_json

    try:
        card = None if model.path is None else read_json(model.path / CARD)
    except (BothwaysError, OSError):
        return {}
    return card if isinstance(card, dict) else {}


def nearest_in_box(name: str, task: str | None = None) -> str | None:
    """A sentence about the model here that does what a model elsewhere does; None if nothing here comes near.

    Args:
        name: of the model that is not here.
        task: that it is wanted for, as ``pipeline`` was asked; by default what its name says.
    """
    folded = name.casefold()
    if find_known(name) is not None or find_boxed(name) is not None:
        return None
    boxed = None if task in (None, "text-classification") else boxed_for(str(task))
    if boxed is None and task in (None, "text-classification", "sentiment-analysis"):
        boxed = next((m for m in box_models() if re.search(m.looks_like, folded)), None)
    if boxed is not None:
        if boxed.path is None:
            return None
        score = boxed.main_score()
        told = f" ({score})" if score else ""
        return f"The nearest model in the box of this library is {boxed.name}{told}: give that name."
    if find_known(DEFAULT_MODEL) is None or task not in (None, "feature-extraction"):
        return None
    if re.search(_EMBEDDINGS, folded) or task == "feature-extraction":
        return f"The nearest model for vectors of texts is {DEFAULT_MODEL}: give that name."
    if re.search(_ENCODERS, folded):
        fill = find_boxed("fill-mask")
        gaps = "" if fill is None or fill.path is None else f" For words in gaps there is {fill.name}."
        return f"The nearest encoder to train from is {DEFAULT_MODEL}: give that name.{gaps}"
    return None


def with_nearest(problem: ModelNotFoundError, name: str, task: str | None) -> ModelNotFoundError:
    """The error with the model of the box that is nearest for this task, in place of the one that the name suggests."""
    by_name, by_task = nearest_in_box(name), nearest_in_box(name, task)
    if by_task is None or by_name == by_task:
        return problem
    text = str(problem) if by_name is None else str(problem).removesuffix(f"\n{by_name}")
    return ModelNotFoundError(f"{text}\n{by_task}")
